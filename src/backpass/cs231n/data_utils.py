"""CIFAR-10, TinyImageNet, the 25 ImageNet pictures and saved nets in the course's form; nothing is unpickled.

CIFAR-10 is looked for in `cs231n/datasets` beside the notebook, in `BACKPASS_DATA`, and where `backpass data get cifar10`
puts it.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoint import MANIFEST
from ..data.cifar10 import PIXELS, _pixels, find_cifar10, read_cifar10
from ..data.folder import read_picture
from ..data.inert_pickle import Call, read_inert
from ..data.places import not_found, places
from ..errors import ArgumentError, DataError, DataNotFoundError
from ..layers.base import Array

__all__ = [
    "Dataset",
    "get_CIFAR10_data",
    "load_CIFAR10",
    "load_CIFAR_batch",
    "load_cifar10",
    "load_imagenet_val",
    "load_models",
    "load_pickle",
    "load_tiny_imagenet",
]

Pictures = list[tuple[Path, int | None]]  # files and their labels, None where they are not known
LABEL_MAP_LIMIT_BYTES = 16 * 2**20  # 1,000 names are 30 kB


def _looked_in(root: str | Path | None) -> list[Path]:
    return places(root) if root is not None else [Path("cs231n/datasets"), *places(None)]


def _split(
    num_training: int, num_validation: int, num_test: int, root: str | Path | None, caller: str
) -> dict[str, tuple[Array, Array]]:
    """Return pictures (N, 3, 32, 32) uint8 and labels of train, val and test: the first, those that follow, the first."""
    looked_in = _looked_in(root)
    found = find_cifar10(looked_in)
    if found is None:
        raise not_found("cifar10", looked_in, "cifar-10-binary.tar.gz")
    (pool, pool_y), (test, test_y) = read_cifar10(found)
    end = num_training + num_validation
    if num_training < 1 or min(num_validation, num_test) < 0 or end > len(pool) or num_test > len(test):
        raise ArgumentError(
            f"{caller}: expected at most {len(pool)} for training (at least 1) and validation, and {len(test)} for test, "
            f"got {num_training} + {num_validation} and {num_test}"
        )
    return {
        "train": (pool[:num_training], pool_y[:num_training]),
        "val": (pool[num_training:end], pool_y[num_training:end]),
        "test": (test[:num_test], test_y[:num_test]),
    }


def get_CIFAR10_data(
    num_training: int = 49000,
    num_validation: int = 1000,
    num_test: int = 1000,
    subtract_mean: bool = True,
    *,
    root: str | Path | None = None,
) -> dict[str, Array]:
    """Return X_train, y_train, X_val, y_val, X_test, y_test: float64 pictures (N, 3, 32, 32) minus the training mean image.

    Training takes the first pictures, validation those that follow, test the first of the test set. `root` is a folder or
    archive to read instead of the usual places.
    """
    parts = _split(num_training, num_validation, num_test, root, "get_CIFAR10_data")
    data = {}
    for name, (x, y) in parts.items():
        data[f"X_{name}"], data[f"y_{name}"] = x.astype(np.float64), y.copy()
    if subtract_mean:
        mean_image = data["X_train"].mean(axis=0)
        for name in ("X_train", "X_val", "X_test"):
            data[name] -= mean_image
    return data


def load_cifar10(
    num_training: int = 49000, num_validation: int = 1000, num_test: int = 10000, *, root: str | Path | None = None
) -> tuple[Array, Array, Array, Array, Array, Array]:
    """Return X_train, y_train, X_val, y_val, X_test, y_test as the TensorFlow notebook has them.

    Pictures are (N, 32, 32, 3) float32, less the mean and divided by the standard deviation of each channel of the
    training pictures; labels are int32. `root` is a folder or archive to read instead of the usual places.
    """
    parts = _split(num_training, num_validation, num_test, root, "load_cifar10")
    pictures = [np.ascontiguousarray(x.transpose(0, 2, 3, 1), dtype=np.float32) for x, _ in parts.values()]
    mean = pictures[0].mean(axis=(0, 1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    std = pictures[0].std(axis=(0, 1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    for x in pictures:
        x -= mean
        x /= std
    train, val, test = (y.astype(np.int32) for _, y in parts.values())
    return pictures[0], train, pictures[1], val, pictures[2], test


def load_CIFAR10(ROOT: str | Path) -> tuple[Array, Array, Array, Array]:
    """Return Xtr (50000, 32, 32, 3), Ytr, Xte, Yte from a folder or archive, pictures as float64."""
    found = find_cifar10([Path(ROOT)])
    if found is None:
        raise not_found("cifar10", [Path(ROOT)], "cifar-10-python.tar.gz")
    (train, train_y), (test, test_y) = read_cifar10(found)
    return _as_rows_of_pictures(train), train_y, _as_rows_of_pictures(test), test_y


def _as_rows_of_pictures(x: Array) -> Array:
    return np.ascontiguousarray(x.transpose(0, 2, 3, 1), dtype=np.float64)


def load_pickle(f: Any) -> dict[str, Any]:
    """Return the dict of a CIFAR batch from an open file: "data" as an array, all else as it is; nothing is unpickled."""
    raw = f.read()
    batch = read_inert(raw, max_opcodes=len(raw))
    if type(batch) is not dict:
        raise DataError(f"expected a CIFAR batch, a dict, got {type(batch).__name__}")
    entries = {key.decode("latin1") if type(key) is bytes else key: value for key, value in batch.items()}
    labels = entries.get("labels")
    if type(labels) is not list or not all(type(label) is int and 0 <= label < 10 for label in labels):
        raise DataError("expected 'labels' to be a list of numbers from 0 to 9")
    entries["data"] = _pixels(entries.get("data"), (len(labels), PIXELS))
    return entries


def load_CIFAR_batch(filename: str | Path) -> tuple[Array, Array]:
    """Return X (N, 32, 32, 3) as float64 and Y (N,) of one python batch file, however many rows it has."""
    with Path(filename).open("rb") as file:
        try:
            batch = load_pickle(file)
        except DataError as error:
            raise DataError(f"{filename}: {error}") from error
    return _as_rows_of_pictures(batch["data"].reshape(-1, 3, 32, 32)), np.array(batch["labels"], np.int64)


def load_tiny_imagenet(path: str | Path, dtype: Any = np.float32, subtract_mean: bool = True) -> dict[str, Any]:
    """Return TinyImageNet from its folder, whichever of its versions: 100-A, 100-B or 200.

    Parameters
    ----------
    path : str or Path
        The folder with wnids.txt, words.txt, train, val and test.
    dtype : dtype
        Of the pictures.
    subtract_mean : bool
        Whether the training mean picture is taken off every picture.

    Returns
    -------
    dict
        class_names (a list of names for each class), X_train, X_val, X_test (N, 3, 64, 64), y_train, y_val, y_test,
        and mean_image. y_test is None where the folder has no labels for the test pictures. Grey pictures get three
        equal channels.

    Raises
    ------
    DataNotFoundError
        If there is no such folder.
    DataError
        If a file of it is damaged or names what is not there.
    """
    path = Path(path)
    if not (path / "wnids.txt").is_file():
        raise DataNotFoundError(
            f"load_tiny_imagenet: expected the folder of TinyImageNet, with wnids.txt and train, val and test, got {path}; "
            "unpack the course's archive and name the folder in it"
        )
    wnids = _lines(path / "wnids.txt")
    number = {wnid: label for label, wnid in enumerate(wnids)}
    words = dict(line.split("\t", 1) for line in _lines(path / "words.txt") if "\t" in line)
    train: Pictures = [
        (file, label) for wnid, label in number.items() for file in sorted((path / "train" / wnid / "images").iterdir())
    ]
    data: dict[str, Any] = {
        "class_names": [[name.strip() for name in words.get(wnid, wnid).split(",")] for wnid in wnids]
    }
    parts: dict[str, Pictures] = {
        "train": train,
        "val": _annotated(path / "val", number),
        "test": _annotated(path / "test", number),
    }
    for part, pictures in parts.items():
        data[f"X_{part}"] = _read_pictures([file for file, _ in pictures], dtype)
        labelled = all(label is not None for _, label in pictures)
        data[f"y_{part}"] = np.array([label for _, label in pictures], np.int64) if labelled else None
    data["mean_image"] = data["X_train"].mean(axis=0, dtype=np.float64).astype(dtype)
    if subtract_mean:
        for part in parts:
            data[f"X_{part}"] -= data["mean_image"]
    return data


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error


def _annotated(folder: Path, number: dict[str, int]) -> Pictures:
    """Return the pictures of val or test with the labels of its annotations, or with None where it has none."""
    annotations = folder / f"{folder.name}_annotations.txt"
    if not annotations.is_file():
        return [(file, None) for file in sorted((folder / "images").iterdir())]
    found: Pictures = []
    for line in _lines(annotations):
        name, wnid = line.split("\t")[:2]
        if wnid not in number or Path(name).name != name:
            raise DataError(f"{annotations}: expected a picture's name and a class of wnids.txt, got {line[:80]!r}")
        found.append((folder / "images" / name, number[wnid]))
    return found


def _read_pictures(files: list[Path], dtype: Any) -> Array:
    x = np.empty((len(files), 3, 64, 64), dtype)
    for i, file in enumerate(files):
        picture = read_picture(file)
        if picture.shape != x.shape[1:]:
            raise DataError(f"{file}: expected 64 x 64 pixels, got {picture.shape[2]} x {picture.shape[1]}")
        x[i] = picture
    return x


def load_imagenet_val(num: int | None = None, *, root: str | Path | None = None) -> tuple[Array, Array, dict[int, str]]:
    """Return X (N, 224, 224, 3) uint8, y (N,) and class_names (number to name) of the course's 25 ImageNet pictures.

    Parameters
    ----------
    num : int, optional
        How many; all by default.
    root : str or Path, optional
        The file imagenet_val_25.npz or its folder; by default cs231n/datasets and the folder BACKPASS_DATA are looked in.

    Raises
    ------
    DataNotFoundError
        If the file is nowhere.
    DataError
        If it is damaged, or its label map is anything but numbers and names; it is read without unpickling.
    """
    name = "imagenet_val_25.npz"
    candidates = [place if place.is_file() else place / name for place in _looked_in(root)]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise DataNotFoundError(
            f"{name} was not found in {', '.join(str(c.parent) for c in candidates)}. Fetch it with the course's "
            "datasets/get_datasets.sh (or get_imagenet_val.sh) and leave it in cs231n/datasets"
        )
    try:
        with np.load(path, allow_pickle=False) as arrays:
            X, y = arrays["X"], arrays["y"]
        return X[:num], y[:num], _label_map(path)
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: expected X, y and label_map ({error})") from error


def _label_map(path: Path) -> dict[int, str]:
    """Read the dict that NumPy has put, pickled, into an array of one object."""
    with zipfile.ZipFile(path) as archive:
        member = archive.getinfo("label_map.npy")
        if member.file_size > LABEL_MAP_LIMIT_BYTES:
            raise DataError(f"a label_map of {member.file_size} bytes cannot be one of names")
        with archive.open(member) as stream:
            read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
            read[np.lib.format.read_magic(stream)](stream)
            raw = stream.read()
    array = read_inert(raw, max_opcodes=len(raw))
    held = array.state[4] if type(array) is Call and type(array.state) is tuple and len(array.state) == 5 else None
    labels = held[0] if type(held) is list and len(held) == 1 else None
    if type(labels) is not dict:
        raise DataError("expected label_map to be one dict")
    names = {k: v.decode("latin1") if type(v) is bytes else v for k, v in labels.items()}
    if not all(type(k) is int and type(v) is str for k, v in names.items()):
        raise DataError("expected label_map to give a name for each number")
    return names


def load_models(models_dir: str | Path) -> dict[str, Any]:
    """Return the nets that the Solver's checkpoints in a folder hold: {file name: net}.

    A net has the parameters and running statistics of the moment it was saved. Files that are no checkpoints of the
    Solver (README.txt, the course's pickles, which only unpickling could read), and checkpoints of classes of your own,
    are left out; `Solver.resume` reads those.

    Raises
    ------
    CheckpointError
        If a checkpoint is damaged.
    """
    from .solver import net_of

    models = {}
    for path in sorted(Path(models_dir).glob("*.npz")):
        if not _is_only_arrays(path) and (net := net_of(path)) is not None:
            models[path.name] = net
    return models


def _is_only_arrays(path: Path) -> bool:
    """Whether a file is a whole .npz that is no checkpoint; a damaged one may have been one."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return MANIFEST not in archive.namelist()


class Dataset:
    """Iterate over batches of X and y, as the TensorFlow notebook does.

    Parameters
    ----------
    X, y : arrays of the same length
    batch_size : int
    shuffle : bool
        A new order, from NumPy's global random state, for each pass.

    Examples
    --------
    >>> [len(y) for _, y in Dataset(np.zeros((5, 2)), np.zeros(5), batch_size=2)]
    [2, 2, 1]
    """

    def __init__(self, X: Array, y: Array, batch_size: int, shuffle: bool = False) -> None:
        if len(X) != len(y):
            raise ArgumentError(f"Dataset: expected as many labels as samples, got {len(X)} and {len(y)}")
        self.X, self.y, self.batch_size, self.shuffle = X, y, batch_size, shuffle

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        rows = np.arange(len(self.X))
        if self.shuffle:
            np.random.shuffle(rows)  # noqa: NPY002
        for start in range(0, len(rows), self.batch_size):
            part = rows[start : start + self.batch_size]
            yield self.X[part], self.y[part]
