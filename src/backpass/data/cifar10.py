"""CIFAR-10: 50,000 + 10,000 colour pictures (3, 32, 32) in 10 classes, from any form in which it is published.

A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009, https://www.cs.toronto.edu/~kriz/cifar.html.

The binary layout is preferred: a record is a label byte and 3,072 pixel bytes.  The python layout holds pickles, which
are read but never unpickled (`inert_pickle`).  Archives are streamed: members with the exact names and sizes are read,
nothing is ever extracted.  In all forms the pictures are read straight into the one array that the data set keeps.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, cast

import numpy as np
from numpy.typing import NDArray

from backpass.data.dataset import Dataset, make_dataset
from backpass.data.inert_pickle import Call, read_inert
from backpass.data.places import not_found
from backpass.errors import DataError

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
BATCHES = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
FOLDERS = {"binary": "cifar-10-batches-bin", "python": "cifar-10-batches-py"}
ARCHIVES = {"binary": "cifar-10-binary.tar.gz", "python": "cifar-10-python.tar.gz"}
PIXELS = 3 * 32 * 32
ROWS = 10_000  # in each of the six files; the tests make it smaller

Images = NDArray[np.uint8]


def load_cifar10(
    looked_in: list[Path],
    *,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
) -> Dataset:
    """Return CIFAR-10 from the first place that has it: 49,000 to train, 1,000 to validate, 10,000 to test.

    The splits are the course's: training takes the first of the 50,000 pictures and validation those that follow.

    Raises
    ------
    DataNotFoundError
        Where no place has it.
    DataError
        Where what is there is damaged or incomplete.
    """
    found = find_cifar10(looked_in)
    if found is None:
        raise not_found("cifar10", looked_in, ARCHIVES["binary"])
    pool, test_pair = read_cifar10(found)
    return make_dataset(
        "cifar10",
        pool,
        given_test=test_pair,
        train=train,
        val=val,
        test=test,
        default_val=ROWS // 10,
        seed=seed,
        classes=CLASSES,
    )


def find_cifar10(looked_in: list[Path]) -> Path | None:
    """Return the first CIFAR-10 folder or archive in or under the given places, or None.

    A place may be the folder or archive itself, or hold it, or hold a folder `cifar10` that does.

    Examples
    --------
    >>> find_cifar10([Path("no such folder")]) is None
    True
    """
    for place in looked_in:
        if place.is_file():
            return place
        for root in (place, place / "cifar10"):
            for layout in ("binary", "python"):
                for path in (root, root / FOLDERS[layout]):
                    if (path / _file_name(layout, BATCHES[0])).is_file():
                        return path
                if (root / ARCHIVES[layout]).is_file():
                    return root / ARCHIVES[layout]
    return None


def read_cifar10(path: Path) -> tuple[tuple[Images, NDArray[np.int64]], tuple[Images, NDArray[np.int64]]]:
    """Return the 50,000 training and the 10,000 test pictures with their labels from a folder or archive.

    Raises
    ------
    DataError
        Where a file is missing, damaged, or not what its name says.
    """
    x = np.empty((6 * ROWS, 3, 32, 32), np.uint8)
    y = np.empty(6 * ROWS, np.int64)

    def read(layout: str, batch: str, stream: IO[bytes], size: int, where: str) -> None:
        rows = slice(BATCHES.index(batch) * ROWS, (BATCHES.index(batch) + 1) * ROWS)
        reader = _read_binary if layout == "binary" else _read_python
        reader(stream, size, x[rows], y[rows], where)

    import tarfile
    import zlib

    try:
        if path.is_dir():
            _read_folder(path, read)
        else:
            _read_archive(path, read)
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        raise DataError(f"{path}: damaged or unreadable ({error}); download it again") from error
    return (x[: 5 * ROWS], y[: 5 * ROWS]), (x[5 * ROWS :], y[5 * ROWS :])


Read = Callable[[str, str, IO[bytes], int, str], None]


def _file_name(layout: str, batch: str) -> str:
    return f"{batch}.bin" if layout == "binary" else batch


def _read_folder(folder: Path, read: Read) -> None:
    layout = "binary" if (folder / _file_name("binary", BATCHES[0])).is_file() else "python"
    for batch in BATCHES:
        path = folder / _file_name(layout, batch)
        if not path.is_file():
            raise DataError(f"{folder}: {path.name} is missing; a CIFAR-10 folder has all of {', '.join(BATCHES)}")
        with path.open("rb") as stream:
            read(layout, batch, stream, path.stat().st_size, str(path))


def _read_archive(path: Path, read: Read) -> None:
    import gzip
    import tarfile

    wanted = {
        f"{folder}/{_file_name(layout, batch)}": (layout, batch)
        for layout, folder in FOLDERS.items()
        for batch in BATCHES
    }
    seen: dict[str, str] = {}  # batch -> layout
    with gzip.open(path) as unpacked:
        # The six files, and room for the small ones beside them; a bomb ends here.
        limited = _Limited(cast("IO[bytes]", unpacked), 6 * _max_python_bytes() + (4 << 20), str(path))
        with tarfile.open(fileobj=cast("IO[bytes]", limited), mode="r|") as tar:
            for member in tar:
                where = f"{path}: {member.name[:200]}"
                if not (member.isreg() or member.isdir()):
                    raise DataError(f"{where}: refusing a link or special file in the archive")
                if member.name.startswith(("/", "\\")) or ".." in member.name.replace("\\", "/").split("/"):
                    raise DataError(f"{where}: refusing a path that leaves the archive's folder")
                if member.name not in wanted:
                    continue
                layout, batch = wanted[member.name]
                if batch in seen:
                    raise DataError(f"{where}: is in the archive twice")
                seen[batch] = layout
                stream = tar.extractfile(member)
                if stream is None:
                    raise DataError(f"{where}: is a folder, expected a file")
                read(layout, batch, stream, member.size, where)
        while limited.read(1 << 20):  # to the end, where gzip compares its checksum
            pass
    if missing := [batch for batch in BATCHES if batch not in seen]:
        raise DataError(f"{path}: {', '.join(missing)} missing from the archive; it is incomplete or another archive")
    if len(set(seen.values())) > 1:
        raise DataError(f"{path}: holds some files of the binary and some of the python layout")


class _Limited(io.RawIOBase):
    """A stream that gives out no more than `limit` bytes."""

    def __init__(self, stream: IO[bytes], limit: int, where: str) -> None:
        self.stream, self.left, self.where = stream, limit, where

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > self.left + 1:
            size = self.left + 1
        data = self.stream.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise DataError(f"{self.where}: unpacks to more than CIFAR-10 holds; refusing the rest")
        return data


def _read_binary(stream: IO[bytes], size: int, x: Images, y: NDArray[np.int64], where: str) -> None:
    rows = len(x)
    if size != rows * (1 + PIXELS):
        raise DataError(f"{where}: expected {rows * (1 + PIXELS)} bytes ({rows} records of 3073), got {size}")
    flat = x.reshape(rows, PIXELS)
    step = 500  # 1.5 MB at a time
    for start in range(0, rows, step):
        count = min(step, rows - start)
        raw = stream.read(count * (1 + PIXELS))
        if len(raw) != count * (1 + PIXELS):
            raise DataError(f"{where}: truncated after {start * (1 + PIXELS) + len(raw)} bytes")
        records = np.frombuffer(raw, np.uint8).reshape(count, 1 + PIXELS)
        y[start : start + count] = records[:, 0]
        flat[start : start + count] = records[:, 1:]
    wrong = np.flatnonzero(y >= len(CLASSES))
    if len(wrong):
        raise DataError(f"{where}: picture {wrong[0]} has label {y[wrong[0]]}, expected 0 to 9")


def _max_python_bytes() -> int:
    # Python 3 may have stored the pixels as text, which takes up to two bytes for each; then names and labels.
    return ROWS * (2 * PIXELS + 200) + (64 << 10)


def _read_python(stream: IO[bytes], size: int, x: Images, y: NDArray[np.int64], where: str) -> None:
    if not len(x) * PIXELS < size <= _max_python_bytes():
        raise DataError(f"{where}: {size} bytes cannot be a CIFAR-10 batch of {len(x)} pictures")
    raw = stream.read(size)
    if len(raw) != size:
        raise DataError(f"{where}: truncated after {len(raw)} of {size} bytes")
    try:
        batch = read_inert(raw, max_opcodes=10 * len(x) + 1000)
        del raw
        if type(batch) is not dict:
            raise DataError(f"expected a dict, got {type(batch).__name__}")
        entries = {key.encode() if type(key) is str else key: value for key, value in batch.items()}
        labels = entries.get(b"labels")
        if type(labels) is not list or len(labels) != len(x):
            raise DataError(f"expected 'labels' to be a list of {len(x)} numbers")
        if not all(type(label) is int and 0 <= label < len(CLASSES) for label in labels):
            raise DataError("expected every label to be a number from 0 to 9")
        pixels = _pixels(entries.get(b"data"), (len(x), PIXELS))
    except DataError as error:
        raise DataError(f"{where}: {error}") from error
    y[:] = labels
    x.reshape(pixels.shape)[:] = pixels


def _pixels(data: Any, shape: tuple[int, int]) -> Images:
    """Return the array (N, 3072) that a `Call` describes, as a view of its bytes."""
    if type(data) is not Call:
        raise DataError(f"expected 'data' to be an array, got {type(data).__name__}")
    if data.name.endswith("._reconstruct") and type(data.state) is tuple and len(data.state) == 5:
        _, found, dtype, fortran, raw = data.state  # version, shape, dtype, is Fortran order, bytes
    elif data.name.endswith("._frombuffer") and len(data.arguments) == 4:
        raw, dtype, found, order = data.arguments
        fortran = order == "F"
    else:
        raise DataError("expected 'data' to be an array of NumPy")
    code = dtype.arguments[0] if type(dtype) is Call and dtype.name == "numpy.dtype" and dtype.arguments else None
    if code not in ("u1", b"u1"):
        raise DataError("expected 'data' to hold bytes (uint8)")
    if found != shape or type(raw) is not bytes or len(raw) != shape[0] * shape[1]:
        raise DataError(f"expected 'data' of shape {shape}")
    return np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")
