"""What ``deploy.infer`` and ``deploy.predict`` share: their flags; one row, or a file streamed. No Paddle."""

import io
import json
import sys
import time
from argparse import Namespace
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.command_line import CommandParser, count_or_0, path
from common.errors import InputError, UsageError
from common.flags import add_batches, add_label_map, add_lower_case, add_machine_flags, set_workers
from common.messages import escape_unprintable, say
from deploy.rows import DEFAULT_TEXT, Row, check_row, choices_of, read_rows

if TYPE_CHECKING:
    from deploy.models import Model

CHUNK = 2048  # rows that are read, sorted by length and answered at once
_OUTPUTS = (".tsv", ".jsonl")


def add_flags(parser: CommandParser) -> None:
    parser.add_argument("--text", "--question", metavar="T", help=f"a text (default: “{DEFAULT_TEXT}”)")
    parser.add_argument(
        "--text_pair", "--context", metavar="T", help="the second text of a pair, or a question's passage"
    )
    parser.add_argument(
        "--input", type=path, metavar="FILE", help=".txt (a text a line), .tsv (with a header) or .jsonl"
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
    if flags.output:
        answer_file(model, flags)
    elif not flags.input:
        row = single_row(model, flags)
        found = model.answer([row])[0]
        print(json.dumps(found) if flags.json else described(found))
        rows: Sequence[Row] = [row]
    if flags.benchmark:
        from deploy.benchmark import measure

        if flags.input:
            rows = list(islice(_rows(model, flags), CHUNK))
        print(measure(model, rows, flags.batch_size, flags.warmup))


def single_row(model: "Model", flags: Namespace) -> Row:
    """The row that --text and --text_pair make, checked; a wrong number of texts is a UsageError."""
    given = flags.text is not None
    row = tuple(text for text in (flags.text if given else DEFAULT_TEXT, flags.text_pair) if text is not None)
    check_row(row, ("--text", "--text_pair")[: len(row)], "the command line")
    if len(row) not in model.texts:
        if model.kind == "question":
            raise UsageError("this model answers questions: give --question and --context")
        wanted = "one text: leave out --text_pair" if len(row) == 2 else "pairs: give --text_pair too"
        if given:
            raise UsageError(f"this model was trained on {wanted}")
        say(f"note: this model was trained on {wanted}")
    return row


def described(found: dict[str, Any]) -> str:
    """An answer in a line or two, the first as the reference printed it."""
    if "score" in found:
        return f"score: {found['score']:.7f}"
    if "answer" in found:
        text = escape_unprintable(found["answer"]) or "(no answer)"
        return f"answer: {text}\nstart: {found['start']}, end: {found['end']}, prob: {found['prob']:.7f}"
    shares = ", ".join(f"{label} {value:.4f}" for label, value in found["probabilities"].items())
    return f"label_id: {found['label_id']}, prob: {found['prob']:.7f}\nprobabilities: {shares}"


def _rows(model: "Model", flags: Namespace) -> Iterator[Row]:
    own: Sequence[str] = getattr(getattr(model, "task", None), "text_columns", ())
    choices = [flags.columns.split(",")] if flags.columns else choices_of(model.kind, own)
    for number, row in read_rows(flags.input, choices):
        if len(row) not in model.texts:
            wanted = " or ".join(str(number) for number in model.texts)
            raise InputError(f"{flags.input}:{number}: the model takes {wanted} texts, not {len(row)}")
        yield row


def _chunks(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    rows = iter(rows)
    while chunk := list(islice(rows, size)):
        yield chunk


def answer_file(model: "Model", flags: Namespace) -> None:
    """Stream --input through the model into --output, which takes its name when all of it is there."""
    from tqdm import tqdm

    from common.files import atomic_write

    started, total = time.monotonic(), 0
    hidden = not sys.stderr.isatty()
    with atomic_write(flags.output) as raw, tqdm(unit="row", desc="answering", disable=hidden) as bar:
        file = io.TextIOWrapper(raw, encoding="utf-8", newline="\n", write_through=True)
        for chunk in _chunks(_rows(model, flags), CHUNK):
            for found in model.answer(chunk, flags.batch_size):
                file.write(_line(total, found, Path(flags.output).suffix, model))
                total += 1
            bar.update(len(chunk))
        file.detach()
    if not total:
        raise InputError(f"{flags.input}: no rows")
    seconds = time.monotonic() - started
    print(f"{flags.output}: {total} rows", flush=True)
    say(f"{seconds:.1f} s, {total / seconds:.1f} rows/s")


def _line(index: int, found: dict[str, Any], suffix: str, model: "Model") -> str:
    """A line of the output file, before the first one of a .tsv its header."""
    if suffix == ".jsonl":
        return json.dumps({"index": index, **found}) + "\n"
    cells: dict[str, Any] = {"index": index, **found}
    for label, value in cells.pop("probabilities", {}).items():
        cells[f"prob_{label}"] = value
    line = "\t".join(_cell(value) for value in cells.values()) + "\n"
    return "\t".join(cells) + "\n" + line if index == 0 else line


def _cell(value: Any) -> str:
    # An answer's text may hold what separates cells and lines.
    return (
        json.dumps(value)[1:-1] if isinstance(value, str) and ("\t" in value or "\n" in value) else str(value)
    )
