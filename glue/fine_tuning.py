"""Fine-tuning on a sentence task, from the official files to a run's folder."""

import dataclasses
from argparse import Namespace
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.folder import check_manifest, write_model
from checkpoints.labels import label_names
from checkpoints.network import arrays_of, mean_weights
from checkpoints.tokenizer import tokenizer_of
from common.flags import set_workers
from common.provenance import recorded_digest
from encoders import distributed
from encoders.batching import Batch, Features
from encoders.config import EncoderConfig
from encoders.encoder import depth_rules
from encoders.framework import paddle
from encoders.heads import SentenceClassifier, sentence_loss
from encoders.tokenizer import Tokenizer
from glue.arguments import chosen_task, data_folder
from glue.config import GlueRunConfig, GlueTrainingConfig, preset_settings
from glue.features import SplitFeatures, in_both_orders, load_split, targets_of
from glue.model import config_for, naming_notes, prepare
from glue.predictions import SplitPredictions, write_predictions
from glue.scoring import dev_scores, gold_values, predict
from glue.task import letters
from glue.task_file import record_of
from glue.tasks import Task
from inference.network_engine import tensors
from metrics.task_scores import signature
from training.card_facts import CardFacts, CardScore
from training.regularization.r_drop import doubled, symmetric_kl
from training.resolution import resolve_flags
from training.run import FineTuningTask, run_training
from training.run_folder import RunFolder
from training.run_log import LOG
from training.run_result import RunResult
from training.run_state import MEAN, PREDICTIONS
from training.trainer import TrainingJob


def train(flags: Namespace) -> RunResult:
    """Carry out ``glue.run_glue``: read, tokenise, train, evaluate, save; nothing is written before the model
    and the data are read."""
    set_workers(flags.num_workers)
    task = chosen_task(flags)
    flags.task_name = task.name
    config = resolve_flags(GlueRunConfig, flags, partial(preset_settings, task=task))
    return run_training(config, SentenceTask(config))


def read_data(
    task: Task, training: GlueTrainingConfig, tokenizer: Tokenizer, data_dir: Path
) -> tuple[SplitFeatures, list[SplitFeatures]]:
    """Read and tokenise the training file, its pairs in both orders if asked for, and the dev files."""
    length = training.max_seq_length
    (split,) = task.of_kind("train")
    train = load_split(task, split, data_dir, tokenizer, length)
    if training.both_orders:
        train = in_both_orders(train, tokenizer, length)
    return train, [load_split(task, part, data_dir, tokenizer, length) for part in task.of_kind("dev")]


def with_targets(task: Task, train: SplitFeatures, config: EncoderConfig) -> Features:
    """The training rows with their label ids, or with numbers on the scale of the network's output."""
    labels = [] if task.is_regression else label_names(config)
    return dataclasses.replace(
        train.features, targets=targets_of(train.examples, labels, config.target_scale)
    )


def make_loss(model: SentenceClassifier, training: GlueTrainingConfig) -> Callable[[Batch], paddle.Tensor]:
    """Make the training loss: batch → the sum of its rows' losses, with R-Drop if that is on."""

    def loss(batch: Batch) -> paddle.Tensor:
        batch = doubled(batch) if training.r_drop else batch
        assert batch.targets is not None
        logits = model(*tensors(batch))
        losses = sentence_loss(logits, paddle.to_tensor(batch.targets))
        return losses + training.r_drop * symmetric_kl(logits) if training.r_drop else losses

    return loss


def card_facts(task: Task, dev: Sequence[SplitFeatures]) -> CardFacts:
    """What the model card of a task's model says of its data and its scores on the dev files."""
    hub_names = {"matthews": "matthews_correlation", "pearson": "pearsonr", "spearman": "spearmanr"}
    pairs = [(part.split, metric) for part in dev for metric in task.metrics]
    return CardFacts(
        title=task.name if task.is_own else f"GLUE {task.folder}",
        pipeline="text-classification",
        dataset="" if task.is_own else "nyu-mll/glue",
        dataset_config="" if task.is_own else letters(task.name),
        language="" if task.is_own else "en",
        scores=tuple(
            CardScore(key, hub_names.get(metric, metric), split.name.replace("dev", "validation"))
            for key, (split, metric) in zip(task.score_keys, pairs, strict=True)
        ),
        unit="fractions of 1",
        signature=signature(
            task, "+".join(part.split.name for part in dev), [gold_values(task, part) for part in dev]
        ),
        command=f"convbert-glue predict --task_{'file FILE.yaml' if task.is_own else f'name {task.name}'} "
        "--ckpt_path FOLDER --output_dir predictions",
    )


class SentenceTask(FineTuningTask):
    """A sentence task's model and data, read and checked, for ``run_training``."""

    config: GlueRunConfig
    model: SentenceClassifier

    def __init__(self, config: GlueRunConfig) -> None:
        super().__init__(config, config.training.max_seq_length)
        self.task, training, data_dir = (
            config.task,
            config.training,
            data_folder(config.data_dir, config.task),
        )
        self.name = self.task.name
        self.encoder, self.keeps_head = config_for(
            self.task, self.checkpoint.config, training, config.label_map
        )
        self.tokenizer = tokenizer_of(self.folder, self.encoder, config.do_lower_case)
        self.train, self.dev = read_data(self.task, training, self.tokenizer, data_dir)
        self.sources = (config.model_name_or_path, data_dir)
        self.model_notes: list[str] = []

    def build(self) -> TrainingJob:
        config, training = self.config, self.config.training
        if config.saved:  # its weights are read later, under the run's lock
            self.model = SentenceClassifier(self.encoder)
        else:
            self.model, self.model_notes = prepare(
                self.checkpoint, self.encoder, self.keeps_head, config.from_scratch, training.reinit_layers,
                training.head_seed,
            )  # fmt: skip
        return self.job(
            with_targets(self.task, self.train, self.encoder),
            make_loss(self.model, training),
            self._write_model,
            depth_rules(self.encoder),
            metric_for_best=self.task.main,
            kept_saves=training.mean_of_saves,
            card=card_facts(self.task, self.dev),
        )

    def answer(self) -> list[SplitPredictions]:
        size = self.config.eval_batch_size
        return [predict(self.model, self.encoder, self.task, part, size, "dev") for part in self.dev]

    def score(self, answers: list[SplitPredictions]) -> dict[str, float]:
        return dev_scores(self.encoder, self.dev, answers)

    def write_answers(self, answers: list[SplitPredictions], run: RunFolder) -> None:
        digest = recorded_digest(run.path / "best")
        write_predictions(run.path / PREDICTIONS / "dev", [part.made_by(digest) for part in answers])

    def finish(self, run: RunFolder) -> None:
        super().finish(run)
        if distributed.is_first() and (saves := run.kept_saves()):
            mean = mean_weights(self._arrays_in(save) for save in saves)
            for name, parameter in self.model.named_parameters():
                parameter.set_value(mean[name])
            run.save_mean(self._write_model)
            LOG.info(f"the mean of the saves of steps {', '.join(save.name for save in saves)} is in {MEAN}/")

    def _arrays_in(self, save: Path) -> dict[str, np.ndarray]:
        check_manifest(save)
        self.load_weights(save)
        return arrays_of(self.model)

    def _write_model(self, folder: Path) -> None:
        write_model(folder, self.encoder, arrays_of(self.model), self.tokenizer)

    def more_args(self) -> dict[str, Any]:
        return {**super().more_args(), **({"own_task": record_of(self.task)} if self.task.is_own else {})}

    def data_record(self) -> dict[str, Any]:
        parts = [self.train, *self.dev]
        return {part.split.file: {"rows": part.rows, "sha256": part.digest} for part in parts}

    def notes(self) -> list[str]:
        notes = []
        for part in [self.train, *self.dev]:
            notes += [part.described(), *part.notes]
        if self.keeps_head and not self.config.label_map:
            notes += naming_notes(self.folder, self.checkpoint.config, self.encoder)
        return [*notes, *self.model_notes]
