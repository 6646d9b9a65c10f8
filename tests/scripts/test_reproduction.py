"""The training and reproduction scripts: what they call, with which settings; and the table they print."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import InputError
from common.files import write_json
from encoders.config import named
from glue import published, run_glue, run_predict
from glue.config import GlueTrainingConfig, preset_settings, resolve_glue_run
from glue.tasks import TASKS
from metrics.averages import leaderboard_average, missing_scores, paper_average
from pretraining import run_pretrain
from pretraining.config import OBJECTIVES
from pretraining.config import preset_settings as pretraining_settings
from pretraining.network import NETWORKS
from scripts import reproduction
from squad import published as squad_published
from squad import run_squad
from squad.config import SquadRunConfig, SquadTrainingConfig
from squad.config import preset_settings as squad_settings
from training.config import resolve
from training.run_config import resolve_run

SCRIPTS = Path(__file__).parents[2] / "scripts"
ONE_TASK = {f"train_{task}.sh": task for task in TASKS}


@pytest.fixture
def calls(tmp_path: Path):
    """Run a script with a ``python`` that only notes its words; returns the words of every call."""
    log, fake = tmp_path / "calls.jsonl", tmp_path / "python"
    program = f"import json, os, sys\nopen({str(log)!r}, 'a').write(json.dumps(sys.argv[1:]) + '\\n')\n"
    program += f"open({str(tmp_path / 'cwd')!r}, 'a').write(os.getcwd() + '\\n')\n"
    fake.write_text(f"#!{sys.executable}\n{program}", encoding="utf-8")
    fake.chmod(0o755)

    def run(script: str, *argv: str, **environment: str) -> list[list[str]]:
        subprocess.run(
            [SCRIPTS / script, *argv], check=True, cwd=tmp_path,
            env={"PATH": os.environ["PATH"], "PYTHON": str(fake), **environment},
        )  # fmt: skip
        return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]

    return run


def glue_recipe(argv: list[str], size: str) -> GlueTrainingConfig:
    flags = run_glue.make_parser().parse_args(argv)
    return resolve_glue_run(vars(flags), named(size)).training


def test_every_task_has_its_script() -> None:
    result = {path.name for path in SCRIPTS.glob("train_*.sh")}
    assert result == set(ONE_TASK)


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_a_script_can_be_started_and_its_shell_can_read_it(script: str) -> None:
    assert os.access(SCRIPTS / script, os.X_OK)
    shell = (SCRIPTS / script).read_text(encoding="utf-8").splitlines()[0].split("/")[-1].split()[-1]
    subprocess.run([shell, "-n", SCRIPTS / script], check=True)


@pytest.mark.parametrize(("script", "task"), ONE_TASK.items())
@pytest.mark.parametrize("preset", ["", "authors", "reference"])
def test_a_tasks_script_trains_with_the_published_settings(
    calls, script: str, task: str, preset: str
) -> None:
    ((dash, module, *argv),) = calls(script, **({"PRESET": preset} if preset else {}))
    assert (dash, module) == ("-m", "glue.run_glue")
    flags = run_glue.make_parser().parse_args(argv)
    assert (flags.task_name, flags.resume) == (task, True)
    assert (flags.output_dir, flags.data_dir) == (f"runs/{task}", "glue_data")
    assert flags.model_name_or_path == "YituTech/conv-bert-base"
    for size in ("small", "medium-small", "base"):
        settings = preset_settings(preset or "authors", named(size), TASKS[task])
        assert glue_recipe(argv, size) == dataclasses.replace(GlueTrainingConfig(), **settings)


def test_what_the_user_says_wins(calls) -> None:
    named_by = {"MODEL": "my model", "DATA_DIR": "/d", "RUNS": "/r"}
    ((_, _, *argv),) = calls("train_rte.sh", "--seed", "7", "--learning_rate", "5e-5", **named_by)
    flags = run_glue.make_parser().parse_args(argv)
    assert (flags.model_name_or_path, flags.data_dir, flags.output_dir) == ("my model", "/d", "/r/rte")
    assert (glue_recipe(argv, "base").seed, glue_recipe(argv, "base").learning_rate) == (7, 5e-5)


def test_the_glue_table_is_made_of_all_tasks(calls) -> None:
    made = calls("reproduce_glue.sh", "--device", "gpu", PRESET="reference", SIZE="small")
    trained = [
        run_glue.make_parser().parse_args(argv) for _, module, *argv in made if module == "glue.run_glue"
    ]
    assert [flags.task_name for flags in trained] == list(TASKS)
    assert {flags.preset for flags in trained} == {"reference"}
    assert {flags.device for flags in trained} == {"gpu"}
    predicted = [argv for _, module, *argv in made if module == "glue.run_predict"]
    assert [argv[argv.index("--ckpt_path") + 1] for argv in predicted] == [
        f"{flags.output_dir}/best" for flags in trained
    ]
    assert made[-2][1:] == ["submission.pack", "--predictions", "runs/glue-reference/predictions", "--output",
                            "runs/glue-reference/submission.zip"]  # fmt: skip
    assert made[-1][1:] == ["scripts.reproduction", "runs/glue-reference", "--size", "small"]


@pytest.mark.parametrize(
    ("argv", "device"),
    [(["--device", "gpu"], "gpu"), (["--device=xpu", "--seed", "1"], "xpu"), (["--seed", "1"], "cpu")],
)
def test_what_trains_on_a_device_predicts_there(calls, argv: list[str], device: str) -> None:
    predicted = [
        message for _, module, *message in calls("reproduce_glue.sh", *argv) if "run_predict" in module
    ]
    assert len(predicted) == len(TASKS)
    assert {run_predict.make_parser().parse_args(message).device for message in predicted} == {device}


@pytest.mark.parametrize(("preset", "head"), [("authors", "joint"), ("reference", "linear")])
def test_the_squad_table_is_made_of_both_versions(calls, preset: str, head: str) -> None:
    made = calls("reproduce_squad.sh", PRESET=preset, MODEL="m", DATA_DIR="d", RUNS="r")
    modules = [argv[1] for argv in made]
    assert modules == ["squad.run_squad", "squad.evaluate"] * 2 + ["scripts.reproduction"]
    for (_, _, *argv), version in zip(made[0:4:2], ("1.1", "2.0"), strict=True):
        flags = run_squad.make_parser().parse_args(argv)
        files = (flags.train_file, flags.predict_file, flags.output_dir)
        assert tuple(map(str, files)) == (
            f"d/train-v{version}.json",
            f"d/dev-v{version}.json",
            f"r/{version}",
        )
        result = named("base")
        recipe = resolve_run(SquadRunConfig, vars(flags), result, squad_settings).training
        settings = squad_settings(preset, result)
        assert recipe == dataclasses.replace(SquadTrainingConfig(), qa_head=head, **settings)
    assert made[-1][2:] == ["r", "--size", "base"]


def test_the_estimates_are_what_their_assumptions_give() -> None:
    """Training rows × orders × epochs at the rate that the script names."""
    message = (SCRIPTS / "reproduce_glue.sh").read_text(encoding="utf-8")
    hours, rate = (
        int(re.search(r"GPU: (\d+) hours", message)[1]),
        int(re.search(r"at (\d+) rows", message)[1]),
    )
    for preset in ("authors", "reference"):
        rows = 0.0
        for task in TASKS.values():
            settings = preset_settings(preset, named("base"), task)
            orders = 2 if settings.get("both_orders") else 1
            rows += task.of_kind("train")[0].rows * orders * settings["num_train_epochs"]
        assert hours == round(rows / rate / 3600)
    message = (SCRIPTS / "reproduce_squad.sh").read_text(encoding="utf-8")
    hours, rate = (
        int(re.search(r"GPU: (\d+) hours", message)[1]),
        int(re.search(r"at (\d+) windows", message)[1]),
    )
    windows = sum(int(number.replace(" ", "")) for number in re.findall(r"\d+ 000", message))
    assert hours == round(
        windows * squad_settings("authors", named("base"))["num_train_epochs"] / rate / 3600
    )


def test_convbert_mini_is_made_as_its_log_says(calls) -> None:
    """The settings in force when the shipped weights were made, and each run from the one before."""
    made = calls(
        "../recipes/convbert_mini/make_convbert_mini.sh",
        "--device",
        "cpu",
        CORPUS="corpus",
        TEACHER="t",
        RUNS="r",
    )
    *runs, (_, module, *argv) = made
    assert (module, argv[:2]) == ("checkpoints.convert", ["r/mini-replaced-tokens/best", "r/convbert-mini"])
    folders = sorted((SCRIPTS.parent / "recipes/convbert_mini/training").iterdir())
    begun_from = ["", "r/mini-states/best", "r/mini-pairs/best"]
    for (_, module, *argv), folder, start in zip(runs, folders, begun_from, strict=True):
        assert module == "pretraining.run_pretrain"
        flags = run_pretrain.make_parser().parse_args(argv)
        output = json.loads((folder / "args.json").read_text(encoding="utf-8"))
        preset = pretraining_settings(flags.objective, NETWORKS["convbert-mini"])
        recipe = resolve(OBJECTIVES[flags.objective], vars(flags), {}, preset)
        result = dataclasses.asdict(recipe)
        assert {name: result[name] for name in output["recipe"]} == output["recipe"]
        assert (flags.init_from_ckpt, flags.teacher or "") == (start, output["teacher"] and "t")
        assert output["objective"] == flags.objective
        assert output["data"]["train.data"]["sha256"] in (
            SCRIPTS.parent / "recipes/convbert_mini/sources.md"
        ).read_text("utf-8")
        assert (
            len((folder / "history.jsonl").read_text(encoding="utf-8").splitlines()) > recipe.max_steps / 50
        )


def test_convbert_mini_is_not_made_over_a_folder(calls, tmp_path: Path) -> None:
    target = tmp_path / "mini"
    target.mkdir()
    with pytest.raises(subprocess.CalledProcessError) as failed:
        calls(
            "../recipes/convbert_mini/make_convbert_mini.sh", CORPUS="corpus", TEACHER="t", TARGET=str(target)
        )
    assert failed.value.returncode == 1
    assert not (tmp_path / "calls.jsonl").exists()  # said before hours of training, not after


# --- the published rows -------------------------------------------------------------------------------


def test_the_papers_averages_follow_from_its_rows() -> None:
    """The average that the paper prints for each size: 86.4, 81.1 and 80.1."""
    averages = {
        row.size: paper_average(row.scores, TASKS) for row in published.ROWS if row.name == "ConvBERT paper"
    }
    assert {size: round(value, 1) for size, value in averages.items()} == {
        "base": 86.4, "medium-small": 81.1, "small": 80.1,
    }  # fmt: skip


def test_the_reference_row_has_every_score() -> None:
    (row,) = [row for row in published.ROWS if row.name == "reference project"]
    assert missing_scores(row.scores, TASKS) == []
    assert row.scores["mrpc"] == {"f1": 93.1, "accuracy": 90.4}
    assert row.scores["mnli"] == {"accuracy_matched": 88.1, "accuracy_mismatched": 87.9}
    by_hand = (
        69.2 + 94.6 + (90.4 + 93.1) / 2 + (90.8 + 90.7) / 2 + (92.0 + 89.4) / 2 + 88.0 + 93.0 + 83.4 + 56.3
    ) / 9
    assert leaderboard_average(row.scores, TASKS) == pytest.approx(by_hand)


def test_squads_rows() -> None:
    of_base = {row.name: row.scores["squad_2.0"] for row in squad_published.ROWS if row.size == "base"}
    assert of_base == {
        "ConvBERT paper": {"exact": 80.6, "f1": 83.1},
        "reference project": {"exact": 80.91, "f1": 83.90},
    }


# --- the table ----------------------------------------------------------------------------------------


def save(folder: Path, task: str, **best: float) -> None:
    write_json(folder / "scores.json", {"task": task, "main": "m", "best": best, "last": best})


def test_measured_scores_stand_beside_the_published_ones(tmp_path: Path, capsys) -> None:
    for seed, accuracy in enumerate((0.80, 0.85, 0.82)):
        save(tmp_path / f"rte-{seed}", "rte", accuracy=accuracy, main=accuracy, step=1)
    save(tmp_path / "mrpc", "mrpc", f1=0.92, accuracy=0.90, main=0.91, step=1)
    save(tmp_path / "squad", "squad_1.1", exact_match=84.0, f1=91.0, main=91.0, step=1)
    reproduction.main([str(tmp_path)])
    lines = [re.split(r"\s{2,}", line.strip()) for line in capsys.readouterr().out.splitlines()]
    table = {tuple(line[:2]): line[2:] for line in lines}
    columns = ["dev", "reference project, dev", "ConvBERT paper, test", "ConvBERT paper, dev"]
    assert table["task", "score"] == columns
    assert table["rte", "accuracy"] == ["82.00", "83.40 (-1.40)", "77.90", "–"]  # the median of three
    assert table["mrpc", "f1"] == ["92.00", "93.10 (-1.10)", "–", "–"]
    assert table["mrpc", "accuracy"] == ["90.00", "90.40 (-0.40)", "88.30", "–"]
    assert table["cola", "matthews"] == ["–", "69.20", "67.80", "–"]
    assert table["average", "ConvBERT paper"][0] == "–"  # never over fewer tasks
    assert table["average", "ConvBERT paper"][2] == "86.36"
    assert table["squad_1.1", "exact_match"] == ["84.00", "84.82 (-0.82)", "–", "84.70 (-0.70)"]
    assert table["squad_1.1", "f1"] == ["91.00", "91.29 (-0.29)", "–", "90.90 (+0.10)"]


def test_only_what_was_run_is_shown(tmp_path: Path, capsys) -> None:
    save(tmp_path / "squad", "squad_2.0", exact=70.0, f1=72.0, main=72.0, step=1)
    reproduction.main([str(tmp_path), "--size", "small"])
    _, *rows = [re.split(r"\s{2,}", line) for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["squad_2.0", "exact", "70.00", "–", "68.70 (+1.30)"],
        ["squad_2.0", "f1", "72.00", "–", "70.50 (+1.50)"],
    ]


def test_nothing_or_nonsense_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError) as error:
        reproduction.main([str(tmp_path)])
    assert (error.value.path, error.value.code) == (tmp_path, "missing")
    save(tmp_path / "run", "rte", step=1, main=0.5)
    with pytest.raises(InputError, match="accuracy is None") as error:
        reproduction.main([str(tmp_path)])
    assert (error.value.path, error.value.code) == (tmp_path / "run" / "scores.json", "scores")


@pytest.mark.parametrize("script", ["train_rte.sh", "reproduce_glue.sh", "reproduce_squad.sh"])
def test_paths_given_to_a_script_are_seen_from_where_the_user_stands(
    calls, tmp_path: Path, script: str
) -> None:
    given = {"DATA_DIR": "my/data", "MODEL": "my/model", "RUNS": "my/runs"}
    argv = [
        word for call in calls(script, "--config", "my.yaml", **given, PYTHON="./python") for word in call
    ]
    assert "my.yaml" in argv
    paths = [word for word in argv if "my/" in word]
    assert len(paths) > 2
    assert all(word.startswith("my/") for word in paths)
    where = {line.strip() for line in (tmp_path / "cwd").read_text(encoding="utf-8").splitlines()}
    assert where == {str(tmp_path)}
