"""What a run says of the machine that it ran on."""

import json
from pathlib import Path
from typing import Any

import pytest

from common.errors import InputError
from common.provenance import code_version
from encoders.cpu import kernels
from tests.training.saved_runs import save
from training.run import refuse_own_sources
from training.run_environment import SHOULD_MATCH, run_environment
from training.run_folder import RunFolder


def test_what_bits_depend_on_is_recorded() -> None:
    record = json.loads(json.dumps(run_environment()))
    assert {*SHOULD_MATCH, "processes"} - {*record} == {"device", "precision"}  # of the run itself
    assert record["processor"]["model"]
    assert record["versions"]["convbert-glue"] == code_version()
    assert {"OMP_NUM_THREADS", "MKL_CBWR", "ONEDNN_MAX_CPU_ISA"} < {*record["environment"]}
    assert record["environment"]["compiled_kernels"] == bool(record["kernels"])


@pytest.mark.skipif(kernels.library() is None, reason="no compiler here, or none that fits")
def test_the_compiled_functions_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    build = run_environment()["kernels"]
    assert len(build["sha256"]) == 64
    assert build["compiler"]
    assert build["architecture"] in ("native", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4")
    monkeypatch.setattr(kernels, "library", lambda: None)
    assert run_environment()["kernels"] == {}


def test_a_run_does_not_lie_over_its_sources(tmp_path: Path) -> None:
    refuse_own_sources(tmp_path / "run", [tmp_path / "model", None])
    with pytest.raises(InputError, match="which this run starts from"):
        refuse_own_sources(tmp_path, [tmp_path / "model"])


# --- what a resumed run is compared with ------------------------------------------------------------

BEGUN = {
    "recipe": {"seed": 1},
    "threads": 2,
    "environment": {"MKL_CBWR": None},
    "processor": {"model": "A", "features": "avx avx2"},
    "kernels": {"compiler": "cc 12", "architecture": "native", "sha256": "ab"},
}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({}, []),
        ({"threads": 3}, ["threads 2", "3"]),
        ({"processor": {"model": "B", "features": "avx avx2"}}, ["processor", "model A", "B"]),
        ({"processor": {"model": "A", "features": "avx"}}, ["processor", "features", "avx2"]),
        ({"kernels": {}}, ["kernels", "cc 12", "None"]),
        ({"kernels": {**BEGUN["kernels"], "sha256": "cd"}}, ["kernels", "sha256 ab", "cd"]),  # type: ignore[dict-item]
        ({"environment": {"MKL_CBWR": "AVX2"}}, ["environment", "MKL_CBWR", "AVX2"]),
        ({"environment": {"MKL_CBWR": None, "ONEDNN_MAX_CPU_ISA": None}}, []),  # one more that is not set
        ({"environment": {"ONEDNN_MAX_CPU_ISA": "AVX2"}}, ["ONEDNN_MAX_CPU_ISA", "AVX2"]),
    ],
)
def test_what_only_bits_depend_on_is_a_warning(
    change: dict[str, Any], named: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with RunFolder(tmp_path / "run") as run:
        run.write_args(BEGUN)
        save(run, 1)
    capsys.readouterr()
    alike = ("threads", "environment", "processor", "kernels", "versions")
    with RunFolder(tmp_path / "run", resume=True) as run:
        values = {**BEGUN, "versions": {"paddle": "3"}, **change}
        run.check_args(values, must_match=("recipe",), should_match=alike)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == bool(named)
    for part in named:
        assert part in warnings[0]


def test_another_setting_is_an_error(tmp_path: Path) -> None:
    with RunFolder(tmp_path / "run") as run:
        run.write_args(BEGUN)
        save(run, 1)
    with RunFolder(tmp_path / "run", resume=True) as run, pytest.raises(InputError, match="seed 1, not 2"):
        run.check_args({**BEGUN, "recipe": {"seed": 2}}, must_match=("recipe",))
