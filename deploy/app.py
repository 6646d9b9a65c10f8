"""The HTTP service: routes around a model and its batcher."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cache
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from prometheus_client import generate_latest
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from checkpoints.labels import label_names
from deploy.batcher import Batcher, Batching, QueueFullError, RowAnswer
from deploy.hosts import AllowedHosts
from deploy.middleware import REFERENCE_PATH, Metrics, RequestMiddleware, refusal
from deploy.model import Model
from deploy.pages import documentation_page, try_page
from deploy.rows import TextRow
from deploy.schemas import (
    AnswerResponse,
    ErrorResponse,
    Limits,
    PredictionResponse,
    ReferenceResponse,
    reference_request_type,
    reference_response,
    reference_row,
    request_type,
    rows_of,
)

_REFUSALS = {
    400: "The body is not JSON, or the Host header is missing",
    401: "The token is missing or wrong",
    408: "The request did not arrive in time",
    413: "The body is too large",
    415: "The Content-Type is not application/json",
    421: "The service does not answer requests for this host",
    422: "The inputs cannot be answered",
    429: "Too many inputs wait already",
    504: "The answer took too long",
}


def _responses(refused: type[BaseModel], answer: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What a route's documentation says of its answers."""
    responses: dict[int | str, dict[str, Any]] = {200: {"model": answer}}
    for status, reason in _REFUSALS.items():
        responses[status] = {"model": refused, "description": reason}
    return responses


class Service:
    """A model that answers over HTTP; ``app`` is the ASGI application with its middleware."""

    def __init__(
        self,
        model: Model,
        limits: Limits | None = None,
        batching: Batching | None = None,
        token: str | None = None,
        hosts: AllowedHosts | None = None,
    ) -> None:
        self.model, self.limits = model, limits or Limits()
        batching = replace(batching or Batching(), max_delay=self.limits.seconds / 2)
        metrics = Metrics(lambda: self.batcher.waiting, model.digest)
        self.batcher = Batcher(
            lambda rows: model.answer(rows, batching.max_batch), batching, metrics.batch_rows.observe
        )
        self.routes = FastAPI(
            title="convbert-glue", description=f"Answers of the model {model.digest[:12]}.",
            lifespan=self._lifespan, docs_url=None, redoc_url=None, redirect_slashes=False,
        )  # fmt: skip
        if model.kind == "question":
            summary = "The answers to one question on a passage, or to several."
            self._add_route("/answer", {"question": True, "context": True}, AnswerResponse, summary)
        else:
            fields = {"text": True} | ({"text_pair": 1 not in model.texts} if 2 in model.texts else {})
            summary = "Label and probabilities (or the score) of one input, or of several."
            self._add_route("/predict", fields, PredictionResponse, summary)
            self._add_reference()
        self._add_pages()
        self._add_state(metrics)
        self._add_error_handlers()
        paths = {path for route in self.routes.routes if (path := getattr(route, "path", ""))}
        self.app = RequestMiddleware(self.routes, self.limits, metrics, paths, token, hosts)

    @asynccontextmanager
    async def _lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        self.batcher.start()
        yield
        await self.batcher.close()

    async def answers(self, rows: list[TextRow]) -> list[RowAnswer]:
        """Answer rows; a refusal is an HTTPException."""
        for number, row in enumerate(rows):
            if len(row) not in self.model.texts:
                expected = "pairs: give text_pair too" if len(row) == 1 else "one text"
                raise HTTPException(422, f"inputs.{number}: the model takes {expected}")
        try:
            return await asyncio.wait_for(self.batcher.submit(rows), self.limits.seconds)
        except QueueFullError as full:
            raise HTTPException(429, str(full), {"retry-after": str(full.seconds)}) from None
        except (TimeoutError, asyncio.TimeoutError):
            reason = f"no answer within {self.limits.seconds:g} s; send fewer inputs at once"
            raise HTTPException(504, reason) from None

    def _add_route(self, path: str, fields: dict[str, bool], schema: type[BaseModel], summary: str) -> None:
        body, key = request_type(fields, self.limits), next(iter(schema.model_fields))

        @self.routes.post(
            path, name=path[1:], description=summary, responses=_responses(ErrorResponse, schema)
        )
        async def answer(request: body) -> Response:  # type: ignore[valid-type]
            answers = {key: await self.answers(rows_of(request)), "model": self.model.digest}
            # Checked once; FastAPI would check it a second time.
            content = schema.model_validate(answers).model_dump_json()
            return Response(content, media_type="application/json")

    def _add_reference(self) -> None:
        texts = ("text", "text_pair")[: min(self.model.texts)]
        body = reference_request_type(texts, self.limits)

        @self.routes.post(REFERENCE_PATH, responses=_responses(ReferenceResponse, ReferenceResponse))
        async def prediction(request: body) -> ReferenceResponse:  # type: ignore[valid-type]
            """One input, asked and answered as the reference service did."""
            try:
                row = reference_row(request)
            except ValueError as error:
                raise HTTPException(422, str(error)) from None
            (answer,) = await self.answers([row])
            return reference_response(answer)

    def _add_pages(self) -> None:
        page, documentation = try_page(), cache(lambda: documentation_page(self.routes.openapi()))

        @self.routes.get("/", response_class=HTMLResponse)
        async def index() -> HTMLResponse:
            """A page to try the model."""
            return page

        @self.routes.get("/docs", include_in_schema=False)
        async def docs() -> HTMLResponse:
            return documentation()

        @self.routes.get("/model")
        async def describe_model() -> dict[str, Any]:
            """What the model is."""
            model, config = self.model, self.model.config
            return {
                "digest": model.digest, "task": config.finetuning_task, "model_type": config.model_type,
                "kind": model.kind, "texts": list(model.texts), "columns": list(model.text_columns),
                "labels": label_names(config), "max_length": model.max_length,
            }  # fmt: skip

    def _add_state(self, metrics: Metrics) -> None:
        @self.routes.head("/health", include_in_schema=False)
        @self.routes.get("/health")
        async def health() -> dict[str, str]:
            """The process lives."""
            return {"status": "ok"}

        @self.routes.head("/ready", include_in_schema=False)
        @self.routes.get("/ready", responses={503: {"model": ErrorResponse, "description": "It shuts down"}})
        async def ready() -> dict[str, str]:
            """Requests are welcome."""
            if self.app.draining:
                raise HTTPException(503, "the service shuts down")
            return {"status": "ready"}

        @self.routes.get("/metrics", response_class=Response)
        async def prometheus() -> Response:
            """Counters in Prometheus' format."""
            content = generate_latest(metrics.registry)
            return Response(content, media_type="text/plain; version=0.0.4; charset=utf-8")

    def _add_error_handlers(self) -> None:
        @self.routes.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
            return refusal(request.url.path, *_first_fault(error))

        @self.routes.exception_handler(HTTPException)
        async def refused(request: Request, error: HTTPException) -> JSONResponse:
            reason = str(error.detail)
            if error.status_code == 404:
                paths = sorted(["/docs", *self.routes.openapi()["paths"]])
                reason = f"there is nothing here; the service has {', '.join(paths)}"
            elif error.status_code == 405:
                reason = f"{request.url.path} takes {(error.headers or {}).get('Allow', 'another method')}"
            elif error.status_code == 400:  # FastAPI's, for whatever Python's reader of JSON raises
                reason = "not JSON: it is not UTF-8, nested too deeply, or has a number of too many digits"
            return refusal(request.url.path, error.status_code, reason, dict(error.headers or {}))

        @self.routes.exception_handler(Exception)
        async def failed(request: Request, error: Exception) -> JSONResponse:
            return refusal(request.url.path, 500, "the service failed; its log says why")


def _first_fault(error: RequestValidationError) -> tuple[int, str]:
    """Status and reason of the first fault: where it is and what is wrong. What was sent is not repeated."""
    fault = error.errors()[0]
    if fault["type"] == "json_invalid":
        return 400, f"not JSON: {fault['ctx']['error']}"
    path = [str(part) for part in fault["loc"] if part not in ("body", "one", "many", "Input")]
    return 422, f"{'.'.join(path) or 'the body'}: {str(fault['msg']).removeprefix('Value error, ')}"
