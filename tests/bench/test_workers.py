"""The lines that driver and workers exchange, and what is printed where a peer is missing or fails."""

import io
import json
import math
import sys
from pathlib import Path

import numpy as np
import pytest

from bench import peers, protocol
from bench.interleaved import PeerResult, compare, show
from bench.peers import STACKS, MissingPeerError, Peer, PeerProcess, Stack
from bench.protocol import StoredRows, speak
from bench.workload import Setup, same_length
from common.errors import InputError
from encoders.batching import Features, pad

ECHO = """
import json, sys
for line in sys.stdin:
    request = json.loads(line)
    do = request.pop("do")
    if do == "die":
        sys.exit("Error: the reason")
    print(json.dumps({"error": "no"} if do == "fail" else {"did": do, **request}), flush=True)
"""
COUNTING = """
import json, sys
seconds = {"train": 2.0}
for line in sys.stdin:
    request = json.loads(line)
    answer = {"versions": "made up 1.0", "gflops": {"float32": 100.0}}
    if request["do"] == "train":
        with open(__file__.replace("worker_made_up.py", "batches"), "a", encoding="utf-8") as file:
            print(len(request["batches"]), file=file)
        answer = {"wall": [float(len(rows)) for rows in request["batches"]]}
    print(json.dumps(answer), flush=True)
"""


def answers(*requests: object) -> list[dict[str, object]]:
    def halve(number: int) -> dict[str, float]:
        return {"half": number / 2}

    out = io.StringIO()
    speak({"halve": halve}, io.StringIO("".join(f"{json.dumps(r)}\n" for r in requests)), out)
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_for_a_line() -> None:
    assert answers({"do": "halve", "number": 3}, {"do": "halve", "number": 4}) == [{"half": 1.5}, {"half": 2}]


def test_a_fault_is_an_answer_and_the_worker_goes_on() -> None:
    fault, wrong, last = answers(
        {"do": "halve", "number": "x"}, {"do": "dance"}, {"do": "halve", "number": 2}
    )
    assert str(fault["error"]).startswith("TypeError: ")
    assert wrong["error"] == "KeyError: 'dance'"
    assert last == {"half": 1.0}


def test_memory_is_known_to_all() -> None:
    (result,) = answers({"do": "memory"})
    assert 10 < float(str(result["megabytes"])) < 100_000


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """A stack whose worker is a script of the test's own."""
    monkeypatch.setattr(peers, "__file__", str(tmp_path / "peers.py"))
    monkeypatch.setenv("MADE_UP_PYTHON", sys.executable)
    return Stack("made_up", "MADE_UP_PYTHON", "make it")


def script(text: str, folder: Path) -> None:
    (folder / "worker_made_up.py").write_text(text, encoding="utf-8")


def test_a_worker_answers_until_it_is_closed(stack: Stack, tmp_path: Path) -> None:
    script(ECHO, tmp_path)
    worker = PeerProcess(stack, {})
    assert worker.ask("sing", rows=[1, 2]) == {"did": "sing", "rows": [1, 2]}
    with pytest.raises(InputError, match=r"^no$"):
        worker.ask("fail")
    assert worker.ask("sing") == {"did": "sing"}
    worker.close()


def test_the_last_words_of_a_worker_that_died(stack: Stack, tmp_path: Path) -> None:
    script(ECHO, tmp_path)
    worker = PeerProcess(stack, {})
    with pytest.raises(InputError, match="Error: the reason"):
        worker.ask("die")
    worker.close()


def test_a_worker_whose_library_is_missing(stack: Stack, tmp_path: Path) -> None:
    script("import no_such_library", tmp_path)
    worker = PeerProcess(stack, {})
    with pytest.raises(MissingPeerError, match=r"No module named 'no_such_library'; make it"):
        worker.ask("load")
    worker.close()


def test_a_python_that_is_not_there(stack: Stack, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MADE_UP_PYTHON", str(tmp_path / "none"))
    with pytest.raises(MissingPeerError, match="No such file or directory; make it"):
        PeerProcess(stack, {})
    monkeypatch.delenv("MADE_UP_PYTHON")
    with pytest.raises(MissingPeerError, match=r"^not installed; make it$"):
        PeerProcess(stack, {})


def test_a_missing_peer_is_a_line_and_the_others_go_on(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script(COUNTING, tmp_path)
    monkeypatch.setitem(STACKS, "made_up", stack)
    monkeypatch.setitem(STACKS, "absent", Stack("absent", "NO_SUCH_VARIABLE", "make that"))
    monkeypatch.setattr(Setup, "model", lambda self, size, layout: tmp_path)
    setup = Setup(tmp_path, {}, rounds=2)
    # 70 rows in two batches of 32 and one of 6: the sample is one of 32, which "takes" 32 seconds.
    lines, _ = compare(
        "train", "small", same_length(70, 8), [Peer("first", "made_up"), Peer("second", "absent")], setup
    )
    assert lines[0].seconds == [96.0, 96.0]  # of three batches, in each of two rounds
    assert (lines[1].seconds, lines[1].failure) == ([], "not installed; make that")
    show("a table", lines, [{"float32": 100.0}], flop=960e9)
    out = capsys.readouterr().out
    assert "first" in out
    assert "10.0 GFLOP/s =  10% of GEMM" in out
    assert "not installed; make that" in out


def test_a_ratio_is_to_the_first_line(capsys: pytest.CaptureFixture[str]) -> None:
    show("a table", [PeerResult(Peer("a", "x"), [2.0, 4.0]), PeerResult(Peer("b", "x"), [5.0, 10.0])], [])
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert "3.000 s   ×  1.00" in first
    assert "7.500 s   ×  2.50" in second


def test_a_share_is_of_the_rate_in_the_same_precision(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        PeerResult(Peer("a", "x"), [1.0]),
        PeerResult(Peer("b", "x", precision="bfloat16"), [1.0], compilation=12.3),
    ]
    show("a table", lines, [{"float32": 20.0, "bfloat16": 50.0}, {"float32": 20.0}], flop=10e9)
    first, second = capsys.readouterr().out.splitlines()[-2:]
    assert "= 50% of GEMM" in first.replace("  ", " ")
    assert "= 20% of GEMM" in second.replace("  ", " ")
    assert second.endswith("compiled in 12 s")
    assert "compiled" not in first


def test_a_compiled_peer_warms_up_with_every_batch_of_the_sample(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script(COUNTING, tmp_path)
    monkeypatch.setitem(STACKS, "made_up", stack)
    monkeypatch.setattr(Setup, "model", lambda self, size, layout: tmp_path)
    rows = same_length(128, 8)
    lengths = np.repeat([8, 7, 6, 5], 32)
    features = Features(rows.ids, np.r_[0, lengths.cumsum()], lengths, rows.targets)
    peers = [Peer("plain", "made_up", "given"), Peer("compiled", "made_up", "given", is_compiled=True)]
    lines, _ = compare("train", "small", features, peers, Setup(tmp_path, {}, rounds=1, batches=3))
    warm_ups = (tmp_path / "batches").read_text(encoding="utf-8").split()[:2]
    assert warm_ups == ["2", "3"]
    assert [line.compilation > 0 for line in lines] == [False, True]


@pytest.mark.parametrize("width", [0, 12])
def test_peers_get_the_rows_that_we_get(tmp_path: Path, width: int) -> None:
    features = same_length(3, 8)
    setup = Setup(tmp_path, {})
    ids, types, mask, targets = StoredRows(setup.stored(features)).padded([2, 0], width)
    batch = pad(features, np.array([2, 0]))
    assert ids.shape == (2, width or 8)
    np.testing.assert_array_equal(ids[:, :8], batch.ids)
    np.testing.assert_array_equal(types[:, :8], batch.token_types)
    assert (mask.sum(), (ids[:, 8:] == 0).all()) == (16, True)
    np.testing.assert_array_equal(targets, batch.targets)


def test_memory_is_known_where_linux_files_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr(protocol, "open", refuse, raising=False)
    megabytes = protocol.peak_memory()["megabytes"]
    assert 1 < megabytes < 1e6
    monkeypatch.setattr(sys, "platform", "darwin")  # which counts bytes
    assert protocol.peak_memory()["megabytes"] == pytest.approx(megabytes / 1024, rel=0.1)
    monkeypatch.setitem(sys.modules, "resource", None)
    assert math.isnan(protocol.peak_memory()["megabytes"])
