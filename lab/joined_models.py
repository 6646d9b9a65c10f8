"""Ways to join runs that need networks: soups of weights, means of saves, and both orders of a pair.

A soup is one network, whose weights are the mean of those of several runs (Wortsman et al. 2022, Model soups,
arXiv:2203.05482). Runs can be averaged if they began with the same network, head and all. Paraphrases and
similarity have no order, so the mean of what a run says of both orders of a pair may be better than either.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from checkpoints.folder import save_checkpoint
from checkpoints.network import arrays_of, mean_weights
from common.provenance import recorded_digest
from encoders.heads import SentenceClassifier
from glue.features import SplitFeatures
from glue.scoring import load_splits, predict, predict_splits
from glue.task_model import TaskModel
from glue.tasks import Task
from lab.ensemble_selection import combine, stack_logits
from training.run_state import MEAN

_BATCH_SIZE = 64


@dataclass
class ModelJoiner:
    """Predicts the files of a task by networks of its runs, whose folders these are; each answer once."""

    task: Task
    folders: Sequence[Path]
    data_dir: Path
    _splits: dict[str, list[SplitFeatures]] = field(default_factory=dict)
    _answers: dict[tuple[str, tuple[int, ...], str], list[np.ndarray]] = field(default_factory=dict)

    def logits(self, method: str, members: Sequence[int], kind: str) -> list[np.ndarray]:
        """What runs, by number, say together of each ``dev`` or ``test`` file.

        Args:
            method: ``soup``; or the mean of the runs' logits, of ``orders``: each run's of both orders; of
                ``saves``: those of the mean of its last saves.
            members: The numbers of the runs.
            kind: Of the files.

        Returns:
            Of each file (N, L), columns in the table's order of labels.
        """
        key = method, tuple(sorted(members)), kind
        if key not in self._answers:
            if method != "soup" and len(members) > 1:
                parts = [self.logits(method, [member], kind) for member in members]
                self._answers[key] = [combine(np.stack(part), "mean") for part in zip(*parts, strict=True)]
            else:
                self._answers[key] = self._predict(method, key[1], kind)
        return self._answers[key]

    def dev_logits(self, method: str, members: Sequence[int]) -> list[np.ndarray]:
        """The same of the dev files."""
        return self.logits(method, members, "dev")

    def write_soup(self, members: Sequence[int], folder: Path) -> str:
        """Write the soup of some runs as a model folder; returns its digest."""
        model, network = self._soup(members)
        save_checkpoint(folder, model.config, arrays_of(network), model.tokenizer)
        return recorded_digest(folder)

    def _predict(self, method: str, members: Sequence[int], kind: str) -> list[np.ndarray]:
        if method == "soup":
            model, network = self._soup(members)
            parts = [
                predict(network, model.config, self.task, split, _BATCH_SIZE)
                for split in self._files(model, kind)
            ]
        else:
            folder = self.folders[members[0]] / (MEAN if method == "saves" else "best")
            model = TaskModel(folder, self.task, None)
            files = self._files(model, kind)
            parts = predict_splits(model, files, engine="dynamic", both_orders=method == "orders")
        return [stack_logits(self.task, [part])[0] for part in parts]

    def _soup(self, members: Sequence[int]) -> tuple[TaskModel, SentenceClassifier]:
        folders = [self.folders[member] / "best" for member in sorted(members)]
        model = TaskModel(folders[0], self.task, None)
        mean = mean_weights(
            arrays_of(self._network(TaskModel(folder, self.task, None))) for folder in folders
        )
        network = self._network(model)
        for name, parameter in network.named_parameters():
            parameter.set_value(mean[name])
        return model, network

    def _network(self, model: TaskModel) -> SentenceClassifier:
        network = model.runner("dynamic", "cpu", 0)
        assert isinstance(network, SentenceClassifier)
        return network

    def _files(self, model: TaskModel, kind: str) -> list[SplitFeatures]:
        """A task's files; runs of one task may have other tokenizers and lengths."""
        key = f"{kind} {model.tokenizer.digest} {model.config.max_seq_length}"
        if key not in self._splits:
            self._splits[key] = load_splits(model, kind, self.data_dir)
        return self._splits[key]
