"""Fine-tuning on SQuAD, from the official files to a run's folder."""

from argparse import Namespace
from typing import Any

from checkpoints.folder import check_pairs
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError, UsageError
from common.files import sha256_of
from common.provenance import code_version, short
from encoders.batching import Batch
from encoders.framework import paddle
from encoders.span_heads import SpanModel, span_loss
from inference.network_engine import tensors
from squad import model as span_model
from squad.answers import ANSWER_FILES, Answers, write_answers
from squad.config import SquadRunConfig, flag_names, official_file, preset_settings
from squad.data import Dataset
from squad.prediction import answer_windows, cut_windows, dev_scores, format_scores, read_questions
from squad.windows import label
from training.card_facts import CardFacts, CardScore
from training.regularization.r_drop import doubled, symmetric_kl
from training.resolution import resolve_flags
from training.run import FineTuningTask, run_training
from training.run_folder import RunFolder
from training.run_log import LOG
from training.run_result import RunResult
from training.trainer import TrainingJob


def train(flags: Namespace) -> RunResult:
    """Carry out ``run_squad --do_train``: read, cut into windows, train, evaluate, save; with do_predict the
    best model's answers are written."""
    config = training_config(flags)
    return run_training(config, SpanTask(config))


def training_config(flags: Namespace) -> SquadRunConfig:
    """What the flags of a training, the config file and the preset say together."""
    files = {part: official_file(flags, part) for part in ("train_file", "predict_file")}
    config = resolve_flags(SquadRunConfig, Namespace(**{**vars(flags), **files}), preset_settings)
    idle = [name for name in ("beam_size", "answerable_weight") if name in flags]
    if idle and config.training.qa_head != "joint":
        raise UsageError(f"{flag_names(idle)}: of the joint head; give --qa_head joint")
    return config


class SpanTask(FineTuningTask):
    """SQuAD's model and data, read and checked, for ``run_training``."""

    config: SquadRunConfig
    model: SpanModel
    extra_files = ANSWER_FILES

    def __init__(self, config: SquadRunConfig) -> None:
        training = config.training
        super().__init__(config, training.max_seq_length)
        check_pairs(self.checkpoint.config)
        self.tokenizer = tokenizer_of(self.folder, self.checkpoint.config, config.do_lower_case)
        assert config.train_file is not None
        self.train, self.dev = (
            read_questions(config, path) for path in (config.train_file, config.predict_file)
        )
        _check_files(self.train, self.dev)
        self.labelled = label(
            cut_windows(training, self.train, self.tokenizer), self.train, training.drop_partial_windows
        )
        if not len(self.labelled.windows):
            raise InputError(
                f"no window is left to train on: {len(self.labelled.skipped)} of "
                f"{len(self.train.questions)} questions have no answer in their text"
                + (", --drop_partial_windows leaves out the others" if training.drop_partial_windows else ""),
                path=self.train.path,
            )
        self.windows = cut_windows(training, self.dev, self.tokenizer)
        self.encoder = span_model.config_for(
            self.checkpoint.config, self.train.version, training.max_seq_length
        )
        self.name = self.encoder.finetuning_task
        self.sources = (config.model_name_or_path, config.train_file, config.predict_file)
        self.model_notes: list[str] = []

    def build(self) -> TrainingJob:
        config, training = self.config, self.config.training
        if config.saved:  # its weights are read later, under the run's lock
            self.model = span_model.new_model(
                self.encoder, training.qa_head, training.beam_size, training.answerable_weight
            )
        else:
            self.model, self.model_notes = span_model.prepare(
                self.checkpoint, self.encoder, training, config.from_scratch
            )
        return self.job(
            self.labelled.windows.features,
            self.loss,
            lambda folder: span_model.write(folder, self.encoder, self.model, training, self.tokenizer),
            span_model.depths(self.encoder),
            metric_for_best="f1",
            row_unit="windows",
            format_scores=format_scores,
            card=card_facts(self.dev),
        )

    def loss(self, batch: Batch) -> paddle.Tensor:
        """The sum of the windows' losses, with R-Drop if that is on."""
        r_drop = self.config.training.r_drop
        batch = doubled(batch) if r_drop else batch
        assert batch.targets is not None
        targets = paddle.to_tensor(batch.targets)
        if r_drop:
            start, end = self.model(*tensors(batch))
            apart = (symmetric_kl(start) + symmetric_kl(end)) / 2  # as the loss is the mean of both
            return span_loss(start, end, targets) + r_drop * apart
        impossible = self.labelled.impossible[batch.rows].astype("float32")
        return self.model.loss(*tensors(batch), targets, paddle.to_tensor(impossible))

    def answer(self) -> Answers:
        return answer_windows(self.config, self.dev, self.windows, self.model)

    def score(self, answers: Answers) -> dict[str, float]:
        """The official scores of the dev file."""
        scores = dev_scores(answers)
        if scores["main"] < (null := scores.get("always_null_f1", 0.0)):
            LOG.info(f"f1 {scores['main']:.2f} is worse than answering nothing, always: {null:.2f}")
        return scores

    def data_record(self) -> dict[str, Any]:
        return {
            name: {"questions": len(part.questions), "sha256": sha256_of(part.path)}
            for name, part in (("train", self.train), ("dev", self.dev))
        }

    def notes(self) -> list[str]:
        targets = self.labelled.windows.features.targets
        assert targets is not None
        empty = int((targets == 0).all(axis=1).sum())
        notes = [
            *self.train.notes(),
            *self.dev.notes(),
            f"{self.train.path}: {len(targets)} windows, {empty} of them labelled with the first token; "
            f"{self.dev.path}: {len(self.windows)} windows",
        ]
        if self.labelled.skipped:
            names = ", ".join(self.labelled.skipped)
            notes.append(
                f"{self.train.path}: {len(self.labelled.skipped)} questions are left out, since their answer "
                f"has no token in the text: {names}"
            )
        return [*notes, *self.model_notes]

    def write_answers(self, answers: Answers, run: RunFolder) -> None:
        write_answers(answers, run.path)

    def finish(self, run: RunFolder) -> None:
        if self.config.do_predict:
            super().finish(run)


def card_facts(dev: Dataset) -> CardFacts:
    """What the model card of a model says of SQuAD and of its scores (in percent) on the dev file."""
    version_2 = dev.has_unanswerable
    keys = ("exact", "f1") if version_2 else ("exact_match", "f1")
    parts = {
        "split": "dev",
        "questions": len(dev.questions),
        "file": short(sha256_of(dev.path)),
        "metrics": "+".join(keys),
        "script": f"v{dev.version}",
        "toolkit": code_version(),
    }
    signature = "|".join([span_model.task_name(dev.version), *(f"{k}:{value}" for k, value in parts.items())])
    return CardFacts(
        title=f"SQuAD {dev.version}",
        pipeline="question-answering",
        dataset="rajpurkar/squad_v2" if version_2 else "rajpurkar/squad",
        dataset_config="",
        language="en",
        scores=tuple(
            CardScore(key, metric, "validation")
            for key, metric in zip(keys, ("exact_match", "f1"), strict=True)
        ),
        unit="percent",
        signature=signature,
        command="convbert-glue squad-train --do_predict --model_name_or_path FOLDER "
        "--predict_file dev.json --output_dir answers",
    )


def _check_files(train: Dataset, dev: Dataset) -> None:
    """Raise InputError unless both files have answers, of one version."""
    for data, use in ((train, "to train on"), (dev, "to score a training by")):
        if not data.has_answers:
            raise InputError(f"holds questions alone, without answers: nothing {use}", path=data.path)
    if train.has_unanswerable != dev.has_unanswerable:
        message = f"is SQuAD {train.version}, but {dev.path} is SQuAD {dev.version}; take both of one"
        raise InputError(message, path=train.path)
