"""The pre-training corpus: what becomes a line, what is left out, and the same bytes every time."""

import hashlib
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands.errors import InputError
from glue.tasks import TASKS
from scripts import make_corpus
from scripts.corpus_packages import PACKAGES, Package
from scripts.corpus_readers import READERS
from scripts.corpus_tasks import squad_lines
from scripts.corpus_text import MOST_WORDS, is_plain_english, lines, normalised, passages, sentences
from scripts.debian_archive import files_of

PAGE = b"""<html><head><title>Not this</title></head><body><h1>A heading</h1>
<p>The harbour was quiet that night. Nobody had
  seen the &ldquo;old&rdquo; <em>fisherman</em> leave.</p>
<pre>code = it.is();</pre><table><tr><td>a</td><td>b</td></tr></table>
<ul><li>We never found out why he was there.</li><li>Short one.</li></ul></body></html>"""


def deb_of(files: dict[str, bytes]) -> bytes:
    """A Debian package by hand: an ar archive of three members, with headers of 16+12+6+6+8+10+2 bytes."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = b"!<arch>\n"
    for name, content in (
        ("debian-binary", b"2.0\n"),
        ("control.tar.xz", b"odd"),
        ("data.tar.xz", data.getvalue()),
    ):
        whole += f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode() + content
        whole += b"\n" * (len(content) % 2)
    return whole


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One came. Two went!  “Three?” he asked.", ["One came.", "Two went!", '"Three?" he asked.']),
        ("Dr. A. B. Smith met e.g. Mr. Jones.", ["Dr. A. B. Smith met e.g. Mr. Jones."]),
        ("It rose 3.5 percent. 12 fell.", ["It rose 3.5 percent.", "12 fell."]),
        ('"Go on. I listen. Then what?"', ["Go on.", "I listen.", "Then what?"]),
        ("a\nb\tc\u00a0d", ["a b c d"]),
        ("", []),
    ],
)
def test_a_paragraph_is_cut_into_its_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "The committee said it would not appeal against the ruling.",
        "Why did she leave so early?",
        'He said, "I was there (twice)."',
        "In 1999 about 40% of them were sold for $12.",
    ],
)
def test_ordinary_sentences_are_plain_english(text: str) -> None:
    assert is_plain_english(text)


@pytest.mark.parametrize(
    "text",
    [
        "Too short here.",
        "A sentence without its end or so",
        "this one begins in the middle of something.",
        "Call it with foo() and then look at the result.",
        "You can set --verbose to see more of it.",
        "Look into /etc/passwd for the name of the user.",
        "The value of max_size is what you have set.",
        "See www.example.org for all of the rest of it.",
        "Ce n'est pas la même chose que dans les autres pays du monde.",
        "Die Katze sitzt auf dem Dach und schaut in den Garten.",
        "File Edit View Search Terminal Help Window Tools.",
        "Sales: 1 234 567 890 12 345 and 1 234 567 of it.",
        "It is 5 & 6 {or} <so> they say to us.",
        "The price of %item% is what you have to pay.",
        " ".join(["The"] + ["word"] * MOST_WORDS) + ".",
    ],
)
def test_what_is_no_sentence_of_english_is_not(text: str) -> None:
    assert not is_plain_english(text)


SENTENCES = st.lists(st.integers(1, MOST_WORDS).map(lambda n: " ".join(["Word"] * n) + "."), max_size=30)


@given(SENTENCES)
def test_passages_and_lines_keep_every_sentence_in_order_and_fit_an_example(kept: list[str]) -> None:
    found = passages(kept)
    assert " ".join(found) == " ".join(kept)
    assert all(len(passage.split()) <= MOST_WORDS for passage in found)
    assert [text for line in lines(found) for text in line.split("\t")] == found
    assert all(len(line.split()) <= MOST_WORDS and line.count("\t") <= 1 for line in lines(found))


def test_lengths_mix_and_a_fair_share_of_lines_are_pairs() -> None:
    kept = [f"Sentence number {n} has just these few {'more ' * (n % 9)}words." for n in range(3000)]
    found = passages(kept)
    sizes = [len(passage.split()) for passage in found]
    assert min(sizes) < 12
    assert max(sizes) > 80
    assert 0.25 < sum(size > 20 for size in sizes) / len(sizes) < 0.6
    made = list(lines(found))
    assert 0.2 < sum("\t" in line for line in made) / len(made) < 0.4


@pytest.mark.parametrize(
    ("reader", "raw", "expected"),
    [
        (
            "markup",
            PAGE,
            [
                [
                    "A heading",
                    "The harbour was quiet that night. Nobody had seen the “old” fisherman leave.",
                    *("a", "b", "We never found out why he was there.", "Short one."),
                ]
            ],
        ),
        (
            "markup",  # DocBook: within a line, hidden, empty, and an unknown entity
            b"<para>See the <guilabel>File</guilabel> menu<indexterm><primary>x</primary></indexterm>.</para>"
            b"<screen>ls</screen><para>One<anchor id='a'/></para>",
            [["See the File menu.", "One"]],
        ),
        ("plain", b"One\n two.\n\nThree.\n", [["One two.", "Three."]]),
        (
            "dictionary",
            b"00-info\n   About.\n\nAbjure \\Ab*jure\\, v. t. [L. abjurare.]\n   1. To swear off; see {Jury}."
            b" --Shak.\n      [1913 Webster]\n",
            [["About."], ["To swear off; see Jury.", ""]],
        ),
        (
            "wordnet",
            b"  1 This software | is licensed  \n"
            b'00006269 03 n 01 hot_dog 0 000 | a sausage in a roll; "he ate one"; "they sell well!"  \n',
            [["Hot dog: a sausage in a roll.", "He ate one.", "They sell well!"]],
        ),
        (
            "wml",
            b'message= _ "He said ""no"" to <i>us</i>."\nname=_"noun^Elf"\nid="x"',
            [['He said "no" to us.', "Elf"]],
        ),
        (
            "endless_sky",
            b'description "A ship."\n\t`"Who are you?" you ask.`\n',
            [["A ship.", '"Who are you?" you ask.']],
        ),
        ("gettext", b'text = _("One \\\ntwo.\\n\\n\\\nThree \\"four\\".")', [["One two.", 'Three "four".']]),
        (
            "stringtable",
            b"KEY_A\nOne line.\n\nKEY_B\n'''Two\nlines'''\n",
            [["One line."], ["Two", "lines"]],
        ),
        (
            "json",
            b'[{"id": "not this", "name": {"str": "cat"}, "description": "A cat."}]',
            [["cat", "A cat."]],
        ),
        (
            "descriptions",
            b"Package: a\nDescription-md5: 0\nDescription-en: short\n First\n line.\n .\n"
            b" * a list\n   of things\n Second.\n\n",
            [["First line.", "Second."], [""]],
        ),
        (
            "alphabet",
            b"\n\nHEARSE, n.  Death's\nbaby-carriage.\n\nHEART, n.  A _pump_.\n",
            [["Death's baby-carriage."], ["A pump."]],
        ),
    ],
)  # fmt: skip
def test_a_reader_finds_the_paragraphs(reader: str, raw: bytes, expected: list[list[str]]) -> None:
    found = [[text for text in document if text] for document in READERS[reader](raw)]
    assert [document for document in found if document] == [
        [text for text in document if text] for document in expected if any(document)
    ]


def test_an_r_data_base_is_read() -> None:
    import zlib

    def whole(number: int) -> bytes:
        return number.to_bytes(4, "big")

    texts = [b"It was the", b"best of times.", b"", b"And then?"]
    item = b"X\n" + whole(3) + whole(0x040202) + whole(0x030500) + whole(6) + b"UTF-8\0"
    item += (
        whole(16)
        + whole(len(texts))
        + b"".join(whole(0x00040009) + whole(len(text)) + text for text in texts)
    )
    raw = 2 * (whole(len(item)) + zlib.compress(item))
    assert list(READERS["novels"](raw)) == 2 * [["It was the best of times.", "And then?"]]


def test_a_sword_module_is_read_past_stray_bytes() -> None:
    import zlib

    verse = (
        b'<chapter n="1"/><w lemma="a">In</w> the <w>beginning</w>.<note>Or: first</note> <verse/>So it was.'
    )
    raw = zlib.compress(verse) + b"x\x9c\xff\xff\xff" + zlib.compress(b"<p>Then.</p>")
    assert list(READERS["sword"](raw)) == [["In the beginning. So it was."], ["Then."]]


def test_files_of_a_package(tmp_path: Path) -> None:
    import gzip

    deb = tmp_path / "x.deb"
    deb.write_bytes(
        deb_of(
            {
                "usr/doc/b.html": b"B",
                "usr/doc/a.gz": gzip.compress(b"A"),
                "usr/doc/index.html": b"",
                "etc/b.html": b"",
            }
        )
    )
    assert list(files_of(deb, ["usr/*"], ["*index*"])) == [("usr/doc/a.gz", b"A"), ("usr/doc/b.html", b"B")]
    deb.write_bytes(deb.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"x\.deb: not a whole Debian package .*fetch it again"):
        list(files_of(deb, ["*"]))
    deb.write_bytes(b"<html>no such page</html>")
    with pytest.raises(InputError, match="not a whole Debian package"):
        list(files_of(deb, ["*"]))


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
        json.dumps({"version": "1.1", "data": [{"title": "t", "paragraphs": paragraphs}]})
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
    rows = (project_dir / "docs" / "convbert_mini_sources.md").read_text("utf-8")
    for package in PACKAGES:
        assert re.search(rf"^\| {re.escape(package.name)} \| {re.escape(package.version)} \|", rows, re.M), (
            package.name
        )
        assert package.licence in rows
