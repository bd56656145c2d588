"""MNIST and Fashion-MNIST: 60,000 + 10,000 grey pictures (1, 28, 28) in 10 classes, in IDX files, gzipped or not.

An IDX file is a header of big-endian numbers (two zero bytes, the type, the number of axes, the length of each axis)
followed by the values.  Y. LeCun, C. Cortes, C. Burges, The MNIST database, 1998; H. Xiao, K. Rasul, R. Vollgraf,
Fashion-MNIST, 2017, https://arxiv.org/abs/1708.07747.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from backpass.data.dataset import Dataset, make_dataset
from backpass.data.places import not_found
from backpass.errors import DataError

CLASSES = {
    "mnist": tuple(str(i) for i in range(10)),
    "fashion-mnist": (
        "T-shirt/top",
        "trouser",
        "pullover",
        "dress",
        "coat",
        "sandal",
        "shirt",
        "sneaker",
        "bag",
        "ankle boot",
    ),
}
FILES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
ROWS = {"train": 60_000, "t10k": 10_000}  # the tests make them smaller
# Where other libraries keep these sets below a data folder; the files have the same names in both sets.
_SUBFOLDERS = {"mnist": ("mnist", "MNIST/raw"), "fashion-mnist": ("fashion-mnist", "FashionMNIST/raw")}


def load_idx_set(
    name: str,
    looked_in: list[Path],
    *,
    direct: bool = False,
    train: float | None = None,
    val: float | None = None,
    test: float | None = None,
    seed: int | None = None,
) -> Dataset:
    """Return "mnist" or "fashion-mnist": 55,000 to train, 5,000 to validate, 10,000 to test.

    See `find_idx_set` for `direct`.

    Raises
    ------
    DataNotFoundError
        Where no place has it.
    DataError
        Where a file is missing, damaged, or not what its name says.
    """
    folder = find_idx_set(name, looked_in, direct=direct)
    if folder is None:
        raise not_found(name, looked_in, f"{FILES[0]}.gz and its three companions")
    arrays = []
    for file in FILES:
        found = _one_file(folder, file)
        if found is None:
            raise DataError(f"{folder}: {file} (or {file}.gz) is missing; {name} has all of {', '.join(FILES)}")
        rows = ROWS[file.split("-")[0]]
        arrays.append(read_idx(found, (rows, 28, 28) if "images" in file else (rows,)))
    x, y, test_x, test_y = arrays
    return make_dataset(
        name,
        (x[:, None], y),
        given_test=(test_x[:, None], test_y),
        train=train,
        val=val,
        test=test,
        default_val=len(y) // 12,
        seed=seed,
        classes=CLASSES[name],
    )


def find_idx_set(name: str, looked_in: list[Path], *, direct: bool = False) -> Path | None:
    """Return the first folder under the given places that holds the training pictures of `name`, or None.

    The files of both sets have the same names, so that files that lie in a place itself, in no subfolder, count only
    where the caller says by `direct` that the place was named for this set.

    Examples
    --------
    >>> find_idx_set("mnist", [Path("no such folder")]) is None
    True
    """
    folders = [place / sub for place in looked_in for sub in _SUBFOLDERS[name]] + (looked_in if direct else [])
    return next((folder for folder in folders if _one_file(folder, FILES[0]) is not None), None)


def _one_file(folder: Path, name: str) -> Path | None:
    return next((path for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_idx(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the bytes of an IDX file, gzipped or not, that must hold an array of `shape`.

    Raises
    ------
    DataError
        Where the header is another one, or there are fewer or more values than it says.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "labels"
    ...     _ = path.write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 7, 9]))
    ...     read_idx(path, (2,))
    array([7, 9], dtype=uint8)
    """
    import gzip
    import zlib

    header = struct.pack(f">HBB{len(shape)}I", 0, 8, len(shape), *shape)  # 8: unsigned bytes
    out = np.empty(shape, np.uint8)
    try:
        with path.open("rb") as file:
            gzipped = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if gzipped else file
            found = stream.read(len(header))
            if found[:4] != header[:4]:
                raise DataError(
                    f"{path}: expected an IDX file of bytes with {len(shape)} axes (magic {header[:4].hex()}), "
                    f"got magic {found[:4].hex() or 'nothing'}"
                )
            if found != header:
                axes = struct.unpack(f">{(len(found) - 4) // 4}I", found[4 : len(found) // 4 * 4])
                raise DataError(f"{path}: expected shape {shape}, the header says {axes}")
            flat = out.reshape(-1).data
            got = 0
            while got < len(flat) and (chunk := stream.read(min(1 << 20, len(flat) - got))):
                flat[got : got + len(chunk)] = chunk
                got += len(chunk)
            if got < len(flat):
                raise DataError(f"{path}: truncated: expected {len(flat)} values, got {got}")
            if stream.read(1):  # at the end of a gzip file this also compares its checksum
                raise DataError(f"{path}: more follows the {len(flat)} values that the header announces")
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: damaged or unreadable ({error}); download it again") from error
    return out
