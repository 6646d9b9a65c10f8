"""pack --manifest: what is in the zip, of which checkpoints, and what is to be expected."""

import json
from pathlib import Path

import pytest

from common.errors import InputError, UsageError
from common.files import sha256_of
from common.files import write_manifest as write_folder_manifest
from common.provenance import recorded_digest
from glue.tasks import TASKS
from submission.manifest import averages_of, provenance_of, run_details
from tests.submission.submission_samples import FILES, ROWS, write_logits


def test_it_says_what_is_in_the_zip(folder, packed, capsys):
    for task, split in FILES:
        write_logits(folder, task, split.submission_file, task.name)
    (folder / "CoLA.tsv").unlink()
    (folder / "CoLA.npz").unlink()
    output = packed("--manifest", "--fill_missing", "majority")
    path = output.with_name("submission.manifest.json")
    assert capsys.readouterr().out.splitlines()[:2] == [str(output), str(path)]
    manifest = json.loads(path.read_text(encoding="utf-8"))
    assert (manifest["zip"], manifest["sha256"]) == (output.name, sha256_of(output))
    assert {name: entry["rows"] for name, entry in manifest["files"].items()} == ROWS
    assert manifest["files"]["CoLA.tsv"]["notes"] == ["was missing: every row filled with 1"]
    assert manifest["tasks"]["mnli"] == {"checkpoint_digest": "mnli"}
    assert manifest["tasks"]["cola"] == {}
    assert manifest["expected"]["leaderboard_average"] is None
    assert manifest["expected"]["leaderboard_average_lacks"][:2] == ["cola/matthews", "sst-2/accuracy"]


def test_without_the_flag_there_is_none(packed):
    assert [path.name for path in packed().parent.iterdir()] == ["submission.zip"]
    with pytest.raises(UsageError, match="add --manifest"):
        packed("--runs", "runs")


def test_averages_by_hand():
    """The published dev scores of the first Paddle port: the nine-task and the eight-task mean."""
    scores = {
        "cola": {"matthews": 0.692}, "sst-2": {"accuracy": 0.946}, "mrpc": {"f1": 0.931, "accuracy": 0.904},
        "sts-b": {"pearson": 0.908, "spearman": 0.907}, "qqp": {"f1": 0.894, "accuracy": 0.920},
        "mnli": {"accuracy_matched": 0.881, "accuracy_mismatched": 0.879}, "qnli": {"accuracy": 0.930},
        "rte": {"accuracy": 0.834}, "wnli": {"accuracy": 0.563},
    }  # fmt: skip
    averages = averages_of(scores)
    nine = (0.692 + 0.946 + 0.9175 + 0.9075 + 0.907 + 0.88 + 0.93 + 0.834 + 0.563) / 9
    eight = (0.692 + 0.946 + 0.904 + 0.907 + 0.920 + 0.881 + 0.930 + 0.834) / 8
    assert averages == {
        "leaderboard_average": pytest.approx(nine), "convbert_paper_average": pytest.approx(eight)
    }  # fmt: skip
    del scores["wnli"]
    assert averages_of(scores)["leaderboard_average_lacks"] == ["wnli/accuracy"]
    assert averages_of(scores)["convbert_paper_average"] == pytest.approx(eight)


def test_runs_that_predicted_nothing_of_it_are_left_out(folder, tmp_path: Path):
    write_logits(folder, TASKS["rte"], "RTE.tsv", "a" * 64)
    run = tmp_path / "runs" / "rte"
    (run / "best").mkdir(parents=True)
    best = {"step": 3, "main": 0.5, "accuracy": 0.5}
    (run / "scores.json").write_text(
        json.dumps({"task": "rte", "best": best, "last": best}), encoding="utf-8"
    )
    (run / "args.json").write_text(json.dumps({"recipe": {"seed": 9}}), encoding="utf-8")
    digests = {"model.safetensors": "1" * 64, "config.json": "2" * 64, "vocab.txt": "3" * 64}
    (run / "best" / "manifest.json").write_text(json.dumps({"sha256": digests}), encoding="utf-8")
    assert provenance_of(folder, tmp_path / "runs") == {"rte": {"checkpoint_digest": "a" * 64}}
    write_logits(folder, TASKS["rte"], "RTE.tsv", recorded_digest(run / "best"))
    entry = provenance_of(folder, tmp_path / "runs")["rte"]
    assert (entry["run"], entry["seed"], entry["step"]) == ("rte", 9, 3)
    assert entry["dev"] == dict.fromkeys(("main", *TASKS["rte"].score_keys), 0.5)
    (run / "best" / "manifest.json").write_text(
        json.dumps({"sha256": {"config.json": "2"}}), encoding="utf-8"
    )
    with pytest.raises(InputError, match="manifest of a model folder"):
        recorded_digest(run / "best")
    for odd in ("\ud800", 10**300, None, ["1" * 64]):
        (run / "best" / "manifest.json").write_text(
            json.dumps({"sha256": {**digests, "config.json": odd}}), encoding="utf-8"
        )
        with pytest.raises(InputError, match=r"best/manifest\.json: holds something else"):
            recorded_digest(run / "best")


@pytest.mark.parametrize(
    ("model", "digest_of", "run"),
    [
        ("/then/runs/mnli/base-seed1/best", "mnli/base-seed1", "mnli/base-seed1"),  # wherever they lay then
        ("/then/runs/mnli/base-seed1/best", "mnli/base-seed2", None),  # another one of that name
        ("/then/runs/mnli/base-seed3/best", "mnli/base-seed2", None),  # gone
        ("mnli/best", "mnli/base-seed1", None),
        ("best", "mnli/base-seed1", None),
        (".", "mnli/base-seed1", None),
        ("/models/convbert", "mnli/base-seed1", None),
    ],
)
def test_what_a_run_began_with_is_named_where_it_is_here(
    tmp_path: Path, model: str, digest_of: str, run: str | None
) -> None:
    for name in ("mnli/base-seed1", "mnli/base-seed2", "best"):
        best = tmp_path / name / "best"
        best.mkdir(parents=True)
        for file in ("model.safetensors", "config.json", "vocab.txt"):
            (best / file).write_text(name, encoding="utf-8")
        write_folder_manifest(best)
    digest = recorded_digest(tmp_path / digest_of / "best")
    ours = tmp_path / "rte" / "base-seed1"
    ours.mkdir(parents=True)
    args = {"recipe": {"seed": 1}, "model_name_or_path": model, "model_sha256": digest}
    (ours / "args.json").write_text(json.dumps(args), encoding="utf-8")
    scores = {"task": "rte", "best": {"step": 3, "main": 0.5, "accuracy": 0.5}}
    entry = run_details(tmp_path, ours, scores)["began_with"]
    assert entry == {"model_sha256": digest, **({"run": run} if run else {})}
