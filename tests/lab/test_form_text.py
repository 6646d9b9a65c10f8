"""What the leaderboard's form asks for, counted and named by hand."""

from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from lab.form_text import form_text


def test_the_form_names_networks_seeds_starts_and_parameters(tmp_path: Path) -> None:
    for run in ("rte/base-seed1", "rte/base-seed2", "cola/base-seed3"):
        (tmp_path / run / "best").mkdir(parents=True)
        weights = {"a": np.zeros((30, 40), np.float32), "b": np.zeros(34, np.float32)}
        save_file(weights, tmp_path / run / "best" / "model.safetensors")
    of_mnli, alone = {"model_sha256": "1", "run": "mnli/base-seed7"}, {"model_sha256": "1"}
    tasks = {
        "rte": {
            "ensemble": {"method": "vote"},
            "members": [
                {"run": f"rte/base-seed{seed}", "seed": seed, "began_with": of_mnli} for seed in (1, 2)
            ],
        },
        "cola": {"run": "cola/base-seed3", "seed": 3, "began_with": alone, "threshold": 0.5},
        "wnli": {"constant": "0", "note": "every row is 0: chosen, not predicted"},
    }
    assert form_text({"tasks": tasks}, tmp_path).splitlines()[2:] == [
        "- rte: vote of 2 networks (seeds 1, 2), begun with mnli/base-seed7",
        "- cola: one network (seed 3), with a threshold learned on the dev rows",
        "- wnli: every row is 0: chosen, not predicted",
        "Number of parameters: 1,234 a network, 3 networks, 3,702 in all networks",
        "Shared between tasks: nothing at prediction, each task has networks of its own; those named above "
        "begin with weights of mnli/base-seed7",
    ]
    (tmp_path / "cola/base-seed3/best/model.safetensors").write_bytes(b"no weights")
    assert "3 networks, some could not be read" in form_text({"tasks": tasks}, tmp_path)
