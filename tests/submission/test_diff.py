"""What changed between two hand-ins: counted by hand."""

import json
import zipfile
from pathlib import Path

import pytest

from common.errors import InputError
from submission.diff import differences, main

BEFORE = {"RTE.tsv": ["entailment", "entailment", "not_entailment"], "STS-B.tsv": ["1.0", "2.5", "5"]}
AFTER = {
    "RTE.tsv": ["not_entailment", "not_entailment", "not_entailment"],
    "STS-B.tsv": ["1.00", "2.0", "4.9"],
}


def text_of(predictions: list[str]) -> str:
    return "index\tprediction\n" + "".join(f"{row}\t{cell}\n" for row, cell in enumerate(predictions))


def write(folder: Path, files: dict[str, list[str]]) -> str:
    folder.mkdir(exist_ok=True)
    for name, predictions in files.items():
        (folder / name).write_text(text_of(predictions), encoding="utf-8")
    return str(folder)


def test_by_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a = write(tmp_path / "a", {**BEFORE, "CoLA.tsv": ["0"]})
    b = tmp_path / "b.zip"
    with zipfile.ZipFile(b, "w") as archive:
        for name, predictions in {**AFTER, "WNLI.tsv": ["0"]}.items():
            archive.writestr(name, text_of(predictions))
    cola, sts_b, rte, wnli = differences(a, str(b))
    assert (cola.name, cola.only_in, wnli.name, wnli.only_in) == ("CoLA.tsv", "A", "WNLI.tsv", "B")
    assert (rte.rows, rte.changed, rte.transitions) == (3, 2, (("entailment", "not_entailment", 2),))
    assert (sts_b.rows, sts_b.changed) == (3, 2)  # 1.0 and 1.00 are the same number
    assert (sts_b.mean, sts_b.most) == (pytest.approx(0.6 / 3), pytest.approx(0.5))
    main([a, str(b)])
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["CoLA.tsv", "only", "in", "A"],
        ["STS-B.tsv", "3", "rows", "2", "changed", "66.67%", "by", "0.2000", "on", "average,", "0.5000", "at",
         "most"],
        ["RTE.tsv", "3", "rows", "2", "changed", "66.67%", "entailment", "→", "not_entailment", "2"],
        ["WNLI.tsv", "only", "in", "B"],
    ]  # fmt: skip
    main([a, str(b), "--json"])
    files = json.loads(capsys.readouterr().out)["files"]
    assert files[2]["transitions"] == [["entailment", "not_entailment", 2]]
    main([a, str(b), "--format", "csv"])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "file,rows,changed,remarks"
    assert lines[3:] == ["RTE.tsv,3,2,entailment → not_entailment 2", "WNLI.tsv,0,0,only in B"]


def test_nothing_changed(tmp_path: Path) -> None:
    a, b = (write(tmp_path / name, BEFORE) for name in "ab")
    assert [each.changed for each in differences(a, b)] == [0, 0]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("RTE.tsv", text_of(["entailment"]), "b: RTE.tsv has 1 rows, but 3 in "),
        ("RTE.tsv", text_of(["entailment", "yes", "entailment"]), "b: RTE.tsv:3: unknown label 'yes'"),
        ("RTE.tsv", "", "b: RTE.tsv:1: the file is empty"),
        ("STS-B.tsv", text_of(["1", "2", "nan"]), "b: STS-B.tsv:4: nan is not finite"),
    ],
)
def test_files_that_cannot_be_compared(name: str, text: str, message: str, tmp_path: Path) -> None:
    a, b = (write(tmp_path / folder, BEFORE) for folder in "ab")
    (tmp_path / "b" / name).write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as raised:
        differences(a, b)
    assert str(raised.value).startswith(f"{tmp_path}/{message}")


def test_a_damaged_file_is_not_an_absent_one(tmp_path: Path) -> None:
    a, b = write(tmp_path / "a", BEFORE), tmp_path / "b.zip"
    with zipfile.ZipFile(b, "w") as archive:
        for name, predictions in BEFORE.items():
            archive.writestr(name, text_of(predictions))
    content = bytearray(b.read_bytes())
    content[content.index(b"not_entailment")] ^= 1
    b.write_bytes(content)
    with pytest.raises(InputError, match=r"b\.zip: RTE\.tsv: .*CRC"):
        differences(a, str(b))
    with zipfile.ZipFile(b, "w") as archive:
        for name, predictions in BEFORE.items():
            archive.writestr(f"sub/{name}", text_of(predictions))
    with pytest.raises(InputError, match=r"b\.zip: STS-B\.tsv: is missing; found sub/STS-B\.tsv"):
        differences(a, str(b))


def test_nothing_to_compare(tmp_path: Path) -> None:
    a, b = (write(tmp_path / folder, {}) for folder in "ab")
    with pytest.raises(InputError, match="a: no submission files in it; "):
        differences(a, b)
