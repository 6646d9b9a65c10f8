"""Executes the operations of a pickle that PyTorch and Paddle write into files of weights, no others.

It calls only what a table allows (see allowed.py), takes nothing but text as a key, leaves long texts and
bytes in the file until they are asked for, and stops after so many operations: memory and time are bounded
whatever the file says. No Paddle.
"""

import pickle
import pickletools
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from checkpoints.formats.tensors import read_exactly
from common.errors import InputError
from common.messages import escape_unprintable

# The largest published network of these types takes 20 000; each takes about a microsecond, and no more
# than a kilobyte.
MAX_OPERATIONS = 500_000
_MAX_NAME = 300  # bytes; longer texts are an array's numbers
_MAX_NUMBER = 16  # bytes; PyTorch's magic number has ten
_MAX_ARGUMENTS = 8
_REMEDY = "nothing was run. Take the model from a source you trust, best as model.safetensors"


class PickleValue:
    """What a pickle can make or name. It changes only as ``build`` allows."""

    __slots__ = ()

    def build(self, state: Any) -> None:
        """Take the state that a pickle sets; ValueError where there is none to be set."""
        raise ValueError(f"a {type(self).__name__.strip('_').lower()} takes no state")


@dataclass(eq=False, slots=True)
class AllowedCallable(PickleValue):
    """What a pickle may call. make: what it stands for here."""

    make: Callable[..., Any]


@dataclass(eq=False, slots=True)
class LazyBytes(PickleValue):
    """Bytes of a file that were not read yet."""

    path: Path
    begin: int
    length: int
    encoded: bool  # as Python 3 writes them in protocol 2, each as a character of UTF-8

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
            raise InputError("an array in it is damaged; fetch it again", path=self.path) from None


class PickleMachine:
    """Reads one pickle of a file, from where the file stands to ``end`` at the most.

    names: (module, name) → what it stands for. external: what a reference to numbers outside of the
    pickle stands for. ``load`` raises InputError for what is refused, anything else for a damaged pickle.
    """

    def __init__(
        self,
        file: IO[bytes],
        path: Path,
        end: int,
        names: Mapping[tuple[str, str], Any],
        external: Callable[[Any], Any] | None,
    ) -> None:
        self._file, self._path, self._position, self._end = file, path, file.tell(), end
        self._names, self._external = names, external
        self._stack: list[Any] = []
        self._outer: list[list[Any]] = []  # the stacks below the marks
        self._memo: dict[int, Any] = {}

    def load(self) -> Any:
        for _ in range(MAX_OPERATIONS):
            code = self._read(1)
            if code == pickle.STOP:
                return self._stack.pop()
            operation = _OPERATIONS.get(code)
            if operation is None:
                raise self._refused(code)
            operation(self)
        raise ValueError(f"more than {MAX_OPERATIONS} operations")

    # --- bytes ---

    def _take(self, length: int) -> int:
        """Step over so many bytes; returns where they begin."""
        begin = self._position
        if length > self._end - begin:
            raise ValueError("it ends early")
        self._position = begin + length
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
        raw = self._file.readline(_MAX_NAME)
        self._take(len(raw))
        if not raw.endswith(b"\n"):
            raise ValueError("an unterminated name")
        return raw[:-1].decode()

    def _lazy_bytes(self, length: int, encoded: bool) -> LazyBytes:
        begin = self._take(length)
        self._file.seek(self._position)
        return LazyBytes(self._path, begin, length, encoded)

    # --- what is refused ---

    def _refused(self, code: bytes) -> Exception:
        name = {known.code: known.name for known in pickletools.opcodes}.get(code.decode("latin1"))
        if name is None:
            return ValueError(f"0x{code.hex()} is not an operation of pickles")
        return InputError(
            f"refused: it uses {name}, which pickles of weights do not; {_REMEDY}", path=self._path
        )

    def _lookup(self, module: Any, name: Any) -> Any:
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name that is not text")
        if (module, name) in self._names:
            return self._names[module, name]
        full_name = escape_unprintable(f"{module}.{name}", 100)
        reason = f"refused: it names {full_name}, which weights do not need"
        raise InputError(f"{reason}; {_REMEDY}", path=self._path)

    # --- operations ---

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def protocol(self) -> None:
        if self._number(1) > pickle.HIGHEST_PROTOCOL:
            raise ValueError("a protocol that is not known")

    def frame(self) -> None:
        self._take(8)
        self._file.seek(self._position)  # how long it is, says nothing to who reads on

    def text(self, width: int) -> None:
        length = self._number(width)
        long = length > _MAX_NAME
        self.push(self._lazy_bytes(length, encoded=True) if long else self._read(length).decode())

    def raw(self, width: int) -> None:
        length = self._number(width)
        self.push(self._lazy_bytes(length, encoded=False) if length > _MAX_NAME else self._read(length))

    def integer(self, length: int, signed: bool = False) -> None:
        self.push(int.from_bytes(self._read(length), "little", signed=signed))

    def long_integer(self) -> None:
        length = self._number(1)
        if length > _MAX_NUMBER:
            raise ValueError(f"a number of {length} bytes")
        self.integer(length, signed=True)

    def mark(self) -> None:
        self._outer.append(self._stack)
        self._stack = []

    def _to_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._outer.pop()
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
            raise ValueError("items for something that is not a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        target, keys = self._stack[-1], items[::2]
        if not isinstance(target, dict) or len(items) % 2:
            raise ValueError("items for something that is not a mapping")
        # Anything else could take for ever to be hashed, or collide with all others.
        if not all(type(key) is str for key in keys):
            raise ValueError("a mapping whose keys are not text")
        target.update(zip(keys, items[1::2], strict=True))

    def put(self, index: int) -> None:
        self._memo[index] = self._stack[-1]

    def get(self, index: int) -> None:
        self.push(self._memo[index])

    def named(self) -> None:
        self.push(self._lookup(self._line(), self._line()))

    def named_on_stack(self) -> None:
        self.push(self._lookup(*self._last(2)))

    def instance(self) -> None:
        self._lookup(self._line(), self._line())  # refused by its name
        raise self._refused(pickle.INST)

    def call(self) -> None:
        function, arguments = self._last(2)
        if not isinstance(function, AllowedCallable) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that cannot be called")
        if len(arguments) > _MAX_ARGUMENTS:
            raise ValueError(f"a call with {len(arguments)} arguments")
        self.push(function.make(*arguments))

    def build(self) -> None:
        (state,), target = self._last(1), self._stack[-1]
        if not isinstance(target, PickleValue):
            raise ValueError("a state for something that has none")
        target.build(state)

    def refer(self) -> None:
        if self._external is None:
            raise ValueError("a reference to something outside of the file")
        self.push(self._external(*self._last(1)))


# The operations of protocols 2 to 4 that hold a state dict; of 0 and 1 those that go on being used.
_OPERATIONS: dict[bytes, Callable[[PickleMachine], None]] = {
    pickle.PROTO: PickleMachine.protocol,
    pickle.FRAME: PickleMachine.frame,
    pickle.NONE: lambda m: m.push(None),
    pickle.NEWTRUE: lambda m: m.push(True),
    pickle.NEWFALSE: lambda m: m.push(False),
    pickle.BININT: lambda m: m.integer(4, signed=True),
    pickle.BININT1: lambda m: m.integer(1),
    pickle.BININT2: lambda m: m.integer(2),
    pickle.LONG1: PickleMachine.long_integer,
    pickle.BINFLOAT: lambda m: m.push(struct.unpack(">d", m._read(8))[0]),
    pickle.SHORT_BINUNICODE: lambda m: m.text(1),
    pickle.BINUNICODE: lambda m: m.text(4),
    pickle.BINUNICODE8: lambda m: m.text(8),
    pickle.SHORT_BINBYTES: lambda m: m.raw(1),
    pickle.BINBYTES: lambda m: m.raw(4),
    pickle.BINBYTES8: lambda m: m.raw(8),
    pickle.MARK: PickleMachine.mark,
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
    pickle.GLOBAL: PickleMachine.named,
    pickle.STACK_GLOBAL: PickleMachine.named_on_stack,
    pickle.INST: PickleMachine.instance,
    pickle.REDUCE: PickleMachine.call,
    pickle.BUILD: PickleMachine.build,
    pickle.BINPERSID: PickleMachine.refer,
}
