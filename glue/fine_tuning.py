"""Fine-tuning on a sentence task, from the official files to a run's folder."""

import dataclasses
from dataclasses import dataclass
from typing import Any

from checkpoints.folder import check_length, digest_of, open_checkpoint, write_model
from checkpoints.labels import label_names
from checkpoints.network import arrays_of, load_weights
from checkpoints.tokenizer import tokenizer_of
from encoders import distributed
from encoders.batching import Batch
from encoders.config import EncoderConfig
from encoders.encoder import depth_rules
from encoders.framework import paddle, select_device
from encoders.heads import SentenceClassifier, sentence_loss
from encoders.tokenizer import Tokenizer
from glue.arguments import data_folder
from glue.config import GlueRunConfig
from glue.features import SplitFeatures, in_both_orders, load_split, targets_of
from glue.model import config_for, naming_notes, prepare
from glue.scoring import dev_scores, predict
from inference.network_engine import tensors
from training.batches import epoch_batches
from training.layer_decay import scales
from training.regularization.ema import MovingAverage
from training.regularization.fgm import Adversary
from training.regularization.r_drop import disagreement, doubled
from training.run_environment import ALIKE, SAME, circumstances, from_anywhere, refuse_own_sources
from training.run_folder import LOG, open_run
from training.trainer import Job, Progress, fit, seed_everything


@dataclass(frozen=True)
class Data:
    """The training split, its rows already in both orders where asked for, and the dev splits."""

    train: SplitFeatures
    dev: list[SplitFeatures]


def fine_tune(run_config: GlueRunConfig) -> Progress:
    """Read, tokenise, train, evaluate, save. Everything is checked before the first step.

    Bad input of any kind is an InputError; nothing is written before the model and the data are read.
    """
    task, training, folder = (
        run_config.task,
        run_config.training,
        run_config.saved or run_config.model_name_or_path,
    )
    checkpoint = open_checkpoint(folder)
    check_length(training.max_seq_length, checkpoint.config)
    config, keeps_head = config_for(task, checkpoint.config, training, run_config.label_map)
    tokenizer = tokenizer_of(folder, config, run_config.do_lower_case)
    data = _read_data(run_config, tokenizer)
    select_device(run_config.device)
    distributed.init()
    seed_everything(training.seed)
    notes: list[str] = []
    if run_config.saved:  # its weights are read below, under the run's lock
        model = SentenceClassifier(config)
    else:
        from_scratch, reinit_layers = run_config.from_scratch, training.reinit_layers
        model, notes = prepare(checkpoint, config, keeps_head, from_scratch, reinit_layers)
    settings = _settings_in_force(run_config, config, data)
    refuse_own_sources(
        run_config.output_dir, [run_config.model_name_or_path, data_folder(run_config.data_dir)]
    )
    with open_run(run_config.output_dir, run_config.resume, run_config.overwrite_output_dir) as run:
        if run.resumes:
            run.check_args(settings, same=(*SAME, "do_lower_case"), alike=ALIKE)
            load_weights(model, open_checkpoint(run.source).with_config(config))
        else:
            run.write_args(settings)
        names_labels = keeps_head and not run_config.label_map
        naming = naming_notes(folder, checkpoint.config, config) if names_labels else []
        for note in [*_data_notes(data), *naming, *notes]:
            LOG.info(note)
        return fit(_job(run_config, config, tokenizer, data, model), training, run)


def _read_data(run_config: GlueRunConfig, tokenizer: Tokenizer) -> Data:
    task, length = run_config.task, run_config.training.max_seq_length
    folder = data_folder(run_config.data_dir)
    (split,) = task.of_kind("train")
    train = load_split(task, split, folder, tokenizer, length)
    if run_config.training.both_orders:
        train = in_both_orders(train, tokenizer, length)
    return Data(train, [load_split(task, part, folder, tokenizer, length) for part in task.of_kind("dev")])


def _job(
    run_config: GlueRunConfig,
    config: EncoderConfig,
    tokenizer: Tokenizer,
    data: Data,
    model: SentenceClassifier,
) -> Job:
    task, training = run_config.task, run_config.training
    labels = [] if task.is_regression else label_names(config)
    targets = targets_of(data.train.examples, labels, config.target_scale)
    features = dataclasses.replace(data.train.features, targets=targets)

    def loss(batch: Batch) -> paddle.Tensor:
        batch = doubled(batch) if training.r_drop else batch
        assert batch.targets is not None
        logits = model(*tensors(batch))
        losses = sentence_loss(logits, paddle.to_tensor(batch.targets))
        return losses + training.r_drop * disagreement(logits) if training.r_drop else losses

    def evaluate() -> dict[str, float]:
        parts = [predict(model, config, task, part, run_config.eval_batch_size, "dev") for part in data.dev]
        return dev_scores(config, data.dev, parts)

    return Job(
        model=model,
        batches=epoch_batches(features, training, config, run_config.device),
        loss=loss,
        evaluate=evaluate,
        write_model=lambda folder: write_model(folder, config, arrays_of(model), tokenizer),
        scales=scales(
            [name for name, _ in model.named_parameters()],
            depth_rules(config),
            config.num_hidden_layers,
            training.layer_lr_decay,
            training.layer_lr_decay_mode,
        ),
        task=task.name,
        main=task.main,
        adversary=Adversary(model.encoder.embeddings.word, training.fgm) if training.fgm else None,
        average=MovingAverage(model, training.ema) if training.ema else None,
    )


def _data_notes(data: Data) -> list[str]:
    notes = []
    for part in [data.train, *data.dev]:
        if part.skipped_lines:
            lines = ", ".join(map(str, part.skipped_lines))
            notes.append(f"{part.path}: skipped {len(part.skipped_lines)} defective rows, lines {lines}")
        notes += [part.described(), *part.notes]
    return notes


def _settings_in_force(run_config: GlueRunConfig, config: EncoderConfig, data: Data) -> dict[str, Any]:
    """What ``args.json`` holds: enough to run the same again."""
    left_out = ("task_name", "training", "output_dir", "resume", "overwrite_output_dir", "saved")
    fields = [field.name for field in dataclasses.fields(run_config) if field.name not in left_out]
    return {
        "task_name": run_config.task.name,
        **{name: getattr(run_config, name) for name in fields},
        "data_dir": from_anywhere(run_config.data_dir),
        **({} if run_config.saved else {"model_name_or_path": from_anywhere(run_config.model_name_or_path)}),
        "model_sha256": run_config.model_sha256 or digest_of(run_config.model_name_or_path),
        "recipe": dataclasses.asdict(run_config.training),
        "model": dataclasses.asdict(config),
        **circumstances(),
        "data": {
            part.split.file: {"rows": part.rows, "sha256": part.digest} for part in [data.train, *data.dev]
        },
    }
