"""Where the curves of a run go: VisualDL, TensorBoard, Weights & Biases, none of them or several."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

from common.json_files import read_json_object
from encoders import distributed
from training.run_log import LOG
from training.run_state import ARGS


class Reporter(NamedTuple):
    """Takes (name, value, step), until it is closed."""

    add: Callable[[str, float, int], Any]
    close: Callable[[], Any]


def _visualdl(folder: Path) -> Reporter:
    from visualdl import LogWriter

    writer = LogWriter(logdir=str(folder / "visualdl"))
    return Reporter(
        lambda name, value, step: writer.add_scalar(tag=name, value=value, step=step), writer.close
    )


def _tensorboard(folder: Path) -> Reporter:
    from tensorboardX import SummaryWriter

    writer = SummaryWriter(logdir=str(folder / "tensorboard"))
    return Reporter(writer.add_scalar, writer.close)


def _wandb(folder: Path) -> Reporter:
    import wandb

    settings = read_json_object(folder / ARGS) if (folder / ARGS).is_file() else {}
    project = (
        "convbert-glue"  # $WANDB_PROJECT goes before it, as $WANDB_MODE and all others of its variables do
    )
    run = wandb.init(project=project, name=folder.name, dir=str(folder), config=settings)
    return Reporter(lambda name, value, step: run.log({name: value}, step=step), run.finish)


REPORTERS = {"visualdl": _visualdl, "tensorboard": _tensorboard, "wandb": _wandb}
_PACKAGES = {"tensorboard": "tensorboardX"}


class Curves:
    """A run's curves, wherever they were asked for. What fails there costs a line of warning, never the run.

    Args:
        folder: The run's folder, below which each writes.
        report_to: Names of ``REPORTERS``, or ``none``; empty: VisualDL where it is installed.
    """

    def __init__(self, folder: Path, report_to: Sequence[str] = ()) -> None:
        self._reporters: dict[str, Reporter] = {}
        for name in report_to or ("visualdl",):
            if name == "none" or not distributed.is_first():
                continue
            try:
                with redirect_stdout(sys.stderr):  # they print there, where results belong
                    self._reporters[name] = REPORTERS[name](folder)
            except ImportError as error:
                if report_to:
                    package = _PACKAGES.get(name, name)
                    self._drop(name, f"{error}; pip install {package}, or leave --report_to {name} out")
            except Exception as error:
                self._drop(name, error)

    def add(self, name: str, value: float, step: int) -> None:
        for reporter in list(self._reporters):
            self._try(reporter, lambda to: to.add(name, value, step))

    def close(self) -> None:
        """Let every place finish what it writes."""
        for reporter in list(self._reporters):
            self._try(reporter, lambda to: to.close())
        self._reporters = {}

    def _try(self, name: str, call: Callable[[Reporter], Any]) -> None:
        try:
            with redirect_stdout(sys.stderr):
                call(self._reporters[name])
        except Exception as error:
            self._drop(name, error)

    def _drop(self, name: str, error: object) -> None:
        self._reporters.pop(name, None)
        LOG.warning(f"warning: no curves go to {name} from here on: {' '.join(str(error).split())}")
