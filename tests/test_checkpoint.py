"""A checkpoint comes back exactly, or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from backpass import checkpoint
from backpass.errors import CheckpointError

ARRAYS = {
    "params": np.arange(6, dtype=np.float32),
    "state": np.linspace(0, 1, 3),
    "history/loss": np.zeros((0,)),
    "grid": np.arange(6, dtype=np.int64).reshape(2, 3),
    "bytes": np.arange(4, dtype=np.uint8),
}
MANIFEST = {"kind": "test", "step": 12, "loss": 0.1}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "a.npz"
    checkpoint.save(path, ARRAYS, MANIFEST)
    return path


def assert_same(arrays: dict, manifest: dict) -> None:
    assert arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert arrays[name].dtype == array.dtype
        assert arrays[name].shape == array.shape
        assert arrays[name].tobytes() == array.tobytes()
        assert arrays[name].flags.writeable
    assert {key: manifest[key] for key in MANIFEST} == MANIFEST


def test_what_is_saved_comes_back_and_numpy_reads_it_too(saved: Path) -> None:
    assert_same(*checkpoint.load(saved))
    with np.load(saved, allow_pickle=False) as plain:
        assert (plain["params"] == ARRAYS["params"]).all()
        assert json.loads(plain["manifest.json"])["step"] == 12


def test_the_same_content_makes_the_same_file(saved: Path, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "b.npz", ARRAYS, MANIFEST)
    assert (tmp_path / "b.npz").read_bytes() == saved.read_bytes()


def test_fortran_and_big_endian_arrays_keep_their_values(tmp_path: Path) -> None:
    grid = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    checkpoint.save(tmp_path / "c.npz", {"f": grid, "b": np.arange(3, dtype=">f8"), "v": grid[:, ::2]}, {})
    arrays, _ = checkpoint.load(tmp_path / "c.npz")
    np.testing.assert_array_equal(arrays["f"], grid)
    np.testing.assert_array_equal(arrays["b"], [0, 1, 2])
    np.testing.assert_array_equal(arrays["v"], grid[:, ::2])


def test_a_flipped_bit_anywhere_is_found_or_changes_nothing(saved: Path) -> None:
    good = saved.read_bytes()
    found = 0
    for i in range(0, len(good), 3):
        saved.write_bytes(good[:i] + bytes([good[i] ^ (1 << i % 8)]) + good[i + 1 :])
        try:
            arrays, manifest = checkpoint.load(saved)
        except CheckpointError:
            found += 1
        else:
            assert_same(arrays, manifest)  # a time stamp or an attribute that nobody reads
    assert found > 0.8 * len(good) / 3


def test_a_file_cut_anywhere_is_refused(saved: Path) -> None:
    good = saved.read_bytes()
    for length in range(0, len(good), 7):
        saved.write_bytes(good[:length])
        with pytest.raises(CheckpointError, match="damaged or cut short"):
            checkpoint.load(saved)


def rewrite(path: Path, change) -> None:
    """Write the archive anew with changed members: {name: bytes} -> {name: bytes}."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in change(members).items():
            archive.writestr(name, data)


def manifest_with(**entries):
    def change(members):
        return {**members, "manifest.json": json.dumps(json.loads(members["manifest.json"]) | entries).encode()}

    return change


def listing_with(name, **entries):
    def change(members):
        manifest = json.loads(members["manifest.json"])
        manifest["arrays"][name] |= entries
        return {**members, "manifest.json": json.dumps(manifest).encode()}

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (manifest_with(version=2), "upgrade backpass"),
        (manifest_with(version="1"), "format version"),
        (manifest_with(format="else"), "expected the format"),
        (manifest_with(arrays=3), "list of arrays"),
        (lambda m: {k: v for k, v in m.items() if k != "manifest.json"}, "no manifest.json"),
        (lambda m: {k: v for k, v in m.items() if k != "params.npy"}, "missing in the file"),
        (lambda m: {**m, "more.npy": m["params.npy"]}, "not in the manifest"),
        (lambda m: {**m, "manifest.json": b"[" * 100000}, "not JSON"),
        (lambda m: {**m, "manifest.json": b"\xff{"}, "not JSON|could not be read"),
        (lambda m: {**m, "params.npy": m["state.npy"]}, "expected 24 bytes|header"),
        (lambda m: {**m, "params.npy": m["params.npy"][:-1] + b"\1"}, "SHA-256"),
        (listing_with("params", dtype="|O8"), "expected a dtype"),
        (listing_with("params", shape=[7]), "expected 28 bytes|header"),
        (listing_with("params", shape=[2**40, 2**40]), "expected"),
        (listing_with("params", shape=[-1]), "expected a shape"),
        (listing_with("params", shape=None), "expected a shape"),
        (listing_with("params", sha256="0" * 64), "SHA-256"),
        (listing_with("grid", shape=[3, 2]), "header"),
    ],
)
def test_a_changed_member_is_named(saved: Path, change, message: str) -> None:
    rewrite(saved, change)
    with pytest.raises(CheckpointError, match=message) as caught:
        checkpoint.load(saved)
    assert str(saved) in str(caught.value)


def test_a_compressed_member_is_refused_before_it_is_unpacked(saved: Path) -> None:
    with zipfile.ZipFile(saved, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.npy", b"\0" * 10_000_000)
    with pytest.raises(CheckpointError, match=r"bomb.npy.*stored member"):
        checkpoint.load(saved)


def test_a_pickle_is_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "object.npz"
    np.savez(path, params=np.array([{}], dtype=object))
    with pytest.raises(CheckpointError):
        checkpoint.load(path)


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        checkpoint.load(tmp_path / "nothing.npz")


class FailingCalls:
    """Lets the k-th of the calls that reach the disk fail, counted over all of them."""

    def __init__(self, k: int) -> None:
        self.k, self.count = k, 0

    def instead_of(self, real):
        def call(*args, **kwargs):
            self.count += 1
            if self.count == self.k:
                raise OSError(28, "No space left on device")
            return real(*args, **kwargs)

        return call


def test_when_any_system_call_fails_the_old_checkpoint_stays(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()
    for k in range(1, 100):
        calls = FailingCalls(k)
        with monkeypatch.context() as patch:
            for owner, name in [(os, "fsync"), (os, "open"), (Path, "replace"), (Path, "open")]:
                patch.setattr(owner, name, calls.instead_of(getattr(owner, name)))
            with contextlib.suppress(CheckpointError):
                checkpoint.save(saved, {"params": np.zeros(3)}, {"step": 13})
        assert list(saved.parent.iterdir()) == [saved]
        arrays, _ = checkpoint.load(saved)  # whole in any case: the old one or the new one
        assert len(arrays["params"]) in (6, 3)
        if calls.count < k:
            break
        saved.write_bytes(before)
    assert k > 4, "expected several calls to fail, one after another"
    assert len(arrays["params"]) == 3


def test_a_write_that_the_system_cuts_short_leaves_the_old_file(saved: Path) -> None:
    code = (
        "import resource, signal, sys, numpy as np; from backpass import checkpoint\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "checkpoint.save(sys.argv[1], {'params': np.zeros(10000)}, {})\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(saved)], capture_output=True, text=True, check=False)
    assert "CheckpointError" in done.stderr
    assert "untouched" in done.stderr
    assert_same(*checkpoint.load(saved))
    assert list(saved.parent.iterdir()) == [saved]


def test_objects_and_complex_numbers_cannot_be_saved(tmp_path: Path) -> None:
    for array in (np.array([{}], dtype=object), np.zeros(2, np.complex64), np.array(["a"])):
        with pytest.raises(CheckpointError, match="dtype"):
            checkpoint.save(tmp_path / "x.npz", {"a": array}, {})
    assert not list(tmp_path.iterdir())
