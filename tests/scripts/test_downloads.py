"""scripts.download_glue and scripts.download_squad against a local server that has the official paths."""

import hashlib
import io
import json
import random
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from checkpoints import download as downloader
from common.errors import InputError
from glue.data import read_split
from glue.tasks import TASKS
from scripts import download_glue, download_squad
from scripts.download_glue import ARCHIVES, PLAIN, assemble_mrpc, download, files_of
from tests.checkpoints.web import Web, serving
from tests.conftest import PROJECT


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr(downloader, "ATTEMPTS", 1)
    with serving() as server:
        yield server


def row_for(path: str, content: bytes) -> tuple[str, int, str]:
    return path, len(content), hashlib.sha256(content).hexdigest()


def corpus_of(folder: Path) -> dict[str, bytes]:
    """What MRPC's official files would have been made from: the same rows, dev's strewn among train's."""
    header, *train = (folder / "train.tsv").read_bytes().splitlines(keepends=True)
    _, *dev = (folder / "dev.tsv").read_bytes().splitlines(keepends=True)
    marks = [True] * len(dev) + [False] * len(train)
    random.Random(0).shuffle(marks)
    rows = {True: iter(dev), False: iter(train)}
    mixed = b"".join(next(rows[mark]) for mark in marks)
    ids = b"".join(b"\t".join(line.split(b"\t")[1:3]) + b"\n" for line in dev)
    test = (folder / "test.tsv").read_bytes().splitlines(keepends=True)[1:]
    labelled = b"".join(b"1\t" + line.split(b"\t", 1)[1] for line in test)
    return {"train": header + mixed, "test": header + labelled, "dev_ids": ids}


def publish(web: Web, sample_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the embedded sample on the server under the official paths, with its own sizes and digests."""
    for folder, (path, _, _) in ARCHIVES.items():
        raw = io.BytesIO()
        with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((sample_dir / folder).iterdir()):
                archive.writestr(f"{folder}/{file.name}", file.read_bytes())
        web.files[f"/{path}"] = raw.getvalue()
        monkeypatch.setitem(ARCHIVES, folder, row_for(path, raw.getvalue()))
    contents = {
        "MRPC": corpus_of(sample_dir / "MRPC"),
        "diagnostic": {"test": (sample_dir / "diagnostic" / "diagnostic.tsv").read_bytes()},
    }
    for folder, parts in contents.items():
        rows = {part: row_for(PLAIN[folder][part][0], content) for part, content in parts.items()}
        for part, content in parts.items():
            web.files[f"/{rows[part][0]}"] = content
        monkeypatch.setitem(PLAIN, folder, rows)


def test_the_tables_are_those_of_the_published_list() -> None:
    """Every folder that a task reads has an address; sizes and digests are well formed and sum up as said."""
    folders = {folder for task in TASKS.values() for folder in files_of(task)}
    assert folders == set(ARCHIVES) | set(PLAIN)
    rows = [*ARCHIVES.values(), *(row for parts in PLAIN.values() for row in parts.values())]
    assert len(rows) == 12
    for _, size, digest in rows:
        assert size > 0
        assert len(bytes.fromhex(digest)) == 32
    assert sum(size for _, size, _ in rows) == 376_169_247
    assert len({digest for *_, digest in rows}) == len({path for path, *_ in rows}) == 12


def test_all_of_glue(
    web: Web,
    sample_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    publish(web, sample_dir, monkeypatch)
    download_glue.main(["--data_dir", str(tmp_path), "--server", web.url + "/"])
    out, _ = capsys.readouterr()
    assert set(out.split()) == {str(tmp_path / folder) for folder in [*ARCHIVES, *PLAIN]}
    for task in TASKS.values():
        for split in task.splits:
            assert (tmp_path / split.file).read_bytes() == (sample_dir / split.file).read_bytes()
            assert read_split(task, split, tmp_path).examples
    assert not [path for path in (tmp_path / ".fetched").iterdir() if not path.name.endswith(".lock")]
    before = len(web.requests)
    download_glue.main(["--data-dir", str(tmp_path), "--server", web.url, "--task_name", "MNLI"])
    assert len(web.requests) == before
    assert capsys.readouterr().out.split() == [str(tmp_path / "MNLI"), str(tmp_path / "diagnostic")]


def test_one_task(web: Web, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(web, sample_dir, monkeypatch)
    monkeypatch.setenv("CONVBERT_GLUE_CACHE", str(tmp_path))
    download_glue.main(["--task_name", "rte", "--task_name", "WNLI", "--server", web.url])
    names = sorted(path.name for path in (tmp_path / "glue").iterdir())
    assert names == [".fetched", "RTE", "WNLI"]


def test_a_changed_file_is_refused(
    web: Web, sample_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(web, sample_dir, monkeypatch)
    path = f"/{ARCHIVES['RTE'][0]}"
    web.files[path] = web.files[path][:-1] + b"?"
    with pytest.raises(InputError, match=r"has sha256 .*; it was not kept"):
        download("RTE", ["train.tsv", "dev.tsv", "test.tsv"], tmp_path, web.url)
    assert not (tmp_path / "RTE").exists()


def test_the_command_without_a_server(run_module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for module in ("scripts.download_glue", "scripts.download_squad"):
        done = run_module(module, "--data_dir", tmp_path, cwd=PROJECT)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"error: {tmp_path}/")
        assert "HF_HUB_OFFLINE forbids to fetch https://" in done.stderr
        assert done.stderr.count("\n") == 1


# --- MRPC ------------------------------------------------------------------------------------------

HEADER = b"\xef\xbb\xbfQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\n"
TRAIN = HEADER + b'1\t10\t11\ta "b\tc\n0\t12\t13\td\te\n1\t14\t15\tf\tg\n'


def mrpc(tmp_path: Path, **parts: bytes) -> dict[str, bytes]:
    contents = {
        "train": TRAIN,
        "dev_ids": b"12\t13\n",
        "test": HEADER + b"1\t7\t8\tx\ty\n0\t9\t6\tz\tw\n",
        **parts,
    }
    for part, content in contents.items():
        (tmp_path / part).write_bytes(content)
    assemble_mrpc({part: tmp_path / part for part in contents}, tmp_path / "out")
    return {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}


def test_mrpc_by_hand(tmp_path: Path) -> None:
    assert mrpc(tmp_path) == {
        "train.tsv": HEADER + b'1\t10\t11\ta "b\tc\n1\t14\t15\tf\tg\n',
        "dev.tsv": HEADER + b"0\t12\t13\td\te\n",
        # The gold labels that stand in the corpus are gone.
        "test.tsv": b"index\t#1 ID\t#2 ID\t#1 String\t#2 String\n0\t7\t8\tx\ty\n1\t9\t6\tz\tw\n",
    }


def test_mrpc_of_odd_parts(tmp_path: Path) -> None:
    assert mrpc(tmp_path, dev_ids=b"id1\tid2\n12\t13\n")["dev.tsv"] == HEADER + b"0\t12\t13\td\te\n"
    with pytest.raises(InputError, match=r"dev_ids: names 2 pairs, 1 of them in the corpus"):
        mrpc(tmp_path, dev_ids=b"12\t13\n12\t14\n")
    with pytest.raises(InputError, match=r"train:3: expected 5 columns, found 4"):
        mrpc(tmp_path, train=HEADER + b"1\t12\t13\ta\tc\n1\t1\t2\ta\n")


@pytest.mark.real_data
def test_mrpc_is_the_official_one_byte_for_byte(tmp_path: Path, glue_data_dir: Path) -> None:
    parts = corpus_of(glue_data_dir / "MRPC")
    # The corpus made from the official files has the published sizes.
    assert {part: len(content) for part, content in parts.items()} == {
        part: size for part, (_, size, _) in PLAIN["MRPC"].items()
    }
    result = mrpc(tmp_path, **parts)
    for name in ("train.tsv", "dev.tsv", "test.tsv"):
        assert result[name] == (glue_data_dir / "MRPC" / name).read_bytes()


@pytest.mark.real_data
def test_the_diagnostic_set_is_the_published_file(glue_data_dir: Path) -> None:
    content = (glue_data_dir / "diagnostic" / "diagnostic.tsv").read_bytes()
    assert row_for(PLAIN["diagnostic"]["test"][0], content) == PLAIN["diagnostic"]["test"]


# --- SQuAD -----------------------------------------------------------------------------------------


def test_squad(
    web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert set(download_squad.MD5) == {
        f"{kind}-v{v}.json" for kind in ("train", "dev") for v in ("1.1", "2.0")
    }
    for name in download_squad.MD5:
        content = json.dumps({"version": name}).encode()
        web.files[f"/squad/{name}"] = content
        monkeypatch.setitem(download_squad.MD5, name, hashlib.md5(content).hexdigest())
    download_squad.main(["--data_dir", str(tmp_path), "--server", f"{web.url}/squad", "--version", "2.0"])
    assert capsys.readouterr().out.split() == [
        str(tmp_path / "train-v2.0.json"), str(tmp_path / "dev-v2.0.json")
    ]  # fmt: skip
    download_squad.main(["--data_dir", str(tmp_path), "--server", f"{web.url}/squad"])
    assert sorted(path.name for path in tmp_path.glob("*.json")) == sorted(download_squad.MD5)
    monkeypatch.setitem(download_squad.MD5, "dev-v1.1.json", "0" * 32)
    with pytest.raises(InputError, match=r"has md5 .*; it was not kept"):
        download_squad.main(["--data_dir", str(tmp_path), "--server", f"{web.url}/squad"])
