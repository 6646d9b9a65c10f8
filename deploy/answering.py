"""What ``deploy.infer`` and ``deploy.predict`` share: flags, answers to a row or a file, the benchmark."""

import json
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, count_or_0, path
from common.errors import InputError, UsageError
from common.files import atomic_write
from common.flags import add_batches, add_label_map, add_lower_case, add_machine_flags, set_workers
from common.messages import escape_unprintable, say
from common.progress import progress_bar
from deploy.rows import DEFAULT_TEXT, TextRow, check_row, column_choices, read_rows

if TYPE_CHECKING:
    from deploy.model import Model

CHUNK_ROWS = 2048  # that are read, sorted by length and answered at once
PERCENTILES = (50, 90, 95, 99)
MAX_TIMED_ROWS = 200  # of a benchmark, one by one
MAX_TIMED_SECONDS = 10.0  # after which no more of them are begun
MIN_TIMED_BATCHES = 4
_OUTPUTS = (".tsv", ".jsonl")


def add_flags(parser: CommandParser) -> None:
    parser.add_argument("--text", "--question", metavar="T", help=f"a text (default: “{DEFAULT_TEXT}”)")
    parser.add_argument(
        "--text_pair", "--context", metavar="T", help="the second text of a pair, or a question's passage"
    )
    parser.add_argument(
        "--input",
        type=path,
        metavar="FILE",
        help=".txt (a text a line), .tsv or .csv (with a header) or .jsonl",
    )
    parser.add_argument(
        "--output", type=path, metavar="FILE", help="of --input: .tsv or .jsonl; not needed for --benchmark"
    )
    parser.add_argument(
        "--columns",
        metavar="A[,B]",
        help="the texts' columns in --input: names, or numbers from 1 where a .tsv has no header "
        "(default: the task's, or text and text_pair, question and context, …)",
    )
    add_batches(parser)
    add_machine_flags(parser, "cpu", "gpu")
    parser.add_switch("--json", help="print the answer to a single row as a JSON object")
    parser.add_switch("--benchmark", help="print latency percentiles and throughput")
    parser.add_argument(
        "--warmup",
        type=count_or_0,
        default=10,
        metavar="N",
        help="rows before a benchmark's clock (default: 10)",
    )


def add_model_dir(parser: CommandParser) -> None:
    parser.add_argument(
        "--model_dir",
        required=True,
        type=path,
        metavar="DIR",
        help="what deploy.export wrote; or a fine-tuned model folder, which computes in Paddle as it is",
    )
    add_engine(parser)


def add_engine(parser: CommandParser) -> None:
    parser.add_argument(
        "--engine",
        choices=("dynamic", "bfloat16"),
        help="of a model folder: float32, or bfloat16 on a CPU that has it, where the labels are those of "
        "float32 and the probabilities nearly (default: dynamic, which is float32)",
    )


def add_model_path(parser: CommandParser) -> None:
    parser.add_argument(
        "--model_path",
        required=True,
        type=path,
        metavar="FOLDER",
        help="a fine-tuned model folder, or a run's folder (its best/ is taken)",
    )
    add_lower_case(parser)
    add_label_map(parser)


def check_flags(flags: Namespace) -> None:
    """UsageError where flags contradict each other."""
    set_workers(flags.num_workers)
    if flags.input and (flags.text is not None or flags.text_pair is not None):
        raise UsageError("--input and --text exclude each other")
    if flags.text_pair is not None and flags.text is None:
        raise UsageError("--text_pair (--context) needs --text (--question)")
    if flags.output and not flags.input:
        raise UsageError("--output needs --input")
    if flags.input and not (flags.output or flags.benchmark):
        raise UsageError("--input needs --output, or --benchmark")
    if flags.columns and not flags.input:
        raise UsageError("--columns is for --input")
    if flags.json and flags.input:
        raise UsageError("--json is for a single row; name the --output .jsonl")
    if flags.output and Path(flags.output).is_dir():
        raise UsageError(f"--output {flags.output}: is a folder")
    if flags.output and Path(flags.output).suffix not in _OUTPUTS:
        raise UsageError(f"--output {flags.output}: its name should end in .tsv or .jsonl")
    if flags.output and Path(flags.output).resolve() == Path(flags.input).resolve():
        raise UsageError("--input and --output name the same file")


def answer(model: "Model", flags: Namespace) -> None:
    """Answer what the flags name: results to stdout or --output, messages to stderr."""
    rows: Sequence[TextRow] = ()
    if flags.output:
        answer_file(model, flags)
    elif not flags.input:
        rows = [single_row(model, flags)]
        (result,) = model.answer(rows)
        print(json.dumps(result) if flags.json else describe(result))
    if flags.benchmark:
        rows = rows or list(islice(_rows(model, flags), CHUNK_ROWS))
        print(benchmark(model, rows, flags.batch_size, flags.warmup))


def single_row(model: "Model", flags: Namespace) -> TextRow:
    """The row that --text and --text_pair make, checked; a wrong number of texts is a UsageError."""
    first = DEFAULT_TEXT if flags.text is None else flags.text
    row = tuple(text for text in (first, flags.text_pair) if text is not None)
    check_row(row, ("--text", "--text_pair")[: len(row)])
    if len(row) not in model.texts:
        if model.kind == "question":
            raise UsageError("this model answers questions: give --question and --context")
        expected = "one text: leave out --text_pair" if len(row) == 2 else "pairs: give --text_pair too"
        raise UsageError(f"this model was trained on {expected}")
    return row


def describe(answer: dict[str, Any]) -> str:
    """An answer in a line or two, the first as the reference printed it."""
    if "score" in answer:
        return f"score: {answer['score']:.7f}"
    if "answer" in answer:
        text = escape_unprintable(answer["answer"]) or "(no answer)"
        return f"answer: {text}\nstart: {answer['start']}, end: {answer['end']}, prob: {answer['prob']:.7f}"
    shares = ", ".join(f"{label} {value:.4f}" for label, value in answer["probabilities"].items())
    return f"label_id: {answer['label_id']}, prob: {answer['prob']:.7f}\nprobabilities: {shares}"


def _rows(model: "Model", flags: Namespace) -> Iterator[TextRow]:
    """The rows of --input."""
    choices = [flags.columns.split(",")] if flags.columns else column_choices(model.kind, model.text_columns)
    for number, row in read_rows(flags.input, choices):
        if len(row) not in model.texts:
            counts = " or ".join(str(count) for count in model.texts)
            raise InputError(f"the model takes {counts} texts, not {len(row)}", path=flags.input, line=number)
        yield row


def answer_file(model: "Model", flags: Namespace) -> None:
    """Stream --input through the model into --output, which takes its name when all of it is there."""
    started, total = time.monotonic(), 0
    rows = _rows(model, flags)
    with atomic_write(flags.output) as file, progress_bar(None, "answering") as bar:
        while chunk := list(islice(rows, CHUNK_ROWS)):
            for result in model.answer(chunk, flags.batch_size):
                file.write(_line(total, result, Path(flags.output).suffix).encode())
                total += 1
            bar.update(len(chunk))
        if not total:
            raise InputError("no rows", path=flags.input)
    seconds = time.monotonic() - started
    print(f"{flags.output}: {total} rows", flush=True)
    say(f"{seconds:.1f} s, {total / seconds:.1f} rows/s")


def _line(index: int, answer: dict[str, Any], suffix: str) -> str:
    """A line of the output file, before the first one of a .tsv its header."""
    if suffix == ".jsonl":
        return json.dumps({"index": index, **answer}) + "\n"
    cells: dict[str, Any] = {"index": index, **answer}
    for label, value in cells.pop("probabilities", {}).items():
        cells[f"prob_{label}"] = value
    texts = map(str, cells.values())  # an answer may hold what separates cells and lines, which is escaped
    row = (json.dumps(text)[1:-1] if "\t" in text or "\n" in text else text for text in texts)
    return ("\t".join(cells) + "\n" if index == 0 else "") + "\t".join(row) + "\n"


def benchmark(model: "Model", rows: Sequence[TextRow], batch_size: int, warmup: int) -> str:
    """Two lines: latency percentiles of rows one by one, and throughput of all of them in batches."""
    import numpy as np

    def milliseconds(rows: Sequence[TextRow], batch_size: int) -> float:
        start = time.perf_counter()
        model.answer(rows, batch_size)
        return 1000 * (time.perf_counter() - start)

    for row in islice(cycle(rows), warmup):
        model.answer([row])
    times: list[float] = []
    for row in islice(cycle(rows), MAX_TIMED_ROWS):
        times.append(milliseconds([row], 1))
        if sum(times) > 1000 * MAX_TIMED_SECONDS:
            break
    many = list(rows) * max(1, -(-MIN_TIMED_BATCHES * batch_size // len(rows)))
    speed = 1000 * len(many) / milliseconds(many, batch_size)
    latencies = ", ".join(f"p{share} {np.percentile(times, share):.2f}" for share in PERCENTILES)
    return (
        f"latency of one row in ms ({len(times)} times): {latencies}, mean {np.mean(times):.2f}\n"
        f"throughput in batches of {batch_size} ({len(many)} rows): {speed:.1f} rows/s"
    )
