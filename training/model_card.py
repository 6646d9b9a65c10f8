"""README.md of a model folder: its model card, with the front matter that the Hugging Face hub reads.

It holds what its reader needs to judge and to repeat the run, and no path of the machine.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import EvalResult, ModelCard, ModelCardData

from common.files import write_text
from common.json_files import read_json_object
from common.messages import escape_unprintable
from common.model_files import MODEL_CARD
from common.plain_files import read_plain
from training.card_facts import CardFacts
from training.run_folder import Scores
from training.run_log import LOG

LIBRARY = "paddlepaddle"
_MAX_CARD = 1 << 20  # bytes of another model's card
_MAX_VALUE = 100
_HUB_FOLDER = re.compile(r"models--([\w.-]+?)--([\w.-]+)")
_BODY = """
# {name}

{start} fine-tuned on **{title}** with PaddlePaddle, in Hugging Face's layout. To answer the task's test rows:

```sh
{command}
```

## Scores

On the dev data, {unit}, by the evaluation at step {step:.0f}. Of the run's evaluations it was the best on
these rows, so the scores flatter.

| score | split | value |
|---|---|---|
{scores}

Signature: `{signature}`

## How it was made

- started from: {start} (SHA-256 `{model_sha256}`)
- seed: {seed}
- preset: {preset}
- version: convbert-glue {version}

| data | SHA-256 |
|---|---|
{data}

Settings:

```yaml
{recipe}```
"""


def write_card(folder: Path, args_file: Path, facts: CardFacts, scores: Scores) -> None:
    """Write the model card of a run's best model into its folder; what goes wrong is logged, never raised.

    Args:
        folder: The model folder, whose files are written already.
        args_file: The run's ``args.json``.
        facts: What the task knows.
        scores: Those of the model, with their ``step``.
    """
    try:
        write_text(folder / MODEL_CARD, card_text(read_json_object(args_file), facts, scores))
    except Exception as error:
        LOG.warning(f"warning: {MODEL_CARD} of the best model is not written: {error!r}")


def card_text(args: Mapping[str, Any], facts: CardFacts, scores: Scores) -> str:
    """The card as text; args: what the run's ``args.json`` holds."""
    start = Path(args["model_name_or_path"])
    start_name = _name_of(start)
    name = f"{start_name.rpartition('/')[2]}-{args['task_name']}"
    base, hub_name = _front_matter(start), start_name if "/" in start_name else None
    data = ModelCardData(
        base_model=None if args["from_scratch"] else hub_name or _line(base.get("base_model")),
        datasets=facts.dataset or None,
        language=facts.language or _line(base.get("language")),
        library_name=LIBRARY,
        license=_line(base.get("license")),
        metrics=sorted({score.metric for score in facts.scores}),
        model_name=name,
        pipeline_tag=facts.pipeline,
        tags=[str(args["model"]["model_type"])],
        eval_results=_results(args, facts, scores),
    )
    body = _BODY.format(
        name=name,
        start=f"`{start_name}`" + (", its weights random," if args["from_scratch"] else ""),
        title=facts.title,
        command=facts.command,
        unit=facts.unit,
        step=scores["step"],
        scores="\n".join(f"| {s.metric} | {s.split} | {scores[s.key]:.4f} |" for s in facts.scores),
        signature=facts.signature,
        model_sha256=args["model_sha256"],
        seed=args["recipe"]["seed"],
        preset=args["preset"] or "none",
        version=args["versions"]["convbert-glue"],
        data="\n".join(f"| {_relative(name)} | `{file['sha256']}` |" for name, file in args["data"].items()),
        recipe=yaml.safe_dump(args["recipe"], sort_keys=False),
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n{body}"))


def _results(args: Mapping[str, Any], facts: CardFacts, scores: Scores) -> list[EvalResult]:
    """The scores as the hub has them."""
    return [
        EvalResult(
            task_type=facts.pipeline,
            dataset_type=facts.dataset or str(args["task_name"]),
            dataset_name=facts.title,
            dataset_config=facts.dataset_config or None,
            dataset_split=score.split,
            metric_type=score.metric,
            metric_value=scores[score.key],
            metric_name=score.key,
            metric_args={"signature": facts.signature},
        )
        for score in facts.scores
    ]


def _name_of(folder: Path) -> str:
    """What a model folder is called: its name on the hub, that of its run, or its own."""
    for part in folder.parts:
        if on_hub := _HUB_FOLDER.fullmatch(part):
            return f"{on_hub[1]}/{on_hub[2]}"
    name = folder.parent.name if folder.name == "best" else folder.name
    return re.sub(r"[^\w.-]", "-", escape_unprintable(name, _MAX_VALUE))


def _relative(name: str) -> str:
    """The name of a data file, without where it lies on the machine."""
    return escape_unprintable(Path(name).name if Path(name).is_absolute() else name, _MAX_VALUE)


def _front_matter(folder: Path) -> Mapping[str, Any]:
    """What the card of the model that a run began with says, or else its ``config.json``; empty: nothing."""
    try:
        text = read_plain(folder / MODEL_CARD, _MAX_CARD).decode()
        return ModelCard(text, ignore_metadata_errors=True).data.to_dict()
    except Exception:  # whatever others may have written there
        pass
    try:
        return read_json_object(folder / "config.json")
    except Exception:
        return {}


def _line(value: Any) -> str | None:
    """A value of another model's card, where it is one short line."""
    return value if isinstance(value, str) and value.isprintable() and len(value) <= _MAX_VALUE else None
