"""bench.load_test against services that answer well, wrongly, or not at all."""

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from bench.load_test import LoadTest
from bench.load_test import main as load
from common.errors import InputError
from deploy.model import Model
from deploy.model_loading import open_exported
from tests.deploy.running import running

ROWS = [{"text": f"a film of {number} hours"} for number in range(20)]


@pytest.fixture(scope="module")
def model(sst2: Path) -> Model:
    return open_exported(sst2)


def expected(model: Model) -> list[dict[str, object]]:
    return model.answer([(row["text"],) for row in ROWS])


@contextmanager
def answering(answer: bytes) -> Iterator[str]:
    """The URL of a service that answers every connection with these bytes and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    connection.recv(65536)
                    connection.sendall(answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):  # closing with something unread would reset it
                        pass

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_right_answers_are_counted(model: Model) -> None:
    with running(model) as url:
        asked = LoadTest(url, "/predict", ROWS, expected(model))
        asked.run(50, 100)
    assert (len(asked.seconds), asked.refused, asked.faults) == (50, 0, {})


def test_a_wrong_answer_is_counted_and_shown(model: Model) -> None:
    answers = expected(model)
    answers[3] = {**answers[3], "prob": 0.5}
    with running(model) as url:
        asked = LoadTest(url, "/predict", ROWS, answers)
        asked.run(40, 4)
    assert (len(asked.seconds), asked.faults) == (38, {"wrong": 2})
    assert asked.first_fault.startswith("row 3: ")


def test_a_token_is_sent(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    with running(model, token="secret") as url:
        asked = LoadTest(url, "/predict", ROWS, expected(model))
        asked.run(3, 1)
        monkeypatch.setenv("CONVBERT_GLUE_TOKEN", "secret")
        trusted = LoadTest(url, "/predict", ROWS, expected(model))
        trusted.run(3, 1)
    assert asked.faults == {"401": 3}
    assert len(trusted.seconds) == 3


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}", "wrong"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\nnone", "wrong"),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "wrong"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", "lost"),
        (b"", "lost"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "lost"),
        (b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", "503"),
    ],
)
def test_other_answers_are_faults(answer: bytes, kind: str) -> None:
    with answering(answer) as url:
        asked = LoadTest(url, "/predict", ROWS, [{} for _ in ROWS])
        asked.run(6, 2)
    assert asked.faults == {kind: 6}


def test_nobody_there(tmp_path: Path) -> None:
    asked = LoadTest("http://127.0.0.1:9", "/predict", ROWS, [{} for _ in ROWS])
    asked.run(4, 2)
    assert asked.faults == {"refused connection": 4}


def test_the_command_says_rates_and_faults(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / "rows.jsonl", tmp_path / "offline.jsonl"]
    for file, rows in zip(files, (ROWS, expected(model)), strict=True):
        file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with running(model) as url:
        argv = ["--url", url, "--input", str(files[0]), "--requests", "30", "--clients", "3", "--expected"]
        load([*argv, str(files[1])])
        assert capsys.readouterr().out.startswith("30 right answers in ")
        files[1].write_text("[1]\n", encoding="utf-8")
        with pytest.raises(InputError, match=r"offline\.jsonl:1: expected a JSON object"):
            load([*argv, str(files[1])])
