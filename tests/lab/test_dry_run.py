"""What ``lab.sweep --dry_run`` says, and that it runs nothing."""

import os
import shutil
from pathlib import Path

import pytest

from common.errors import InputError
from lab.sweep import main
from tests.conftest import RunModule
from tests.lab.test_sweep import FEW, argv, write_plan


def test_a_dry_run_names_the_trials_and_runs_none(
    run_module: RunModule, sample_dir: Path, tmp_path: Path
) -> None:
    """As many workers as cores: what is measured has one thread, as each of them will."""
    plan = write_plan(tmp_path, sample_dir, FEW + "seeds: [1, 2]\ntasks: {sts-b: }\n")
    dry = argv(plan, tmp_path / "runs", sample_dir, "--dry_run", "--workers", os.cpu_count())
    done = run_module("lab.sweep", *dry, env={"OMP_NUM_THREADS": "7"})
    assert done.returncode == 0, done.stderr
    first, second, total = done.stdout.splitlines()
    assert first.split()[:3] == ["1", "sts-b/tiny-seed1", "about"]
    assert second.split()[:3] == ["2", "sts-b/tiny-seed2", "about"]
    assert total.startswith("2 trials: about ")
    assert "1 short measurements with 1 thread, " in total
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_names_what_cannot_be_run_and_goes_on(
    sample_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the dry run sets it: to what it was afterwards
    data = tmp_path / "data"
    shutil.copytree(sample_dir, data)
    (data / "RTE" / "train.tsv").write_text("index\tsentence1\n", encoding="utf-8")
    (data / "STS-B" / "test.tsv").unlink()
    plan = write_plan(tmp_path, sample_dir, FEW + "tasks: {rte: , sts-b: }\n")
    with pytest.raises(InputError, match="1 of 2 trials cannot be run"):
        main(argv(plan, tmp_path / "runs", data, "--dry_run"))
    out, err = capsys.readouterr()
    first, second, total = out.splitlines()
    assert total.startswith("2 trials, 1 of them cannot be run: about ")
    assert "rte/tiny  " in first
    assert "cannot be run: " in first
    assert "RTE/train.tsv:1: " in first
    assert "sts-b/tiny  about " in second
    assert err == (
        f"note: {data}/STS-B/test.tsv: no such file; put the official GLUE files below {data} (the folder "
        "holds dev.tsv, train.tsv; only the official TSV files are read); "
        f"`python -m scripts.download_glue --data_dir {data} --task_name sts-b` fetches them; "
        "no test rows of sts-b are predicted\n"
    )
