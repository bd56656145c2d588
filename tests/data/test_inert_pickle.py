from __future__ import annotations

import contextlib
import os
import pickle
import struct
import time

import numpy as np
import pytest
from cifar_files import python2_pickle, python3_dump

from backpass.data.inert_pickle import read_inert
from backpass.errors import DataError


class Evil:
    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def test_nothing_is_called(tmp_path):
    target = tmp_path / "made"
    for protocol in range(6):
        raw = pickle.dumps({"data": Evil(os.mkdir, str(target))}, protocol=protocol)
        with pytest.raises(DataError):
            read_inert(raw, max_opcodes=1000)
    assert not target.exists()
    pickle.loads(raw)
    assert target.exists()  # the pickle would have worked: the check above can fail


def test_plain_values():
    value = {
        "a": [1, -1, 255, 65535, 2**31 - 1, 2**40, -(2**70)],
        b"b": (None, True, False, (), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "c": "ü€",
        "d": b"x" * 300,
        "e": {"f": []},
    }
    for protocol in (2, 3, 4, 5):
        assert read_inert(pickle.dumps(value, protocol=protocol), max_opcodes=1000) == value


BOMBS = {
    "length beyond the file, BINBYTES8": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b".",
    "length beyond the file, BINSTRING": b"\x80\x02T\xff\xff\xff\x7f.",
    "negative length": b"\x80\x02T\xff\xff\xff\xff.",
    "BINUNICODE": b"\x80\x02X\xff\xff\xff\xff.",
    "BYTEARRAY8": b"\x80\x05\x96" + b"\xff" * 8,
    "frame": b"\x80\x04\x95" + b"\xff" * 8 + b"N",  # a frame's length is not used
    "LONG4": b"\x80\x02\x8b\xff\xff\xff\x7f",
    "nested lists": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "nested tuples": b"\x80\x02)" + b"\x85" * 100_000 + b".",
    "encode again and again": b"\x80\x02]c_codecs\nencode\nX" + struct.pack("<I", 50_000) + b"a" * 50_000
    + b"q\x01X\x06\x00\x00\x00latin1\x86Ra" + b"c_codecs\nencode\nh\x01X\x06\x00\x00\x00latin1\x86Ra" * 3000 + b".",
    "encode with rot13": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.",
    "no end": b"\x80\x02N",
    "empty": b"",
    "two values": b"\x80\x02NN.",
    "rest": b"\x80\x02N.N",
    "no mark": b"\x80\x02Nt.",
    "mark as a value": b"\x80\x02(.",
    "empty stack": b"\x80\x02.",
    "unhashable key": b"\x80\x02}]Ns.",
    "colliding keys": b"\x80\x02}\x8a\x08" + (2**61 - 1).to_bytes(8, "little") + b"Ns.",  # small numbers cannot collide
    "odd items": b"\x80\x02}(Nu.",
    "append to a dict": b"\x80\x02}Na.",
    "build a list": b"\x80\x02]}b.",
    "unknown memo": b"\x80\x02h\x07.",
    "persistent": b"\x80\x02Pabc\n.",
    "extension": b"\x80\x02\x82\x01.",
    "protocol 9": b"\x80\x09N.",
    "endless name": b"\x80\x02c" + b"a" * 1000,
    "name": b"\x80\x02cnumpy\nload\n.",
    "name by STACK_GLOBAL": b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "dotted name": b"\x80\x04\x8c\x05numpy\x8c\x12ndarray.__class__.x\x93.",
    "bad utf-8": b"\x80\x02X\x01\x00\x00\x00\xff.",
    "newobj": b"\x80\x02cnumpy\nndarray\n)\x81.",
    "instance": b"(inumpy\nndarray\n.",
}  # fmt: skip


@pytest.mark.parametrize("what", BOMBS)
def test_bombs_are_refused_at_once(what):
    start = time.perf_counter()
    message = {"length": "are announced", "again": "more bytes than the file has", "nested": "longer than"}
    with pytest.raises(DataError, match=next((m for word, m in message.items() if word in what), "pickle")):
        read_inert(BOMBS[what], max_opcodes=20_000 if "nested" in what or "again" in what else 100)
    assert time.perf_counter() - start < 1.0


def test_a_huge_memo_number_costs_nothing():
    # The C unpickler allocates an array of that many pointers.
    assert read_inert(b"\x80\x02]r\xff\xff\xff\x7f.", max_opcodes=10) == []


def test_deep_nesting_within_the_limit_is_harmless():
    deep = b"\x80\x02" + b"]" * 50_000 + b"a" * 49_999 + b"."
    assert isinstance(read_inert(deep, max_opcodes=200_000), list)


def test_shared_references_do_not_multiply():
    # 2**40 leaves if anything walked the tree
    nested = pickle.dumps({"k": _doubled(40)}, protocol=2)
    assert set(read_inert(nested, max_opcodes=1000)) == {"k"}


def _doubled(depth):
    value = []
    for _ in range(depth):
        value = [value, value]
    return value


@pytest.mark.parametrize("dump", [python2_pickle, python3_dump(2), python3_dump(4), python3_dump(5)])
def test_random_damage_never_raises_anything_else(dump):
    """Only DataError may come out of a damaged file, and what is read is plain data."""
    rng = np.random.default_rng(0)
    good = dump(np.zeros((2, 3072), np.uint8)[:, :8].copy(), np.array([1, 2]))
    for _ in range(3000):
        raw = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            at = int(rng.integers(len(raw)))
            match rng.integers(3):
                case 0:
                    raw[at] = int(rng.integers(256))
                case 1:
                    del raw[at : at + int(rng.integers(1, 6))]
                case 2:
                    raw[at:at] = rng.bytes(int(rng.integers(1, 4)))
        with contextlib.suppress(DataError):
            read_inert(bytes(raw), max_opcodes=500)
