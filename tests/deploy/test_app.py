"""The HTTP service: what it answers, and what it refuses."""

import html
import json
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
pytest.importorskip("prometheus_client")

from deploy.batcher import Batching
from deploy.client import Client, RefusedError
from deploy.model import Model
from deploy.model_loading import open_exported
from deploy.schemas import Limits
from tests.deploy.running import Slow, raw, running

LIMITS = Limits(inputs=5, characters=2000, body=20_000, requests=64, seconds=10)
TEXTS = [f"number {number} is a {'very ' * (number % 13)}good film" for number in range(60)]


@pytest.fixture(scope="module")
def model(sst2: Path) -> Model:
    return open_exported(sst2)


@pytest.fixture(scope="module")
def url(model: Model) -> Iterator[str]:
    with running(model, LIMITS) as address:
        yield address


def refusal(url: str, route: str, body: Any, token: str | None = None) -> tuple[int, str]:
    with pytest.raises(RefusedError) as caught:
        Client(url, token).post(route, body)
    return caught.value.status, str(caught.value)


def post(route: str, body: bytes, *headers: bytes) -> bytes:
    """A request, byte by byte."""
    lines = [
        f"POST {route} HTTP/1.1".encode(),
        b"Host: localhost",
        b"Content-Type: application/json",
        *headers,
    ]
    return b"\r\n".join([*lines, b"Content-Length: %d" % len(body), b"", body])


def test_one_input_and_many_are_answered_as_offline(url: str, model: Model) -> None:
    wanted = model.answer([(text,) for text in TEXTS[:5]])
    client = Client(url)
    assert client.get("/model")["digest"] == model.digest
    for body in ({"inputs": TEXTS[:5]}, {"inputs": [{"text": text} for text in TEXTS[:5]]}):
        response = client.post("/predict", body)
        assert response["model"] == model.digest
        for mine, theirs in zip(wanted, response["predictions"], strict=True):
            assert theirs["label"] == mine["label"]
            assert theirs["probabilities"] == pytest.approx(mine["probabilities"], abs=1e-5)
    response = client.post("/predict", {"text": TEXTS[1]})
    assert response["predictions"][0]["prob"] == pytest.approx(wanted[1]["prob"], abs=1e-5)


def test_the_references_form(url: str, model: Model) -> None:
    """Body and answer as the reference service's (its own example)."""
    text = "the problem , it is with most of these things , is the script ."
    response = Client(url).post("/convbert/prediction", {"key": ["text"], "value": [text], "logid": 10000})
    wanted = model.answer([(text,)])[0]
    assert response == {
        "err_no": 0,
        "err_msg": "",
        "key": ["label_id", "prob"],
        "value": [f"[{wanted['label_id']}]", f"[{wanted['prob']:.6f}]"],
        "tensors": [],
    }


def test_pairs(rte: Path) -> None:
    model = open_exported(rte)
    wanted = model.answer([("a film", "the film")])[0]
    with running(model) as url:
        client = Client(url)
        assert client.predict([("a film", "the film")])[0]["prob"] == pytest.approx(wanted["prob"], abs=1e-5)
        body = {"key": ["text", "text_pair"], "value": ["a film", "the film"]}
        assert client.post("/convbert/prediction", body)["value"][0] == f"[{wanted['label_id']}]"
        assert refusal(url, "/predict", {"text": "a film"})[0] == 422
        assert refusal(url, "/convbert/prediction", {"key": ["text"], "value": ["a"]})[0] == 422
        assert refusal(url, "/convbert/prediction", {"key": ["text"], "value": ["a", "b"]})[0] == 422


def test_scores(stsb: Path) -> None:
    model = open_exported(stsb)
    with running(model) as url:
        response = Client(url).predict([(TEXTS[0], TEXTS[1])])[0]
        assert response == {
            "score": pytest.approx(model.answer([(TEXTS[0], TEXTS[1])])[0]["score"], abs=1e-5)
        }


def test_questions(squad: Path) -> None:
    model = open_exported(squad)
    passage = "Ada Löwe came 😀 and left. " * 30
    wanted = model.answer([("Who came?", passage)])[0]
    with running(model) as url:
        response = Client(url).answer("Who came?", passage)
        assert passage[response["start"] : response["end"]] == response["answer"] == wanted["answer"]
        status, reason = refusal(url, "/predict", {"text": "a"})
        assert status == 404
        assert "/answer" in reason


BAD = [
    (b"{", 400, "not JSON"),
    (b"", 422, "the body: Field required"),
    (b"\xff\xfe", 400, "not JSON"),
    (b'{"text": "\xff\xff\xff"}', 400, "it is not UTF-8"),
    (b"[" * 15_000, 400, "nested too deeply"),
    (b'{"text": ' * 2000, 400, "not JSON"),
    (b'{"text": ' + b"9" * 5000 + b"}", 400, "too many digits"),
    (b"null", 422, "the body: "),
    (b"[]", 422, "the body: "),
    (b"NaN", 422, "the body: "),
    (b"{}", 422, "text: Field required"),
    (b'{"text": 3}', 422, "text: "),
    (b'{"text": null}', 422, "text: "),
    (b'{"text": ["a"]}', 422, "text: "),
    (b'{"text": ""}', 422, "text: "),
    (b'{"text": "  \\n"}', 422, "text: is empty"),
    (b'{"text": "a\\u0000b"}', 422, "text: holds a NUL character"),
    (b'{"text": "\\ud800"}', 422, "text: "),
    (b'{"\\ud800": "a"}', 422, ""),
    (b'{"text": "a", "\\ud800": "a"}', 422, ""),
    (b'{"text": "a", "language": "en"}', 422, "language: "),
    (b'{"text": "a", "text_pair": "b"}', 422, "text_pair: "),
    (b'{"inputs": []}', 422, "inputs: "),
    (b'{"inputs": ["a", ""]}', 422, "inputs.1"),
    (b'{"inputs": ["a", {"text": "b", "x": 1}]}', 422, "inputs.1"),
    (b'{"inputs": ["a", "a", "a", "a", "a", "a"]}', 422, "at most 5 items"),
    (b'{"text": "' + b"a" * 2001 + b'"}', 422, "at most 2000 characters"),
    (b'{"text": "' + b"a" * 20_000 + b'"}', 413, "larger than 20000 bytes"),
]


def test_deep_nesting_is_refused(url: str) -> None:
    """From Python 3.13 on so deep a list can be read, and is no text."""
    head, _, content = raw(url, post("/predict", b'{"text": ' + b"[" * 9000 + b"]" * 9000 + b"}")).partition(
        b"\r\n\r\n"
    )
    answer = int(head.split()[1]), json.loads(content)["detail"]
    assert (answer[0] == 400 and "nested too deeply" in answer[1]) or (
        answer[0] == 422 and "text: " in answer[1]
    )
    assert len(content) < 2000


@pytest.mark.parametrize(
    ("body", "status", "reason"), BAD, ids=[body[:40].decode("latin-1") for body, *_ in BAD]
)
def test_bad_input_is_refused_with_a_reason(url: str, body: bytes, status: int, reason: str) -> None:
    head, _, content = raw(url, post("/predict", body)).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert reason in json.loads(content)["detail"]
    assert Client(url).predict([("a",)])  # and it goes on


def test_the_reference_route_refuses_in_its_own_form(url: str) -> None:
    head, _, content = raw(url, post("/convbert/prediction", b'{"key": [], "value": []}')).partition(
        b"\r\n\r\n"
    )
    response = json.loads(content)
    assert (int(head.split()[1]), response["err_no"], response["key"]) == (422, 422, [])
    assert response["err_msg"]


def test_a_body_in_chunks_is_cut_off_at_the_limit(url: str) -> None:
    chunk = b"%x\r\n%s\r\n" % (1000, b" " * 1000)
    head = post("/predict", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
    assert b" 413 " in raw(url, head + 21 * chunk)
    assert b" 422 " in raw(url, head + 19 * chunk + b"2\r\n{}\r\n0\r\n\r\n")


def test_a_body_that_is_not_called_json_is_refused(url: str) -> None:
    request = post("/predict", b'{"text": "a"}').replace(b"application/json", b"text/plain")
    assert b" 415 " in raw(url, request)


def test_a_request_that_does_not_come_is_given_up(model: Model) -> None:
    with running(model, Limits(seconds=0.5)) as url:
        request = post("/predict", b'{"text": "a"}')
        assert b" 408 " in raw(url, request[:-3])


def test_other_addresses_and_methods(url: str) -> None:
    wrong_method = raw(url, b"GET /predict HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 405 " in wrong_method
    assert b"/predict takes POST" in wrong_method
    assert b" 404 " in raw(url, b"GET /%ff%00/../x HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b" 404 " in raw(url, post("/predict/", b"{}"))
    assert b" 400 " in raw(url, b"no HTTP\r\n\r\n")


def test_health_readiness_page_and_documentation(url: str) -> None:
    client = Client(url)
    assert client.get("/health") == {"status": "ok"}
    assert client.get("/ready") == {"status": "ready"}
    for path in ("health", "ready"):
        assert b" 200 OK" in raw(
            url, b"HEAD /%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n" % path.encode()
        )
    assert set(client.get("/openapi.json")["paths"]) >= {"/predict", "/convbert/prediction", "/metrics"}
    page = raw(url, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert b"content-security-policy: default-src 'none'" in page
    assert b"<title>" in page


@pytest.mark.parametrize(("kind", "posts"), [("sst2", 2), ("rte", 2), ("squad", 1)])
def test_the_documentation_is_whole_and_its_examples_work(
    kind: str, posts: int, request: pytest.FixtureRequest
) -> None:
    with running(open_exported(request.getfixturevalue(kind))) as url:
        page = raw(url, b"GET /docs HTTP/1.1\r\nHost: localhost\r\n\r\n").decode()
        for path in Client(url).get("/openapi.json")["paths"]:
            assert re.search(rf"<h2>(GET|POST) {path}</h2>", page)
        assert "content-security-policy: default-src 'none'" in page
        assert not re.search(r"<script|<link|src=|@import|url\(|href=.(https?:)?//", page)  # no network
        examples = re.findall(r"<pre>curl .* -d '(.*)' http://HOST:PORT(\S+)</pre>", page)
        assert len(examples) == posts
        for body, path in examples:
            assert Client(url).post(path, json.loads(html.unescape(body)))


def test_metrics_count_requests_by_route(model: Model) -> None:
    with running(model) as url:
        for text in ("a", "b"):
            Client(url).predict([(text,)])
        refusal(url, "/predict", {})
        refusal(url, "/anything", {})
        text = raw(url, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").decode()
    assert 'requests_total{path="/predict",status="200"} 2.0' in text
    assert 'requests_total{path="/predict",status="422"} 1.0' in text
    assert 'requests_total{path="other",status="404"} 1.0' in text
    assert "batch_rows_sum 2.0" in text


def test_a_token_guards_all_but_page_and_health(model: Model) -> None:
    with running(model, token="the token"[4:]) as url:
        assert refusal(url, "/predict", {"text": "a"})[0] == 401
        assert refusal(url, "/predict", {"text": "a"}, "tokem")[0] == 401
        assert refusal(url, "/predict", {"text": "a"}, "tokenn")[0] == 401
        assert b" 401 " in raw(
            url, b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAuthorization: \xff\r\n\r\n"
        )
        assert Client(url, "token").predict([("a",)])
        assert Client(url).get("/health")


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_at_once_are_batched_and_none_is_crossed(model: Model, workers: int) -> None:
    slow = Slow(model.config, 0.02)
    with running(slow, batching=Batching(workers=workers)) as url, ThreadPoolExecutor(24) as pool:
        texts = [f"{'x' * (number % 7)} {number}" for number in range(400)]
        response = list(pool.map(lambda text: Client(url).predict([(text,)])[0]["label"], texts))
    assert response == texts
    assert sum(slow.batches) == 400
    assert max(slow.batches) > 8 / workers
    assert slow.most_at_once == workers


def test_a_full_queue_refuses_and_recovers(model: Model) -> None:
    slow = Slow(model.config, 0.2)
    batching = Batching(max_batch=2, max_queue=4)
    with running(slow, Limits(inputs=4), batching) as url:

        def ask(number: int) -> int:
            try:
                assert Client(url).predict([(f"text {number}",)])[0]["label"] == f"text {number}"
                return 200
            except RefusedError as error:
                return error.status

        with ThreadPoolExecutor(20) as pool:
            statuses = list(pool.map(ask, range(20)))
        assert set(statuses) == {200, 429}
        assert statuses.count(200) >= 4
        assert ask(99) == 200


def test_an_answer_that_takes_too_long_is_given_up(model: Model) -> None:
    with running(Slow(model.config, 0.5), Limits(seconds=0.2)) as url:
        status, reason = refusal(url, "/predict", {"text": "a"})
        assert status == 504
        assert "0.2 s" in reason
        time.sleep(0.5)
        assert Client(url).get("/health")


def test_who_goes_away_makes_room(model: Model) -> None:
    slow = Slow(model.config, 0.3)
    with running(slow, Limits(inputs=8), Batching(max_batch=2, max_queue=8)) as url:
        with pytest.raises(OSError):  # noqa: PT011 (a timeout, by whatever name)
            Client(url, timeout=0.1).post("/predict", {"inputs": [f"text {number}" for number in range(8)]})
        response = Client(url).post("/predict", {"inputs": [f"other {number}" for number in range(8)]})
        assert [row["label"] for row in response["predictions"]] == [f"other {number}" for number in range(8)]
    assert sum(slow.batches) <= 2 + 8


def test_a_model_that_fails_is_a_500_and_the_service_goes_on(model: Model) -> None:
    class Failing(Slow):
        def answer(self, rows: Any, batch_size: int = 64) -> Any:
            if rows[0][0] == "bad":
                raise RuntimeError("broken")
            return super().answer(rows)

    with running(Failing(model.config, 0.0)) as url:
        assert refusal(url, "/predict", {"text": "bad"})[0] == 500
        assert Client(url).predict([("good",)])


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shutdown_answers_what_was_taken(model: Model, workers: int) -> None:
    """Requests that wait in the queue when the service is told to end."""
    slow = Slow(model.config, 0.3)
    with ThreadPoolExecutor(12) as pool:
        with running(slow, batching=Batching(max_batch=3, workers=workers)) as url:
            jobs = [
                pool.submit(lambda text: Client(url).predict([(text,)])[0]["label"], f"t{number}")
                for number in range(12)
            ]
            while not slow.batches:
                time.sleep(0.01)
        assert [job.result() for job in jobs] == [f"t{number}" for number in range(12)]
    with pytest.raises(OSError):  # noqa: PT011 (whatever the system says of a closed port)
        Client(url).get("/health")
