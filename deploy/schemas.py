"""What requests and answers of the service look like, with the limits in force."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, create_model

from deploy.rows import Row, fault_of

_EXAMPLES = {
    "text": "A fine film .",
    "text_pair": "It was worth seeing .",
    "question": "Who came?",
    "context": "Ada came in 1907, and left.",
}


@dataclass(frozen=True)
class Limits:
    """inputs: of a request. characters: of a text. body: bytes. requests: at once. seconds: for an answer,
    and for sending a request's body."""

    inputs: int = 256
    characters: int = 20_000
    body: int = 1 << 20
    requests: int = 1024
    seconds: float = 30.0


class Strict(BaseModel):
    """Nothing may be in it that is not expected, and nothing is converted."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Problem(BaseModel):
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


class Predictions(BaseModel):
    """In the order of the inputs. model: the digest of the model's files."""

    predictions: list[Prediction | Score]
    model: str


class SpanAnswers(BaseModel):
    """In the order of the inputs. model: the digest of the model's files."""

    answers: list[SpanAnswer]
    model: str


class ReferenceAnswer(BaseModel):
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


def _which(value: Any) -> str:
    many = "inputs" in value if isinstance(value, dict) else hasattr(value, "inputs")
    return "many" if many else "one"


def request_type(fields: dict[str, bool], limits: Limits) -> Any:
    """One input as an object, or ``{"inputs": […]}`` of several. fields: name → whether it must be there.

    An input of several may be a bare text where one text is enough.
    """
    text = text_type(limits)
    settings: dict[str, Any] = {
        name: (text, Field(examples=[_EXAMPLES[name]]))
        if needed
        else (text | None, Field(None, examples=[_EXAMPLES[name]]))
        for name, needed in fields.items()
    }
    one: Any = create_model("Input", __base__=Strict, **settings)
    several: Any = one | text if sum(fields.values()) == 1 else one
    inputs: Any = Annotated[list[several], Field(min_length=1, max_length=limits.inputs)]
    many: Any = create_model("Inputs", __base__=Strict, inputs=(inputs, ...))
    return Annotated[Annotated[one, Tag("one")] | Annotated[many, Tag("many")], Discriminator(_which)]


def rows_of(request: Any) -> list[Row]:
    """The rows in a request of ``request_type``."""
    inputs = request.inputs if hasattr(request, "inputs") else [request]
    return [
        (value,) if isinstance(value, str) else tuple(text for _, text in value if text is not None)
        for value in inputs
    ]


def reference_request_type(texts: Sequence[str], limits: Limits) -> Any:
    """``{"key": ["text"], "value": ["…"], "logid": 1}``; texts: the keys, for pairs text and text_pair."""
    two = Field(min_length=1, max_length=2)
    name: Any = Literal["text", "text_pair"]
    text: Any = text_type(limits)
    return create_model(
        "ReferenceRequest",
        __base__=Strict,
        key=(Annotated[list[name], two], Field(examples=[list(texts)])),
        value=(Annotated[list[text], two], Field(examples=[[_EXAMPLES[name] for name in texts]])),
        logid=(int | None, Field(None, examples=[10000])),
    )


def reference_row(request: Any) -> Row:
    """The row in such a request; ValueError if keys and values do not go together."""
    texts = dict(zip(request.key, request.value, strict=False))
    if "text" not in texts or not len(request.key) == len(request.value) == len(texts):
        raise ValueError("key and value should name and hold the text, and for pairs the text_pair")
    return (texts["text"], texts["text_pair"]) if len(texts) == 2 else (texts["text"],)


def reference_answer(found: dict[str, Any]) -> ReferenceAnswer:
    """An answer as the reference service wrote it: ``"[0]"``, ``"[0.995919]"``."""
    if "score" in found:
        said = {"score": f"[{found['score']:.6f}]"}
    else:
        said = {"label_id": f"[{found['label_id']}]", "prob": f"[{found['prob']:.6f}]"}
    return ReferenceAnswer(err_no=0, err_msg="", key=list(said), value=list(said.values()), tensors=[])
