"""The comparison says how far apart two networks are, and refuses what should agree and does not."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from checkpoints.conversion import convert
from common.errors import InputError
from scripts import compare, hidden_states


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sample's tiny ConvBERT with random weights."""
    from checkpoints.folder import read_config, save_checkpoint
    from checkpoints.network import arrays_of
    from encoders.framework import paddle
    from encoders.heads import SentenceClassifier
    from encoders.tokenizer import Tokenizer
    from scripts.tiny_model import write_model_folder

    folder = tmp_path_factory.mktemp("compare")
    write_model_folder(folder / "sizes")
    config = read_config(folder / "sizes")
    paddle.seed(1)
    network = SentenceClassifier(config)
    save_checkpoint(folder / "model", config, arrays_of(network), Tokenizer(folder / "sizes"))
    return folder / "model"


def stand_in(
    monkeypatch: pytest.MonkeyPatch, model: Path, error: float = 0.0, zero_pad: bool = False
) -> None:
    """A peer that pads as published code does, and errs by ``error`` in one number."""

    def run(peer: str, python: str, folder: Path, scratch: Path) -> str:
        with np.load(scratch / "batches.npz") as stored:
            hidden = {
                name: hidden_states._hidden(model, stored[name], reference_padding=True, zero_pad=zero_pad)
                for name in ("alone", "padded")
            }
        hidden["alone"][0, 0, 0] += error
        np.savez(scratch / "hidden.npz", **hidden)
        return f"{peer} 0"

    monkeypatch.setattr(hidden_states, "_run_peer", run)


def test_a_peer_that_agrees(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, model)
    compare.main(["--model", str(model), "--against", "huggingface"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"{model} against huggingface 0"
    largest = {line.split("mean")[0].strip(): float(line.split()[-1]) for line in lines[1:4]}
    assert largest["rows without padding"] == 0.0
    assert largest["padded rows, reference_padding"] == 0.0
    assert largest["padded rows, ours as it is"] > 1e-3


def test_a_peer_that_embeds_padding_as_zeros(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, model, zero_pad=True)
    compare.main(["--model", str(model), "--against", "paddlenlp"])
    lines = capsys.readouterr().out.splitlines()
    assert float(lines[3].split()[-1]) > 1e-3  # reference_padding alone does not explain it
    assert float(lines[4].split()[-1]) == 0.0


def test_a_run_in_paddlenlps_layout(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run's folder stands for its best model, and transformers is given its own layout."""
    convert(model, tmp_path / "run" / "best", "paddlenlp")
    stand_in(monkeypatch, model)
    seen, run = [], hidden_states._run_peer
    monkeypatch.setattr(
        hidden_states, "_run_peer", lambda peer, python, folder, scratch: (
            seen.append(sorted(path.name for path in folder.iterdir())), run(peer, python, folder, scratch)
        )[1],
    )  # fmt: skip
    compare.main(["--model", str(tmp_path / "run"), "--against", "huggingface"])
    assert float(capsys.readouterr().out.splitlines()[1].split()[-1]) == 0.0
    assert "model.safetensors" in seen[0]


def test_a_name_that_nobody_knows_is_one_line() -> None:
    with pytest.raises(InputError, match="nobody: no such model folder, and no name known here"):
        compare.main(["--model", "nobody", "--against", "huggingface"])


def test_rows_without_padding_must_agree(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, model, error=2e-4)
    with pytest.raises(InputError, match=r"over 1e-05 .*apart: huggingface: rows without padding: 2\.0e-04"):
        compare.main(["--model", str(model), "--against", "huggingface"])


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("/nowhere/python", "No such file or directory"),
        (sys.executable, "No module named '(torch|transformers)'"),
        ("/bin/true", "does not answer as a Python with huggingface would"),
        ("/bin/echo", "does not answer as a Python with huggingface would"),
    ],
)
def test_an_environment_without_the_peer_is_one_line(model: Path, python: str, message: str) -> None:
    with pytest.raises(InputError, match=rf"--huggingface_python {python}: .*{message}") as raised:
        compare.main(["--model", str(model), "--against", "huggingface", "--huggingface_python", python])
    assert "\n" not in str(raised.value)


@pytest.mark.long
@pytest.mark.parametrize("size", ["small", "medium-small", "base"])
@pytest.mark.parametrize("peer", compare.PEERS)
def test_the_real_peers(size: str, peer: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Needs HUGGINGFACE_PYTHON, or PADDLENLP_PYTHON, to name the Python of the peer's environment."""
    python = os.environ.get(f"{peer.upper()}_PYTHON")
    if not python:
        pytest.skip(f"{peer.upper()}_PYTHON is not set")
    compare.main(["--random_weights", size, "--against", peer, f"--{peer}_python", python])
    heading, *rows, _ = capsys.readouterr().out.splitlines()
    assert heading.startswith(
        f"random {size} against {'transformers' if peer == 'huggingface' else 'PaddleNLP'}"
    )
    largest = {row.split("mean")[0].strip(): float(row.split()[-1]) for row in rows}
    aligned = "padded rows, reference_padding"
    if peer == "paddlenlp":
        assert largest[aligned] > 0.01  # its zeros for [PAD]
        aligned += ", [PAD] embedded as zeros"
    assert max(largest["rows without padding"], largest[aligned]) <= 1e-5
    assert largest["padded rows, ours as it is"] > 0.01


def test_a_python_given_relative_is_where_the_user_stands(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python = tmp_path / "env" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text("#!/bin/sh\necho started\n", encoding="utf-8")
    python.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    argv = ["--model", os.path.relpath(model), "--against", "huggingface", "--huggingface_python"]
    with pytest.raises(InputError, match="env/bin/python: does not answer as a Python with huggingface"):
        compare.main([*argv, "env/bin/python"])
    with pytest.raises(InputError, match="nowhere/python: No such file or directory"):
        compare.main([*argv, "nowhere/python"])
