"""A model folder for a task: what to keep of its head, and which label each of its outputs means."""

import dataclasses
import re
from pathlib import Path

from checkpoints.folder import Checkpoint, check_pairs
from checkpoints.labels import FLAG, are_unnamed, label_names, split_label_map, with_label_map
from common.errors import InputError
from common.messages import note_once
from encoders.config import EncoderConfig
from encoders.encoder import depth_rules
from encoders.heads import SentenceClassifier
from glue.config import GlueTrainingConfig, check_task
from glue.tasks import Task, find_task
from training.initial_weights import load_initial_weights

REGRESSION_LABEL = "score"
# What scripts write as finetuning_task that is no task: transformers' run_classification.py, PaddleNLP's.
_NO_TASK = ("textclassification", "sequenceclassification", "classification", "sentencepair", "glue", "none")


def config_for(
    task: Task, saved: EncoderConfig, recipe: GlueTrainingConfig, label_map: str | None
) -> tuple[EncoderConfig, bool]:
    """The configuration to fine-tune with, and whether the folder's head is for this very task."""
    check_task(recipe, task)
    if task.is_pair:
        check_pairs(saved)
    head = recipe.classifier_head
    named = with_labels(in_our_names(saved, task), task, label_map)
    keeps = _is_for(named, task) and bool(named.id2label) and head in ("auto", named.classifier_head)
    scale = max(map(abs, task.target_range)) if task.target_range and recipe.scale_targets else 1.0
    if keeps and task.is_regression:
        scale = named.target_scale
    if label_map and not saved.id2label:
        raise InputError(
            f"--label_map {label_map}: the model has no head whose outputs it names; leave it out"
        )
    if label_map and not keeps:
        why = f"names the outputs of a head that is not kept: the checkpoint's is {named.classifier_head}, "
        why += f"this run's {head}; --classifier_head {named.classifier_head} keeps it"
        if named.finetuning_task not in ("", task.name):
            why = (
                f"the checkpoint's head is one of {named.finetuning_task}, which is not kept for {task.name}"
            )
            why += "; leave it out"
        raise InputError(f"--label_map {label_map}: {why}")
    wanted = named.classifier_head if keeps else saved.type.head if head == "auto" else head
    if wanted == "pooler" and not saved.type.has_pooler:
        raise InputError(f"--classifier_head pooler: {saved.model_type} has no pretrained pooler")
    config = dataclasses.replace(
        saved,
        id2label=named.id2label if keeps else _labels(task),
        classifier_head=wanted,
        target_scale=scale,
        finetuning_task=task.name,
        max_seq_length=recipe.max_seq_length,
        text_columns=task.text_columns if task.is_own else None,
    )
    return config, keeps


def _labels(task: Task) -> dict[int, str]:
    return dict(enumerate(task.labels or (REGRESSION_LABEL,)))


def in_our_names(config: EncoderConfig, task: Task) -> EncoderConfig:
    """The configuration with its task, and labels that mean this task's (``negative``), renamed.

    A configuration of another task, or with labels that say nothing (``LABEL_0``), keeps what it has.
    """
    saved_for = find_task(config.finetuning_task)
    name = saved_for.name if saved_for else config.finetuning_task
    if re.sub(r"[\W_]", "", name.lower()) in _NO_TASK:
        name = ""
    labels = task.labels_meant(label_names(config))
    if task.is_regression and name == task.name and len(config.id2label) == 1:
        labels = [REGRESSION_LABEL]
    if labels is None or name not in ("", task.name):
        return dataclasses.replace(config, finetuning_task=name)
    return dataclasses.replace(config, finetuning_task=name, id2label=dict(enumerate(labels)))


def naming_notes(folder: str | Path, saved: EncoderConfig, config: EncoderConfig) -> list[str]:
    """What there is to say where a checkpoint's labels have other names than they have here."""
    theirs, ours = label_names(saved), label_names(config)
    if theirs == ours or len(theirs) != len(ours) or len(ours) < 2:
        return []
    pairs = ", ".join(f"{one} is {other}" for one, other in zip(theirs, ours, strict=True))
    return [f"{folder}: labels of {config.finetuning_task or 'its config.json'}: {pairs}"]


def with_labels(config: EncoderConfig, task: Task, label_map: str | None) -> EncoderConfig:
    """The configuration with its outputs named by --label_map, a comma list in the order of its ids."""
    if not label_map:
        return config
    if task.is_regression:
        raise InputError(f"--label_map {label_map}: {task.name} is a regression and has no labels")
    given = [name.strip() for name in label_map.split(",")]
    names = task.labels_meant(given)
    if names is None:
        raise InputError(
            f"--label_map {label_map}: expected {', '.join(task.labels)}, each once, in the order of the "
            "checkpoint's ids"
        )
    return with_label_map(config, names, label_map)


def _is_for(config: EncoderConfig, task: Task) -> bool:
    same_task = config.finetuning_task == task.name if config.finetuning_task else not task.is_regression
    return same_task and sorted(config.id2label.values()) == sorted(_labels(task).values())


def prepare(
    checkpoint: Checkpoint,
    config: EncoderConfig,
    keeps_head: bool,
    from_scratch: bool,
    reinit_layers: int = 0,
    head_seed: int = 0,
) -> tuple[SentenceClassifier, list[str]]:
    """The network to fine-tune, and notes. A head that does not fit begins at random, and is named; of
    head_seed, or where that is 0 of the run's seed."""
    model = SentenceClassifier(config)
    if head_seed:
        model.initialise_head(head_seed)
    return model, load_initial_weights(
        model,
        checkpoint.with_config(config),
        "optional" if keeps_head else "new",
        depth_rules(config),
        from_scratch=from_scratch,
        reinit_layers=reinit_layers,
    )


def config_for_task(
    folder: str | Path, saved: EncoderConfig, task: Task, label_map: str | None
) -> EncoderConfig:
    """A checkpoint's configuration, as saved in its folder, with --label_map; InputError if it is of another
    task."""
    config = with_labels(in_our_names(saved, task), task, label_map)
    if config.finetuning_task not in ("", task.name):
        remedy = f"; if it is, write finetuning_task {task.name!r} into its config.json"
        remedy = "" if find_task(config.finetuning_task) else remedy
        message = f"is a checkpoint of {config.finetuning_task}, not of {task.name}{remedy}"
        raise InputError(message, path=folder)
    if not config.finetuning_task and task.is_regression and len(config.id2label) == 1:
        return config
    if task.is_pair:
        check_pairs(config)
    if not _is_for(config, task):
        raise InputError(f"its labels are {_listed(config)}; {_remedy(config, task)}", path=folder)
    return config


def _listed(config: EncoderConfig) -> str:
    return ", ".join(label_names(config)) or "none"


def _remedy(config: EncoderConfig, task: Task) -> str:
    """What a user can do whose checkpoint has other labels than the task."""
    expected = f"{task.name} has {', '.join(_labels(task).values())}"
    count = len(config.id2label)
    if not count:
        return f"{expected}: it has no head (classifier.weight); fine-tune it first, or name a run's folder"
    if task.is_regression or count != len(task.labels):
        return f"{expected}: name a checkpoint of {task.name}"
    return (
        f"{expected}; if it is a checkpoint of this task, name them in the order of its ids: "
        f"{FLAG} {','.join(task.labels)} where id 0 means {task.labels[0]}{_meaning(task)}"
    )


def _meaning(task: Task) -> str:
    """What the first label is in words, if it is a number."""
    names = task.label_names[0] if task.label_names else ()
    return f" ({names[0]})" if names and task.labels[0].isdigit() else ""


def named_labels(folder: str | Path, config: EncoderConfig, label_map: str | None) -> EncoderConfig:
    """A checkpoint's configuration with --label_map, where nobody says which task it is to answer; a note
    where its labels have no names."""
    task = find_task(config.finetuning_task)
    if label_map:
        if task:
            return with_labels(config, task, label_map)
        return with_label_map(config, split_label_map(label_map), label_map)
    if len(config.id2label) > 1 and are_unnamed(config):
        of_task = task.labels if task and len(task.labels) == len(config.id2label) else ("A", "B", "…")
        note_once(
            f"{folder}: its labels are {_listed(config)}; {FLAG} {','.join(of_task)} names them, id 0 first"
        )
    return config
