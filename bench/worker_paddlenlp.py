"""Worker: PaddleNLP 2.8.1 as it is installed, a training step as its GLUE example makes it."""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import json
from pathlib import Path

import numpy as np
import paddle
import paddlenlp

from bench.protocol import Answer, Clock, StoredRows, serve


class PaddleNLPActions:
    """Holds the network, its optimiser and the rows between requests."""

    def load(self, model: str, device: str = "cpu") -> Answer:
        paddle.set_device(device)
        settings = json.loads(Path(model, "config.json").read_text(encoding="utf-8"))
        kind = getattr(paddlenlp.transformers, settings["architectures"][0])  # its Auto class knows not all
        self.model = kind.from_pretrained(model)
        self.model.eval()
        self.optimizer = paddle.optimizer.AdamW(
            learning_rate=1e-5, parameters=self.model.parameters(), weight_decay=0.01
        )
        self.criterion = paddle.nn.CrossEntropyLoss()
        paddle.seed(0)
        return {"versions": f"PaddleNLP {paddlenlp.__version__}, PaddlePaddle {paddle.__version__}"}

    def rows(self, file: str) -> Answer:
        self.stored = StoredRows(file)
        return {}

    def _logits(self, rows: list[int], width: int) -> tuple[paddle.Tensor, paddle.Tensor]:
        """A batch's logits and targets; the network masks pad_token_id itself."""
        ids, types, _, targets = map(paddle.to_tensor, self.stored.padded(rows, width))
        has_segments = getattr(self.model.config, "type_vocab_size", 0) > 1
        return self.model(ids, token_type_ids=types) if has_segments else self.model(ids), targets

    def train(self, batches: list[list[int]], width: int = 0) -> Answer:
        clock = Clock()
        self.model.train()
        for rows in batches:
            with clock.batch():
                loss = self.criterion(*self._logits(rows, width))
                loss.backward()
                self.optimizer.step()
                self.optimizer.clear_grad()
                float(loss)
        self.model.eval()
        return clock.answer()

    def infer(self, batches: list[list[int]], width: int = 0) -> Answer:
        clock, logits = Clock(), np.zeros(0)
        with paddle.no_grad():
            for rows in batches:
                with clock.batch():
                    logits = self._logits(rows, width)[0].numpy()
        return {**clock.answer(), "logits": logits[:4].tolist()}


if __name__ == "__main__":
    worker = PaddleNLPActions()
    serve({name: getattr(worker, name) for name in ("load", "rows", "train", "infer")})
