"""Fine-tuning on SQuAD and answering, from the official files to a run's folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.folder import digest_of, read_config
from checkpoints.validation import check_length, check_manifest, check_pairs, model_folder, tokenizer_of
from common.errors import InputError
from common.files import read_json_object, sha256_of, write_json
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
from squad.data import Dataset, read_squad
from squad.prediction import answer, dev_scores, rules_of, said
from squad.presets import SquadRecipe
from squad.windows import Labelled, Windows, label, make_windows
from training.batches import epoch_batches
from training.flags import RunChoices
from training.layer_decay import scales
from training.regularization.ema import MovingAverage
from training.regularization.fgm import Adversary
from training.regularization.r_drop import disagreement, doubled
from training.run_environment import ALIKE, SAME, circumstances, from_anywhere, refuse_own_sources
from training.run_folder import LOG, RunFolder, open_run
from training.trainer import Job, Progress, fit, seed_everything


@dataclass(frozen=True, kw_only=True)
class Choices(RunChoices):
    """What a user chose: the flags of ``run_squad``."""

    recipe: SquadRecipe
    predict_file: Path
    train_file: Path | None = None
    version_2_with_negative: bool | None = None
    do_predict: bool = False


@dataclass(frozen=True)
class Data:
    """Both files, the training windows with their labels, and the dev windows."""

    train: Dataset
    labelled: Labelled
    dev: Dataset
    windows: Windows


def fine_tune(choices: Choices) -> tuple[Progress, Answers | None]:
    """Read, cut into windows, train, evaluate, save; with do_predict the best model's answers are written.

    Everything is checked before the first step; bad input of any kind is an InputError.
    """
    recipe, folder = choices.recipe, choices.saved or choices.model_name_or_path
    found = read_config(folder)
    check_length(recipe.max_seq_length, found)
    check_pairs(found)
    tokenizer = tokenizer_of(folder, found, choices.do_lower_case)
    data = _read_data(choices, tokenizer)
    config = span_model.config_for(found, data.train.version, recipe.max_seq_length)
    select_device(choices.device)
    distributed.init()
    seed_everything(recipe.seed)
    notes: list[str] = []
    if choices.saved:  # its weights are read below, under the run's lock
        model = span_model.new_model(config, recipe.qa_head, recipe.beam_size, recipe.answerable_weight)
    else:
        model, notes = span_model.prepare(folder, config, recipe, choices.from_scratch)
    settings = _settings(choices, config, data)
    refuse_own_sources(
        choices.output_dir, [choices.model_name_or_path, choices.train_file, choices.predict_file]
    )
    with open_run(choices.output_dir, choices.resume, choices.overwrite_output_dir, ANSWER_FILES) as run:
        if run.resumes:
            run.check_args(settings, same=(*SAME, "do_lower_case"), alike=ALIKE)
            span_model.fill(model, run.source, config, recipe.qa_head)
        else:
            run.write_args(settings)
        for note in [*_data_notes(data), *notes]:
            LOG.info(note)
        progress = fit(_job(choices, config, tokenizer, data, model), recipe, run)
        return progress, _answer_with_best(choices, config, data, model, run) if choices.do_predict else None


def _read(choices: Choices, path: Path) -> Dataset:
    data = read_squad(path, choices.version_2_with_negative)
    threshold = choices.recipe.null_score_diff_threshold
    if threshold and not data.has_unanswerable:
        raise InputError(
            f"{path}: is SQuAD 1.1, where every question has an answer; "
            f"--null_score_diff_threshold {threshold:g} is for SQuAD 2.0, leave it out"
        )
    return data


def _read_data(choices: Choices, tokenizer: Tokenizer) -> Data:
    recipe = choices.recipe
    assert choices.train_file is not None
    train, dev = _read(choices, choices.train_file), _read(choices, choices.predict_file)
    for data, use in ((train, "to train on"), (dev, "to score a training by")):
        if not data.has_answers:
            raise InputError(f"{data.path}: holds questions alone, without answers: nothing {use}")
    if train.has_unanswerable != dev.has_unanswerable:
        raise InputError(
            f"{train.path} is SQuAD {train.version}, but {dev.path} is SQuAD {dev.version}; take both of one"
        )
    lengths = recipe.max_seq_length, recipe.doc_stride, recipe.max_query_length
    labelled = label(make_windows(train, tokenizer, *lengths), train, recipe.drop_partial_windows)
    if not len(labelled.windows):
        raise InputError(
            f"{train.path}: no window is left to train on: {len(labelled.skipped)} of {len(train.questions)} "
            "questions have no answer in their text"
            + (", --drop_partial_windows leaves out the others" if recipe.drop_partial_windows else "")
        )
    return Data(train, labelled, dev, make_windows(dev, tokenizer, *lengths))


def _job(choices: Choices, config: EncoderConfig, tokenizer: Tokenizer, data: Data, model: SpanModel) -> Job:
    recipe, features = choices.recipe, data.labelled.windows.features
    impossible = data.labelled.impossible.astype("float32")

    def loss(batch: Batch) -> paddle.Tensor:
        batch = doubled(batch) if recipe.r_drop else batch
        assert batch.targets is not None
        targets = paddle.to_tensor(batch.targets)
        if recipe.r_drop:
            start, end = model(*tensors(batch))
            apart = (disagreement(start) + disagreement(end)) / 2  # as the loss is the mean of both
            return span_loss(start, end, targets) + recipe.r_drop * apart
        return model.loss(*tensors(batch), targets, paddle.to_tensor(impossible[batch.rows]))

    def evaluate() -> dict[str, float]:
        return dev_scores(_answers(choices, data.dev, data.windows, model))

    return Job(
        model=model,
        batches=epoch_batches(features, recipe, config, choices.device),
        loss=loss,
        evaluate=evaluate,
        write_model=lambda folder: span_model.write(folder, config, model, recipe, tokenizer),
        scales=scales(
            [name for name, _ in model.named_parameters()],
            span_model.depths(config),
            config.num_hidden_layers,
            recipe.layer_lr_decay,
            recipe.layer_lr_decay_mode,
        ),
        task=config.finetuning_task,
        main="f1",
        unit="windows",
        said=said,
        adversary=Adversary(model.encoder.embeddings.word, recipe.fgm) if recipe.fgm else None,
        average=MovingAverage(model, recipe.ema) if recipe.ema else None,
    )


def _answers(choices: Choices, data: Dataset, windows: Windows, model: SpanModel) -> Answers:
    rules = rules_of(choices.recipe, data)
    return answer(model, windows, data, rules, choices.eval_batch_size, "answering")


def _answer_with_best(
    choices: Choices, config: EncoderConfig, data: Data, model: SpanModel, run: RunFolder
) -> Answers:
    """The answers of the best checkpoint, whose scores are those in ``scores.json``."""
    check_manifest(run.path / "best")
    span_model.fill(model, run.path / "best", config, choices.recipe.qa_head)
    model.eval()
    answers = _answers(choices, data.dev, data.windows, model)
    if distributed.is_first():
        write_answers(answers, choices.output_dir)
    return answers


def predict(choices: Choices) -> Answers:
    """Answer a file's questions with a fine-tuned model; writes the answers, and ``scores.json`` where no run
    has left one."""
    recipe, folder = choices.recipe, model_folder(choices.model_name_or_path)
    config = read_config(folder)
    check_length(recipe.max_seq_length, config)
    check_pairs(config)
    tokenizer = tokenizer_of(folder, config, choices.do_lower_case)
    trained_for = span_model.trained_head(folder).version
    data = _read(choices, choices.predict_file)
    if not data.has_answers and trained_for and choices.version_2_with_negative is None:
        data = dataclasses.replace(data, has_unanswerable=trained_for == "2.0")
    if trained_for not in ("", data.version):
        raise InputError(
            f"{data.path}: is SQuAD {data.version}, but {folder} was trained on SQuAD {trained_for}"
        )
    target = Path(choices.output_dir)
    _refuse_target(target, folder)
    windows = make_windows(data, tokenizer, recipe.max_seq_length, recipe.doc_stride, recipe.max_query_length)
    select_device(choices.device)
    distributed.init()
    model = span_model.load(folder, config)
    if distributed.is_first():
        target.mkdir(parents=True, exist_ok=True)  # better refused now than when all is answered
        for note in data.notes():
            say(note)
        say(
            f"{len(windows)} windows of up to {recipe.max_seq_length} tokens, a step of {recipe.doc_stride}, "
            f"questions of up to {recipe.max_query_length}"
        )
    answers = _answers(choices, data, windows, model)
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


def _settings(choices: Choices, config: EncoderConfig, data: Data) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    left_out = ("recipe", "output_dir", "resume", "overwrite_output_dir", "saved")
    fields = [field.name for field in dataclasses.fields(choices) if field.name not in left_out]
    files = {name: getattr(choices, name) for name in fields}
    return {
        "task_name": config.finetuning_task,
        **{name: from_anywhere(value) if isinstance(value, Path) else value for name, value in files.items()},
        **({} if choices.saved else {"model_name_or_path": from_anywhere(choices.model_name_or_path)}),
        "model_sha256": choices.model_sha256 or digest_of(choices.model_name_or_path),
        "recipe": dataclasses.asdict(choices.recipe),
        "model": dataclasses.asdict(config),
        **circumstances(),
        "data": {
            name: {"questions": len(part.questions), "sha256": sha256_of(part.path)}
            for name, part in (("train", data.train), ("dev", data.dev))
        },
    }
