"""Fine-tuning on SQuAD and answering, from the official files to a run's folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.folder import check_length, check_manifest, check_pairs, digest_of, open_checkpoint
from checkpoints.network import load_weights
from checkpoints.registry import model_folder
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.files import sha256_of, write_json
from common.json_files import read_json_object
from common.messages import say
from encoders import distributed
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.framework import paddle, select_device
from encoders.span_heads import SpanModel, span_loss
from encoders.tokenizer import Tokenizer
from inference.network_engine import tensors
from squad import model as span_model
from squad.answers import ANSWER_FILES, Answers, write_answers
from squad.config import SquadRunConfig
from squad.data import Dataset, read_squad
from squad.prediction import answer, dev_scores, rules_of, said
from squad.windows import Labelled, Windows, label, make_windows
from training.batches import epoch_batches
from training.layer_decay import scales
from training.regularization.ema import MovingAverage
from training.regularization.fgm import Adversary
from training.regularization.r_drop import disagreement, doubled
from training.run_environment import ALIKE, SAME, circumstances, from_anywhere, refuse_own_sources
from training.run_folder import LOG, RunFolder, open_run
from training.trainer import Job, Progress, fit, seed_everything


@dataclass(frozen=True)
class Data:
    """Both files, the training windows with their labels, and the dev windows."""

    train: Dataset
    labelled: Labelled
    dev: Dataset
    windows: Windows


def fine_tune(asked: SquadRunConfig) -> tuple[Progress, Answers | None]:
    """Read, cut into windows, train, evaluate, save; with do_predict the best model's answers are written.

    Everything is checked before the first step; bad input of any kind is an InputError.
    """
    training, folder = asked.training, asked.saved or asked.model_name_or_path
    checkpoint = open_checkpoint(folder)
    check_length(training.max_seq_length, checkpoint.config)
    check_pairs(checkpoint.config)
    tokenizer = tokenizer_of(folder, checkpoint.config, asked.do_lower_case)
    data = _read_data(asked, tokenizer)
    config = span_model.config_for(checkpoint.config, data.train.version, training.max_seq_length)
    select_device(asked.device)
    distributed.init()
    seed_everything(training.seed)
    notes: list[str] = []
    if asked.saved:  # its weights are read below, under the run's lock
        model = span_model.new_model(config, training.qa_head, training.beam_size, training.answerable_weight)
    else:
        model, notes = span_model.prepare(checkpoint, config, training, asked.from_scratch)
    settings = _settings(asked, config, data)
    refuse_own_sources(asked.output_dir, [asked.model_name_or_path, asked.train_file, asked.predict_file])
    with open_run(asked.output_dir, asked.resume, asked.overwrite_output_dir, ANSWER_FILES) as run:
        if run.resumes:
            run.check_args(settings, same=(*SAME, "do_lower_case"), alike=ALIKE)
            load_weights(model, open_checkpoint(run.source).with_config(config))
        else:
            run.write_args(settings)
        for note in [*_data_notes(data), *notes]:
            LOG.info(note)
        progress = fit(_job(asked, config, tokenizer, data, model), training, run)
        return progress, _answer_with_best(asked, config, data, model, run) if asked.do_predict else None


def _read(asked: SquadRunConfig, path: str) -> Dataset:
    data = read_squad(Path(path), asked.version_2_with_negative)
    threshold = asked.training.null_score_diff_threshold
    if threshold and not data.has_unanswerable:
        raise InputError(
            f"{path}: is SQuAD 1.1, where every question has an answer; "
            f"--null_score_diff_threshold {threshold:g} is for SQuAD 2.0, leave it out"
        )
    return data


def _read_data(asked: SquadRunConfig, tokenizer: Tokenizer) -> Data:
    training = asked.training
    assert asked.train_file is not None
    train, dev = _read(asked, asked.train_file), _read(asked, asked.predict_file)
    for data, use in ((train, "to train on"), (dev, "to score a training by")):
        if not data.has_answers:
            raise InputError(f"{data.path}: holds questions alone, without answers: nothing {use}")
    if train.has_unanswerable != dev.has_unanswerable:
        raise InputError(
            f"{train.path} is SQuAD {train.version}, but {dev.path} is SQuAD {dev.version}; take both of one"
        )
    lengths = training.max_seq_length, training.doc_stride, training.max_query_length
    labelled = label(make_windows(train, tokenizer, *lengths), train, training.drop_partial_windows)
    if not len(labelled.windows):
        raise InputError(
            f"{train.path}: no window is left to train on: {len(labelled.skipped)} of {len(train.questions)} "
            "questions have no answer in their text"
            + (", --drop_partial_windows leaves out the others" if training.drop_partial_windows else "")
        )
    return Data(train, labelled, dev, make_windows(dev, tokenizer, *lengths))


def _job(
    asked: SquadRunConfig, config: EncoderConfig, tokenizer: Tokenizer, data: Data, model: SpanModel
) -> Job:
    training, features = asked.training, data.labelled.windows.features
    impossible = data.labelled.impossible.astype("float32")

    def loss(batch: Batch) -> paddle.Tensor:
        batch = doubled(batch) if training.r_drop else batch
        assert batch.targets is not None
        targets = paddle.to_tensor(batch.targets)
        if training.r_drop:
            start, end = model(*tensors(batch))
            apart = (disagreement(start) + disagreement(end)) / 2  # as the loss is the mean of both
            return span_loss(start, end, targets) + training.r_drop * apart
        return model.loss(*tensors(batch), targets, paddle.to_tensor(impossible[batch.rows]))

    def evaluate() -> dict[str, float]:
        return dev_scores(_answers(asked, data.dev, data.windows, model))

    return Job(
        model=model,
        batches=epoch_batches(features, training, config, asked.device),
        loss=loss,
        evaluate=evaluate,
        write_model=lambda folder: span_model.write(folder, config, model, training, tokenizer),
        scales=scales(
            [name for name, _ in model.named_parameters()],
            span_model.depths(config),
            config.num_hidden_layers,
            training.layer_lr_decay,
            training.layer_lr_decay_mode,
        ),
        task=config.finetuning_task,
        main="f1",
        unit="windows",
        said=said,
        adversary=Adversary(model.encoder.embeddings.word, training.fgm) if training.fgm else None,
        average=MovingAverage(model, training.ema) if training.ema else None,
    )


def _answers(asked: SquadRunConfig, data: Dataset, windows: Windows, model: SpanModel) -> Answers:
    rules = rules_of(asked.training, data)
    return answer(model, windows, data, rules, asked.eval_batch_size, "answering")


def _answer_with_best(
    asked: SquadRunConfig, config: EncoderConfig, data: Data, model: SpanModel, run: RunFolder
) -> Answers:
    """The answers of the best checkpoint, whose scores are those in ``scores.json``."""
    check_manifest(run.path / "best")
    load_weights(model, open_checkpoint(run.path / "best").with_config(config))
    model.eval()
    answers = _answers(asked, data.dev, data.windows, model)
    if distributed.is_first():
        write_answers(answers, asked.output_dir)
    return answers


def predict(asked: SquadRunConfig) -> Answers:
    """Answer a file's questions with a fine-tuned model; writes the answers, and ``scores.json`` where no run
    has left one."""
    training, folder = asked.training, model_folder(asked.model_name_or_path)
    checkpoint = open_checkpoint(folder)
    config = checkpoint.config
    check_length(training.max_seq_length, config)
    check_pairs(config)
    tokenizer = tokenizer_of(folder, config, asked.do_lower_case)
    trained_for = span_model.trained_head(checkpoint).version
    data = _read(asked, asked.predict_file)
    if not data.has_answers and trained_for and asked.version_2_with_negative is None:
        data = dataclasses.replace(data, has_unanswerable=trained_for == "2.0")
    if trained_for not in ("", data.version):
        raise InputError(
            f"{data.path}: is SQuAD {data.version}, but {folder} was trained on SQuAD {trained_for}"
        )
    target = Path(asked.output_dir)
    _refuse_target(target, folder)
    windows = make_windows(
        data, tokenizer, training.max_seq_length, training.doc_stride, training.max_query_length
    )
    select_device(asked.device)
    distributed.init()
    model = span_model.load(checkpoint)
    if distributed.is_first():
        target.mkdir(parents=True, exist_ok=True)  # better refused now than when all is answered
        for note in data.notes():
            say(note)
        say(
            f"{len(windows)} windows of up to {training.max_seq_length} tokens, a step of "
            f"{training.doc_stride}, questions of up to {training.max_query_length}"
        )
    answers = _answers(asked, data, windows, model)
    if distributed.is_first():
        write_answers(answers, target)
        if data.has_answers:
            _write_scores(target, span_model.task_name(data.version), dev_scores(answers))
        else:
            say(f"note: {data.path}: holds questions alone: there is nothing to score")
            if not (target / "args.json").exists():
                (target / "scores.json").unlink(missing_ok=True)  # of the answers that stood there before
    return answers


def _refuse_target(target: Path, model: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"{target}: is a file; --output_dir names a folder")
    if (target / "args.json").exists() and not model.resolve().is_relative_to(target.resolve()):
        raise InputError(f"{target}: is the folder of another model's run; take another --output_dir")


def _write_scores(target: Path, task: str, scores: dict[str, float]) -> None:
    """Write ``scores.json``; that of a run stays, with a warning where its best are other ones."""
    path = target / "scores.json"
    if not (target / "args.json").exists():
        write_json(path, {"task": task, "main": "f1", "best": scores, "last": scores})
    elif path.is_file() and scores.items() - read_json_object(path)["best"].items():
        say(
            f"warning: {path}: are the scores of the run's best model in training; these answers, of another "
            "file or with other settings, have others"
        )


def _data_notes(data: Data) -> list[str]:
    notes = [*data.train.notes(), *data.dev.notes()]
    windows = data.labelled.windows
    assert windows.features.targets is not None
    empty = int((windows.features.targets == 0).all(axis=1).sum())
    notes.append(
        f"{data.train.path}: {len(windows)} windows, {empty} of them labelled with the first token; "
        f"{data.dev.path}: {len(data.windows)} windows"
    )
    if data.labelled.skipped:
        names = ", ".join(data.labelled.skipped)
        notes.append(
            f"{data.train.path}: {len(data.labelled.skipped)} questions are left out, since their answer "
            f"has no token in the text: {names}"
        )
    return notes


def _settings(asked: SquadRunConfig, config: EncoderConfig, data: Data) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    left_out = ("training", "output_dir", "resume", "overwrite_output_dir", "saved")
    fields = [field.name for field in dataclasses.fields(asked) if field.name not in left_out]
    values = {name: getattr(asked, name) for name in fields}
    files = {name: from_anywhere(values[name]) for name in ("train_file", "predict_file")}
    return {
        "task_name": config.finetuning_task,
        **values,
        **files,
        **({} if asked.saved else {"model_name_or_path": from_anywhere(asked.model_name_or_path)}),
        "model_sha256": asked.model_sha256 or digest_of(asked.model_name_or_path),
        "recipe": dataclasses.asdict(asked.training),
        "model": dataclasses.asdict(config),
        **circumstances(),
        "data": {
            name: {"questions": len(part.questions), "sha256": sha256_of(part.path)}
            for name, part in (("train", data.train), ("dev", data.dev))
        },
    }
