from __future__ import annotations

import gzip
import struct

import numpy as np
import pytest

from backpass import data
from backpass.data import idx
from backpass.errors import DataError, DataNotFoundError

ROWS = {"train": 24, "t10k": 6}


def idx_bytes(array):
    return struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def files(monkeypatch, no_data):
    monkeypatch.setattr(idx, "ROWS", ROWS)
    rng = np.random.default_rng(0)
    out = {}
    for name in idx.FILES:
        rows = ROWS[name.split("-")[0]]
        shape = (rows, 28, 28) if "images" in name else (rows,)
        out[name] = rng.integers(0, 10, shape, dtype=np.uint8)
    return out


def write(folder, files, *, gz):
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in files.items():
        raw = idx_bytes(array)
        (folder / (name + ".gz" * gz)).write_bytes(gzip.compress(raw) if gz else raw)


@pytest.mark.parametrize("gz", [False, True])
@pytest.mark.parametrize(("name", "sub"), [("mnist", "MNIST/raw"), ("fashion-mnist", "fashion-mnist"), ("mnist", "")])
def test_load(files, tmp_path, gz, name, sub):
    write(tmp_path / sub, files, gz=gz)
    dataset = data.load(name, data_dir=tmp_path)
    assert dataset.shape == (1, 28, 28)
    assert [len(s) for s in dataset.splits.values()] == [22, 2, 6]
    np.testing.assert_array_equal(dataset.train.x[:, 0], files[idx.FILES[0]][:22])
    np.testing.assert_array_equal(dataset.test.y, files[idx.FILES[3]])
    assert dataset.classes[9] == ("9" if name == "mnist" else "ankle boot")


def test_one_sets_files_are_not_the_others(files, tmp_path, monkeypatch):
    write(tmp_path / "fashion-mnist", files, gz=True)
    with pytest.raises(DataNotFoundError, match="backpass data get mnist"):
        data.load("mnist", data_dir=tmp_path)
    # Files in BACKPASS_DATA itself could be of either set.
    write(tmp_path / "bare", files, gz=True)
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path / "bare"))
    assert all(found.location is None for found in data.available() if found.name != "digits")


def damage(raw):
    yield "wrong magic", b"\0\0\x0d\3" + raw[4:], "magic"
    yield "labels for images", struct.pack(">HBBI", 0, 8, 1, 24) + raw[16:], "magic"
    yield "another count", raw[:4] + struct.pack(">I", 25) + raw[8:], "header says"
    yield "huge count", raw[:4] + b"\xff" * 12 + raw[16:], "header says"
    yield "truncated", raw[:-1], "truncated"
    yield "header alone", raw[:16], "truncated"
    yield "half a header", raw[:10], "header says"
    yield "empty", b"", "nothing"
    yield "more", raw + b"\0", "more follows"


def test_damage(files, tmp_path):
    write(tmp_path, files, gz=False)
    path = tmp_path / idx.FILES[0]
    for _what, content, message in damage(path.read_bytes()):
        for pack in (bytes, gzip.compress):
            path.write_bytes(pack(content))
            with pytest.raises(DataError, match=message):
                data.load("mnist", data_dir=tmp_path)


def test_damaged_gzip(files, tmp_path):
    write(tmp_path, files, gz=True)
    path = tmp_path / f"{idx.FILES[0]}.gz"
    good = path.read_bytes()
    flipped, checksum = bytearray(good), bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    checksum[-6] ^= 1
    for content in (good[: len(good) // 2], good[:-4], bytes(flipped), bytes(checksum)):
        path.write_bytes(content)
        with pytest.raises(DataError, match=r"damaged|truncated"):
            data.load("mnist", data_dir=tmp_path)


def test_missing_companion_and_bad_label(files, tmp_path):
    write(tmp_path, files, gz=True)
    (tmp_path / f"{idx.FILES[3]}.gz").unlink()
    with pytest.raises(DataError, match="t10k-labels"):
        data.load("mnist", data_dir=tmp_path)
    files[idx.FILES[3]][2] = 10
    write(tmp_path, files, gz=True)
    with pytest.raises(DataError, match=r"test\.y: expected labels 0 to 9.*got 10 at sample 2"):
        data.load("mnist", data_dir=tmp_path)
