"""The HTTP service: routes around a model and its batcher."""

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException as StarletteHTTPException

from deploy.batcher import Answer, Batcher, QueueFullError
from deploy.documentation import documentation
from deploy.hosts import AllowedHosts
from deploy.middleware import REFERENCE_PATH, Gate, Metrics, problem_of
from deploy.models import Model
from deploy.rows import Row
from deploy.schemas import (
    Limits,
    Predictions,
    Problem,
    ReferenceAnswer,
    SpanAnswers,
    reference_answer,
    reference_request_type,
    reference_row,
    request_type,
    rows_of,
)

_REFUSALS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": what}
    for status, what in {
        400: "The body is no JSON, or Host is missing",
        401: "The token is missing or wrong",
        408: "The request did not arrive in time",
        413: "The body is too large",
        415: "The body is not called JSON",
        421: "The service does not answer for this host",
        422: "The inputs cannot be answered",
        429: "Too many inputs wait already",
        504: "The answer took too long",
    }.items()
}
_REFERENCE_REFUSALS = {status: {**said, "model": ReferenceAnswer} for status, said in _REFUSALS.items()}


@dataclass(frozen=True)
class Batching:
    """rows: of a batch. wait: seconds that a row waits for others. queue: rows that may wait. workers:
    batches at once."""

    rows: int = 32
    wait: float = 0.004
    queue: int = 1024
    workers: int = 1


class Service:
    """A model that answers over HTTP. app: the ASGI application; gate.draining: it shuts down."""

    def __init__(
        self,
        model: Model,
        limits: Limits | None = None,
        batching: Batching | None = None,
        token: str | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        self.model, self.limits = model, limits or Limits()
        batching = batching or Batching()
        self.metrics = Metrics(lambda: self.batcher.waiting, model.digest)
        self.batcher = Batcher(
            lambda rows: model.answer(rows, batching.rows),
            workers=batching.workers,
            max_batch=batching.rows,
            max_wait=batching.wait,
            max_queue=batching.queue,
            max_delay=self.limits.seconds / 2,
            on_batch=self.metrics.batch_rows.observe,
        )
        inner = FastAPI(
            title="convbert-glue", version=_version(), lifespan=self._lifespan, docs_url=None, redoc_url=None,
            redirect_slashes=False,
            description=f"Answers of the model {model.digest[:12]}.",
        )  # fmt: skip
        self.inner = inner
        self._add_routes()
        paths = {path for route in inner.routes if (path := getattr(route, "path", ""))}
        self.gate = Gate(inner, self.limits, self.metrics, paths, token, hosts)
        self.app = self.gate

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.batcher.start()
        yield
        await self.batcher.close()

    async def answers(self, rows: list[Row]) -> list[Answer]:
        """The rows' answers; a refusal as HTTPException."""
        for number, row in enumerate(rows):
            if len(row) not in self.model.texts:
                raise HTTPException(422, f"inputs.{number}: {self._wanted(len(row))}")
        try:
            return await asyncio.wait_for(self.batcher.submit(rows), self.limits.seconds)
        except QueueFullError as full:
            raise HTTPException(429, str(full), {"retry-after": str(full.seconds)}) from None
        except (TimeoutError, asyncio.TimeoutError):
            reason = f"no answer within {self.limits.seconds:g} s; send fewer inputs at once"
            raise HTTPException(504, reason) from None

    def _wanted(self, given: int) -> str:
        return "the model takes pairs: give text_pair too" if given == 1 else "the model takes one text"

    def _add_routes(self) -> None:
        if self.model.kind == "question":
            self._add_answer()
        else:
            self._add_predict()
            self._add_reference()
        self._add_pages()
        self._add_handlers()

    def _add_predict(self) -> None:
        fields = {"text": True}
        if 2 in self.model.texts:
            fields["text_pair"] = 1 not in self.model.texts
        body = request_type(fields, self.limits)

        @self.inner.post("/predict", responses={200: {"model": Predictions}, **_REFUSALS})
        async def predict(request: body) -> Response:  # type: ignore[valid-type]
            """Label and probabilities (or the score) of one input, or of several."""
            found = await self.answers(rows_of(request))
            return _as_json(Predictions.model_validate({"predictions": found, "model": self.model.digest}))

    def _add_answer(self) -> None:
        body = request_type({"question": True, "context": True}, self.limits)

        @self.inner.post("/answer", responses={200: {"model": SpanAnswers}, **_REFUSALS})
        async def answer(request: body) -> Response:  # type: ignore[valid-type]
            """The answers to one question on a passage, or to several."""
            found = await self.answers(rows_of(request))
            return _as_json(SpanAnswers.model_validate({"answers": found, "model": self.model.digest}))

    def _add_reference(self) -> None:
        texts = ("text", "text_pair")[: min(self.model.texts)]
        body = reference_request_type(texts, self.limits)

        @self.inner.post(REFERENCE_PATH, responses=_REFERENCE_REFUSALS)
        async def prediction(request: body) -> ReferenceAnswer:  # type: ignore[valid-type]
            """One input, asked and answered as the reference service did."""
            try:
                row = reference_row(request)
            except ValueError as error:
                raise HTTPException(422, str(error)) from None
            (found,) = await self.answers([row])
            return reference_answer(found)

    def _add_pages(self) -> None:
        page = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")

        @self.inner.get("/", response_class=HTMLResponse)
        async def index() -> HTMLResponse:
            """A page to try the model."""
            return _html(page)

        @self.inner.get("/docs", include_in_schema=False)
        async def documented() -> HTMLResponse:
            return _html(documentation(self.inner.openapi()))

        @self.inner.get("/model")
        async def about() -> dict[str, Any]:
            """What the model is."""
            config = self.model.config
            return {
                "digest": self.model.digest,
                "task": config.finetuning_task,
                "model_type": config.model_type,
                "kind": self.model.kind,
                "texts": list(self.model.texts),
                "labels": [config.id2label[key] for key in sorted(config.id2label)],
                "max_length": self.model.max_length,
            }

        @self.inner.head("/health", include_in_schema=False)
        @self.inner.get("/health")
        async def health() -> dict[str, str]:
            """The process lives."""
            return {"status": "ok"}

        @self.inner.head("/ready", include_in_schema=False)
        @self.inner.get("/ready", responses={503: {"model": Problem, "description": "It shuts down"}})
        async def ready() -> dict[str, str]:
            """Requests are welcome."""
            if self.gate.draining:
                raise HTTPException(503, "the service shuts down")
            return {"status": "ready"}

        @self.inner.get("/metrics", response_class=Response)
        async def counted() -> Response:
            """Counters in Prometheus' format."""
            return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    def _add_handlers(self) -> None:
        @self.inner.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
            broken = any(found["type"] == "json_invalid" for found in error.errors())
            return _problem(request, 400 if broken else 422, _reason(error))

        @self.inner.exception_handler(StarletteHTTPException)
        async def refused(request: Request, error: StarletteHTTPException) -> JSONResponse:
            reason = str(error.detail)
            if error.status_code == 404:
                paths = sorted(["/docs", *self.inner.openapi()["paths"]])
                reason = f"there is nothing here; the service has {', '.join(paths)}"
            elif error.status_code == 405:
                reason = f"{request.url.path} takes {(error.headers or {}).get('Allow', 'another method')}"
            elif error.status_code == 400:  # FastAPI's, for whatever Python's reader of JSON raises
                reason = "not JSON: it is not UTF-8, nested too deeply, or has a number of too many digits"
            return _problem(request, error.status_code, reason, dict(error.headers or {}))

        @self.inner.exception_handler(Exception)
        async def failed(request: Request, error: Exception) -> JSONResponse:
            return _problem(request, 500, "the service failed; its log says why")


def _problem(
    request: Request, status: int, reason: str, headers: dict[str, str] | None = None
) -> JSONResponse:
    return JSONResponse(problem_of(request.url.path, status, reason), status, headers)


def _as_json(answers: BaseModel) -> Response:
    """An answer, checked; FastAPI would check it a second time."""
    return Response(answers.model_dump_json(), media_type="application/json")


def _reason(error: RequestValidationError) -> str:
    """The first fault: where it is and what is wrong. What was sent is not repeated."""
    found = error.errors()[0]
    if found["type"] == "json_invalid":
        return f"not JSON: {found['ctx']['error']}"
    places = [str(place) for place in found["loc"] if place not in ("body", "one", "many", "Input")]
    what = str(found["msg"]).removeprefix("Value error, ")
    return f"{'.'.join(places) or 'the body'}: {what}"


def _html(page: str) -> HTMLResponse:
    headers = {"content-security-policy": _policy(page), "x-content-type-options": "nosniff"}
    return HTMLResponse(page, headers=headers)


def _policy(page: str) -> str:
    """A content policy under which the page's own style and script run, and nothing else."""
    allowed = {}
    for tag in ("style", "script"):
        code = "".join(re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.S))
        allowed[tag] = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    return (
        "default-src 'none'; "
        f"script-src 'sha256-{allowed['script']}'; style-src 'sha256-{allowed['style']}'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _version() -> str:
    try:
        return metadata.version("convbert-glue")
    except metadata.PackageNotFoundError:
        return "0"
