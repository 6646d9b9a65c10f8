"""Texts on which WordPiece tokenizers disagree, and a small vocabulary to split them with."""

import string

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
WORDS = (
    "the a an of to and in is it was this that problem with most these things script movie film good "
    "bad very not no yes he she they we you what who where when how why which first second new old "
    "man woman city world play game great fun boring entail neutral question answer sentence word "
    "token cafe naive uber resume The This Paris London McDonald HTTP USA don can won isn un able "
    "play re do mid night twenty one two three"
)
ENDINGS = "s ing ed er est ly able ness tion ment th '"
SYMBOLS = "°²€µ£¥§©®™½×÷–—‘’“”…•≤≥≠∞→"
ACCENTED = "éèêëàâäçîïôöûüñßøåÉÀÖÜØÅİı"
CJK = "中文字国日本語漢한국어"

TEXTS = (
    "",
    "   ",
    "\t \n \r\n",
    "the problem , it is with most of these things , is the script .",
    "This movie isn't good; it's BORING!!!",
    "n/a",
    "N/A",
    "NULL nan None",
    "café naïve Über résumé",
    "cafe\u0301 nai\u0308ve U\u0308ber",  # decomposed: letter, then combining mark
    "ÉCOLE À LA ÅNGSTRÖM ØRE",
    "İstanbul ısı Straße STRASSE ẞ",  # lower-casing changes the length
    "中文字",
    "the 中文 movie日本語word",
    "한국어 question",
    "カタカナ ひらがな",  # not CJK ideographs: no spaces are put around them
    "good 😀 film 👨\u200d👩\u200d👧 🇫🇷 👍🏽",
    "20 ° C , 3 m² , 5 € , 7 µm",
    "20°C 3m² 5€ 7µm £3 ½ ×2",
    "™®© § … • ≤ ≥ ≠ ∞ →",
    "“quoted” ‘single’ – dash — em",
    '"raw "" quotes" \'and\' `ticks`',
    '"unbalanced quote',
    "zero\u200bwidth and\u200cnon\u200djoiner \ufeffbom",
    "soft\u00adhyphen no\u00a0break thin\u2009space ideographic\u3000space",
    "control\x00null\x01one\x07bell\x1bescape\x7fdelete",
    "line\u2028separator paragraph\u2029separator next\u0085line",
    "replacement \ufffd character",
    "right\u200fto\u200eleft \u202eoverride",
    "العربية עברית हिन्दी ไทย Ελληνικά Русский",
    "[MASK]",
    "the [MASK] is [SEP] good [CLS] [PAD] [UNK]",
    "[mask] [ MASK ] [MASK]ed un[MASK]",
    "a" * 100,
    "a" * 101,
    "the " + "playing" * 20 + " end",
    "unable playing tokens boringly goodness",
    "don't can't won't he's they're o'clock",
    "e-mail http://www.example.com/a_b?c=d&e=f#g user@example.com",
    "$1,234.56 100% #1 C++ C# A&B ~ ^ | \\ { } < > _ = +",
    "a\tb\tc",
    "  leading and   double  spaces ",
    "ﬁne ﬂow Ⅳ ① ａｂｃ ＡＢＣ！",  # ligatures, compatibility and full-width forms
    "##ing ## # the##s",
    "words " * 40,
    "𝒜𝓁𝓅𝒽𝒶 \U00020000 \U0002f800",  # outside the basic plane, two of them CJK
)


def vocabulary() -> list[str]:
    """Special tokens, characters alone and as word continuations, words, pieces; no token twice."""
    letters = string.ascii_letters + string.digits
    tokens = [
        *SPECIAL,
        *string.punctuation,
        *SYMBOLS,
        *letters,
        *(f"##{letter}" for letter in letters),
        *ACCENTED,
        *(f"##{letter}" for letter in ACCENTED),
        *CJK,
        *WORDS.split(),
        *(f"##{ending}" for ending in ENDINGS.split()),
    ]
    return list(dict.fromkeys(tokens))


def pairs() -> list[tuple[str, str]]:
    """Every text with the next but two, so that long meets short, both ways round, and empty meets both."""
    return [(text, TEXTS[(index + 3) % len(TEXTS)]) for index, text in enumerate(TEXTS)]
