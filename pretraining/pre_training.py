"""Pre-training, from ``train.data`` to a run's folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from checkpoints.folder import read_config
from checkpoints.network import arrays_of
from checkpoints.opening import check_length, tokenizer_of
from commands.errors import InputError
from commands.files import sha256_of
from convbert import ranks
from convbert.config import EncoderConfig
from convbert.encoder import Encoder, depth_rules
from convbert.framework import select_device
from convbert.tokenizer import Tokenizer
from pretraining.batches import epoch_batches, held_out_batches
from pretraining.corpus import corpus_path
from pretraining.distillation import Distillation, Student, tokens_of
from pretraining.embeddings import isometry, narrowed
from pretraining.examples import load_examples
from pretraining.model_folder import fill_encoder, fill_pretrained, load_encoder, write_pretrained
from pretraining.recipe import PretrainRecipe
from pretraining.shards import Shards
from pretraining.sizes import network_named
from training.circumstances import ALIKE, SAME, circumstances, refuse_own_sources
from training.layer_decay import scales
from training.loop import Job, Progress, fit, seed_everything
from training.run_folder import LOG, open_run


@dataclass(frozen=True)
class Choices:
    """What a user chose, besides the recipe: the flags of ``run_pretrain``.

    model_name_or_path: a name in ``sizes.NETWORKS``, or a model folder. init_from_ckpt: the folder whose
    weights training begins with; empty for random ones.
    """

    recipe: PretrainRecipe
    model_name_or_path: str
    input_dir: str
    output_dir: str
    objective: str = "distill"
    teacher: str = ""
    embeddings: str = "teacher"
    init_from_ckpt: str = ""
    device: str = "cpu"
    resume: bool = False
    overwrite_output_dir: bool = False


def pre_train(choices: Choices) -> Progress:
    """Read, tokenise, train, evaluate, save. Everything is checked before the first step.

    Bad input of any kind is an InputError; nothing but the cache is written before all is read.
    """
    recipe = choices.recipe
    path = corpus_path(choices.input_dir)
    config, tokenizer = network_of(choices)
    check_length(recipe.max_seq_length, config)
    select_device(choices.device)
    ranks.start()
    shards = _examples(path, tokenizer, recipe)
    seed_everything(recipe.seed)
    teacher = load_encoder(choices.teacher)
    check_length(recipe.max_seq_length, teacher.config)
    student = _student(choices, config, teacher)
    settings = _settings_in_force(choices, config, path, shards)
    sources: list[str | Path] = [choices.model_name_or_path, choices.teacher, choices.init_from_ckpt, path]
    refuse_own_sources(choices.output_dir, sources)
    with open_run(choices.output_dir, choices.resume, choices.overwrite_output_dir) as run:
        if run.resumes:
            run.check_args(settings, same=(*SAME, "teacher", "init_from_ckpt", "embeddings"), alike=ALIKE)
            fill_pretrained(student, run.source, config)
        else:
            run.write_args(settings)
        LOG.info(f"{path}: {shards.examples} examples, {shards.tokens} tokens, in {len(shards.train)} shards")
        return fit(_job(choices, config, tokenizer, shards, student, teacher), recipe, run)


def network_of(choices: Choices) -> tuple[EncoderConfig, Tokenizer]:
    """The network's shape and its tokeniser; InputError if its vocabulary is not the teacher's."""
    teacher = Tokenizer(choices.teacher) if choices.teacher else None
    folder = choices.model_name_or_path
    if Path(folder).is_dir():
        config = read_config(folder)
        tokenizer = tokenizer_of(folder, config)
    elif teacher:
        config, tokenizer = network_named(folder, len(teacher)), teacher
    else:
        raise InputError(f"{folder}: no such model folder; without a --teacher its vocab.txt is needed")
    if teacher and tokenizer.vocabulary != teacher.vocabulary:
        raise InputError(
            f"{folder}/vocab.txt: {_vocabulary_difference(tokenizer, teacher)}; "
            "both must read the same tokens: take the teacher's vocab.txt, and other weights"
        )
    return config, tokenizer


def _vocabulary_difference(ours: Tokenizer, theirs: Tokenizer) -> str:
    other = f"{theirs.folder}/vocab.txt"
    if len(ours) != len(theirs):
        return f"has {len(ours)} pieces, {other} has {len(theirs)}"
    there = {number: piece for piece, number in theirs.vocabulary.items()}
    piece, number = next((p, n) for p, n in ours.vocabulary.items() if there[n] != p)
    return f"line {number + 1} is {piece!r}, in {other} it is {there[number]!r}"


def _examples(path: Path, tokenizer: Tokenizer, recipe: PretrainRecipe) -> Shards:
    """The first process makes them, the others read what it made."""
    outcome: InputError | None = None
    if ranks.is_first():
        try:
            load_examples(path, tokenizer, recipe.max_seq_length, "lines")
        except InputError as error:
            outcome = error
    outcome = ranks.from_first(outcome)
    if outcome:
        raise outcome
    return load_examples(path, tokenizer, recipe.max_seq_length, "lines")


def _student(choices: Choices, config: EncoderConfig, teacher: Encoder) -> Student:
    recipe = choices.recipe
    for name, layers in (("student", config.num_hidden_layers), ("teacher", len(teacher.layers))):
        if recipe.matched_layers > layers:
            raise InputError(f"--matched_layers {recipe.matched_layers}: the {name} has {layers} layers")
    rate = recipe.dropout
    trained = dataclasses.replace(config, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
    student = Student(trained, teacher.config.hidden_size, recipe.matched_layers)
    if choices.init_from_ckpt:
        fill_encoder(student.encoder, choices.init_from_ckpt, config)
    elif choices.embeddings == "teacher":
        _take_embeddings(student.encoder, teacher, recipe.seed)
    return student


def _take_embeddings(encoder: Encoder, teacher: Encoder, seed: int) -> None:
    wide = {f"encoder.embeddings.{name}": value for name, value in arrays_of(teacher.embeddings).items()}
    tables = narrowed(wide, encoder.config.embedding_size)
    for name, parameter in encoder.embeddings.named_parameters():
        table = tables.get(f"encoder.embeddings.{name}")
        if table is not None and table.shape[1] == parameter.shape[1]:
            rest = parameter.numpy()[len(table) :]  # positions or token types that the teacher has not
            parameter.set_value(np.concatenate([table[: len(parameter)], rest]))
        elif name == "projection.weight":
            parameter.set_value(isometry(parameter.shape[0], parameter.shape[1], seed))


def _job(
    choices: Choices,
    config: EncoderConfig,
    tokenizer: Tokenizer,
    shards: Shards,
    student: Student,
    teacher: Encoder,
) -> Job:
    recipe, pad_id = choices.recipe, config.pad_token_id
    tokens = recipe.batch_size * recipe.max_seq_length
    held_out = held_out_batches(shards.held_out, recipe.eval_examples, tokens, pad_id)
    objective = Distillation(student, teacher, recipe.geometry_weight, held_out)
    return Job(
        model=student,
        batches=epoch_batches(shards.train, tokens * ranks.world(), recipe.seed, pad_id),
        loss=objective.loss,
        evaluate=objective.evaluate,
        write_model=lambda folder: write_pretrained(folder, config, student, tokenizer),
        scales=scales(
            [name for name, _ in student.named_parameters()],
            depth_rules(config),
            config.num_hidden_layers,
            recipe.layer_lr_decay,
            recipe.layer_lr_decay_mode,
        ),
        task=choices.objective,
        main="token_cosine",
        size=tokens_of,
        unit="tokens",
    )


def _settings_in_force(choices: Choices, config: EncoderConfig, path: Path, shards: Shards) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    left_out = ("recipe", "output_dir", "resume", "overwrite_output_dir")
    fields = [field.name for field in dataclasses.fields(choices) if field.name not in left_out]
    return {
        "task_name": choices.objective,
        **{name: getattr(choices, name) for name in fields},
        "recipe": dataclasses.asdict(choices.recipe),
        "model": dataclasses.asdict(config),
        **circumstances(),
        "data": {
            path.name: {"examples": shards.examples, "tokens": shards.tokens, "sha256": sha256_of(path)}
        },
    }
