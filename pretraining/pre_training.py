"""Pre-training, from ``train.data`` to a run's folder."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from checkpoints.folder import digest_of
from checkpoints.validation import check_length
from common.errors import InputError
from encoders import distributed
from encoders.config import EncoderConfig
from encoders.framework import select_device
from encoders.tokenizer import Tokenizer
from pretraining.batches import epoch_batches, held_out_batches
from pretraining.corpus import corpus_path
from pretraining.distillation import Distillation, distillation_of
from pretraining.examples import load_examples
from pretraining.model_folder import fill_pretrained, write_encoder, write_pretrained
from pretraining.recipe import MAIN, DetectionRecipe, DistillRecipe, PretrainRecipe
from pretraining.replaced_tokens import Detection, detection_of
from pretraining.shards import Shards
from training.layer_decay import scales
from training.run_environment import ALIKE, SAME, circumstances, from_anywhere, refuse_own_sources
from training.run_folder import LOG, check_target, open_run
from training.trainer import Job, Progress, fit, seed_everything


@dataclass(frozen=True)
class Choices:
    """What a user chose, besides the recipe: the flags of ``run_pretrain``, as ``sources.settled`` left them.

    config, vocabulary: what ``sources.network_of`` makes of them.
    """

    recipe: PretrainRecipe
    config: EncoderConfig
    vocabulary: Tokenizer
    model_name_or_path: str
    input_dir: str
    output_dir: str
    objective: str = "rtd"
    teacher: str = ""
    embeddings: str = ""
    tokenizer: str = ""
    init_from_ckpt: str = ""
    device: str = "cpu"
    resume: bool = False
    overwrite_output_dir: bool = False
    do_lower_case: bool | None = None


def pre_train(choices: Choices) -> Progress:
    """Read, tokenise, train, evaluate, save. Everything is checked before the first step.

    Bad input of any kind is an InputError; nothing but the cache is written before all is read.
    """
    recipe = choices.recipe
    path = corpus_path(choices.input_dir)
    check_length(recipe.max_seq_length, choices.config)
    check_target(Path(choices.output_dir), choices.resume, choices.overwrite_output_dir)
    sources: list[str | Path] = [
        choices.model_name_or_path,
        choices.teacher,
        choices.tokenizer,
        choices.init_from_ckpt,
        path,
    ]
    refuse_own_sources(choices.output_dir, sources)
    select_device(choices.device)
    distributed.init()
    shards = _examples(path, choices.vocabulary, recipe)
    seed_everything(recipe.seed)
    objective = _objective(choices)
    job = _job(choices, shards, objective)
    settings = _settings_in_force(choices, path, shards)
    with open_run(choices.output_dir, choices.resume, choices.overwrite_output_dir) as run:
        if run.resumes:
            same = (*SAME, "teacher_sha256", "init_from_ckpt", "embeddings", "do_lower_case")
            run.check_args(settings, same=same, alike=ALIKE)
            fill_pretrained(objective.model, run.source, choices.config)
        else:
            run.write_args(settings)
        LOG.info(f"{path}: {shards.examples} examples, {shards.tokens} tokens, in {len(shards.train)} shards")
        return fit(job, recipe, run)


def _examples(path: Path, tokenizer: Tokenizer, recipe: PretrainRecipe) -> Shards:
    """The first process makes them, the others read what it made."""
    shards: Shards | None = None
    outcome: InputError | None = None
    if distributed.is_first():
        try:
            shards = load_examples(path, tokenizer, recipe.max_seq_length, recipe.packing)
        except InputError as error:
            outcome = error
    outcome = distributed.broadcast(outcome)
    if outcome:
        raise outcome
    return shards or load_examples(path, tokenizer, recipe.max_seq_length, recipe.packing)


def _objective(choices: Choices) -> Detection | Distillation:
    recipe, rate = choices.recipe, choices.recipe.dropout
    config = dataclasses.replace(choices.config, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
    if isinstance(recipe, DistillRecipe):
        return distillation_of(config, recipe, choices.teacher, choices.init_from_ckpt, choices.embeddings)
    assert isinstance(recipe, DetectionRecipe)
    return detection_of(config, recipe, choices.vocabulary, choices.init_from_ckpt)


def _job(choices: Choices, shards: Shards, objective: Detection | Distillation) -> Job:
    recipe, config, tokenizer, model = choices.recipe, choices.config, choices.vocabulary, objective.model
    tokens = recipe.batch_size * recipe.max_seq_length
    tokens_held_out = (recipe.eval_batch_size or recipe.batch_size) * recipe.max_seq_length
    pad_id = config.pad_token_id
    objective.hold_out(held_out_batches(shards.held_out, recipe.eval_examples, tokens_held_out, pad_id))
    return Job(
        model=model,
        batches=epoch_batches(
            shards.train, tokens * distributed.world_size(), recipe.seed, pad_id, objective.prepare
        ),
        loss=objective.loss,
        evaluate=objective.evaluate,
        write_model=lambda folder: write_pretrained(folder, config, model, tokenizer),
        write_best=lambda folder: write_encoder(folder, config, model, tokenizer),
        scales=scales(
            [name for name, _ in model.named_parameters()],
            objective.depths(),
            config.num_hidden_layers,
            recipe.layer_lr_decay,
            recipe.layer_lr_decay_mode,
        ),
        task=choices.objective,
        main=MAIN[choices.objective],
        size=objective.size,
        unit="tokens",
    )


def _settings_in_force(choices: Choices, path: Path, shards: Shards) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    left_out = ("recipe", "config", "vocabulary", "output_dir", "resume", "overwrite_output_dir")
    fields = [field.name for field in dataclasses.fields(choices) if field.name not in left_out]
    return {
        "task_name": choices.objective,
        **{name: getattr(choices, name) for name in fields},
        "input_dir": from_anywhere(choices.input_dir),
        "teacher_sha256": digest_of(choices.teacher) if choices.teacher else "",
        "recipe": dataclasses.asdict(choices.recipe),
        "model": dataclasses.asdict(choices.config),
        **circumstances(),
        "data": {
            path.name: {"examples": shards.examples, "tokens": shards.tokens, "sha256": shards.corpus_digest}
        },
    }
