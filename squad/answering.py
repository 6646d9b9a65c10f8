"""Answering a file's questions with a fine-tuned model, without training."""

import dataclasses
import json
from argparse import Namespace
from pathlib import Path

from checkpoints.folder import check_length, check_pairs, open_checkpoint, read_config
from checkpoints.registry import model_folder, resolve
from checkpoints.tokenizer import tokenizer_of
from common.errors import InputError
from common.files import write_json
from common.json_files import read_json_object
from common.messages import say
from encoders import distributed
from encoders.framework import select_device
from squad import model as span_model
from squad.answers import Answers, write_answers
from squad.config import ANSWERING, SquadRunConfig, SquadTrainingConfig, official_file
from squad.data import Dataset
from squad.prediction import answer_windows, cut_windows, dev_scores, read_questions
from squad.windows import saved_cutting
from training.config import read_config_file
from training.config import resolve as resolve_settings
from training.resolution import check_model_type
from training.run_state import ARGS, SCORES


def print_scores(flags: Namespace) -> None:
    answers = answer(flags)
    if distributed.is_first() and answers.data.has_answers:
        print(json.dumps(dev_scores(answers), indent=2))


def answer(flags: Namespace) -> Answers:
    """Carry out ``squad.run_squad --do_predict``: answer a file's questions and write the answers, and
    ``scores.json`` where no run has left one."""
    config = answering_config(flags)
    training, folder = config.training, model_folder(config.model_name_or_path)
    checkpoint = open_checkpoint(folder)
    encoder = checkpoint.config
    check_length(training.max_seq_length, encoder)
    check_pairs(encoder)
    tokenizer = tokenizer_of(folder, encoder, config.do_lower_case)
    data = _read_as_trained(config, span_model.trained_head(checkpoint).version, folder)
    target = Path(config.output_dir)
    _refuse_target(target, folder)
    windows = cut_windows(training, data, tokenizer)
    select_device(config.device)
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
    answers = answer_windows(config, data, windows, model)
    if distributed.is_first():
        write_answers(answers, target)
        _write_scores(target, answers)
    return answers


def answering_config(flags: Namespace) -> SquadRunConfig:
    """What the flags ask for; windows are cut as in training unless a flag says otherwise."""
    folder = str(model_folder(resolve(flags.model_name_or_path)))
    encoder = read_config(folder)
    check_model_type(flags.model_type, encoder, folder)
    settings = read_config_file(flags.config, SquadTrainingConfig)
    idle = [name for name in settings if name not in ANSWERING]
    if idle:
        say(f"{flags.config}: of training, and has no part here: {', '.join(idle)}")
    length = encoder.max_seq_length or min(SquadTrainingConfig.max_seq_length, encoder.max_tokens)
    as_trained = {"max_seq_length": length, **saved_cutting(folder)}
    training = resolve_settings(SquadTrainingConfig, vars(flags), settings, as_trained)
    kept = ("output_dir", "device", "eval_batch_size", "do_lower_case", "version_2_with_negative")
    return SquadRunConfig(
        training=training,
        model_name_or_path=folder,
        predict_file=official_file(flags, "predict_file"),
        **{name: getattr(flags, name) for name in kept},
    )


def _read_as_trained(config: SquadRunConfig, trained_for: str, folder: Path) -> Dataset:
    """Read the questions, of the SQuAD version that the model was trained for; empty: it is not known."""
    data = read_questions(config, config.predict_file)
    if not data.has_answers and trained_for and config.version_2_with_negative is None:
        data = dataclasses.replace(data, has_unanswerable=trained_for == "2.0")
    if trained_for not in ("", data.version):
        message = f"is SQuAD {data.version}, but {folder} was trained on SQuAD {trained_for}"
        raise InputError(message, path=data.path)
    return data


def _refuse_target(target: Path, model: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError("is a file; --output_dir names a folder", path=target)
    if (target / ARGS).exists() and not model.resolve().is_relative_to(target.resolve()):
        raise InputError("is the folder of another model's run; take another --output_dir", path=target)


def _write_scores(target: Path, answers: Answers) -> None:
    """Write ``scores.json``; that of a run stays, with a warning where its best are other ones."""
    data, path, is_run = answers.data, target / SCORES, (target / ARGS).exists()
    if not data.has_answers:
        say(f"note: {data.path}: holds questions alone: there is nothing to score")
        if not is_run:
            path.unlink(missing_ok=True)  # of the answers that stood there before
        return
    scores = dev_scores(answers)
    if not is_run:
        task = span_model.task_name(data.version)
        write_json(path, {"task": task, "main": "f1", "best": scores, "last": scores})
    elif path.is_file() and scores.items() - read_json_object(path)["best"].items():
        say(
            f"warning: {path}: are the scores of the run's best model in training; these answers, of another "
            "file or with other settings, have others"
        )
