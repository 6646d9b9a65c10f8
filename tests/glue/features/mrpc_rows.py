"""Three rows of MRPC, and how they are read."""

from pathlib import Path

from encoders.batching import Features
from encoders.tokenizer import Tokenizer
from glue.features import SplitFeatures, load_split
from glue.tasks import TASKS

VOCABULARY = Path(__file__).parents[2] / "golden" / "tokenizer" / "vocab.txt"
MRPC = TASKS["mrpc"]
(TRAIN,) = MRPC.of_kind("train")
PAIRS = [
    ("the man is good", "the good man", "1"),
    ('a "raw" quote .', "n/a", "0"),
    ("café film", "the film is boring . very boring . not good at all .", "0"),
]


def write_data(folder: Path, pairs: list[tuple[str, str, str]]) -> Path:
    lines = ["Quality\t#1 ID\t#2 ID\t#1 String\t#2 String"]
    lines += [f"{label}\t1\t2\t{first}\t{second}" for first, second, label in pairs]
    (folder / "MRPC").mkdir(parents=True, exist_ok=True)
    (folder / "MRPC" / "train.tsv").write_bytes("".join(line + "\n" for line in lines).encode())
    return folder


def load(data: Path, tokenizer: Tokenizer, max_length: int = 128) -> SplitFeatures:
    return load_split(MRPC, TRAIN, data, tokenizer, max_length)


def assert_equal(found: Features, wanted: Features) -> None:
    for name in ("ids", "starts", "first_lengths"):
        one, other = getattr(found, name), getattr(wanted, name)
        assert (one.dtype, one.tolist()) == (other.dtype, other.tolist())


def rows_of(found: Features) -> list[tuple[list[int], int]]:
    return [
        (found.ids[start:end].tolist(), int(first))
        for start, end, first in zip(found.starts[:-1], found.starts[1:], found.first_lengths, strict=True)
    ]


def texts(pairs: list[tuple[str, str, str]]) -> list[tuple[str, ...]]:
    return [(first, second) for first, second, _ in pairs]
