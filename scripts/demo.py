"""The main job on the embedded sample: train all nine tasks, score, predict, pack, check. Runs on a CPU.

Example:
  python -m scripts.demo

Makes the sample, fine-tunes convbert-mini, which comes with the project, on each task, writes the eleven
submission files, packs and checks submission.zip, prints the table of dev scores and writes report.html. The
texts are made up and their rules plain: the scores say that the way from data to zip works, not how good a
model is.
"""

import itertools
import subprocess
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path
from typing import Any

import submission
from common.command_line import CommandParser, path, run, tolerance
from common.dispatch import dispatch
from common.errors import InputError
from common.files import write_text
from common.messages import say
from encoders.runtime import usable_cores
from glue import summary
from glue.tasks import TASKS, task_name
from lab.command_chain import chain_command, chain_environment, chain_line, last_line
from scripts.make_sample import MODEL_FOLDER, ROWS, best_possible_scores, score_line, write_sample
from submission.check import main as check

MODEL = "convbert-mini"
# 600 rows are few: more epochs, and a higher rate below, than the authors' recipe has for thousands.
RECIPE = ("--both_orders", "False", "--layer_lr_decay", "0.9", "--save_steps", "38")
EPOCHS = {"mnli": 7, "cola": 8, "wnli": 7, "qnli": 4, "sts-b": 4}
OTHER_EPOCHS = 3
LABEL_NOISE = 0.08  # the share of wrong dev labels, so that scores look like real ones: none can be 100


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.demo", description=__doc__)
    help_text = "where all of it goes (default: runs/demo)"
    parser.add_argument("--output_dir", default="runs/demo", type=path, metavar="DIR", help=help_text)
    help_text = "train these only; pack nothing"
    parser.add_argument("--tasks", nargs="+", type=task_name, metavar="TASK", help=help_text)
    help_text = "seed of the trainings (default: 42)"
    parser.add_argument("--seed", type=int, default=42, metavar="N", help=help_text)
    parser.add_argument(
        "--num_train_epochs", type=tolerance, metavar="N",
        help="epochs of each training; fewer take less time and learn less (default: 3 to 8, by task)",
    )  # fmt: skip
    parser.add_switch("--shuffle_train_labels", help="the control: training labels that say nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    folder, started = Path(flags.output_dir), time.monotonic()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "data" / MODEL_FOLDER).is_dir():
        raise InputError("holds something else than a demo; take another --output_dir", path=folder)
    write_sample(folder / "data", ROWS, 0, flags.shuffle_train_labels, True, LABEL_NOISE)
    say(f"sample written to {folder / 'data'}")
    tasks = flags.tasks or list(TASKS)
    train_all(folder, tasks, flags.num_train_epochs, "--seed", flags.seed)
    data, predictions, archive = folder / "data", folder / "predictions", folder / "submission.zip"
    if not flags.tasks:
        submission.pack(predictions, archive, data, manifest=True, runs=folder)
        check([str(archive), "--data_dir", str(data)])
        print()
    summary.main([str(folder)])
    print(score_line(best_possible_scores(data)))
    page = folder / "report.html"
    zipped = archive if archive.is_file() else None
    write_text(page, dispatch("lab.report_page:page", folder, data, zipped))
    print(f"\n{page}: all of it on one page")
    if not flags.tasks:
        print(f"{archive} is packed and checked")
    say(f"{time.monotonic() - started:.0f} s in all")


def train_all(folder: Path, tasks: Sequence[str], epochs: float | None, *flags: object) -> None:
    """Train and predict each task, in as many processes of one thread as there are cores."""
    # Models this small gain nothing from a second thread, and the tasks do not wait for one another.
    lengths = {task: EPOCHS.get(task, OTHER_EPOCHS) if epochs is None else epochs for task in tasks}
    longest = sorted(tasks, key=lambda task: -lengths[task] * len(TASKS[task].text_columns))
    jobs = deque((task, _commands(folder, task, lengths[task], *flags)) for task in longest)
    processes: list[subprocess.Popen[str]] = []
    numbers = itertools.count(1)
    with ThreadPoolExecutor(count := min(usable_cores(), len(jobs))) as pool:
        workers = [pool.submit(_work, jobs, processes, numbers, len(tasks)) for _ in range(count)]
        try:
            for worker in as_completed(workers):
                worker.result()
        except BaseException:
            jobs.clear()
            for process in processes:
                process.kill()
            raise


def _commands(folder: Path, task: str, epochs: float, *flags: object) -> list[tuple[object, ...]]:
    common = ("--task_name", task, "--data_dir", folder / "data", "--num_workers", 1)
    train = (
        "glue.run_glue", *common, "--model_name_or_path", MODEL, "--output_dir", folder / task,
        "--overwrite_output_dir", "--num_train_epochs", epochs, *flags, *RECIPE,
    )  # fmt: skip
    best, target = folder / task / "best", folder / "predictions"
    return [train, ("glue.run_predict", *common, "--ckpt_path", best, "--output_dir", target)]


def _work(
    jobs: "deque[Any]", processes: "list[subprocess.Popen[str]]", numbers: Iterator[int], total: int
) -> None:
    """Let a process of its own, which imports everything once, do one job after the other."""
    with tempfile.TemporaryFile("w+", encoding="utf-8") as errors:
        process = subprocess.Popen(
            chain_command(None), env=chain_environment(threads=1), encoding="utf-8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
        )  # fmt: skip
        processes.append(process)
        assert process.stdin is not None
        assert process.stdout is not None
        task = ""
        with suppress(IndexError, BrokenPipeError):  # nothing is left to do, or the process failed
            while process.poll() is None:
                task, commands = jobs.popleft()
                started = time.monotonic()
                process.stdin.write(chain_line(commands))
                process.stdin.flush()
                if trained := next((line for line in process.stdout if line.startswith(f"{task}: ")), ""):
                    seconds = time.monotonic() - started
                    say(f"[{next(numbers)}/{total}] {trained.partition(';')[0]} ({seconds:.0f} s)")
        with suppress(BrokenPipeError):
            process.stdin.close()
        process.stdout.read()
        if code := process.wait():
            errors.seek(0)
            raise InputError(f"{task}: exit {code}: {last_line(errors.read())}")


if __name__ == "__main__":
    run(main)
