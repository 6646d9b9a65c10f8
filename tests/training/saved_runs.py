"""What the tests of run folders share: saves of a model that is one file."""

from pathlib import Path
from typing import Any

import numpy as np

from training.run_folder import RunFolder

MOMENTS = {"w:moment1": np.arange(3, dtype=np.float32)}


def save(run: RunFolder, step: int) -> None:
    """A save as the loop makes it, of a model that is one file holding the step."""

    def write_model(folder: Path) -> None:
        (folder / "weights").write_text(str(step), encoding="utf-8")

    run.add_history({"step": step, "loss": 1.0})
    run.save_best(write_model)
    run.save_last(write_model, {"step": step}, MOMENTS)
    run.write_scores("toy", "score", {"main": 1.0}, {"main": 1.0})


def listing(folder: Path) -> dict[str, bytes]:
    """Every file below a folder and its bytes; of the log and the lock only that they are there."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {
        str(path.relative_to(folder)): b"" if path.name in ("train.log", ".lock") else path.read_bytes()
        for path in files
    }


def resumed_step(folder: Path, *extra_files: str) -> Any:
    with RunFolder(folder, resume=True, extra_files=extra_files) as run:
        state, moments = run.read_state()
        assert np.array_equal(moments["w:moment1"], MOMENTS["w:moment1"])
        assert (run.source / "weights").read_text(encoding="utf-8") == str(state["step"])
        return state["step"]
