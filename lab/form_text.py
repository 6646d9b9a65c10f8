"""What the leaderboard's form asks for, from a submission's manifest: a text to be completed and pasted."""

import math
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

_HEAD = "Submission name: \nDescription:"


def form_text(manifest: Mapping[str, Any], runs: Path) -> str:
    """The text of a manifest whose runs are below a folder."""
    lines, starts = [_HEAD], set[str]()
    sizes: list[int | None] = []
    for task, entry in manifest["tasks"].items():
        members = entry.get("members") or ([entry] if "run" in entry else [])
        sources = sorted({member["began_with"]["run"] for member in members if "run" in member["began_with"]})
        starts |= set(sources)
        networks = members[:1] if _is_soup(entry) else members
        sizes += [parameters(runs / member["run"] / "best") for member in networks]
        begun = f", begun with {', '.join(sources)}" if sources else ""
        lines.append(f"- {task}: {_how(entry, members)}{begun}")
    known = [size for size in sizes if size is not None]
    if known:
        each = f"{min(known):,}" if min(known) == max(known) else f"{min(known):,} to {max(known):,}"
        total = f"{sum(known):,} in all networks" if len(known) == len(sizes) else "some could not be read"
        lines.append(f"Number of parameters: {each} a network, {len(sizes)} networks, {total}")
    else:
        lines.append("Number of parameters: unknown; no weights could be read")
    shared = f"; those named above begin with weights of {', '.join(sorted(starts))}" if starts else ""
    lines.append(f"Shared between tasks: nothing at prediction, each task has networks of its own{shared}")
    return "\n".join(lines) + "\n"


def _how(entry: Mapping[str, Any], members: list[Mapping[str, Any]]) -> str:
    if not members:
        return str(entry.get("note") or "filled, not predicted")
    seeds = ", ".join(str(member["seed"]) for member in members)
    threshold = ", with a threshold learned on the dev rows" if "threshold" in entry else ""
    threshold += ", each pair read in both orders" if "both_orders" in entry else ""
    threshold += ", of each the mean of its last saves" if "mean_of_saves" in entry else ""
    if len(members) == 1:
        return f"one network (seed {seeds}){threshold}"
    if _is_soup(entry):
        return f"one network, the mean of the weights of {len(members)} (seeds {seeds})"
    return f"{entry['ensemble']['method']} of {len(members)} networks (seeds {seeds}){threshold}"


def _is_soup(entry: Mapping[str, Any]) -> bool:
    return bool(entry.get("ensemble")) and entry["ensemble"]["method"] == "soup"


def parameters(folder: Path) -> int | None:
    """How many numbers a model folder's weights are; None where they cannot be read."""
    with suppress(OSError, SafetensorError), safe_open(folder / "model.safetensors", "numpy") as file:
        return sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return None
