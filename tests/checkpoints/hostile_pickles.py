"""Pickles that no one writes by accident: each asks for memory, time or calls beyond all measure."""

import pickle
import struct
from collections.abc import Iterator

PROTOCOL = b"\x80\x04"
_MANY = 400_000  # just below the operations that are read
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
ARRAY = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85C\x01btR"


def text(value: str) -> bytes:
    """BINUNICODE."""
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def integer(value: int) -> bytes:
    """LONG1 of 16 bytes, the longest that is read."""
    return b"\x8a\x10" + value.to_bytes(16, "little", signed=True)


def doubled(times: int, start: bytes = b")") -> bytes:
    """((((), ()), ((), ())), …): 2**times nodes from a few bytes each. Leaves it on the stack."""
    return start + b"q\x00h\x00\x86" * times


def dtype(code: str = "f4") -> bytes:
    """A NumPy type as NumPy pickles it."""
    unset = b"J\xff\xff\xff\xff"
    made = b"cnumpy\ndtype\n" + text(code) + b"\x89\x88\x87R"
    return made + b"(K\x03" + text("<") + b"NNN" + unset + unset + b"K\x00tb"


def state(shape: bytes, raw: bytes) -> bytes:
    """An array's state; its shape and its numbers are pickles that say what they like."""
    return b"(K\x01" + shape + dtype() + b"\x89" + raw + b"t"


def array(shape: bytes, raw: bytes) -> bytes:
    """An array as NumPy pickles it."""
    return ARRAY + state(shape, raw) + b"b"


def inside(value: bytes) -> bytes:
    """A mapping with one value."""
    return PROTOCOL + b"}" + text("w") + value + b"s."


def pickles() -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each; all are to be refused."""
    yield "a key of 2**60 nodes", PROTOCOL + b"}" + doubled(60) + b"Ns."
    yield "a value of 2**60 nodes", inside(doubled(60))
    numbers = b"".join(integer(n * (2**61 - 1)) + b"N" for n in range(1, 100_000))  # all of one hash
    yield "numbers as keys", PROTOCOL + b"}(" + numbers + b"u."
    yield "a memo of 2**32", inside(b"Nr\xff\xff\xff\xff")
    yield "a memo by a text", inside(b"Np" + b"9" * 100_000 + b"\n")
    yield "a number of 2**31 bytes", inside(b"\x8b\xff\xff\xff\x7f")
    yield "a number of 255 bytes", inside(b"\x8a\xff" + b"\x7f" * 255)
    yield "a number of 100 000 digits", inside(b"I" + b"9" * 100_000 + b"\n")
    yield "a long of 100 000 digits", inside(b"L" + b"9" * 100_000 + b"L\n")
    for name, code in (("bytes", b"\x8e"), ("text", b"\x8d"), ("bytearray", b"\x96"), ("frame", b"\x95")):
        for length in (2**33, 2**63, 2**64 - 1):
            yield f"{name} of {length}", inside(code + struct.pack("<Q", length) + b"x")
    yield "bytes of 2**32", inside(b"B\xff\xff\xff\xffx")
    yield "text of 2**32", inside(b"X\xff\xff\xff\xffx")
    yield "tuples in tuples", inside(b")" + b"\x85" * _MANY)
    yield "lists in lists", inside(b"]" * _MANY + b"a" * (_MANY // 10))
    yield "a list in itself", inside(b"]q\x00h\x00a")
    yield "marks", PROTOCOL + b"(" * _MANY * 2
    yield "nothing, again and again", PROTOCOL + b"N" * 2_000_000
    yield "mappings", PROTOCOL + b"}" * 2_000_000
    yield "copies by DUP", inside(b"]" + b"2a" * 100)  # refused by its name
    yield "sets", inside(b"\x8f(" + doubled(50) + b"\x90")
    yield "a frozen set", inside(b"(" + doubled(50) + b"\x91")
    yield "an extension", inside(b"\x82\x01")
    yield "an unterminated name", PROTOCOL + b"c" + b"a" * 10_000_000
    yield "names that are texts of 10 MB", PROTOCOL + text("a" * 10_000_000) + text("b") + b"\x93."
    yield "names of 2**60 nodes", PROTOCOL + doubled(60) + doubled(60) + b"\x93."
    arguments = b"(" + b"N" * (_MANY // 2) + b"tq\x02"
    yield "calls with many arguments", inside(TENSOR + b"q\x01" + arguments + b"R" + b"h\x01h\x02R" * 50_000)
    copies = b"h\x02h\x01\x85R" * 50_000
    items = b"]q\x01(" + b"N" * 200_000 + b"e"
    yield "a tuple of a list, again and again", inside(items + b"(cbuiltins\ntuple\nq\x02" + copies + b"t")
    yield "a mapping of a list", inside(b"ccollections\nOrderedDict\n]\x85R")
    yield "an encoded text, again and again", inside(
        b"(" + text("ÿ" * 10_000_000) + b"q\x01" + text("latin1") + b"\x86q\x02c_codecs\nencode\nq\x03"
        + b"h\x03h\x02R" * 100_000 + b"t"
    )  # fmt: skip
    yield "a state for a name", TENSOR + doubled(60) + b"b."
    yield "a state for a mapping", inside(b"}" + doubled(60) + b"b")
    yield from _shapes()
    yield "parts of 2**60 nodes", pickle.dumps({"a": 1}, 2)[:-1] + (
        text("UnpackBigParamInfor@@") + b"}" + text("w") + b"}" + text("slices") + b"]" + doubled(60) + b"as"
        + text("OriginShape") + b"(K\x01tssss."
    )  # fmt: skip
    parts = text("slices") + b"]" + text("OriginShape") + b")"
    whole = text("UnpackBigParamInfor@@") + b"}" + text("w") + b"}(" + parts + b"u"
    yield "parts of nothing", PROTOCOL + b"}" + whole + b"ss."


def _shapes() -> Iterator[tuple[str, bytes]]:
    many = b"(" + b"K\x01" * 100_000 + b"t"
    huge = b"(" + integer(2**126) * 8 + b"t"
    yield "an array of 100 000 dimensions", inside(array(many, b"C\x04abcd"))
    yield "an array of 2**1008 numbers", inside(array(huge, b"C\x04abcd"))
    yield "an array of none of 2**126 numbers", inside(array(b"(K\x00" + integer(2**126) + b"t", b"C\x00"))
    yield "a shape of 2**60 nodes", inside(array(doubled(60), b"C\x04abcd"))
    yield "a shape of truths", inside(array(b"\x88\x85", b"C\x04abcd"))
    yield "an array without numbers", inside(array(b"K\x01\x85", doubled(60)))
    yield "an array of text", inside(array(b"K\x01\x85", text("abcd")))
    yield "a type of 2**60 nodes", inside(b"cnumpy\ndtype\n" + doubled(60) + b"R")
    yield "a type named at length", inside(b"cnumpy\ndtype\n" + text("f" * 1_000_000) + b"\x85R")
    yield "a type in an odd state", inside(b"cnumpy\ndtype\n" + text("f4") + b"\x85R" + doubled(60) + b"b")
    numbers = state(integer(2**20) + b"\x85", b"B" + struct.pack("<I", 2**22) + bytes(2**22))
    others = b"".join(text(f"w{n}") + ARRAY + b"h\x01b" for n in range(30))
    yield "the same numbers, again and again", PROTOCOL + b"}(" + (
        text("w") + ARRAY + numbers + b"q\x01b" + others + b"u."
    )  # fmt: skip
