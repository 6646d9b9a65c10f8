"""A submission predicted again from its checkpoints: what was changed anywhere is named."""

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import glue
import submission
from common.errors import InputError
from common.files import sha256_of, write_manifest
from glue.predictions import SplitPredictions, write_predictions
from glue.runs import read_run_scores
from glue.tasks import TASKS
from inference.tie_breaking import tie_margin
from lab.ensemble_io import combined_digest, stack_logits
from lab.ensemble_selection import combine
from submission import verify
from submission.manifest import data_digests, digest_of_entries, run_details
from submission.manifest import write_manifest as write_submission_manifest
from submission.pack import pack
from submission.pack import write_zip as write_submission

RUNS = ("rte/base-seed1", "rte/base-seed2", "sts-b/base-seed1")


@dataclass
class HandIn:
    """A submission in a folder of its own: RTE is the mean of two runs, STS-B one run; others are filled."""

    folder: Path
    data: Path

    @property
    def archive(self) -> Path:
        return self.folder / "submission.zip"

    @property
    def record(self) -> Path:
        return self.folder / "submission.manifest.json"

    def edit(self, change: Callable[[dict[str, Any]], object], reseal: bool = True) -> None:
        """Change the manifest; with reseal as one who knows that it records a digest of its own."""
        values = json.loads(self.record.read_text(encoding="utf-8"))
        change(values)
        values["digest"] = digest_of_entries(values) if reseal else values["digest"]
        self.record.write_text(json.dumps(values), encoding="utf-8")

    def edit_file(self, name: str, change: Callable[[bytes], bytes]) -> None:
        """Change a file in the zip, and let the manifest have the new zip's digest."""
        with zipfile.ZipFile(self.archive) as archive:
            files = {entry: archive.read(entry) for entry in archive.namelist()}
        write_submission(self.archive, {**files, name: change(files[name])})
        self.edit(lambda values: values.update(sha256=sha256_of(self.archive)))

    def verify(self) -> verify.Verification:
        return submission.verify(self.archive, data_dir=self.data, runs=self.folder / "runs")


@pytest.fixture(scope="module")
def made(sample_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("verify")
    runs, predictions = folder / "runs", folder / "predictions"
    entries: dict[str, dict[str, Any]] = {}
    parts: dict[str, list[SplitPredictions]] = {}
    for name in RUNS:
        task, seed = name.partition("/")[0], int(name[-1])
        run = glue.fine_tune(
            task, sample_dir / "tiny-convbert", sample_dir, output_dir=runs / name, from_scratch=True,
            max_steps=12, seed=seed, max_seq_length=64,
        )  # fmt: skip
        (part,) = glue.predict(task, run.folder, sample_dir, predictions).values()
        scores = read_run_scores(runs / name / "scores.json")
        assert scores
        details = {**run_details(runs, runs / name, scores), "checkpoint_digest": part.provenance.model}
        entries.setdefault(task, {"members": []})["members"].append(details)
        parts.setdefault(task, []).append(part)
    entries["sts-b"] = entries["sts-b"]["members"][0]
    rte = TASKS["rte"]
    digest = combined_digest("mean", [member["checkpoint_digest"] for member in entries["rte"]["members"]])
    joined = SplitPredictions(
        rte, parts["rte"][0].split, combine(stack_logits(rte, parts["rte"]), "mean"), rte.labels,
        parts["rte"][0].provenance,
    ).made_by(digest)  # fmt: skip
    write_predictions(predictions, [joined])
    entries["rte"] |= {"ensemble": {"method": "mean"}, "checkpoint_digest": digest}
    entries["rte"]["dev"] = entries["rte"]["members"][0]["dev"]
    reports = pack(predictions, folder / "submission.zip", sample_dir, fill_missing=True)
    more = {"data": data_digests(predictions)}
    write_submission_manifest(folder / "submission.zip", reports, entries, more)
    assert len(set(joined.values)) == 2  # or a changed method would change nothing
    return folder


@pytest.fixture
def hand_in(made: Path, sample_dir: Path, tmp_path: Path) -> HandIn:
    shutil.copytree(made, tmp_path / "moved", ignore=shutil.ignore_patterns("last", "previous"))
    return HandIn(tmp_path / "moved", sample_dir)


def test_an_untouched_submission_is_the_same_wherever_it_lies(
    hand_in: HandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    (hand_in.folder / "runs" / "rte").rename(hand_in.folder / "runs" / "renamed")
    where = ["--data_dir", str(hand_in.data), "--runs", str(hand_in.folder)]
    verify.main([str(hand_in.archive), *where, "--json"])
    printed = json.loads(capsys.readouterr().out)
    assert printed["ok"]
    assert {file["status"] for file in printed["files"]} == {"SAME"}
    assert [file["name"] for file in printed["files"]] == [
        report.name for report in submission.check(hand_in.archive, hand_in.data)
    ]
    assert printed["unverified"]  # the expected scores
    verify.main([str(hand_in.archive), *where])
    assert "SAME      RTE.tsv" in capsys.readouterr().out


def _flip(content: bytes) -> bytes:
    head, first, rest = content.split(b"\n", 2)
    index, label = first.split(b"\t")
    other = b"entailment" if label == b"not_entailment" else b"not_entailment"
    return b"\n".join([head, index + b"\t" + other, rest])


def _number(by: float) -> Callable[[bytes], bytes]:
    def change(content: bytes) -> bytes:
        head, first, rest = content.split(b"\n", 2)
        value = float(first.split(b"\t")[1])
        return b"\n".join([head, b"0\t%.5f" % (value + (by if value < 2.5 else -by)), rest])

    return change


def _drop(archive: Path, extra: str = "") -> None:
    with zipfile.ZipFile(archive) as file:
        files = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(archive, "w") as file:
        for name, content in files.items():
            if extra or name != "AX.tsv":
                file.writestr(name, content)
        if extra:
            file.writestr(extra, "x")


def _entry(values: dict[str, Any], task: str = "sts-b") -> dict[str, Any]:
    return values["tasks"][task]


def _pick(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {key: values[key]}


def _exchange(hand_in: HandIn) -> None:
    """The best/ of one run, with its manifest, in the place of another's."""
    runs = hand_in.folder / "runs" / "rte"
    shutil.rmtree(runs / "base-seed1" / "best")
    shutil.copytree(runs / "base-seed2" / "best", runs / "base-seed1" / "best")


def _patch(file: str, change: Callable[[bytes], bytes]) -> Callable[[HandIn], None]:
    def patch(hand_in: HandIn) -> None:
        path = hand_in.folder / "runs" / "sts-b" / "base-seed1" / file
        path.write_bytes(change(path.read_bytes()))

    return patch


def _weights(hand_in: HandIn) -> None:
    """One weight of a checkpoint, and its manifest as if it had been so."""
    best = hand_in.folder / "runs" / "sts-b" / "base-seed1" / "best"
    content = bytearray((best / "model.safetensors").read_bytes())
    content[-2] ^= 0x40
    (best / "model.safetensors").write_bytes(content)
    (best / "manifest.json").unlink()
    write_manifest(best)


def _data(change: Callable[[bytes], bytes]) -> Callable[[HandIn], None]:
    def patch(hand_in: HandIn) -> None:
        shutil.copytree(hand_in.data, hand_in.folder / "data")
        hand_in.data = hand_in.folder / "data"
        path = hand_in.data / "RTE" / "test.tsv"
        path.write_bytes(change(path.read_bytes()))

    return patch


def edit(change: Callable[[dict[str, Any]], object], reseal: bool = True) -> Callable[[HandIn], None]:
    return lambda hand_in: hand_in.edit(change, reseal)


def file(name: str, change: Callable[[bytes], bytes]) -> Callable[[HandIn], None]:
    return lambda hand_in: hand_in.edit_file(name, change)


CHANGES: dict[str, tuple[Callable[[HandIn], None], str]] = {
    "a label": (file("RTE.tsv", _flip), r"RTE.tsv row 0 says \w+, its checkpoint says \w+"),
    "a number": (file("STS-B.tsv", _number(0.01)), r"STS-B.tsv row 0 says [\d.]+, its checkpoint says"),
    "the spelling": (file("STS-B.tsv", lambda c: c.replace(b"0\t", b"0\t0", 1)), "but not the bytes"),
    "a filled row": (file("QNLI.tsv", _flip), "QNLI.tsv row 0"),
    "a row less": (file("RTE.tsv", lambda c: c.rsplit(b"\n", 2)[0] + b"\n"), "RTE.tsv"),
    "the header": (file("RTE.tsv", lambda c: c.replace(b"index", b"id", 1)), "RTE.tsv line 1"),
    "the order": (file("RTE.tsv", lambda c: c.replace(b"\n0\t", b"\n1\t", 1)), "RTE.tsv line"),
    "a file less": (lambda h: _drop(h.archive), "AX.tsv is missing"),
    "a file more": (lambda h: _drop(h.archive, "more.tsv"), "more.tsv in the zip"),
    "a note by hand": (edit(lambda v: _entry(v).update(note="best"), reseal=False), "was edited"),
    "an expected score": (edit(lambda v: _entry(v).update(expected={"main": 0.9})), "expected: not the av"),
    "an average": (edit(lambda v: v["dev"].update(leaderboard_average=0.9)), "dev: not the averages"),
    "the zip's digest": (edit(lambda v: v.update(sha256="0" * 64)), "is of another zip"),
    "a seed": (edit(lambda v: _entry(v).update(seed=7)), "seed 7, but the run's is 1"),
    "a step": (edit(lambda v: _entry(v).update(step=99)), "step 99, but the run's is"),
    "a member's score": (
        edit(lambda v: _entry(v, "rte")["members"][1]["dev"].update(accuracy=0.99)), "dev accuracy is not"
    ),
    "where it began": (edit(lambda v: _entry(v)["began_with"].update(model_sha256="1" * 64)), "began with 1"),
    "the method": (edit(lambda v: _entry(v, "rte")["ensemble"].update(method="vote")), "members and method"),
    "a member less": (edit(lambda v: _entry(v, "rte")["members"].pop()), "members and method"),
    "another checkpoint": (
        edit(lambda v: _entry(v).update(_pick(_entry(v, "rte")["members"][0], "checkpoint_digest"))),
        "STS-B.tsv .*rte",
    ),
    "a task said to be filled": (edit(lambda v: _entry(v, "rte").update(constant="x")), "RTE.tsv row"),
    "a filled task said to be predicted": (
        edit(lambda v: v["files"]["QNLI.tsv"].update(filled=False)), "names no checkpoint for qnli"
    ),
    "the weights": (_patch("best/model.safetensors", lambda c: c[:-1] + b"?"), "STS-B.tsv .*damaged"),
    "a weight, resealed": (_weights, "no checkpoint"),
    "the vocabulary": (_patch("best/vocab.txt", lambda c: c[::-1]), "STS-B.tsv .*vocab"),
    "the configuration": (_patch("best/config.json", lambda c: c + b" "), "STS-B.tsv .*config"),
    "one run for another": (_exchange, r"no checkpoint \w+ \(rte/base-seed1\)"),
    "a checkpoint gone": (lambda h: shutil.rmtree(h.folder / "runs" / "sts-b"), "no checkpoint"),
    "another year's test file": (_data(lambda c: c.replace(b" the ", b" a ", 3)), "RTE/test.tsv is another"),
    "a test file of more rows": (_data(lambda c: c + c.splitlines()[-1] + b"\n"), "RTE.tsv"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_every_planted_change_is_named(
    hand_in: HandIn, change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plant, message = CHANGES[change]
    plant(hand_in)
    result = hand_in.verify()
    assert not result.is_verified
    texts = [
        *result.problems,
        *(f"{file.name} {file.note}" for file in result.files if file.status != "SAME"),
    ]
    assert any(re.search(message, text) for text in texts), texts
    where = ["--data_dir", str(hand_in.data), "--runs", str(hand_in.folder)]
    with pytest.raises(InputError, match="not verified: "):
        verify.main([str(hand_in.archive), *where])


def test_rows_that_rounding_decides_do_not_fail(hand_in: HandIn) -> None:
    hand_in.edit_file("STS-B.tsv", _number(2e-5))
    result = hand_in.verify()
    assert result.is_verified
    (file,) = [file for file in result.files if file.name == "STS-B.tsv"]
    assert (file.status, file.note) == ("ROUNDING", "1 rows that rounding decides")
    assert tie_margin(np.array([1.0]))[0] > 2e-5


@pytest.mark.parametrize("content", ["", "{", "[]", '{"tasks": 5, "files": [], "digest": 1}'])
def test_what_is_no_manifest_is_an_error_or_verifies_nothing(hand_in: HandIn, content: str) -> None:
    hand_in.record.write_text(content, encoding="utf-8")
    with pytest.raises(InputError):
        verify.main([str(hand_in.archive), "--data_dir", str(hand_in.data)])


def test_files_and_folders_that_are_not_there_are_named(hand_in: HandIn, tmp_path: Path) -> None:
    for flags, message in (
        (["absent.zip"], "absent.zip: no such"),
        ([str(hand_in.archive), "--runs", "nowhere"], "nowhere: no such folder"),
        ([str(hand_in.archive), "--manifest", "no.json"], r"no\.json: no such file"),
        ([str(hand_in.archive), "--data_dir", "no_data"], "no_data: no such folder"),
        ([str(hand_in.folder)], "is a folder"),
    ):
        with pytest.raises(InputError, match=message):
            verify.main(["--data_dir", str(hand_in.data), *flags])
