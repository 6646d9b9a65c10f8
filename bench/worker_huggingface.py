"""Worker: transformers on torch, a training step as its Trainer makes it."""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import numpy as np
import torch
import transformers

from bench.protocol import Answer, Clock, StoredRows, serve


class HuggingFaceActions:
    """Holds the network, its optimiser and the rows between requests."""

    def load(
        self, model: str, device: str = "cpu", precision: str = "float32", is_compiled: bool = False
    ) -> Answer:
        """Read a model folder. precision: of matrix products, by autocast."""
        transformers.logging.set_verbosity_error()
        self.device = {"gpu": "cuda"}.get(device, device)
        kind = transformers.AutoModelForSequenceClassification
        self.model = kind.from_pretrained(model, local_files_only=True).to(self.device).eval()
        # Trainer's default optimiser, its fused form.
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-5, fused=True)
        self.autocast = torch.autocast(self.device, torch.bfloat16, enabled=precision == "bfloat16")
        self.network = torch.compile(self.model) if is_compiled else self.model
        torch._dynamo.config.recompile_limit = 64  # a graph a width, as long as the sample has no more
        torch.manual_seed(0)
        return {"versions": f"transformers {transformers.__version__}, torch {torch.__version__}"}

    def rows(self, file: str) -> Answer:
        self.stored = StoredRows(file)
        return {}

    def _inputs(self, rows: list[int], width: int) -> dict[str, torch.Tensor]:
        names = ("input_ids", "token_type_ids", "attention_mask", "labels")
        arrays = self.stored.padded(rows, width)
        inputs = {
            name: torch.from_numpy(array).to(self.device) for name, array in zip(names, arrays, strict=True)
        }
        if getattr(self.model.config, "type_vocab_size", 0) < 2:  # a family without segments
            del inputs["token_type_ids"]
        return inputs

    def train(self, batches: list[list[int]], width: int = 0) -> Answer:
        clock = Clock()
        self.model.train()
        for rows in batches:
            with clock.batch():
                with self.autocast:
                    loss = self.network(**self._inputs(rows, width)).loss
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
                self.optimizer.step()
                self.optimizer.zero_grad()
                loss.item()
        self.model.eval()
        return clock.answer()

    def infer(self, batches: list[list[int]], width: int = 0) -> Answer:
        clock, outputs = Clock(), np.zeros(0)
        with torch.inference_mode(), self.autocast:
            for rows in batches:
                with clock.batch():
                    inputs = self._inputs(rows, width)
                    del inputs["labels"]
                    outputs = self.network(**inputs).logits.float().cpu().numpy()
        return {**clock.answer(), "logits": outputs[:4].tolist()}


if __name__ == "__main__":
    worker = HuggingFaceActions()
    serve({name: getattr(worker, name) for name in ("load", "rows", "train", "infer")})
