"""Draw what pre-training measured: its loss and every held-out score, step by step.

Example, of two runs of which the second began where the first ended:
  python -m pretraining.curves runs/mini runs/mini-pairs --output curves.svg
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from common.command_line import CommandParser, path, run
from common.errors import InputError
from common.figures import new_figure, save_figure
from pretraining.config import METRIC_FOR_BEST
from training.run_state import read_history

Points = tuple[list[float], list[float]]  # steps, values

_LOSS = "training loss"
_NO_CURVES = ("step", "main", "loss")
_COLUMNS = 3


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m pretraining.curves", description=__doc__)
    parser.add_argument(
        "runs", nargs="+", metavar="DIR", help="folders that run_pretrain left, in their order"
    )
    parser.add_argument(
        "--output", required=True, type=path, metavar="FILE", help="the drawing, .svg, .png or .pdf"
    )
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    if Path(flags.output).suffix.lower() not in (".svg", ".png", ".pdf"):
        raise InputError(f"--output {flags.output}: must end in .svg, .png or .pdf")
    figure = drawing([(Path(folder).name, curves_of(Path(folder))) for folder in flags.runs])
    save_figure(figure, flags.output)
    print(flags.output)


def curves_of(folder: Path) -> dict[str, Points]:
    """The training loss and the held-out scores of a run's history with their steps; InputError if none."""
    history = folder / "history.jsonl"
    if not history.is_file():
        raise InputError("no such file; name a folder that run_pretrain left", path=history)
    curves: dict[str, Points] = {}
    for line in read_history(folder):
        evaluation = line.get("evaluation")
        values = evaluation if isinstance(evaluation, dict) else {_LOSS: line.get("loss")}
        for name, value in values.items():
            if name not in _NO_CURVES and isinstance(value, int | float):
                steps, points = curves.setdefault(name, ([], []))
                steps.append(line["step"])
                points.append(value)
    if not curves:
        message = "nothing was measured yet; let the run go on to its first --logging_steps"
        raise InputError(message, path=history)
    return curves


def drawing(runs: Sequence[tuple[str, dict[str, Points]]]) -> Any:
    """A panel for the loss and for each score, with a line for each run; the steps of later runs go on from
    the last of those before."""
    names = list(dict.fromkeys(name for _, curves in runs for name in curves))
    rows = -(-len(names) // _COLUMNS)
    figure = new_figure("--output", figsize=(4 * _COLUMNS, 2.8 * rows), layout="constrained")
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).flatten()
    offset = 0.0
    for number, (run_name, curves) in enumerate(runs):
        for panel, name in zip(panels, names, strict=False):
            if name in curves:
                steps, values = curves[name]
                shifted = [offset + step for step in steps]
                dot = "." if len(values) == 1 else None  # a line needs two
                panel.plot(shifted, values, label=run_name, color=f"C{number}", linewidth=1, marker=dot)
        offset += max(max(steps) for steps, _ in curves.values())
    for panel, name in zip(panels, names, strict=False):
        panel.set(
            title=f"{name.replace('_', ' ')}{' (chooses best/)' if name in METRIC_FOR_BEST.values() else ''}"
        )
        panel.set(xlabel="step")
        panel.grid(alpha=0.3)
    for panel in panels[len(names) :]:
        panel.set_axis_off()
    if len(runs) > 1:
        max(panels, key=lambda panel: len(panel.lines)).legend()
    if names[0] == _LOSS:
        panels[0].set_yscale("log")  # objectives of several runs have losses of several sizes
    return figure


if __name__ == "__main__":
    run(main)
