"""The main job on the embedded sample: train all nine tasks, score, predict, pack, check. Runs on a CPU.

Example:
  python -m scripts.demo

Makes the sample, fine-tunes convbert-mini, which comes with the project, on each task, writes the eleven
submission files, packs and checks submission.zip, prints the table of dev scores and writes report.html. The
texts are made up and their rules plain: the scores say that the way from data to zip works, not how good a
model is.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from common.command_line import CommandParser, path, run, tolerance
from common.errors import InputError
from encoders.runtime import usable_cores
from glue.tasks import TASKS, task_name
from scripts.make_sample import MODEL_FOLDER, write_sample

PROJECT = Path(__file__).resolve().parents[1]
MODEL = "convbert-mini"
# 600 rows are few: more epochs, and a higher rate below, than the authors' recipe has for thousands.
RECIPE = ("--both_orders", "False", "--layer_lr_decay", "0.9", "--save_steps", "76")
EPOCHS = 8


def make_parser() -> CommandParser:
    parser = CommandParser(prog="python -m scripts.demo", description=__doc__)
    parser.add_argument(
        "--output_dir",
        default="runs/demo",
        type=path,
        metavar="DIR",
        help="where all of it goes (default: runs/demo)",
    )
    parser.add_argument(
        "--tasks", nargs="+", type=task_name, metavar="TASK", help="train these only; pack nothing"
    )
    parser.add_argument(
        "--seed", type=int, default=42, metavar="N", help="seed of the trainings (default: 42)"
    )
    parser.add_argument(
        "--num_train_epochs", type=tolerance, default=EPOCHS, metavar="N",
        help=f"epochs of each training; fewer take less time and learn less (default: {EPOCHS})",
    )  # fmt: skip
    parser.add_switch("--shuffle_train_labels", help="the control: training labels that say nothing")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    flags = make_parser().parse_args(argv)
    folder, started = Path(flags.output_dir), time.monotonic()
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "data" / MODEL_FOLDER).is_dir():
        raise InputError("holds something else than a demo; take another --output_dir", path=folder)
    write_sample(folder / "data", shuffle_train_labels=flags.shuffle_train_labels, overwrite=True)
    _say(f"sample written to {folder / 'data'}")
    tasks = flags.tasks or list(TASKS)
    train_all(folder, tasks, "--seed", flags.seed, "--num_train_epochs", flags.num_train_epochs)
    if not flags.tasks:
        archive = folder / "submission.zip"
        data = ("--data_dir", folder / "data")
        manifest = ("--manifest", "--runs", folder)
        command(
            "submission.pack", "--predictions", folder / "predictions", "--output", archive, *manifest, *data
        )
        print(command("submission.check", archive, *data), end="\n\n")
    print(command("glue.summary", folder))
    print(
        f"\n{command('lab.report', '--runs', folder, '--data_dir', folder / 'data')}: all of it on one page"
    )
    if not flags.tasks:
        print(f"{archive} is packed and checked")
    _say(f"{time.monotonic() - started:.0f} s in all")


def train_all(folder: Path, tasks: Sequence[str], *flags: object) -> None:
    """Train and predict each task in processes of one thread, as many at a time as there are cores."""
    # Models this small gain nothing from a second thread, and the tasks do not wait for one another.
    with ThreadPoolExecutor(usable_cores()) as pool:
        jobs = {pool.submit(_train_and_predict, folder, task, *flags): task for task in tasks}
        try:
            for number, job in enumerate(as_completed(jobs), 1):
                _say(f"[{number}/{len(tasks)}] {job.result()}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _train_and_predict(folder: Path, task: str, *flags: object) -> str:
    started = time.monotonic()
    common = ("--task_name", task, "--data_dir", folder / "data", "--num_workers", 1)
    run_folder = folder / task
    result = command(
        "glue.run_glue", *common, "--model_name_or_path", MODEL, "--output_dir", run_folder,
        "--overwrite_output_dir", *flags, *RECIPE,
    )  # fmt: skip
    command(
        "glue.run_predict", *common, "--ckpt_path", run_folder / "best",
        "--output_dir", folder / "predictions",
    )  # fmt: skip
    command("glue.run_predict", *common, "--ckpt_path", run_folder / "best", "--split", "dev")  # for the page
    return f"{result.partition(';')[0]} ({time.monotonic() - started:.0f} s)"


def command(module: str, *flags: object) -> str:
    """What ``python -m MODULE WORDS`` prints; InputError with its last message when it fails."""
    paths = [str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])]
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, flags)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        encoding="utf-8",
    )
    if done.returncode:
        last_line = (done.stderr or done.stdout).strip().rsplit("\n", 1)[-1]
        raise InputError(f"{module} {' '.join(map(str, flags))}: exit {done.returncode}: {last_line}")
    return done.stdout.strip()


def _say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    run(main)
