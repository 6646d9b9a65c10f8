"""What of a text becomes a line, and what each reader finds in a file."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.errors import InputError
from recipes.convbert_mini.corpus_readers import READERS
from recipes.convbert_mini.corpus_text import MOST_WORDS, is_plain_english, lines, passages, sentences
from recipes.convbert_mini.debian_archive import files_of
from tests.recipes.corpus_files import PAGE, deb_of


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
