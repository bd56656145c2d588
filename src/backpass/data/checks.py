"""What an array must be before a net is trained on it; every check names the argument, what came and what to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from backpass.errors import ArgumentError, DataError, DTypeError, ShapeError

CHUNK_BYTES = 1 << 20  # work on large arrays goes through pieces of about this size


def chunk_rows(x: NDArray[Any], itemsize: int = 8) -> int:
    """Return how many samples of `x` fill one chunk once each number takes `itemsize` bytes.

    Examples
    --------
    >>> chunk_rows(np.zeros((50_000, 3, 32, 32), np.uint8))
    42
    """
    per_sample = max(1, int(np.prod(x.shape[1:], dtype=np.int64))) * itemsize
    return max(1, CHUNK_BYTES // per_sample)


def first_nonfinite(x: NDArray[Any]) -> int | None:
    """Return the index of the first sample of `x` that holds a NaN or an infinity, or None.

    Examples
    --------
    >>> first_nonfinite(np.array([[0.0], [np.nan]]))
    1
    """
    if x.dtype.kind != "f":
        return None
    rows = chunk_rows(x)
    for start in range(0, len(x), rows):
        finite = np.isfinite(x[start : start + rows]).reshape(min(rows, len(x) - start), -1).all(axis=1)
        if not finite.all():
            return start + int(np.argmin(finite))
    return None


def check_x(x: ArrayLike, where: str) -> NDArray[Any]:
    """Return samples as a C-contiguous uint8, float32 or float64 array (N, *shape), or raise.

    uint8, float32 and float64 are kept (and not copied when they are contiguous already); bool becomes
    uint8, float16 float32, and other integers become the smallest float that holds them exactly.

    Parameters
    ----------
    x : array_like (N, *shape)
        The samples; pictures are (N, C, H, W).
    where : str
        How messages name the array, such as ``"train.x"``.

    Raises
    ------
    DTypeError
        Where the dtype cannot be trained on (object, string, complex, ...).
    ShapeError
        Where there is no sample axis, no feature axis, or an empty sample.
    DataError
        Where rows have different lengths, or a value is NaN or infinite.

    Examples
    --------
    >>> check_x([[1, 2], [3, 4]], "x").dtype
    dtype('float32')
    """
    try:
        array = np.asarray(x)
    except ValueError as error:
        raise DataError(f"{where}: expected a rectangular array (N, ...), got rows of different shapes") from error
    if array.dtype.kind not in "bufi" or array.dtype.itemsize > 8:
        raise DTypeError(
            f"{where}: expected numbers (uint8, float32 or float64), got dtype {array.dtype}; "
            "convert it, for example with x.astype('float32')"
        )
    if array.ndim < 2:
        raise ShapeError(
            f"{where}: expected samples of shape (N, features) or (N, C, H, W), got {array.shape}; "
            "for a single feature use x.reshape(-1, 1)"
        )
    if 0 in array.shape[1:]:
        raise ShapeError(f"{where}: every sample is empty, got shape {array.shape}")
    array = np.ascontiguousarray(array, dtype=_sample_dtype(array))
    bad = first_nonfinite(array)
    if bad is not None:
        raise DataError(
            f"{where}: sample {bad} holds NaN or infinity; remove or fill such values first "
            "(numpy.nan_to_num, or the sample's mean)"
        )
    return array


def _sample_dtype(array: NDArray[Any]) -> np.dtype[Any]:
    if array.dtype.kind == "b" or array.dtype == np.uint8:
        return np.dtype(np.uint8)
    if array.dtype.kind == "f":
        return np.dtype(np.float64) if array.dtype.itemsize == 8 else np.dtype(np.float32)
    exact_in_float32 = array.size == 0 or (int(array.max()) <= 2**24 and int(array.min()) >= -(2**24))
    return np.dtype(np.float32) if exact_in_float32 else np.dtype(np.float64)


def check_y(y: ArrayLike, where: str, count: int) -> NDArray[np.int64]:
    """Return labels as int64 (N,), or raise.

    Parameters
    ----------
    y : array_like (N,)
        Class numbers from 0; floats are accepted where they are whole.
    where : str
        How messages name the array, such as ``"train.y"``.
    count : int
        The number of samples there must be labels for.

    Raises
    ------
    ShapeError
        Where `y` is not one-dimensional or has another length than `count`.
    DTypeError
        Where `y` does not hold numbers.
    DataError
        Where a label is negative or not whole.

    Examples
    --------
    >>> check_y([0.0, 2.0], "y", count=2)
    array([0, 2])
    """
    labels = np.asarray(y)
    if labels.ndim == 2 and labels.shape[1] == 1:
        raise ShapeError(f"{where}: expected shape (N,), got a column {labels.shape}; use y.ravel()")
    if labels.ndim == 2:
        raise ShapeError(
            f"{where}: expected class numbers of shape (N,), got {labels.shape}; from one-hot use y.argmax(axis=1)"
        )
    if labels.ndim != 1:
        raise ShapeError(f"{where}: expected class numbers of shape (N,), got {labels.shape}")
    if len(labels) != count:
        raise ShapeError(f"{where}: expected one label for each of {count} samples, got {len(labels)}")
    if labels.dtype.kind not in "bufi":
        raise DTypeError(f"{where}: expected class numbers (integers from 0), got dtype {labels.dtype}")
    if labels.dtype.kind == "f":
        not_whole = ~(np.isfinite(labels) & (labels == np.trunc(labels)) & (np.abs(labels) < 2.0**53))
        if not_whole.any():
            i = int(np.argmax(not_whole))
            raise DataError(f"{where}: expected class numbers (integers from 0), got {labels[i]} at sample {i}")
    if len(labels) and int(labels.min()) < 0:
        i = int(np.argmin(labels))
        raise DataError(f"{where}: expected class numbers from 0, got {labels[i]} at sample {i}")
    if labels.dtype == np.uint64 and len(labels) and int(labels.max()) >= 2**63:
        raise DataError(f"{where}: expected class numbers from 0, got {labels.max()}")
    return np.ascontiguousarray(labels, dtype=np.int64)


def is_targets(y: NDArray[Any]) -> bool:
    """Whether `y` holds real targets of a regression, not class numbers: floats (N, K), or (N,) if not all are whole.

    Whole floats (N,) count as class numbers; as targets they are given as (N, 1).  One-hot rows count as classes too.

    Examples
    --------
    >>> is_targets(np.array([0.5, 1.0])), is_targets(np.array([0.0, 1.0])), is_targets(np.array([[0.0], [1.0]]))
    (True, False, True)
    """
    if y.dtype.kind != "f" or y.ndim not in (1, 2):
        return False
    if y.ndim == 1:
        finite = y[np.isfinite(y)]
        return bool((finite != np.trunc(finite)).any())
    one_hot = y.shape[1] > 1 and bool(((y == 0) | (y == 1)).all()) and bool((y.sum(axis=1) == 1).all())
    return not one_hot


def check_targets(y: ArrayLike, where: str, count: int) -> NDArray[np.float64]:
    """Return the targets of a regression as float64 (N, K), or raise.

    Parameters
    ----------
    y : array_like (N, K) or (N,)
        Finite numbers; (N,) becomes (N, 1).
    where : str
        How messages name the array, such as ``"train.y"``.
    count : int
        The number of samples there must be targets for.

    Raises
    ------
    ShapeError, DTypeError, DataError
        Where `y` has another shape, or holds what is no finite number.

    Examples
    --------
    >>> check_targets([0.5, 2.0], "y", count=2)
    array([[0.5],
           [2. ]])
    """
    targets = np.asarray(y)
    if targets.dtype.kind not in "bufi":
        raise DTypeError(f"{where}: expected targets that are numbers, got dtype {targets.dtype}")
    if targets.ndim not in (1, 2) or 0 in targets.shape[1:]:
        raise ShapeError(f"{where}: expected targets of shape (N, K) or (N,), got {targets.shape}")
    if len(targets) != count:
        raise ShapeError(f"{where}: expected one target for each of {count} samples, got {len(targets)}")
    bad = first_nonfinite(targets.reshape(count, -1))
    if bad is not None:
        raise DataError(f"{where}: expected finite targets, got {targets[bad]} at sample {bad}")
    return np.ascontiguousarray(targets.reshape(count, -1), dtype=np.float64)


def check_positive_int(value: object, where: str, *, least: int = 1) -> int:
    """Return `value` as an int of at least `least`, or raise ArgumentError.

    Examples
    --------
    >>> check_positive_int(64, "batch_size")
    64
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(f"{where}: expected a whole number of at least {least}, got {value!r}")
    return int(value)
