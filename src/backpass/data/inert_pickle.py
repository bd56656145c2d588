"""Read the data out of a pickle without unpickling it.

Python's unpickler imports and calls what the file names.  An `Unpickler` that allows a few names is still not safe:
it is C code that trusts lengths and memo numbers, and a file of a few hundred bytes can exhaust memory or crash it.
A pickle is a program for a small stack machine, so this module runs that machine itself, for the thirty-odd opcodes
that files of plain data and NumPy arrays use:

- nothing is imported or called: ``NAME(ARGUMENTS)`` becomes an inert `Call` that the reader of the file looks into;
- every length is compared with the bytes that are left before anything is allocated;
- the number of opcodes and the bytes made by decoding text are limited, which bounds time and memory;
- whatever is not in the table is refused.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from backpass.errors import DataError

# All that NumPy (1 and 2) on Python 2 and 3 names to store arrays and byte strings, in protocols 2 to 5.
NAMES = frozenset(
    f"{module}.{name}"
    for package in ("numpy.core", "numpy._core")
    for module, name in ((f"{package}.multiarray", "_reconstruct"), (f"{package}.numeric", "_frombuffer"))
) | {"numpy.ndarray", "numpy.dtype", "_codecs.encode"}


@dataclass(frozen=True, eq=False)
class Name:
    """A global that the file names; it is never imported."""

    text: str


@dataclass(eq=False)
class Call:
    """``name(*arguments)`` and then ``__setstate__(state)``, neither of which ever happens."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


_MARK = object()


def read_inert(data: bytes, *, max_opcodes: int) -> Any:
    """Run the pickle machine over `data` and return the object it leaves, made of plain types, `Name` and `Call`.

    Parameters
    ----------
    data : bytes
        A whole pickle, protocol 2 to 5.
    max_opcodes : int
        More than this are refused.

    Raises
    ------
    DataError
        Where the pickle is damaged, too long, or asks for anything but plain data and arrays.

    Examples
    --------
    >>> import pickle
    >>> read_inert(pickle.dumps({"labels": [3, 1], "name": b"batch"}), max_opcodes=100)
    {'labels': [3, 1], 'name': b'batch'}
    >>> read_inert(pickle.dumps(print), max_opcodes=100)
    Traceback (most recent call last):
    backpass.errors.DataError: pickle: refusing the name builtins.print; only plain data and NumPy arrays are read
    """
    try:
        return _Machine(data, max_opcodes).run()
    except (IndexError, KeyError, TypeError, ValueError, struct.error) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"pickle: damaged ({type(error).__name__}: {error})") from error


class _Machine:
    def __init__(self, data: bytes, max_opcodes: int) -> None:
        self.data = memoryview(data)
        self.at = 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.opcodes_left = max_opcodes
        self.encoded_bytes_left = len(data)

    def take(self, count: int) -> memoryview:
        if count < 0 or count > len(self.data) - self.at:
            raise DataError(f"pickle: truncated: {count} bytes are announced, {len(self.data) - self.at} are left")
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, layout: str) -> int:
        value: int = struct.unpack(layout, self.take(struct.calcsize(layout)))[0]
        return value

    def line(self) -> str:
        # A name is short; an unlimited search for the end of line would be quadratic over many opcodes.
        window = bytes(self.data[self.at : self.at + 200])
        text = window[: window.index(b"\n")]
        self.at += len(text) + 1
        return text.decode("ascii")

    def pop_to_mark(self) -> list[Any]:
        # Searching from the top: what is skipped is popped, so all searches together are linear.
        last = len(self.stack) - 1
        while self.stack[last] is not _MARK:
            last -= 1
            if last < 0:
                raise DataError("pickle: damaged (no mark on the stack)")
        items = self.stack[last + 1 :]
        del self.stack[last:]
        return items

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise DataError("pickle: damaged (a mark where a value belongs)")
        return value

    def pop_pair(self) -> tuple[Any, Any]:
        second = self.pop()
        return self.pop(), second

    def top(self, kind: type) -> Any:
        if type(self.stack[-1]) is not kind:
            raise DataError(f"pickle: damaged (expected a {kind.__name__}, found {type(self.stack[-1]).__name__})")
        return self.stack[-1]

    def name(self, module: str, name: str) -> Name:
        if f"{module}.{name}" not in NAMES:
            raise DataError(f"pickle: refusing the name {module}.{name}; only plain data and NumPy arrays are read")
        return Name(f"{module}.{name}")

    def call(self) -> Any:
        function, arguments = self.pop_pair()
        if type(function) is not Name or type(arguments) is not tuple:
            raise DataError("pickle: damaged (a call of something that is no name)")
        if function.text != "_codecs.encode":
            return Call(function.text, arguments)
        # Python 3 writes bytes in protocol 2 as text to be encoded.  They may be keys, so they are made here; one
        # text may be encoded again and again, so what comes out is counted.
        text, codec = arguments
        if type(text) is not str or codec not in ("latin1", "latin-1"):
            raise DataError(f"pickle: refusing _codecs.encode with codec {codec!r}"[:200])
        self.encoded_bytes_left -= len(text)
        if self.encoded_bytes_left < 0:
            raise DataError("pickle: refusing to make more bytes than the file has")
        return text.encode("latin-1")

    def set_items(self, target: dict[Any, Any], items: list[Any]) -> None:
        if len(items) % 2:
            raise DataError("pickle: damaged (a key without a value)")
        for key, value in zip(items[::2], items[1::2], strict=True):
            # A number is its own hash, so large ones could be made to collide.
            if type(key) not in (bytes, str) and not (type(key) is int and 0 <= key < 2**32):
                raise DataError(f"pickle: refusing a {type(key).__name__} as a key")
            target[key] = value

    def run(self) -> Any:
        push = self.stack.append
        while True:
            self.opcodes_left -= 1
            if self.opcodes_left < 0:
                raise DataError("pickle: refusing a program longer than such a file needs")
            match bytes(self.take(1)):
                case b"\x80":  # PROTO
                    protocol = self.number("<B")
                    if not 2 <= protocol <= 5:
                        raise DataError(f"pickle: expected protocol 2 to 5, got {protocol}")
                case b"\x95":  # FRAME: a length that helps files to be read in pieces
                    self.take(8)
                case b".":  # STOP
                    value = self.pop()
                    if self.stack or self.at != len(self.data):
                        raise DataError("pickle: damaged (something follows the end)")
                    return value

                case b"N":
                    push(None)
                case b"\x88":
                    push(True)
                case b"\x89":
                    push(False)
                case b"J":  # BININT
                    push(self.number("<i"))
                case b"K":  # BININT1
                    push(self.number("<B"))
                case b"M":  # BININT2
                    push(self.number("<H"))
                case b"\x8a":  # LONG1
                    push(int.from_bytes(self.take(self.number("<B")), "little", signed=True))

                case b"T":  # BINSTRING: bytes of Python 2
                    push(bytes(self.take(self.number("<i"))))
                case b"U" | b"C":  # SHORT_BINSTRING, SHORT_BINBYTES
                    push(bytes(self.take(self.number("<B"))))
                case b"B":  # BINBYTES
                    push(bytes(self.take(self.number("<I"))))
                case b"\x8e" | b"\x96":  # BINBYTES8, BYTEARRAY8
                    push(bytes(self.take(self.number("<Q"))))
                case b"X":  # BINUNICODE
                    push(str(self.take(self.number("<I")), "utf-8", "surrogatepass"))
                case b"\x8c":  # SHORT_BINUNICODE
                    push(str(self.take(self.number("<B")), "utf-8", "surrogatepass"))

                case b"]":
                    push([])
                case b"}":
                    push({})
                case b")":
                    push(())
                case b"(":
                    push(_MARK)
                case b"t":  # TUPLE
                    push(tuple(self.pop_to_mark()))
                case b"\x85":  # TUPLE1
                    push((self.pop(),))
                case b"\x86":  # TUPLE2
                    push(self.pop_pair())
                case b"\x87":  # TUPLE3
                    last = self.pop()
                    push((*self.pop_pair(), last))
                case b"a":  # APPEND
                    item = self.pop()
                    self.top(list).append(item)
                case b"e":  # APPENDS
                    items = self.pop_to_mark()
                    self.top(list).extend(items)
                case b"s":  # SETITEM
                    pair = self.pop_pair()
                    self.set_items(self.top(dict), list(pair))
                case b"u":  # SETITEMS
                    items = self.pop_to_mark()
                    self.set_items(self.top(dict), items)

                case b"q":  # BINPUT
                    self.memo[self.number("<B")] = self.stack[-1]
                case b"r":  # LONG_BINPUT
                    self.memo[self.number("<I")] = self.stack[-1]
                case b"\x94":  # MEMOIZE
                    self.memo[len(self.memo)] = self.stack[-1]
                case b"h":  # BINGET
                    push(self.memo[self.number("<B")])
                case b"j":  # LONG_BINGET
                    push(self.memo[self.number("<I")])

                case b"c":  # GLOBAL
                    module = self.line()
                    push(self.name(module, self.line()))
                case b"\x93":  # STACK_GLOBAL
                    module, name = self.pop_pair()
                    push(self.name(str(module)[:100], str(name)[:100]))
                case b"R":  # REDUCE
                    push(self.call())
                case b"b":  # BUILD
                    state = self.pop()
                    self.top(Call).state = state
                case opcode:
                    raise DataError(f"pickle: refusing opcode {opcode!r}; only plain data and NumPy arrays are read")
