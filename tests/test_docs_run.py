"""Every example of the README and the guides runs on the embedded sample, with a tiny model and few steps.

The commands run in the order of the page in one process, those of a sweep's trials and of Paddle's launcher
too (tests/lab/test_sweep.py and tests/glue/test_distributed.py start their processes). Names of published
models become a tiny model's folder; what downloads, installs, or is what runs this test (make) is left out.
README_cn.md has the examples of README.md: tests/test_docs.py compares them.
"""

import contextlib
import importlib
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoints.folder import read_config, save_checkpoint
from checkpoints.network import arrays_of
from encoders.framework import paddle
from encoders.heads import SentenceClassifier
from encoders.tokenizer import Tokenizer
from lab.leaderboard import make_parser
from tests.docs_pages import PROJECT, blocks_of, command_of, shell_lines, text_of
from tests.glue.test_own_data import write_reviews
from tests.lab.trials import run_trials_in_this_process
from tests.test_python_api import squad_file

PAGES = [
    "README.md", "checkpoints/convbert-mini/README.md",
    *(f"docs/{name}.md" for name in ("quickstart", "finetuning", "submission", "many_runs", "squad",
                                     "pretraining", "deployment", "python")),
]  # fmt: skip
MODEL_NAMES = r"YituTech/conv-bert-\w+|convbert-mini(?!/)|my-bert"
# What makes a training short; of the guides' commands these are all that train.
SHORT = {
    "glue.run_glue": ["--max_steps", "2"],
    "squad.run_squad": ["--max_steps", "2", "--max_seq_length", "128", "--batch_size", "4"],
    "pretraining.run_pretrain": ["--max_steps", "2", "--train_batch_size", "4", "--save_steps", "1"],
    "lab.submit": ["--fill_missing", "majority"],
}
RUNS = {"docs/submission.md": ["mnli", "rte"], "docs/deployment.md": ["sst-2"]}  # that a page begins with
PLAN = "checkpoints: {tiny: MODEL}\nseeds: [1]\nsettings: {max_steps: 1}\ntasks: {rte: }\n"
SMALLER = {  # what stands on the page → what runs instead
    "--plan leaderboard": "--plan tiny_plan.yaml", "extends: quick\n": "", "seeds: [1, 2]": "seeds: [1]",
    "max_steps: 20, save_steps: 10": "max_steps: 2", " convbert-small": " convbert-mini",
}  # fmt: skip
TRAIN_ROWS = 40  # of each task: what trains without --max_steps is soon done
NOT_RUN = {"make", "pip", "python3", "."}  # these set up what the tests run in


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, sample_dir: Path) -> Path:
    """The sample's tiny ConvBERT with random weights."""
    config = read_config(sample_dir / "tiny-convbert")
    paddle.seed(1)
    folder = tmp_path_factory.mktemp("published") / "model"
    save_checkpoint(
        folder, config, arrays_of(SentenceClassifier(config)), Tokenizer(sample_dir / "tiny-convbert")
    )
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, sample_dir: Path) -> Path:
    """The sample, with few training rows."""
    folder = tmp_path_factory.mktemp("data")
    shutil.copytree(sample_dir, folder, dirs_exist_ok=True)
    for path in folder.glob("*/train.tsv"):
        lines = path.read_text("utf-8").splitlines(keepends=True)
        path.write_text("".join(lines[: TRAIN_ROWS + 1]), "utf-8")
    return folder


@pytest.fixture
def workplace(tmp_path: Path, data: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder in which a page's commands run, with the data that the downloads would bring."""
    (tmp_path / "glue_data").symlink_to(data)
    (tmp_path / "squad_data").mkdir()
    squad_file(tmp_path / "squad_data" / "train-v1.1.json", 8)
    squad_file(tmp_path / "squad_data" / "dev-v1.1.json", 4)
    (tmp_path / "corpus").mkdir()
    rows = (data / "RTE/train.tsv").read_text("utf-8").splitlines()
    (tmp_path / "corpus" / "train.data").write_text("\n".join(row.split("\t")[1] for row in rows), "utf-8")
    (tmp_path / "rows.jsonl").write_text('{"text": "A fine film ."}\n', "utf-8")
    write_reviews(tmp_path)
    (tmp_path / "tiny_plan.yaml").write_text(PLAN.replace("MODEL", str(model)), "utf-8")
    for name in ("scripts", "glue"):
        (tmp_path / name).symlink_to(PROJECT / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(PROJECT))
    run_trials_in_this_process(monkeypatch)
    return tmp_path


@contextlib.contextmanager
def service(port: int, command: list[str]) -> Iterator[None]:
    """A service that answers on a port till the block ends."""
    with subprocess.Popen([sys.executable, "-m", *command]) as process:
        try:
            for _ in range(600):
                with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                    break
                time.sleep(0.1)
            yield
        finally:
            process.terminate()


def run_line(words: list[str], services: contextlib.ExitStack, port: int) -> None:
    command = command_of(words)
    if words[0] in NOT_RUN or (command and command.module.startswith("scripts.download")):
        return
    if command is None:
        if shutil.which(words[0]):
            line = " ".join(word if word == ">" else shlex.quote(word) for word in words)
            subprocess.run(["bash", "-c", line], check=True)
    elif command.module == "deploy.serve":
        services.enter_context(service(port, [command.module, *command.flags]))
    elif command.module == "lab.leaderboard":  # takes its hours; tests/lab/test_leaderboard.py simulates them
        make_parser().parse_args(command.flags)
    else:
        flags = [*command.flags]
        if "--resume" not in flags:
            flags += SHORT.get(command.module, [])
        importlib.import_module(command.module).main(flags)


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(page: str, workplace: Path, model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    text = re.sub(MODEL_NAMES, str(model), text_of(page)).replace("18080", str(port))
    for usual, smaller in SMALLER.items():
        text = text.replace(usual, smaller)
    for task in RUNS.get(page, []):
        flags = ["--task_name", task, "--model_name_or_path", model, "--output_dir", f"runs/{task}"]
        run_line(
            ["python", "-m", "glue.run_glue", *map(str, flags), "--data_dir", "glue_data"],
            contextlib.ExitStack(),
            0,
        )
    with contextlib.ExitStack() as services:
        for language, code in blocks_of(text):
            if language == "yaml":
                Path(code.split()[1]).write_text(code, "utf-8")
            elif language == "python":
                exec(compile(code, page, "exec"), {})
            else:
                for words in shell_lines(code):
                    run_line(words, services, port)
