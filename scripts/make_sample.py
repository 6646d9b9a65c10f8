"""Write the embedded sample: all nine GLUE tasks and AX in the official formats, and a tiny model folder.

Example:
  python -m scripts.make_sample --output_dir sample
  python -m glue.run_glue --task_name rte --data_dir sample --model_name_or_path sample/tiny-convbert \\
      --from_scratch --output_dir runs/rte

The texts are the project's own; layout, headers and quirks are those of the official files. The same
--rows and --seed give the same bytes on every machine and Python.
"""

import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from common.command_line import CommandParser, count, path, run, tolerance
from common.dispatch import dispatch
from common.errors import InputError, UsageError
from common.files import sha256_of, write_text
from common.messages import say
from glue.data import find_file, read_gold
from glue.tasks import TASKS, Split, Task
from scripts.sample_language import PATTERNS, Dice, Texts, make_rows, with_noise
from scripts.tiny_model import write_model_folder

if TYPE_CHECKING:
    import numpy as np

ROWS = 600  # of a training file
MODEL_FOLDER = "tiny-convbert"
_FEWEST = 40
_NLI = (
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse "
    "sentence1_parse sentence2_parse sentence1 sentence2"
)
_STS = "index genre filename year old_index source1 source2 sentence1 sentence2"

# The official headers of train, dev and test (CoLA's first two have none); a blank within a name is a ~.
# The other tasks have an index, the texts, and the label where it is known.
HEADERS: dict[str, tuple[str, ...]] = {
    "cola": ("", "", "index sentence"),
    "sst-2": ("sentence label", "sentence label", "index sentence"),
    "mrpc": (*["Quality #1~ID #2~ID #1~String #2~String"] * 2, "index #1~ID #2~ID #1~String #2~String"),
    "sts-b": (f"{_STS} score", f"{_STS} score", _STS),
    "qqp": (*["id qid1 qid2 question1 question2 is_duplicate"] * 2, "id question1 question2"),
    "mnli": (f"{_NLI} label1 gold_label", f"{_NLI} label1 label2 label3 label4 label5 gold_label", _NLI),
}
_KINDS = ("train", "dev", "test")

# Lines of QQP's training file that readers must skip: a question broken in two by a line feed (two
# lines), an empty second question, a row without its end.
QQP_DEFECTS = (
    "17\t35\t36\tHow does a young nurse learn",
    "chess?\tIs chess good for a nurse?\t1",
    "18\t37\t38\tWhy is guitar famous for a sailor?\t\t0",
    "19\t39\t40\tWould a doctor of the village like french?",
)


def row_count(split: Split, rows: int = ROWS) -> int:
    """How many good rows the sample has in a split when its training files have ``rows``."""
    return {"train": rows, "dev": rows // 4, "test": rows // 8}[split.kind]


def row_counts(rows: int = ROWS) -> dict[str, int]:
    """File below the data folder (``RTE/dev.tsv``) → its number of good rows, for every file."""
    return {split.file: row_count(split, rows) for task in TASKS.values() for split in task.splits}


def write_sample(
    folder: str | Path, rows: int = ROWS, seed: int = 0, shuffle_train_labels: bool = False,
    overwrite: bool = False,
    label_noise: float = 0.0,
) -> None:  # fmt: skip
    """Write the nine tasks, AX and the model folder ``tiny-convbert`` below ``folder``.

    rows: of each training file, at least 40; dev files have a quarter, test files an eighth.
    shuffle_train_labels: the control: training files with the same texts, the same labels, unrelated.
    overwrite: take a folder that holds other files; without it they are an InputError, and nothing is
    written. Files of this very sample are no hindrance.
    label_noise: the share of rows in every dev file whose label is wrong. What a model that knows every
    rule scores on such files is ``best_possible_scores``.
    """
    from tqdm import tqdm

    if rows < _FEWEST:
        raise UsageError(f"--rows {rows}: at least {_FEWEST} are needed")
    if label_noise > 1:
        raise UsageError(f"--label_noise {label_noise}: a share is at most 1")
    root = Path(folder)
    if not overwrite and root.is_dir() and any(root.iterdir()):
        _refuse_other_files(root, _texts(rows, seed, shuffle_train_labels, label_noise))
    counts = row_counts(rows)
    with tqdm(total=sum(counts.values()), unit="row", disable=not sys.stderr.isatty()) as bar:
        for name, text in _texts(rows, seed, shuffle_train_labels, label_noise):
            write_text(root / name, text)
            bar.update(counts[name])
    write_model_folder(root / MODEL_FOLDER)


def best_possible_scores(folder: str | Path, rows: int = ROWS, seed: int = 0) -> dict[str, float]:
    """Task → the main dev score, on a sample with noise, of a model that knows every rule of the texts.

    folder, rows, seed: where the sample is, and what it was made with.
    """
    with TemporaryDirectory() as rules:
        write_sample(rules, rows, seed)
        return {task.name: _score_of_rules(task, folder, rules) for task in TASKS.values()}


def _score_of_rules(task: Task, folder: str | Path, rules: str) -> float:
    def labels(data: str | Path, split: Split) -> "np.ndarray":
        return task.values_of([str(label) for label in read_gold(task, split, find_file(data, split))])

    parts = []
    for split in task.of_kind("dev"):
        known = labels(rules, split)
        parts.append((labels(folder, split), (3 * known / 5).round() if task.is_regression else known))
    scores: dict[str, float] = dispatch("metrics.task_scores:score_task", task, parts)
    return scores["main"]


def _texts(rows: int, seed: int, shuffle_train_labels: bool, label_noise: float) -> Iterator[tuple[str, str]]:
    """(path below the data folder, text) of every data file; one at a time is held."""
    for task in TASKS.values():
        dice, used = Dice(seed, task.name), set[Texts]()
        for split in task.splits:
            made = make_rows(task.name, split.part, row_count(split, rows), dice, used)
            if split.kind == "train" and shuffle_train_labels:
                labels = Dice(seed, task.name, "shuffled").shuffled([label for _, label in made])
                made = [(texts, label) for (texts, _), label in zip(made, labels, strict=True)]
            if split.kind == "dev":
                made = with_noise(made, label_noise, Dice(seed, split.file, "noise"))
            yield split.file, _file_text(task, split, made, dice)


def _refuse_other_files(root: Path, texts: Iterator[tuple[str, str]]) -> None:
    """InputError for a file below ``root`` that is not, byte for byte, one of the sample's."""
    digests = {name: sha256(text.encode("utf-8")).hexdigest() for name, text in texts}
    with TemporaryDirectory() as fresh:
        write_model_folder(Path(fresh) / MODEL_FOLDER)
        for written in Path(fresh, MODEL_FOLDER).iterdir():
            digests[f"{MODEL_FOLDER}/{written.name}"] = sha256_of(written)
    for entry in root.rglob("*"):
        name = entry.relative_to(root).as_posix()
        if not entry.is_dir() and (name not in digests or sha256_of(entry) != digests[name]):
            message = "is no file of this sample; give an empty folder, or write over it with --overwrite"
            raise InputError(message, path=entry)


def _file_text(task: Task, split: Split, rows: list[tuple[Texts, str]], dice: Dice) -> str:
    if split.part == "mismatched" and split.kind == "test":
        rows[4] = (("Say that again? ", "n/a"), rows[4][1])
    columns = list(split.headless) or _columns(task, split)
    lines = [] if split.headless else ["\t".join(columns)]
    for row, (texts, label) in enumerate(rows):
        cells = _cells(task, split, row, texts, label, dice)
        lines.append("\t".join(cells[name] for name in columns))
    if split.skips_defects:
        lines[30:30] = QQP_DEFECTS[:2]
        lines[20:20] = QQP_DEFECTS[2:]
    # Two official files lack the last newline, two begin with a byte-order mark.
    unended = split.part == "diagnostic" or (split.headless and split.kind == "dev")
    marked = "Quality" in columns
    return ("\ufeff" if marked else "") + "\n".join(lines) + ("" if unended else "\n")


def _columns(task: Task, split: Split) -> list[str]:
    if task.name in HEADERS and split.part != "diagnostic":
        return [name.replace("~", " ") for name in HEADERS[task.name][_KINDS.index(split.kind)].split()]
    return ["index", *task.text_columns, *([task.label_column] if split.kind != "test" else [])]


def _cells(task: Task, split: Split, row: int, texts: Texts, label: str, dice: Dice) -> dict[str, str]:
    """Column name → cell, for every column that some file of the task has."""
    if task.is_regression:
        # Of three marked words so many agree: 0 to 5 in thirds, give or take 0.4, as means of annotators.
        score = 5 * int(label) / 3 + 0.2 * (dice.below(5) - 2)
        label = f"{min(5.0, max(0.0, score)):.3f}"
    number = dice.below(1_000_000)
    is_test = split.kind == "test"
    # The linguists' marks, blank in most rows.
    mark = "" if label == "1" else "??" if number % 9 == 0 else "*"
    cells = {
        "index": str(row), "id": str(row if is_test else row * 7 + number % 7), "qid1": str(number),
        "qid2": str(number + 1), "#1 ID": str(1_000_000 + number),
        "#2 ID": str(1_000_000 + number * 3 % 999_983), "promptID": str(number),
        "pairID": f"{number}{'' if is_test else label[0]}", "filename": "templates",
        "genre": PATTERNS[task.name].nouns.get(split.part, "main-sample"), "year": f"2020{split.kind}",
        "old_index": f"{row:04d}", "source1": "none", "source2": "none", "source": f"mk{number % 20:02d}",
        "mark": mark, **{f"label{annotator}": label for annotator in range(1, 6)},
    }  # fmt: skip
    for position, (name, text) in enumerate(zip(task.text_columns, texts, strict=True), 1):
        words = text.split()
        opened = " ".join(f"( {word}" for word in words[:-1])
        cells[f"sentence{position}_binary_parse"] = f"{opened} {words[-1]}{' )' * (len(words) - 1)}"
        cells[f"sentence{position}_parse"] = f"(ROOT {' '.join(f'(X {word})' for word in words)})"
        cells[name] = text + _ending(task, split, row, position)
    return {**cells, task.label_column: label}


def _ending(task: Task, split: Split, row: int, position: int) -> str:
    """Trailing blanks where official texts have them: SST-2's labelled rows, some MNLI hypotheses."""
    if task.name == "sst-2":
        return "" if split.kind == "test" else " "
    return " " if task.name == "mnli" and position == 2 and row % 17 == 2 else ""


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.make_sample", description=__doc__)
    parser.add_argument("--output_dir", required=True, type=path, metavar="DIR", help="folder to write into")
    parser.add_argument(
        "--rows", type=count, default=ROWS, metavar="N", help=f"rows of a training file (default: {ROWS})"
    )
    help_text = "another seed, another sample (default: 0)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=help_text)
    help_text = "a control: training labels that say nothing of the texts"
    parser.add_switch("--shuffle_train_labels", help=help_text)
    help_text = "share of the dev rows with a wrong label; the best possible scores are printed (default: 0)"
    parser.add_argument("--label_noise", type=tolerance, default=0.0, metavar="SHARE", help=help_text)
    parser.add_switch("--overwrite", help="also into a folder that holds other files")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    noise = flags.label_noise
    write_sample(flags.output_dir, flags.rows, flags.seed, flags.shuffle_train_labels, flags.overwrite, noise)
    counts = row_counts(flags.rows)
    say(f"{len(counts)} files, {sum(counts.values())} rows, and {MODEL_FOLDER}/ in {flags.output_dir}")
    if flags.label_noise:
        print(score_line(best_possible_scores(flags.output_dir, flags.rows, flags.seed)))


def score_line(best: dict[str, float]) -> str:
    """What the scores of ``best_possible_scores`` mean, and what they are."""
    scores = ", ".join(f"{TASKS[task].folder} {100 * score:.1f}" for task, score in best.items())
    return f"With these labels, a model that knows every rule of the texts scores {scores}."


if __name__ == "__main__":
    run(main)
