"""The command deploy.serve as a process: its start, its end under load, its refusals; and deploy.client."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from common.command_line import run
from common.errors import InputError, UsageError
from deploy.client import Client, RefusedError
from deploy.client import main as ask
from deploy.infer import main as infer
from deploy.model_loading import open_exported
from deploy.serve import main as serve
from deploy.server import bind
from inference.limits import NEAR_TIE
from tests.conftest import PROJECT
from tests.deploy.running import raw, running


@contextmanager
def served(
    folder: Path, *argv: str, token: str = "", start: Sequence[str] = ("-m", "deploy.serve")
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The URL of ``deploy.serve`` on a free port, and its process."""
    process = subprocess.Popen(
        [sys.executable, *start, "--model_dir", str(folder), "--port", "0", *argv],
        cwd=PROJECT,
        env={**os.environ, "CONVBERT_GLUE_TOKEN": token},
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    while line.startswith("note: the limit of open files"):
        line = process.stderr.readline()
    result = re.fullmatch(r"serving on (http://127\.0\.0\.1:\d+)\n", line)
    assert result, line + process.stderr.read()
    try:
        yield result[1], process
    finally:
        process.kill()
        process.wait(30)
        process.stderr.close()


def test_sigterm_under_load_loses_nothing(sst2: Path) -> None:
    """Whoever got through to the service gets the right answer; after the end connections are refused."""
    model = open_exported(sst2)
    texts = [f"text number {number}" for number in range(50)]
    wanted = [result["prob"] for result in model.answer([(text,) for text in texts])]
    problems: list[str] = []
    answered = [0] * 8

    def load(worker: int, url: str) -> None:
        client = Client(url, timeout=20)
        for turn in range(100_000):
            number = (worker * 7 + turn) % len(texts)
            try:
                result = client.predict([(texts[number],)])[0]["prob"]
            except ConnectionRefusedError:
                return
            except (OSError, RefusedError) as error:
                problems.append(repr(error))
                return
            if abs(result - wanted[number]) > NEAR_TIE:
                problems.append(f"{texts[number]}: {result} for {wanted[number]}")
            answered[worker] += 1

    with served(sst2) as (url, process):
        threads = [threading.Thread(target=load, args=(worker, url)) for worker in range(8)]
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 60
        while min(answered) <= 3 and not problems and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(30)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert problems == []
    assert min(answered) > 3


def test_more_silent_connections_than_descriptors(sst2: Path, tmp_path: Path) -> None:
    """230 of them with 200 descriptors gave 5 MB of tracebacks a second, and no answers meanwhile."""
    pytest.importorskip("resource")
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); "
    limited += "sys.argv[0] = 'serve'; runpy.run_module('deploy.serve', run_name='__main__')"
    with served(sst2, start=("-c", limited)) as (url, process):
        port = int(url.rpartition(":")[2])
        with contextlib.ExitStack() as silent:
            for _ in range(230):
                silent.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            for _ in range(3):
                assert Client(url).predict([("a",)])
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        message = process.stderr.read()
    assert "silent and slow ones are closed" in message
    assert len(message) < 1000


def test_hosts_are_allowed_by_flag_and_sigint_ends_it_too(sst2: Path) -> None:
    def status(url: str, host: str) -> int:
        lines = ["GET /model HTTP/1.1", f"Host: {host}", "", ""]
        return int(raw(url, "\r\n".join(lines).encode()).split()[1])

    with served(sst2, "--allowed_hosts", "a.example,*.b.example") as (url, process):
        assert [status(url, host) for host in ("a.example:80", "x.b.example", "127.0.0.1", "c.example")] == [
            200, 200, 200, 421,
        ]  # fmt: skip
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0


def test_the_client_command_answers_as_infer(
    sst2: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVBERT_GLUE_TOKEN", "secret")
    rows = tmp_path / "rows.jsonl"
    rows.write_text(
        "".join(json.dumps({"text": f"a film of {number} hours"}) + "\n" for number in range(30)),
        encoding="utf-8",
    )
    infer(["--model_dir", str(sst2), "--input", str(rows), "--output", str(tmp_path / "offline.jsonl")])
    with running(open_exported(sst2), token="secret") as url:
        ask(["--url", url, "--input", str(rows), "--output", str(tmp_path / "served.jsonl")])
        capsys.readouterr()
        ask(["--url", url, "--text", "a film of 3 hours"])
        alone = json.loads(capsys.readouterr().out)
    offline, online = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]
        for name in ("offline", "served")
    )
    for mine, theirs in zip(offline, online, strict=True):
        assert theirs["index"] == mine["index"]
        assert theirs["prob"] == pytest.approx(mine["prob"], abs=1e-5)
    assert alone["prob"] == pytest.approx(offline[3]["prob"], abs=1e-5)


def test_nobody_there_is_said() -> None:
    with pytest.raises(InputError, match=r"is the service running there\?") as caught:
        ask(["--url", "http://127.0.0.1:9", "--text", "a"])
    assert caught.value.path == "http://127.0.0.1:9"


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:99999999", "http://[::1", "http://", "ftp://a", "127.0.0.1:1"]
)
def test_an_address_that_is_none_is_wrong_usage(url: str) -> None:
    with pytest.raises(UsageError, match="expected http://host:port"):
        ask(["--url", url, "--text", "a"])


def test_a_refused_row_of_a_file_is_named(sst2: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "a"}\n\n{"text": ""}\n', encoding="utf-8")
    with running(open_exported(sst2)) as url, pytest.raises(InputError, match=r"row 2: .*422") as caught:
        ask(["--url", url, "--input", str(rows), "--output", str(tmp_path / "out.jsonl")])
    assert caught.value.path == str(rows)
    assert not (tmp_path / "out.jsonl").exists()


def test_an_address_that_is_taken_is_said() -> None:
    with bind("127.0.0.1", 0) as bound:
        bound.listen()
        with pytest.raises(InputError, match=r"--port \d+: .*in use"):
            bind("127.0.0.1", bound.getsockname()[1])


@pytest.mark.parametrize(
    ("argv", "status", "message"),
    [
        (["--max_inputs", "9", "--max_queue", "8"], 2, "could never wait"),
        (["--timeout", "0"], 2, "not a number of seconds"),
        (["--port", "70000"], 1, "--port 70000"),
        (["--allowed_hosts", "http://a.example"], 2, "not a host name"),
        (["--token_file", "nothing"], 1, "nothing: No such file"),
        (["--model_dir", "nothing"], 1, "nothing: no such folder"),
    ],
)
def test_wrong_flags(
    sst2: Path, argv: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        run(lambda _: serve(["--model_dir", str(sst2), "--port", "0", *argv]))
    assert end.value.code == status
    assert message in capsys.readouterr().err
