"""test_tipc/: the production project's script names lead to scripts/chain.sh, which .ci/run calls by them."""

import subprocess
from pathlib import Path

import pytest

TIPC = Path(__file__).parents[2] / "test_tipc"
CONFIGS = sorted((TIPC / "configs" / "ConvBERT").glob("*.txt"))


def run(script: str, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["bash", TIPC / script, *argv], capture_output=True, encoding="utf-8", timeout=60)


@pytest.mark.parametrize("script", ["test_train_inference_python.sh", "test_serving.sh"])
@pytest.mark.parametrize("config", CONFIGS, ids=lambda path: path.name[:5])
def test_a_mode_that_is_none_is_wrong_usage(script: str, config: Path) -> None:
    done = run(script, str(config), "no_such_mode")
    assert done.returncode == 2
    assert "lite_train_lite_infer" in done.stderr


@pytest.mark.parametrize(
    ("text", "line"), [("TASK:rte\n=====train_params=====\n", 2), ("model_name:ConvBERT\n", 1)]
)
def test_a_config_of_another_form_is_named_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    config = tmp_path / "config.txt"
    config.write_text(text, encoding="utf-8")
    done = run("test_train_inference_python.sh", str(config))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {config}:{line}: ")


def test_an_absent_config_is_named(tmp_path: Path) -> None:
    done = run("test_train_inference_python.sh", str(tmp_path / "absent.txt"))
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'absent.txt'}: no such file")
