"""Pre-training, from ``train.data`` to a run's folder."""

import dataclasses
from pathlib import Path
from typing import Any

from checkpoints.folder import check_length, digest_of
from common.errors import InputError
from encoders import distributed
from encoders.config import EncoderConfig
from encoders.framework import select_device
from encoders.tokenizer import Tokenizer
from pretraining.batches import epoch_batches, held_out_batches
from pretraining.config import (
    METRIC_FOR_BEST,
    DetectionConfig,
    DistillationConfig,
    PretrainingConfig,
    PretrainingRunConfig,
)
from pretraining.corpus import corpus_path
from pretraining.distillation import Distillation, distillation_of
from pretraining.examples import load_examples
from pretraining.model_folder import fill_pretrained, write_encoder, write_pretrained
from pretraining.replaced_tokens import Detection, detection_of
from pretraining.shards import Shards
from training.layer_decay import scales
from training.run_environment import ALIKE, SAME, circumstances, from_anywhere, refuse_own_sources
from training.run_folder import LOG, check_target, open_run
from training.trainer import Job, Progress, fit, seed_everything


def pre_train(run_config: PretrainingRunConfig, encoder: EncoderConfig, tokenizer: Tokenizer) -> Progress:
    """Read, tokenise, train, evaluate, save. Everything is checked before the first step.

    Bad input of any kind is an InputError; nothing but the cache is written before all is read.
    """
    training = run_config.training
    path = corpus_path(run_config.input_dir)
    check_length(training.max_seq_length, encoder)
    check_target(Path(run_config.output_dir), run_config.resume, run_config.overwrite_output_dir)
    sources: list[str | Path] = [
        run_config.model_name_or_path,
        run_config.teacher,
        run_config.tokenizer,
        run_config.init_from_ckpt,
        path,
    ]
    refuse_own_sources(run_config.output_dir, sources)
    select_device(run_config.device)
    distributed.init()
    shards = _examples(path, tokenizer, training)
    seed_everything(training.seed)
    objective = _objective(run_config, encoder, tokenizer)
    job = _job(run_config, encoder, tokenizer, shards, objective)
    settings = _settings_in_force(run_config, encoder, path, shards)
    with open_run(run_config.output_dir, run_config.resume, run_config.overwrite_output_dir) as run:
        if run.resumes:
            same = (*SAME, "teacher_sha256", "init_from_ckpt", "embeddings", "do_lower_case")
            run.check_args(settings, same=same, alike=ALIKE)
            fill_pretrained(objective.model, run.source, encoder)
        else:
            run.write_args(settings)
        LOG.info(f"{path}: {shards.examples} examples, {shards.tokens} tokens, in {len(shards.train)} shards")
        return fit(job, training, run)


def _examples(path: Path, tokenizer: Tokenizer, training: PretrainingConfig) -> Shards:
    """The first process makes them, the others read what it made."""
    shards: Shards | None = None
    outcome: InputError | None = None
    if distributed.is_first():
        try:
            shards = load_examples(path, tokenizer, training.max_seq_length, training.packing)
        except InputError as error:
            outcome = error
    outcome = distributed.broadcast(outcome)
    if outcome:
        raise outcome
    return shards or load_examples(path, tokenizer, training.max_seq_length, training.packing)


def _objective(
    run_config: PretrainingRunConfig, encoder: EncoderConfig, tokenizer: Tokenizer
) -> Detection | Distillation:
    training, rate = run_config.training, run_config.training.dropout
    config = dataclasses.replace(encoder, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate)
    if isinstance(training, DistillationConfig):
        return distillation_of(
            config, training, run_config.teacher, run_config.init_from_ckpt, run_config.embeddings
        )
    assert isinstance(training, DetectionConfig)
    return detection_of(config, training, tokenizer, run_config.init_from_ckpt)


def _job(
    run_config: PretrainingRunConfig,
    config: EncoderConfig,
    tokenizer: Tokenizer,
    shards: Shards,
    objective: Detection | Distillation,
) -> Job:
    training, model = run_config.training, objective.model
    tokens = training.batch_size * training.max_seq_length
    tokens_held_out = (training.eval_batch_size or training.batch_size) * training.max_seq_length
    pad_id = config.pad_token_id
    objective.hold_out(held_out_batches(shards.held_out, training.eval_examples, tokens_held_out, pad_id))
    return Job(
        model=model,
        batches=epoch_batches(
            shards.train, tokens * distributed.world_size(), training.seed, pad_id, objective.prepare
        ),
        loss=objective.loss,
        evaluate=objective.evaluate,
        write_model=lambda folder: write_pretrained(folder, config, model, tokenizer),
        write_best=lambda folder: write_encoder(folder, config, model, tokenizer),
        scales=scales(
            [name for name, _ in model.named_parameters()],
            objective.depths(),
            config.num_hidden_layers,
            training.layer_lr_decay,
            training.layer_lr_decay_mode,
        ),
        task=run_config.objective,
        main=METRIC_FOR_BEST[run_config.objective],
        size=objective.size,
        unit="tokens",
    )


def _settings_in_force(
    run_config: PretrainingRunConfig, encoder: EncoderConfig, path: Path, shards: Shards
) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    left_out = ("training", "output_dir", "resume", "overwrite_output_dir")
    fields = [field.name for field in dataclasses.fields(run_config) if field.name not in left_out]
    return {
        "task_name": run_config.objective,
        **{name: getattr(run_config, name) for name in fields},
        "input_dir": from_anywhere(run_config.input_dir),
        "teacher_sha256": digest_of(run_config.teacher) if run_config.teacher else "",
        "recipe": dataclasses.asdict(run_config.training),
        "model": dataclasses.asdict(encoder),
        **circumstances(),
        "data": {
            path.name: {"examples": shards.examples, "tokens": shards.tokens, "sha256": shards.corpus_digest}
        },
    }
