"""Soups of weights, and pairs in both orders: what they answer, and that choosing them is honest."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy

from common.errors import InputError
from glue import run_glue, run_predict
from glue.predictions import SplitPredictions
from glue.tasks import TASKS
from lab import ensemble, submit, sweep
from lab.ensemble_io import possible_methods, start_of
from lab.ensemble_selection import EnsembleSelector, Option, options_for
from lab.joined_models import ModelJoiner
from lab.trial_store import DONE, TrialResult
from submission import verify
from submission.verify import SAME
from tests.lab.test_ensemble_selection import labelled

MRPC, RTE = TASKS["mrpc"], TASKS["rte"]


@pytest.fixture(scope="module")
def runs(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs of MRPC that differ by their seed, but not in the head."""
    folder = tmp_path_factory.mktemp("runs")
    for seed in ("1", "2"):
        run_glue.main([
            "--task_name", "mrpc", "--model_name_or_path", str(sample_dir / "tiny-convbert"),
            "--from_scratch", "--data_dir", str(sample_dir), "--output_dir", str(folder / seed),
            "--max_steps", "4", "--learning_rate", "1e-2", "--seed", seed, "--head_seed", "9",
        ])  # fmt: skip
    return [folder / "1", folder / "2"]


def weights(folder: Path) -> dict[str, np.ndarray]:
    return safetensors.numpy.load_file(folder / "model.safetensors")


def test_a_soup_of_equal_models_is_that_model(runs: list[Path], sample_dir: Path, tmp_path: Path) -> None:
    for number in range(3):
        shutil.copytree(runs[0], tmp_path / str(number))
    joiner = ModelJoiner(MRPC, [tmp_path / str(number) for number in range(3)], sample_dir)
    joiner.write_soup([0, 1, 2], tmp_path / "soup")
    for name in ("model.safetensors", "config.json", "vocab.txt"):
        assert (tmp_path / "soup" / name).read_bytes() == (runs[0] / "best" / name).read_bytes(), name
    alone, joined = (joiner.logits("soup", members, "dev")[0] for members in ([0], [2, 0, 1]))
    np.testing.assert_array_equal(joined, alone)


def test_a_soup_is_the_mean_of_the_weights(runs: list[Path], sample_dir: Path, tmp_path: Path) -> None:
    digest = ModelJoiner(MRPC, runs, sample_dir).write_soup([1, 0], tmp_path / "soup")
    assert len(digest) == 64
    first, second = (weights(run / "best") for run in runs)
    for name, array in weights(tmp_path / "soup").items():
        np.testing.assert_array_equal(array, ((first[name].astype(float) + second[name]) / 2).astype("f4"))
    assert any((first[name] != second[name]).any() for name in first)


def exchanged(data: Path, target: Path) -> Path:
    """MRPC's files with the two sentences of every pair exchanged."""
    shutil.copytree(data / "MRPC", target / "MRPC")
    for name in ("dev.tsv", "test.tsv"):
        head, *rows = (data / "MRPC" / name).read_text("utf-8").splitlines()
        cells = [row.split("\t") for row in rows]
        lines = ["\t".join([*row[:-2], row[-1], row[-2]]) for row in cells]
        (target / "MRPC" / name).write_text("\n".join([head, *lines, ""]), encoding="utf-8")
    return target


def predicted(run: Path, data: Path, folder: Path, *flags: str) -> np.ndarray:
    run_predict.main([
        "--task_name", "mrpc", "--ckpt_path", str(run), "--data_dir", str(data), "--split", "dev",
        "--output_dir", str(folder), "--engine", "dynamic", *flags,
    ])  # fmt: skip
    return SplitPredictions.read(folder, MRPC, MRPC.of_kind("dev")[0]).logits


def test_both_orders_are_one_answer_whatever_the_order(
    runs: list[Path], sample_dir: Path, tmp_path: Path
) -> None:
    turned = exchanged(sample_dir, tmp_path)
    single = [predicted(runs[0], data, tmp_path / "single") for data in (sample_dir, turned)]
    both = [predicted(runs[0], data, tmp_path / "both", "--both_orders") for data in (sample_dir, turned)]
    assert np.abs(single[0] - single[1]).max() > 1e-3  # else this says nothing
    np.testing.assert_allclose(both[0], both[1], atol=2e-6)
    np.testing.assert_allclose(both[0], (single[0] + single[1]) / 2, atol=2e-6)
    joiner = ModelJoiner(MRPC, runs, sample_dir)
    np.testing.assert_allclose(joiner.logits("orders", [0], "dev")[0], both[0], atol=2e-6)
    other = joiner.logits("orders", [1], "dev")[0]
    np.testing.assert_allclose(joiner.logits("orders", [1, 0], "dev")[0], (both[0] + other) / 2, atol=2e-6)


def test_single_sentences_have_no_other_order(runs: list[Path], sample_dir: Path, tmp_path: Path) -> None:
    run_glue.main([
        "--task_name", "cola", "--model_name_or_path", str(sample_dir / "tiny-convbert"), "--from_scratch",
        "--data_dir", str(sample_dir), "--output_dir", str(tmp_path / "run"), "--max_steps", "1",
    ])  # fmt: skip
    with pytest.raises(InputError, match="--both_orders: the rows of cola are single sentences"):
        run_predict.main([
            "--task_name", "cola", "--ckpt_path", str(tmp_path / "run"), "--data_dir", str(sample_dir),
            "--both_orders",
        ])  # fmt: skip


def result(folder: Path, model: str = "m", new: bool = False, **recipe: object) -> TrialResult:
    folder.mkdir(parents=True)
    (folder / "args.json").write_text(json.dumps({"from_scratch": new}), encoding="utf-8")
    settings = {"seed": 1, "head_seed": 9, "classifier_head": "dense", "reinit_layers": 0, **recipe}
    return TrialResult(folder.name, "rte", "c", DONE, "", 0.0, folder, recipe=settings, model=model)


def test_only_what_began_alike_can_be_averaged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def start(name: str, **changes: object) -> object:
        return start_of(result(tmp_path / name, **changes))  # type: ignore[arg-type]

    assert start("a") == start("b", seed=2) == start("c", learning_rate=1e-3)
    assert start("a1", head_seed=0) == start("b1", head_seed=0, learning_rate=1e-3)
    assert start("a2", head_seed=0) != start("b2", head_seed=0, seed=2)
    for number, changes in enumerate(
        ({"model": "n"}, {"head_seed": 8}, {"classifier_head": "linear"}, {"reinit_layers": 1})
    ):
        assert start(f"d{number}") != start(f"e{number}", **changes)
    assert start("f", new=True) != start("g", new=True, seed=2)
    assert start("h", reinit_layers=1) != start("i", reinit_layers=1, seed=2)
    alike = [result(tmp_path / "j", seed=1), result(tmp_path / "k", seed=2)]
    assert possible_methods(RTE, ["mean", "soup", "saves"], alike) == ["mean", "soup"]
    for each in alike:
        (each.folder / "mean").mkdir()
    assert possible_methods(RTE, ["mean", "saves"], alike) == ["mean", "saves"]
    other = result(tmp_path / "l", seed=2, head_seed=8)
    assert possible_methods(RTE, ["mean", "soup"], [alike[0], other]) == ["mean"]
    assert capsys.readouterr().err.splitlines() == [
        "note: rte: no mean of saves, as a run was made without --mean_of_saves",
        "note: rte: no soup, as no two runs share the start and --head_seed",
    ]


def test_options_are_for_tasks_that_have_them() -> None:
    assert options_for(MRPC, 3, 2, ["orders", "soup", "saves"]) == [
        Option(1, "mean"), Option(1, "orders"), Option(2, "orders"), Option(1, "saves"), Option(2, "saves"),
        Option(2, "soup"),
    ]  # fmt: skip
    assert options_for(RTE, 1, 5, ["orders", "soup"]) == [Option(1, "mean")]


def test_a_soup_takes_what_does_not_lower_its_score_on_the_rows_that_choose() -> None:
    """Of five runs number 3 began otherwise; with 1 the soup is as good, with 2 worse, with 4 better."""
    gold = np.array([0, 1] * 40)

    def network_logits(method: str, members: Sequence[int]) -> list[np.ndarray]:
        assert 3 not in members
        wrong = (8 if 4 in members else 20) + (6 if 2 in members else 0)
        predicted = np.where(np.arange(80) < wrong, 1 - gold, gold)
        return [np.eye(2, dtype=np.float32)[predicted]]

    alone = np.stack([
        np.eye(2, dtype=np.float32)[np.where(np.arange(80) < count, 1 - gold, gold)]
        for count in (20, 22, 23, 21, 24)
    ])  # fmt: skip
    selector = EnsembleSelector(RTE, [gold], [alone], network_logits, ["a", "a", "a", "b", "a"])
    choice = selector.choose([Option(5, "soup")])
    assert set(choice.members) == {0, 1, 4}
    assert choice.dev["main"] == pytest.approx(0.9)


@pytest.mark.long
@pytest.mark.parametrize("methods", [["mean", "vote", "soup", "orders", "saves"], ["soup"]])
def test_what_is_chosen_among_noise_is_expected_to_gain_nothing(methods: list[str]) -> None:
    """Every subset answers by chance: the best soup looks better on the rows that chose it, and is not."""
    flattering, gains = [], []
    for seed in range(40 if methods == ["soup"] else 8):
        draw = np.random.default_rng(seed)
        gold = draw.integers(0, 2, 100)
        memory: dict[object, list[np.ndarray]] = {}

        def network_logits(method: str, members: Sequence[int]) -> list[np.ndarray]:
            key = method, tuple(sorted(members))
            if key not in memory:  # noqa: B023 (called in this round alone)
                memory[key] = [labelled(draw, gold, [0.5])[0]]  # noqa: B023
            return memory[key]  # noqa: B023

        selector = EnsembleSelector(
            RTE, [gold], [labelled(draw, gold, [0.5] * 8)], network_logits, ["same"] * 8
        )
        options = options_for(RTE, 8, 5, methods)
        choice = selector.choose(options[1:] if methods == ["soup"] else options)
        flattering.append(choice.dev["main"])
        gains.append(choice.gain)
    assert np.mean(flattering) > 0.54
    assert -0.04 < np.mean(gains) < 0.02


PLAN = """
checkpoints: {{tiny: {{model: {model}, from_scratch: true}}}}
seeds: [1]
settings: {{max_steps: 3, save_steps: 1, head_seed: 9, mean_of_saves: 2}}
grid: {{learning_rate: [1e-2, 1.1e-2]}}
ensemble: {{methods: [{methods}]}}
tasks: {{mrpc: }}
"""


@pytest.mark.long
@pytest.mark.parametrize("method", ["soup", "orders", "saves"])
def test_from_runs_to_a_zip_that_is_predicted_again(
    method: str, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    plan, folder = tmp_path / "plan.yaml", tmp_path / "runs"
    plan.write_text(PLAN.format(model=sample_dir / "tiny-convbert", methods=method), encoding="utf-8")
    data = ["--data_dir", str(sample_dir)]
    sweep.main(["--plan", str(plan), "--runs", str(folder), *data])
    monkeypatch.setattr("lab.ensemble_io.options_for", lambda *_: [Option(2, method)])
    capsys.readouterr()
    ensemble.main([
        "--runs", str(folder), "--task_name", "mrpc", "--output_dir", str(tmp_path / "out"), *data,
        "--methods", method,
    ])  # fmt: skip
    details = json.loads(capsys.readouterr().out)
    archive = tmp_path / "submission.zip"
    submit.main([
        "--runs", str(folder), "--plan", str(plan), "--output", str(archive), "--fill_missing", "majority",
        *data,
    ])  # fmt: skip
    printed = capsys.readouterr().out
    how = {
        "soup": "soup of 2: ",
        "orders": "mean of 2 in both orders: ",
        "saves": "mean of 2 with the mean of the last saves: ",
    }
    assert how[method] in printed
    assert len(details["members"]) == 2
    verify.main([str(archive), "--runs", str(folder), *data, "--json"])
    (mrpc,) = [file for file in json.loads(capsys.readouterr().out)["files"] if file["name"] == "MRPC.tsv"]
    assert mrpc["status"] == SAME
