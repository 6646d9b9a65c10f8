"""Pre-training, from ``train.data`` to a run's folder."""

import dataclasses
from argparse import Namespace
from pathlib import Path
from typing import Any

from checkpoints.folder import check_length, digest_of
from common.errors import InputError
from encoders import distributed
from encoders.config import EncoderConfig
from encoders.tokenizer import Tokenizer
from pretraining.batches import epoch_batches, held_out_batches
from pretraining.config import (
    METRIC_FOR_BEST,
    OBJECTIVES,
    DetectionConfig,
    DistillationConfig,
    PretrainingRunConfig,
    preset_settings,
)
from pretraining.corpus import corpus_path
from pretraining.distillation import Distillation, make_distillation
from pretraining.examples import load_examples
from pretraining.model_folder import fill_pretrained, write_encoder, write_pretrained
from pretraining.network import read_network, resolve_sources
from pretraining.replaced_tokens import Detection, make_detection
from pretraining.shards import Shards
from training.layer_decay import scales
from training.resolution import check_model_type
from training.run import TrainingTask, run_training
from training.run_config import resolve_run
from training.run_result import RunResult
from training.trainer import TrainingJob


def train(flags: Namespace) -> RunResult:
    """Carry out ``pretraining.run_pretrain``: read, tokenise, train, evaluate, save; nothing but the cache is
    written before all is read."""
    sources = resolve_sources(flags.model_name_or_path, flags.init_from_ckpt, flags.tokenizer, flags.teacher)
    encoder, tokenizer = read_network(**sources, lower_case=flags.do_lower_case)
    check_model_type(flags.model_type, encoder, sources["model_name_or_path"])
    config = resolve_run(
        PretrainingRunConfig,
        {**vars(flags), **sources, "embeddings": flags.embeddings or ""},
        encoder,
        lambda _, network: preset_settings(flags.objective, network),
        flags.begun,
        OBJECTIVES[flags.objective],
    )
    return run_training(config, PretrainingTask(config, encoder, tokenizer))


class PretrainingTask(TrainingTask):
    """An objective and its corpus, for ``run_training``."""

    must_match = ("teacher_sha256", "init_from_ckpt", "embeddings", "do_lower_case")
    shards: Shards
    objective: Detection | Distillation

    def __init__(self, config: PretrainingRunConfig, encoder: EncoderConfig, tokenizer: Tokenizer) -> None:
        self.name, self.config, self.encoder, self.tokenizer = config.objective, config, encoder, tokenizer
        self.corpus = corpus_path(config.input_dir)
        check_length(config.training.max_seq_length, encoder)
        self.sources = (
            config.model_name_or_path, config.teacher, config.tokenizer, config.init_from_ckpt, self.corpus,
        )  # fmt: skip

    def build(self) -> TrainingJob:
        training, pad_id = self.config.training, self.encoder.pad_token_id
        self.shards = self._load_shards()
        self.objective = self._make_objective()
        model = self.objective.model
        tokens = training.batch_size * training.max_seq_length
        held_out_tokens = (training.eval_batch_size or training.batch_size) * training.max_seq_length
        self.objective.hold_out(
            held_out_batches(self.shards.held_out, training.eval_examples, held_out_tokens, pad_id)
        )
        return TrainingJob(
            model=model,
            batches=epoch_batches(
                self.shards.train, tokens * distributed.world_size(), training.seed, pad_id,
                self.objective.prepare,
            ),
            loss=self.objective.loss,
            evaluate=self.objective.evaluate,
            write_model=lambda folder: write_pretrained(folder, self.encoder, model, self.tokenizer),
            write_best=lambda folder: write_encoder(folder, self.encoder, model, self.tokenizer),
            scales=scales(
                [name for name, _ in model.named_parameters()], self.objective.depths(),
                self.encoder.num_hidden_layers, training,
            ),
            task=self.name,
            metric_for_best=METRIC_FOR_BEST[self.name],
            count_rows=self.objective.size,
            row_unit="tokens",
        )  # fmt: skip

    def _load_shards(self) -> Shards:
        """The first process makes them, the others read what it made."""
        training = self.config.training
        shards: Shards | None = None
        error: InputError | None = None
        if distributed.is_first():
            try:
                shards = load_examples(self.corpus, self.tokenizer, training.max_seq_length, training.packing)
            except InputError as failure:
                error = failure
        error = distributed.broadcast(error)
        if error:
            raise error
        return shards or load_examples(self.corpus, self.tokenizer, training.max_seq_length, training.packing)

    def _make_objective(self) -> Detection | Distillation:
        config, training, rate = self.config, self.config.training, self.config.training.dropout
        encoder = dataclasses.replace(
            self.encoder, hidden_dropout_prob=rate, attention_probs_dropout_prob=rate
        )
        if isinstance(training, DistillationConfig):
            return make_distillation(
                encoder, training, config.teacher, config.init_from_ckpt, config.embeddings
            )
        assert isinstance(training, DetectionConfig)
        return make_detection(encoder, training, self.tokenizer, config.init_from_ckpt)

    def load_weights(self, save: Path) -> None:
        fill_pretrained(self.objective.model, save, self.encoder)

    def more_args(self) -> dict[str, Any]:
        return {"teacher_sha256": digest_of(self.config.teacher) if self.config.teacher else ""}

    def data_record(self) -> dict[str, Any]:
        return {
            self.corpus.name: {
                "examples": self.shards.examples,
                "tokens": self.shards.tokens,
                "sha256": self.shards.corpus_digest,
            }
        }

    def notes(self) -> list[str]:
        shards = self.shards
        counts = f"{shards.examples} examples, {shards.tokens} tokens, in {len(shards.train)} shards"
        return [f"{self.corpus}: {counts}"]
