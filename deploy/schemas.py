"""What requests and answers of the service look like, with the limits in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from deploy.rows import TextRow, fault_of

_EXAMPLES = {
    "text": "A fine film .",
    "text_pair": "It was worth seeing .",
    "question": "Who came?",
    "context": "Ada came in 1907, and left.",
}


@dataclass(frozen=True)
class Limits:
    """What a service accepts."""

    inputs: int = 256  # of a request
    characters: int = 20_000  # of a text
    body: int = 1 << 20  # bytes of a request's
    requests: int = 1024  # at once
    seconds: float = 30.0  # for an answer, and for sending a request's body


class StrictModel(BaseModel):
    """Nothing may be in it that is not expected, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ErrorResponse(BaseModel):
    """Why a request was refused."""

    detail: str


class Prediction(BaseModel):
    """label_id: of the most probable label. prob: its probability. probabilities: of all labels."""

    label_id: int
    label: str
    prob: float
    probabilities: dict[str, float]


class Score(BaseModel):
    """A regression's answer."""

    score: float


class SpanAnswer(BaseModel):
    """answer: a slice of the context; start, end: its characters; empty and −1 where nothing is the answer.

    null_odds: what there is for no answer, of SQuAD 2.0 models.
    """

    answer: str
    start: int
    end: int
    prob: float
    null_odds: float | None = None


class PredictionResponse(BaseModel):
    """In the order of the inputs. model: the digest of the model's files."""

    predictions: list[Prediction | Score]
    model: str


class AnswerResponse(BaseModel):
    """In the order of the inputs. model: the digest of the model's files."""

    answers: list[SpanAnswer]
    model: str


class ReferenceResponse(BaseModel):
    """The reference service's form: texts of lists, under the names in ``key``."""

    err_no: int
    err_msg: str
    key: list[str]
    value: list[str]
    tensors: list[str]


def _answerable(text: str) -> str:
    if fault := fault_of(text):
        raise ValueError(fault)
    return text


def text_type(limits: Limits) -> Any:
    """A text that can be answered and is not too long."""
    return Annotated[str, Field(min_length=1, max_length=limits.characters), AfterValidator(_answerable)]


def request_type(fields: dict[str, bool], limits: Limits) -> Any:
    """One input as an object, or ``{"inputs": […]}`` of several.

    fields: Name → whether it is required. An input of several may be a bare text if one text is enough.
    """
    text = text_type(limits)
    types: dict[str, Any] = {
        name: (
            text if required else text | None,
            Field(... if required else None, examples=[_EXAMPLES[name]]),
        )
        for name, required in fields.items()
    }
    one: Any = create_model("Input", __base__=StrictModel, **types)
    item: Any = one | text if sum(fields.values()) == 1 else one
    inputs: Any = Annotated[list[item], Field(min_length=1, max_length=limits.inputs)]
    many: Any = create_model("Inputs", __base__=StrictModel, inputs=(inputs, ...))

    def number_of(value: Any) -> str:
        is_many = "inputs" in value if isinstance(value, dict) else hasattr(value, "inputs")
        return "many" if is_many else "one"

    return Annotated[Annotated[one, Tag("one")] | Annotated[many, Tag("many")], Discriminator(number_of)]


def rows_of(request: Any) -> list[TextRow]:
    """The rows in a request of ``request_type``."""
    inputs = request.inputs if hasattr(request, "inputs") else [request]
    return [
        (value,) if isinstance(value, str) else tuple(text for _, text in value if text is not None)
        for value in inputs
    ]


def reference_request_type(texts: Sequence[str], limits: Limits) -> Any:
    """``{"key": ["text"], "value": ["…"], "logid": 1}``; texts: the keys, for pairs text and text_pair."""
    two = Field(min_length=1, max_length=2)
    key: Any = Annotated[list[Literal["text", "text_pair"]], two]
    value: Any = Annotated[list[text_type(limits)], two]  # type: ignore[misc]
    return create_model(
        "ReferenceRequest",
        __base__=StrictModel,
        key=(key, Field(examples=[list(texts)])),
        value=(value, Field(examples=[[_EXAMPLES[name] for name in texts]])),
        logid=(int | None, Field(None, examples=[10000])),
    )


def reference_row(request: Any) -> TextRow:
    """The row in such a request; ValueError if keys and values do not go together."""
    texts = dict(zip(request.key, request.value, strict=False))
    if "text" not in texts or not len(request.key) == len(request.value) == len(texts):
        raise ValueError("key and value should name and hold the text, and for pairs the text_pair")
    return (texts["text"], texts["text_pair"]) if len(texts) == 2 else (texts["text"],)


def reference_response(answer: dict[str, Any]) -> ReferenceResponse:
    """An answer as the reference service wrote it: ``"[0]"``, ``"[0.995919]"``."""
    if "score" in answer:
        values = {"score": f"[{answer['score']:.6f}]"}
    else:
        values = {"label_id": f"[{answer['label_id']}]", "prob": f"[{answer['prob']:.6f}]"}
    return ReferenceResponse(err_no=0, err_msg="", key=list(values), value=list(values.values()), tensors=[])
