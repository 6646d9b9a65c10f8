"""Run by scripts/compare.py in the environment of transformers: FOLDER BATCHES.npz HIDDEN.npz."""

import json
import sys

import numpy as np
import torch
import transformers

folder, batches, target = sys.argv[1:]
transformers.logging.set_verbosity_error()
# By itself transformers computes in the numbers that the file holds, float16 for example.
model = transformers.AutoModel.from_pretrained(folder, local_files_only=True).float().eval()
with np.load(batches) as stored, torch.no_grad():
    hidden = {}
    for name in ("alone", "padded"):
        ids = torch.from_numpy(stored[name].astype(np.int64))
        mask = (ids != int(stored["pad"])).long()
        hidden[name] = model(input_ids=ids, attention_mask=mask).last_hidden_state.numpy()
np.savez(target, **hidden)
print(json.dumps({"versions": f"transformers {transformers.__version__}, torch {torch.__version__}"}))
