"""CIFAR-10 in the course's form, read without unpickling anything.

`get_CIFAR10_data` looks in `cs231n/datasets` beside the notebook, in `BACKPASS_DATA`, and where `backpass data get cifar10`
puts it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..data.cifar10 import PIXELS, _pixels, find_cifar10, read_cifar10
from ..data.inert_pickle import read_inert
from ..data.places import not_found, places
from ..errors import ArgumentError, DataError
from ..layers.base import Array

__all__ = ["Dataset", "get_CIFAR10_data", "load_CIFAR10", "load_CIFAR_batch", "load_pickle"]


def _looked_in(root: str | Path | None) -> list[Path]:
    return places(root) if root is not None else [Path("cs231n/datasets"), *places(None)]


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
    looked_in = _looked_in(root)
    found = find_cifar10(looked_in)
    if found is None:
        raise not_found("cifar10", looked_in, "cifar-10-binary.tar.gz")
    (pool, pool_y), (test, test_y) = read_cifar10(found)
    if num_training < 1 or num_training + num_validation > len(pool) or num_test > len(test):
        raise ArgumentError(
            f"get_CIFAR10_data: expected at most {len(pool)} for training and validation and {len(test)} for test, "
            f"got {num_training} + {num_validation} and {num_test}"
        )
    end = num_training + num_validation
    data = {
        "X_train": pool[:num_training].astype(np.float64),
        "y_train": pool_y[:num_training].copy(),
        "X_val": pool[num_training:end].astype(np.float64),
        "y_val": pool_y[num_training:end].copy(),
        "X_test": test[:num_test].astype(np.float64),
        "y_test": test_y[:num_test].copy(),
    }
    if subtract_mean:
        mean_image = data["X_train"].mean(axis=0)
        for name in ("X_train", "X_val", "X_test"):
            data[name] -= mean_image
    return data


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
