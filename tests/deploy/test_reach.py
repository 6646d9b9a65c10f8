"""What the service promises under load, in bulk. Slow; run with ``make test-long``.

FUZZ_SECONDS: how long the service is asked random things (default: 60).
"""

import html
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from bench.load_test import LoadTest
from deploy.client import Client, RefusedError
from deploy.model_loading import open_exported
from tests.deploy.test_serve import served

pytestmark = pytest.mark.long

TEXTS = [f"number {number} is a {'very ' * (number % 40)}good film" for number in range(500)]


def load_of(folder: Path, url: str) -> LoadTest:
    rows = [{"text": text} for text in TEXTS]
    return LoadTest(url, "/predict", rows, open_exported(folder).answer([(text,) for text in TEXTS]))


def memory(process: int) -> int:
    """Bytes in use."""
    (line,) = [
        line
        for line in Path("/proc", str(process), "status").read_text(encoding="utf-8").splitlines()
        if "VmRSS" in line
    ]
    return int(line.split()[1]) * 1024


def test_of_20000_requests_no_answer_is_lost_or_crossed(sst2: Path) -> None:
    with served(sst2) as (url, process):
        load = load_of(sst2, url)
        load.run(2000, 32)
        before = memory(process.pid)
        load.run(18_000, 32)
        assert memory(process.pid) < before + 20e6
    assert len(load.seconds) == 20_000
    assert not load.faults, load.first_fault


def test_overload_is_refused_and_goes_by(sst2: Path) -> None:
    with served(sst2, "--max_queue", "16", "--max_inputs", "16", "--max_batch", "4") as (url, _):
        load = load_of(sst2, url)
        load.run(3000, 64)
        assert load.refused > 0
        assert not load.faults, load.first_fault
        calm = load_of(sst2, url)
        calm.run(200, 4)
        assert (len(calm.seconds), calm.refused) == (200, 0)


def test_sigterm_under_load_again_and_again(sst2: Path) -> None:
    for turn in range(10):
        with served(sst2) as (url, process):
            load = load_of(sst2, url)
            thread = threading.Thread(target=load.run, args=(20_000, 32))
            thread.start()
            time.sleep(0.5 + 0.05 * turn)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
            thread.join()
            # After the end connections are refused; nothing else may have gone wrong before.
            assert set(load.faults) <= {"refused connection"}, load.faults
            assert load.seconds


@pytest.mark.parametrize(
    ("kind", "asked"),
    [("sst2", ["/predict"]), ("rte", ["/predict"]), ("squad", ["/answer"])],
)
def test_random_requests_never_break_it(
    kind: str, asked: list[str], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Schemathesis, from the service's own OpenAPI; nothing may be answered with 5xx, memory stays flat."""
    pytest.importorskip("schemathesis")
    seconds = float(os.environ.get("FUZZ_SECONDS", "60"))
    folder = request.getfixturevalue(kind)
    with served(folder) as (url, process):
        fuzz(url, tmp_path, 5)
        before, started, seed = memory(process.pid), time.monotonic(), 1
        while time.monotonic() - started < seconds:
            fuzz(url, tmp_path, seed)
            seed += 1
        assert memory(process.pid) < before + 30e6
        assert Client(url).get("/ready")
        counted = metrics(url)
        assert not [line for line in counted if 'status="5' in line]
        for path in asked:  # what it made up was not all refused
            assert [line for line in counted if f'requests_total{{path="{path}",status="200"' in line]
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def fuzz(url: str, folder: Path, seed: int) -> None:
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{url}/openapi.json", "--checks",
            "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
            "--max-examples", "50", "--seed", str(seed), "--no-color",
        ],
        cwd=folder, capture_output=True, encoding="utf-8", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-1000:]


def metrics(url: str) -> list[str]:
    with urllib.request.urlopen(f"{url}/metrics") as answer:
        return str(answer.read().decode()).splitlines()


def test_a_request_too_many_is_refused_before_it_is_read(sst2: Path) -> None:
    with served(sst2, "--max_requests", "2") as (url, _):
        load = load_of(sst2, url)
        load.run(300, 16)
        assert load.refused > 0
        assert not load.faults, load.first_fault


def test_the_page_in_a_browser(sst2: Path, squad: Path) -> None:
    """Label and probabilities appear; an answer is marked in its passage; markup in texts stays text."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no Chromium")
    with served(sst2) as (url, _):
        result = Client(url).predict([("a <b>good</b> film",)])[0]
        page = seen(browser, f"{url}/?{urllib.parse.urlencode({'text': 'a <b>good</b> film'})}")
        assert f'<div class="best">Label {result["label"]}</div>' in page
        assert f"<span>{100 * result['prob']:.1f} %</span>" in page
    with served(squad) as (url, _):
        passage = "😀 Ada came in 1907, <i>and left</i>."
        answer = Client(url).answer("Who came?", passage)
        assert answer["answer"] == passage[answer["start"] : answer["end"]]
        question = urllib.parse.urlencode({"question": "Who came?", "context": passage})
        assert f"<mark>{html.escape(answer['answer'], quote=False)}</mark>" in seen(
            browser, f"{url}/?{question}"
        )


def seen(browser: str, url: str) -> str:
    """The page as it stands when its script has run."""
    done = subprocess.run(
        [
            browser,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=8000",
            "--dump-dom",
            url,
        ],
        capture_output=True,
        encoding="utf-8",
        timeout=120,
    )
    return done.stdout


def test_clients_that_go_away_leave_nothing_behind(sst2: Path) -> None:
    with served(sst2) as (url, process):
        client = Client(url)
        gone, refusals = 0, set()
        for _ in range(200):
            try:
                Client(url, timeout=0.001).predict([(text,) for text in TEXTS[:100]])
            except OSError:
                gone += 1
            except RefusedError as error:
                refusals.add(error.status)
        assert gone > 100
        assert refusals <= {429}  # for a moment; those who left make room
        assert client.predict([("a",)])
        deadline = time.monotonic() + 20
        while "queue_rows 0.0" not in metrics(url) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert "queue_rows 0.0" in metrics(url)
        assert len(list(Path("/proc", str(process.pid), "fd").iterdir())) < 60
