"""A pickle machine that knows what PyTorch and Paddle write into files of weights, no more. No Paddle.

Python's unpickler does whatever a pickle says: it calls what the pickle names, allocates what it announces,
and hashes what it nests. This one calls only what a table admits (see unpickling.py), takes nothing but text
as a key, leaves long texts and bytes in the file until they are asked for, and stops after so many
operations: memory and time are bounded whatever the file says.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

from checkpoints.formats.tensors import read_exactly
from common.errors import InputError

# The largest published network of these types takes 20 000; each takes about a microsecond, and no more
# than a kilobyte.
MOST_OPERATIONS = 500_000
_LONGEST_NAME = 300  # bytes; longer texts are an array's numbers
_LONGEST_NUMBER = 16  # bytes; PyTorch's magic number has ten
_MOST_ARGUMENTS = 8
_REMEDY = "nothing was run. Take the model from a source you trust, best as model.safetensors"


class StandIn:
    """What a pickle can make or name. It changes only as ``build`` allows."""

    __slots__ = ()

    def build(self, state: Any) -> None:
        """Take the state that a pickle sets; ValueError where there is none to be set."""
        raise ValueError(f"a {type(self).__name__.strip('_').lower()} takes no state")


class Maker(StandIn):
    """What a pickle may call."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[..., Any]) -> None:
        self.make = make


class Stretch(StandIn):
    """Bytes of a file that were not read yet. encoded: as Python 3 writes them in protocol 2, each as a
    character of UTF-8."""

    __slots__ = ("begin", "encoded", "length", "path")

    def __init__(self, path: Path, begin: int, length: int, encoded: bool) -> None:
        self.path, self.begin, self.length, self.encoded = path, begin, length, encoded

    def may_hold(self, size: int) -> bool:
        """Whether these can be so many bytes."""
        return size <= self.length <= 2 * size if self.encoded else size == self.length

    def read(self) -> bytes | bytearray:
        raw = read_exactly(self.path, self.begin, self.length)
        if not self.encoded:
            return raw
        try:
            return raw.decode("utf-8").encode("latin1")
        except UnicodeError:
            raise InputError(f"{self.path}: an array in it is damaged; fetch it again") from None


class Machine:
    """Reads one pickle of a file, from where the file stands to ``end`` at the most.

    names: (module, name) → what it stands for. storages: what a reference to numbers outside of the
    pickle stands for. ``load`` raises InputError for what is refused; ValueError, LookupError or TypeError
    for a damaged pickle.
    """

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        end: int,
        names: Mapping[tuple[str, str], Any],
        storages: Callable[[Any], Any] | None,
    ) -> None:
        self._file, self._path, self._place, self._end = file, path, file.tell(), end
        self._names, self._storages = names, storages
        self._stack: list[Any] = []
        self._below: list[list[Any]] = []  # the stacks under the marks
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        for _ in range(MOST_OPERATIONS):
            code = self._read(1)
            if code == pickle.STOP:
                return self._stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self._refusal(code)
            operation(self)
        raise ValueError(f"more than {MOST_OPERATIONS} operations")

    # --- bytes ---

    def _take(self, length: int) -> int:
        """Step over so many bytes; returns where they begin."""
        begin = self._place
        if length > self._end - begin:
            raise ValueError("it ends early")
        self._place = begin + length
        return begin

    def _read(self, length: int) -> bytes:
        self._take(length)
        raw = self._file.read(length)
        if len(raw) != length:
            raise ValueError("it ends early")
        return raw

    def _number(self, length: int) -> int:
        return int.from_bytes(self._read(length), "little")

    def _line(self) -> str:
        raw = self._file.readline(_LONGEST_NAME)
        self._take(len(raw))
        if not raw.endswith(b"\n"):
            raise ValueError("a name without an end")
        return raw[:-1].decode()

    def _stretch(self, length: int, encoded: bool) -> Stretch:
        begin = self._take(length)
        self._file.seek(self._place)
        return Stretch(self._path, begin, length, encoded)

    # --- refusals ---

    def _refusal(self, code: bytes) -> Exception:
        name = {known.code: known.name for known in pickletools.opcodes}.get(code.decode("latin1"))
        if name is None:
            return ValueError(f"0x{code.hex()} is no operation of pickles")
        return InputError(
            f"{self._path}: refused: it uses {name}, which pickles of weights do not; {_REMEDY}"
        )

    def _find(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is no text")
        if (module, name) in self._names:
            return self._names[module, name]
        raise InputError(
            f"{self._path}: refused: it names {shown(f'{module}.{name}')}, which weights have no use for; "
            f"{_REMEDY}"
        )

    # --- operations ---

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def protocol(self) -> None:
        if self._number(1) > pickle.HIGHEST_PROTOCOL:
            raise ValueError("a protocol that is not known")

    def frame(self) -> None:
        self._take(8)
        self._file.seek(self._place)  # how long it is, says nothing to who reads on

    def text(self, width: int) -> None:
        length = self._number(width)
        long = length > _LONGEST_NAME
        self.push(self._stretch(length, encoded=True) if long else self._read(length).decode())

    def raw(self, width: int) -> None:
        length = self._number(width)
        self.push(self._stretch(length, encoded=False) if length > _LONGEST_NAME else self._read(length))

    def integer(self, length: int, signed: bool = False) -> None:
        self.push(int.from_bytes(self._read(length), "little", signed=signed))

    def long_integer(self) -> None:
        length = self._number(1)
        if length > _LONGEST_NUMBER:
            raise ValueError(f"a number of {length} bytes")
        self.integer(length, signed=True)

    def mark(self) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _last(self, count: int) -> list[Any]:
        items = self._stack[len(self._stack) - count :]
        if len(items) != count:
            raise LookupError
        del self._stack[len(self._stack) - count :]
        return items

    def tuple_of(self, count: int) -> None:
        self.push(tuple(self._last(count)))

    def append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("items of what is no list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items of what is no mapping")
        # Anything else could take for ever to be hashed, or collide with all others.
        if not all(type(key) is str for key in keys):
            raise ValueError("a mapping whose keys are no text")
        target.update(zip(keys, items[1::2], strict=True))

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def named(self) -> None:
        self.push(self._find(self._line(), self._line()))

    def named_on_stack(self) -> None:
        self.push(self._find(*self._last(2)))

    def instance(self) -> None:
        self._find(self._line(), self._line())  # refused by its name
        raise self._refusal(pickle.INST)

    def call(self) -> None:
        maker, arguments = self._last(2)
        if not isinstance(maker, Maker) or not isinstance(arguments, tuple):
            raise ValueError("a call of what cannot be called")
        if len(arguments) > _MOST_ARGUMENTS:
            raise ValueError(f"a call with {len(arguments)} arguments")
        self.push(maker.make(*arguments))

    def build(self) -> None:
        (state,), target = self._last(1), self._stack[-1]
        if not isinstance(target, StandIn):
            raise ValueError("a state for what has none")
        target.build(state)

    def refer(self) -> None:
        if self._storages is None:
            raise ValueError("a reference to something outside of the file")
        self.push(self._storages(*self._last(1)))


# The operations of protocols 2 to 4 that hold a state dict; of 0 and 1 those that go on being used.
_OPERATIONS: dict[bytes, Callable[[Machine], None]] = {
    pickle.PROTO: Machine.protocol,
    pickle.FRAME: Machine.frame,
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.integer(4, signed=True),
    pickle.BININT1: lambda m: m.integer(1),
    pickle.BININT2: lambda m: m.integer(2),
    pickle.LONG1: Machine.long_integer,
    pickle.BINFLOAT: lambda m: m.push(struct.unpack(">d", m._read(8))[0]),
    pickle.SHORT_BINUNICODE: lambda m: m.text(1),
    pickle.BINUNICODE: lambda m: m.text(4),
    pickle.BINUNICODE8: lambda m: m.text(8),
    pickle.SHORT_BINBYTES: lambda m: m.raw(1),
    pickle.BINBYTES: lambda m: m.raw(4),
    pickle.BINBYTES8: lambda m: m.raw(8),
    pickle.MARK: Machine.mark,
    pickle.EMPTY_TUPLE: lambda m: m.push(()),
    pickle.TUPLE1: lambda m: m.tuple_of(1),
    pickle.TUPLE2: lambda m: m.tuple_of(2),
    pickle.TUPLE3: lambda m: m.tuple_of(3),
    pickle.TUPLE: lambda m: m.push(tuple(m._to_mark())),
    pickle.EMPTY_LIST: lambda m: m.push([]),
    pickle.APPEND: lambda m: m.append(m._last(1)),
    pickle.APPENDS: lambda m: m.append(m._to_mark()),
    pickle.EMPTY_DICT: lambda m: m.push({}),
    pickle.SETITEM: lambda m: m.set_items(m._last(2)),
    pickle.SETITEMS: lambda m: m.set_items(m._to_mark()),
    pickle.BINPUT: lambda m: m.put(m._number(1)),
    pickle.LONG_BINPUT: lambda m: m.put(m._number(4)),
    pickle.MEMOIZE: lambda m: m.put(len(m._memo)),
    pickle.BINGET: lambda m: m.get(m._number(1)),
    pickle.LONG_BINGET: lambda m: m.get(m._number(4)),
    pickle.GLOBAL: Machine.named,
    pickle.STACK_GLOBAL: Machine.named_on_stack,
    pickle.INST: Machine.instance,
    pickle.REDUCE: Machine.call,
    pickle.BUILD: Machine.build,
    pickle.BINPERSID: Machine.refer,
}


def shown(text: str) -> str:
    """A name from a file, safe to print in one line."""
    return ascii(text[:100])[1:-1][:100]
