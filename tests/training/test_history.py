"""Reading histories of runs, whole or not."""

from pathlib import Path

import pytest

from common.errors import InputError
from common.json_files import read_json_lines
from training.run_state import read_history


def test_what_is_no_line_of_a_history_is_left_out(tmp_path: Path) -> None:
    assert read_history(tmp_path) == []
    lines = [
        b'{"step": 1, "loss": 2.5}', b"5", b"[]", b'{"loss": 1}', b'{"step": "2"}', b'{"step": true}',
        b"\xff", b"[" * 100_000, b'{"step": 3, "evaluation": {"main": 1}}', b'{"step": -1}',
        b'{"step": 1%s}' % (b"0" * 300), b'{"step": 1%s}' % (b"0" * 5000), b'{"step": 2, "step": 3}',
        b'{"step": 4, "lo',
    ]  # fmt: skip
    (tmp_path / "history.jsonl").write_bytes(b"\n".join(lines))
    assert read_history(tmp_path) == [{"step": 1, "loss": 2.5}, {"step": 3, "evaluation": {"main": 1}}]


def test_lines_that_are_not_utf8_are_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text": "caf\xe9"}\n')
    with pytest.raises(InputError, match=r"rows\.jsonl:1: byte 0xe9 is not UTF-8"):
        list(read_json_lines(path))
