"""One fine-tuning with transformers, in its own environment; run by bench/seeds.py.

Usage: python bench/seeds_huggingface.py TASK MODEL DATA_DIR SEED. Prints the dev rows' outputs as JSON.
"""

import sys

if not __package__:  # started by path: import from this clone
    sys.path[0] = sys.path[0].rpartition("/")[0]

import json

import numpy as np
import torch
import transformers

from bench.seeds import RECIPE
from glue.data import Example, read_split
from glue.tasks import Task, task_named

PARTS = 4  # of a batch


class Run:
    """A model, its tokenizer and a task's rows."""

    def __init__(self, task: Task, model: str, data_dir: str, seed: int) -> None:
        transformers.logging.set_verbosity_error()
        transformers.set_seed(seed)
        self.task, self.data_dir = task, data_dir
        self.tokenizer = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
        kind = transformers.AutoModelForSequenceClassification
        self.model = kind.from_pretrained(model, num_labels=task.num_outputs, local_files_only=True).float()

    def encoded(self, kind: str) -> tuple[list[dict[str, list[int]]], list[float | str | None]]:
        """A split's token ids, row by row, and its labels."""
        (split,) = self.task.of_kind(kind)
        examples = read_split(self.task, split, self.data_dir).examples
        return [self._encode(example) for example in examples], [example.label for example in examples]

    def _encode(self, example: Example) -> dict[str, list[int]]:
        length = RECIPE["max_seq_length"]
        return dict(self.tokenizer(*example.texts, truncation=True, max_length=length))

    def outputs(self, rows: list[dict[str, list[int]]]) -> torch.Tensor:
        """rows: B encoded rows → logits (B, labels)."""
        inputs = self.tokenizer.pad(rows, return_tensors="pt")
        return self.model(**inputs).logits

    def loss(self, rows: list[dict[str, list[int]]], targets: torch.Tensor) -> torch.Tensor:
        """The sum of the rows' losses. targets: (B,)."""
        logits = self.outputs(rows)
        if self.task.is_regression:
            return torch.nn.functional.mse_loss(logits.squeeze(1), targets, reduction="sum")
        return torch.nn.functional.cross_entropy(logits, targets, reduction="sum")

    def optimizer(self, steps: int) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        """AdamW without decay of biases and LayerNorm, warm-up, then linearly to 0: as Trainer makes them."""
        exempt = {name for name, _ in self.model.named_parameters() if "LayerNorm" in name or "bias" in name}
        groups = [
            {"params": [p for name, p in self.model.named_parameters() if (name in exempt) == free],
             "weight_decay": 0.0 if free else RECIPE["weight_decay"]}
            for free in (False, True)
        ]  # fmt: skip
        optimizer = torch.optim.AdamW(groups, lr=RECIPE["learning_rate"], eps=RECIPE["adam_epsilon"])
        warmup = int(np.ceil(RECIPE["warmup_proportion"] * steps))
        return optimizer, transformers.get_linear_schedule_with_warmup(optimizer, warmup, steps)

    def train(self) -> None:
        """The whole recipe. A batch is computed in parts of like length; the sum of their gradients is the
        batch's, with less padding."""
        rows, labels = self.encoded("train")
        ids = {label: number for number, label in enumerate(self.task.labels)}
        regression = self.task.is_regression
        values = [float(label or 0) if regression else ids[str(label)] for label in labels]
        targets = torch.tensor(values)
        size, epochs = RECIPE["batch_size"], RECIPE["num_train_epochs"]
        optimizer, schedule = self.optimizer(epochs * -(-len(rows) // size))
        self.model.train()
        for _ in range(epochs):
            for batch in torch.randperm(len(rows)).split(size):
                by_length = sorted(batch.tolist(), key=lambda row: len(rows[row]["input_ids"]))
                for part in np.array_split(by_length, PARTS):
                    loss = self.loss([rows[row] for row in part], targets[torch.from_numpy(part)])
                    (loss / len(batch)).backward()
                torch.nn.utils.clip_grad_norm_(self.model.parameters(), RECIPE["max_grad_norm"])
                optimizer.step()
                schedule.step()
                optimizer.zero_grad()

    def dev_outputs(self) -> list[list[float]]:
        """The dev rows' logits, in the file's order."""
        rows, _ = self.encoded("dev")
        self.model.eval()
        with torch.inference_mode():
            parts = [self.outputs(rows[start : start + 8]) for start in range(0, len(rows), 8)]
        return list(torch.cat(parts).tolist())


def main(task: str, model: str, data_dir: str, seed: str) -> None:
    run = Run(task_named(task), model, data_dir, int(seed))
    run.train()
    versions = f"transformers {transformers.__version__}, torch {torch.__version__}"
    print(json.dumps({"versions": versions, "outputs": run.dev_outputs()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
