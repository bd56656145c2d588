"""Vectors that wait in a file: the same bits back, nothing left behind, and no failure where there is no room."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backpass import checkpoint
from backpass.filed import PIECE_BYTES, FiledVector

SIZES = (0, 1, 1000, PIECE_BYTES // 4, 3 * PIECE_BYTES // 4 + 5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_the_same_bits_come_back_as_often_as_one_asks(size, dtype, tmp_path: Path) -> None:
    vector = np.random.default_rng(size).standard_normal(size).astype(dtype)
    filed = FiledVector(vector, tmp_path)
    wanted = vector.copy()
    vector[...] = 7  # it is a copy
    assert (filed.shape, filed.dtype) == (wanted.shape, wanted.dtype)
    for _ in range(2):
        again = np.full_like(wanted, np.nan)
        filed.read_into(again)
        assert again.tobytes() == wanted.tobytes()
    assert list(tmp_path.iterdir()) == [], "its file has no name"


def test_a_checkpoint_cannot_tell_a_filed_vector_from_an_array(tmp_path: Path) -> None:
    for size in SIZES:
        vector = np.arange(size, dtype="float32")
        assert checkpoint.sha256(FiledVector(vector)) == checkpoint.sha256(vector)
        checkpoint.save(tmp_path / "array.npz", {"w": vector}, {})
        checkpoint.save(tmp_path / "filed.npz", {"w": FiledVector(vector)}, {})
        assert (tmp_path / "array.npz").read_bytes() == (tmp_path / "filed.npz").read_bytes()


def test_without_a_folder_it_stays_in_memory(tmp_path: Path) -> None:
    vector = np.arange(PIECE_BYTES, dtype="float32")
    filed, again = FiledVector(vector, tmp_path / "missing"), np.zeros_like(vector)
    filed.read_into(again)
    assert (again == vector).all()


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files as POSIX systems do")
def test_without_room_it_stays_in_memory(tmp_path: Path) -> None:
    code = (
        "import resource, signal, sys, numpy as np; from backpass.filed import FiledVector\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "vector = np.arange(1e6); filed, again = FiledVector(vector, sys.argv[1]), np.zeros(10**6)\n"
        "filed.read_into(again); assert (again == vector).all(); print('same')\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("same\n", "")
