"""Fine-tune a model on a GLUE task.

Example:
  python -m glue.run_glue --task_name rte --model_name_or_path my-convbert-base \\
      --data_dir glue_data --output_dir runs/rte

Leaves in --output_dir: args.json, train.log, history.jsonl, scores.json, best/ and last/ (model folders).
Precedence of the settings: flag, --config file, preset of model size and task, default.
"""

if not __package__:  # started by path: what is importable is the clone, not this folder
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import dataclasses
import os
import platform
from argparse import Namespace
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from commands.command_line import CommandParser, run
from commands.errors import InputError
from glue.arguments import add_common, add_task, data_folder
from glue.presets import PRESETS, GlueRecipe, default_preset, preset_settings
from glue.tasks import Task, task_named
from training.recipe import add_flags, read_config_file, resolve

if TYPE_CHECKING:
    from convbert.config import EncoderConfig
    from convbert.tokenizer import Tokenizer
    from glue.features import SplitFeatures
    from training.run_folder import RunFolder


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m glue.run_glue", description=__doc__)
    add_task(parser)
    parser.add_argument("--model_name_or_path", required=True, metavar="FOLDER", help="model folder: config.json, model.safetensors, vocab.txt")  # fmt: skip
    parser.add_argument("--output_dir", required=True, metavar="DIR", help="the run's folder; must be empty or new")
    add_common(parser)
    parser.add_argument("--model_type", choices=("convbert", "bert", "electra", "ernie"), help="what config.json should say; a contradiction is an error")  # fmt: skip
    parser.add_argument("--preset", choices=tuple(PRESETS), help="a published recipe (default: authors for convbert and electra, else none)")  # fmt: skip
    parser.add_argument("--config", metavar="FILE.yaml", help="settings as lines 'name: value'")
    parser.add_argument("--eval_batch_size", type=int, default=32, metavar="N", help="rows of an evaluation batch (default: 32)")  # fmt: skip
    parser.add_switch("--resume", help="go on where the run in --output_dir stopped")
    parser.add_switch("--overwrite_output_dir", help="begin anew: remove the run in --output_dir first")
    parser.add_switch("--from_scratch", help="the model folder has no weights: begin with random ones")
    add_flags(parser, GlueRecipe)
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if flags.num_workers:
        os.environ["RAYON_NUM_THREADS"] = str(flags.num_workers)
    fine_tune(flags)


def choose_recipe(flags: Namespace, task: Task, found: "EncoderConfig") -> tuple[str, GlueRecipe]:
    """The preset's name and the settings in force."""
    if flags.model_type and flags.model_type != found.model_type:
        raise InputError(
            f"--model_type {flags.model_type}: {flags.model_name_or_path}/config.json says {found.model_type}"
        )
    names = {field.name for field in dataclasses.fields(GlueRecipe)}
    settings = read_config_file(flags.config, names)
    preset = flags.preset or default_preset(found.model_type)
    return preset, resolve(GlueRecipe, vars(flags), settings, preset_settings(preset, found, task))


def fine_tune(flags: Namespace) -> None:
    """Read, tokenise, train, evaluate; see this file's docstring for what is left behind."""
    from checkpoints.folder import read_config
    from convbert.tokenizer import Tokenizer
    from glue.features import check_length
    from glue.model import config_for

    task = task_named(flags.task_name)
    folder = flags.model_name_or_path
    found = read_config(folder)
    preset, recipe = choose_recipe(flags, task, found)
    check_length(recipe.max_seq_length, found.max_position_embeddings)
    config, keeps_head = config_for(task, found, recipe, flags.label_map)
    tokenizer = Tokenizer(folder)
    if len(tokenizer) > config.vocab_size:
        raise InputError(
            f"{folder}/vocab.txt: has {len(tokenizer)} pieces, config.json says vocab_size {config.vocab_size}"
        )
    train, dev = _read_data(flags, task, recipe, tokenizer)
    _train(flags, task, preset, recipe, config, keeps_head, tokenizer, train, dev)


def _read_data(
    flags: Namespace, task: Task, recipe: GlueRecipe, tokenizer: "Tokenizer"
) -> tuple["SplitFeatures", list["SplitFeatures"]]:
    from glue.features import in_both_orders, load_split

    folder = data_folder(flags.data_dir)
    (split,) = task.of_kind("train")
    train = load_split(task, split, folder, tokenizer, recipe.max_seq_length)
    if recipe.both_orders and not task.is_pair:
        raise InputError(f"--both_orders: the rows of {task.name} are single sentences")
    if recipe.both_orders:
        train = in_both_orders(train, tokenizer, recipe.max_seq_length)
    dev = [load_split(task, part, folder, tokenizer, recipe.max_seq_length) for part in task.of_kind("dev")]
    return train, dev


def _train(
    flags: Namespace, task: Task, preset: str, recipe: GlueRecipe, config: "EncoderConfig",
    keeps_head: bool, tokenizer: "Tokenizer", train: "SplitFeatures", dev: list["SplitFeatures"],
) -> None:  # fmt: skip
    from checkpoints.folder import write_model
    from checkpoints.network import arrays_of
    from convbert.batching import EpochBatches
    from convbert.encoder import depth_rules
    from convbert.framework import paddle, select_device
    from convbert.heads import sentence_loss
    from engines.dynamic import tensors
    from glue.features import targets_of
    from glue.model import label_names, prepare
    from glue.scoring import dev_scores, predict
    from training.layer_decay import scales
    from training.loop import Job, fit, seed_everything
    from training.run_folder import LOG, RunFolder

    select_device(flags.device)
    seed_everything(recipe.seed)
    prepared = prepare(flags.model_name_or_path, config, keeps_head, flags.from_scratch)
    model = prepared.model
    run_folder = RunFolder(flags.output_dir, flags.resume, flags.overwrite_output_dir)
    if run_folder.resumes:
        _load_last(run_folder, model, config)
    else:
        run_folder.write_args(_settings_in_force(flags, task, preset, recipe, config, [train, *dev]))
    for note in [*_data_notes(task, train, dev), *prepared.notes]:
        LOG.info(note)
    labels = [] if task.is_regression else label_names(config)
    features = dataclasses.replace(
        train.features, targets=targets_of(train.examples, labels, config.target_scale)
    )
    names = [name for name, _ in model.named_parameters()]
    job = Job(
        model=model,
        batches=lambda epoch: EpochBatches(features, recipe.batch_size, recipe.seed, epoch, config.pad_token_id),
        loss=lambda batch: sentence_loss(model(*tensors(batch)), paddle.to_tensor(batch.targets)),
        evaluate=lambda: dev_scores(
            task, config, [predict(model, config, task, part, flags.eval_batch_size, "dev") for part in dev]
        ),
        write_model=lambda folder: write_model(folder, config, arrays_of(model), tokenizer),
        scales=scales(
            names, depth_rules(config), config.num_hidden_layers, recipe.layer_lr_decay, recipe.layer_lr_decay_mode
        ),
        task=task.name,
        main=task.main,
    )  # fmt: skip
    progress = fit(job, recipe, run_folder)
    best = progress.best
    print(f"{task.name}: best {task.main} {best['main']:.4f} at step {best['step']:.0f}, last {progress.last['main']:.4f}; {run_folder.path / 'best'}")  # fmt: skip


def _load_last(run_folder: "RunFolder", model: Any, config: "EncoderConfig") -> None:
    from checkpoints.folder import read_checkpoint
    from checkpoints.network import fill, shapes_of

    fill(model, read_checkpoint(run_folder.path / "last", config, shapes_of(model)))


def _data_notes(task: Task, train: "SplitFeatures", dev: list["SplitFeatures"]) -> list[str]:
    notes = []
    for part in [train, *dev]:
        rows = len(part.examples)
        if part.skipped_lines:
            lines = ", ".join(map(str, part.skipped_lines))
            notes.append(f"{part.path}: skipped {len(part.skipped_lines)} defective rows, lines {lines}")
        notes.append(f"{part.path}: {rows} rows" + ("" if rows == part.split.rows else f" (official file: {part.split.rows})"))
    return notes


def _settings_in_force(
    flags: Namespace, task: Task, preset: str, recipe: GlueRecipe, config: "EncoderConfig",
    splits: list["SplitFeatures"],
) -> dict[str, Any]:  # fmt: skip
    from importlib.metadata import version

    from convbert.framework import paddle
    from convbert.runtime import thread_count

    libraries = ("numpy", "scipy", "scikit-learn", "tokenizers", "safetensors")
    return {
        "task_name": task.name,
        "model_name_or_path": str(flags.model_name_or_path),
        "preset": preset,
        **{key: value for key, value in vars(flags).items() if key in ("data_dir", "device", "label_map", "eval_batch_size", "num_workers", "from_scratch")},
        "recipe": dataclasses.asdict(recipe),
        "model": dataclasses.asdict(config),
        "threads": thread_count(),
        "versions": {"python": platform.python_version(), "paddle": paddle.__version__, **{name: version(name) for name in libraries}},
        "data": {part.split.file: {"rows": len(part.features), "sha256": part.digest} for part in splits},
    }  # fmt: skip


if __name__ == "__main__":
    run(main)
