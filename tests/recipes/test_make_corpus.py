"""The pre-training corpus as a whole: its sources, what is left out, and the same bytes every time."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from common.errors import InputError
from glue.tasks import TASKS
from recipes.convbert_mini import make_corpus
from recipes.convbert_mini.corpus_packages import PACKAGES, Package
from recipes.convbert_mini.corpus_readers import READERS
from recipes.convbert_mini.corpus_tasks import squad_lines
from recipes.convbert_mini.corpus_text import normalised
from tests.recipes.corpus_files import PAGE, deb_of


def squad_file(folder: Path, name: str, context: str, questions: list[tuple[str, str]]) -> None:
    rows = [
        {
            "id": f"{name}{n}",
            "question": text,
            "answers": [{"text": answer, "answer_start": context.index(answer)}],
        }
        for n, (text, answer) in enumerate(questions)
    ]
    paragraphs = [{"context": context, "qas": rows}]
    (folder / name).write_text(
        json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]}), encoding="utf-8"
    )


def test_a_question_goes_with_the_sentences_that_answer_it(tmp_path: Path) -> None:
    first = "Ann " + "walked on " * 45 + "to Rome."  # 93 words
    second = "There she met Bob in a small cafe."
    squad_file(
        tmp_path,
        "train-v1.1.json",
        f"{first}  {second}",
        [("Who came?", "Ann"), ("Where did she end?", "Rome"), ("Where was it?", "There"), ("Who?", "Bob")],
    )
    assert list(squad_lines(tmp_path)) == [
        *("Who came?", f"Who came?\t{first}"),
        *("Where did she end?", f"Where did she end?\t{first}"),  # its last word
        *("Where was it?", f"Where was it?\t{second}"),  # its first word
        *("Who?", f"Who?\t{second}"),
        *(first, second),
    ]


@pytest.fixture
def small_deb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the only package there is now."""
    deb = tmp_path / "debs" / "tale_1%3a2.0-1_all.deb"
    deb.parent.mkdir()
    deb.write_bytes(deb_of({"usr/tale.html": PAGE}))
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    package = Package("tale", "1:2.0-1", digest, "public domain", "markup", ("usr/*.html",))
    monkeypatch.setattr(make_corpus, "PACKAGES", (package,))
    return deb.parent


def test_the_whole_way_of_a_package(small_deb: Path, tmp_path: Path) -> None:
    squad = tmp_path / "squad"
    squad.mkdir()
    squad_file(
        squad, "train-v1.1.json", "Ann met Bob in Rome.", [("Where did they meet?", "Rome"), ("Seen?", "Ann")]
    )
    # A dev text differs from it in case and marks only.
    squad_file(squad, "dev-v1.1.json", "Here is one. We never found out why he was THERE!", [("Seen", "one")])
    words = [
        "--package_dir",
        str(small_deb),
        "--squad_dir",
        str(squad),
        "--output_dir",
        str(tmp_path / "out"),
    ]
    make_corpus.main(words)
    written = (tmp_path / "out" / "train.data").read_text("utf-8").splitlines()
    story = ["The harbour was quiet that night.", 'Nobody had seen the "old" fisherman leave.']
    free = [line for line in written if "harbour" in line or "fisherman" in line]
    assert " ".join(free).replace("\t", " ") in (" ".join(story), " ".join(story[::-1]))
    asked = ["Where did they meet?", "Where did they meet?\tAnn met Bob in Rome.", "Ann met Bob in Rome."]
    assert sorted(set(written) - set(free)) == sorted(asked)
    told = json.loads((tmp_path / "out" / "sources.json").read_text("utf-8"))
    assert told["sources"]["SQuAD"]["dev_or_test"] == 2  # "Seen?" alone, and with its passage
    assert told["sources"]["tale"]["words"] == 13
    assert told["sha256"] == hashlib.sha256((tmp_path / "out" / "train.data").read_bytes()).hexdigest()


def test_a_sentence_of_the_dev_set_is_left_out_of_free_text(small_deb: Path, tmp_path: Path) -> None:
    corpus = make_corpus.Corpus({normalised("Nobody had seen the old fisherman leave")})
    corpus.add_documents(
        "tale", [["The harbour was quiet that night. Nobody had seen the “old” fisherman leave."]]
    )
    corpus.add_documents("again", [["The harbour was quiet that night."]])
    assert list(corpus.lines) == ["The harbour was quiet that night."]
    assert corpus.counts["tale"]["dev_or_test"] == 1
    assert corpus.counts["again"]["empty_or_repeated"] == 1


def test_other_bytes_of_a_package_are_refused(small_deb: Path, tmp_path: Path) -> None:
    (deb,) = small_deb.glob("*.deb")
    deb.write_bytes(deb.read_bytes() + b"\n")
    words = ["--package_dir", str(small_deb), "--output_dir", str(tmp_path / "out")]
    with pytest.raises(InputError, match=rf"^{re.escape(str(deb))}: not the bytes .*fetch it again$"):
        make_corpus.main(words)
    deb.unlink()
    with pytest.raises(InputError, match=r"apt-get download tale=1:2\.0-1$"):
        make_corpus.main(words)
    assert not (tmp_path / "out").exists()


def test_training_texts_of_the_tasks_and_no_others(sample_dir: Path, tmp_path: Path) -> None:
    make_corpus.main(["--glue_dir", str(sample_dir), "--output_dir", str(tmp_path)])
    written = (tmp_path / "train.data").read_text("utf-8").splitlines()
    assert len(written) == len(set(written))
    held_out: set[str] = set()
    for task in TASKS.values():
        for split in task.splits:
            rows = (sample_dir / split.file).read_text("utf-8-sig").split("\n")
            header = list(split.headless) or rows[0].split("\t")
            texts = [
                tuple(row.split("\t")[header.index(name)] for name in task.text_columns)
                for row in rows[0 if split.headless else 1 :]
                if row.count("\t") == len(header) - 1
            ]
            if split.kind != "train":
                held_out |= {normalised(text) for pair in texts for text in pair}
    assert held_out
    assert not [text for line in written for text in line.split("\t") if normalised(text) in held_out]
    rte = (sample_dir / "RTE" / "train.tsv").read_text("utf-8").split("\n")[1:-1]
    pairs = [tuple(row.split("\t")[1:3]) for row in rte]
    kept = ["\t".join(pair) for pair in pairs if not {normalised(text) for text in pair} & held_out]
    assert kept
    assert set(kept) <= set(written)


def test_the_same_inputs_give_the_same_bytes(sample_dir: Path, tmp_path: Path) -> None:
    for folder, seed in (("a", 0), ("b", 0), ("c", 1)):
        words = ["--glue_dir", str(sample_dir), "--seed", str(seed), "--output_dir", str(tmp_path / folder)]
        make_corpus.main(words)
    a, b, c = ((tmp_path / folder / "train.data").read_bytes() for folder in "abc")
    assert a == b != c
    assert sorted(a.splitlines()) == sorted(c.splitlines())
    found = a.decode().splitlines()
    assert make_corpus.shuffled(reversed(found), 0) == found


def test_the_table_of_packages(capsys: pytest.CaptureFixture[str]) -> None:
    make_corpus.main(["--list_packages"])
    listed = capsys.readouterr().out.split()
    assert len(listed) == len(set(listed)) == len(PACKAGES)
    assert all(re.fullmatch(r"[a-z0-9.+-]+=\S+", name) for name in listed)
    assert all(re.fullmatch(r"[0-9a-f]{64}", package.sha256) for package in PACKAGES)
    assert {package.reader for package in PACKAGES} <= set(READERS)


def test_every_package_is_in_the_document_of_sources(project_dir: Path) -> None:
    rows = (project_dir / "recipes/convbert_mini/sources.md").read_text("utf-8")
    for package in PACKAGES:
        assert re.search(rf"^\| {re.escape(package.name)} \| {re.escape(package.version)} \|", rows, re.M), (
            package.name
        )
        assert package.licence in rows
