"""The drawing of a pre-training's history."""

import importlib.util
import json
from pathlib import Path

import pytest

from common.errors import InputError
from pretraining.curves import curves_of, drawing, main

pytestmark = pytest.mark.skipif(
    not importlib.util.find_spec("matplotlib"), reason="matplotlib is not installed"
)

LINES = [
    {"step": 5, "epoch": 0.1, "loss": 3.0, "learning_rate": 1e-3},
    {"step": 10, "epoch": 0.2, "loss": 2.0, "learning_rate": 5e-4},
    {"step": 10, "evaluation": {"step": 10, "loss": 2.5, "token_cosine": 0.25, "main": 0.25}},
]


def run_folder(folder: Path, lines: list[dict] = LINES) -> Path:
    folder.mkdir()
    (folder / "history.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8"
    )
    return folder


def test_what_is_drawn_is_what_was_measured(tmp_path: Path) -> None:
    curves = curves_of(run_folder(tmp_path / "a"))
    assert curves == {"training loss": ([5, 10], [3.0, 2.0]), "token_cosine": ([10], [0.25])}
    figure = drawing([("a", curves), ("b", {**curves, "pair_loss": ([10], [0.5])})])
    loss, cosine, pairs = figure.axes
    assert [list(line.get_xdata()) for line in loss.lines] == [[5, 10], [15, 20]]  # the second goes on
    assert [list(line.get_ydata()) for line in cosine.lines] == [[0.25], [0.25]]
    assert [(line.get_label(), list(line.get_xdata())) for line in pairs.lines] == [("b", [20])]
    assert cosine.get_title() == "token cosine (chooses best/)"


@pytest.mark.parametrize("name", ["curves.svg", "curves.png", "curves.PDF"])
def test_the_same_history_gives_the_same_bytes(tmp_path: Path, name: str) -> None:
    folder = run_folder(tmp_path / "a")
    actual = []
    for _ in range(2):
        main([str(folder), "--output", str(tmp_path / name)])
        actual.append((tmp_path / name).read_bytes())
    assert actual[0] == actual[1] != b""


def test_a_single_evaluation_is_a_dot_and_every_run_is_named(tmp_path: Path) -> None:
    first = run_folder(tmp_path / "first", [LINES[2]])
    cosine, loss, _ = drawing(
        [("first", curves_of(first)), ("a", curves_of(run_folder(tmp_path / "a")))]
    ).axes
    assert [line.get_marker() for line in cosine.lines] == [".", "."]
    assert [line.get_marker() for line in loss.lines] == ["None"]
    assert [text.get_text() for text in cosine.get_legend().get_texts()] == ["first", "a"]


def test_lines_of_another_form_are_left_out(tmp_path: Path) -> None:
    folder = run_folder(tmp_path / "a")
    with open(folder / "history.jsonl", "ab") as file:
        file.write(
            b'{"loss": 1.0}\n{"step": "a", "loss": 1.0}\n{"step": 1, "evaluation": [1]}\n\xff\n[]\n{"step": 2'
        )
    assert curves_of(folder) == {"training loss": ([5, 10], [3.0, 2.0]), "token_cosine": ([10], [0.25])}


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    output = str(tmp_path / "curves.svg")
    with pytest.raises(InputError, match=r"nowhere/history.jsonl: no such file; name a folder that run_pre"):
        main([str(tmp_path / "nowhere"), "--output", output])
    empty = run_folder(tmp_path / "empty", [{"step": 1}])
    with pytest.raises(InputError, match=r"empty/history.jsonl: nothing was measured yet"):
        main([str(empty), "--output", output])
    with pytest.raises(InputError, match=r"must end in .svg, .png or .pdf"):
        main([str(run_folder(tmp_path / "a")), "--output", str(tmp_path / "curves")])
    assert not Path(output).exists()
