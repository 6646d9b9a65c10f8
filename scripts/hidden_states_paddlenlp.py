"""Run by scripts/compare.py in the environment of PaddleNLP: FOLDER BATCHES.npz HIDDEN.npz."""

import json
import sys
from pathlib import Path

import numpy as np
import paddle
import paddlenlp
from paddlenlp import transformers

folder, batches, target = sys.argv[1:]
with open(Path(folder, "config.json"), encoding="utf-8-sig") as file:
    kind = {"convbert": "ConvBert", "electra": "Electra", "bert": "Bert", "ernie": "Ernie"}[
        json.load(file)["model_type"]
    ]
model = getattr(transformers, f"{kind}Model").from_pretrained(folder)
model.eval()
with np.load(batches) as stored, paddle.no_grad():
    hidden = {}
    for name in ("alone", "padded"):
        output = model(paddle.to_tensor(stored[name].astype(np.int64)))  # it masks its pad_token_id itself
        hidden[name] = (output[0] if isinstance(output, tuple | list) else output).numpy()
np.savez(target, **hidden)
print(json.dumps({"versions": f"PaddleNLP {paddlenlp.__version__}, PaddlePaddle {paddle.__version__}"}))
