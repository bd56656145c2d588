"""Which samples a step sees: pure functions of (seed, epoch), so that a run's position is one integer."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.data.checks import check_positive_int
from backpass.data.preprocess import Preprocess
from backpass.errors import ArgumentError, DTypeError, ShapeError


def order(n: int, *, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order in which an epoch visits the samples.

    Each of the n samples draws 64 bits of Philox4x64-10 keyed by (seed, epoch), and they are visited from the
    smallest to the largest.  NumPy keeps the raw stream of its bit generators for ever (NEP 19), which it does
    not promise for `Generator.permutation`; so the same order comes from every version of NumPy.

    Parameters
    ----------
    n : int
        The number of samples.
    seed, epoch : int
        From 0 to 2**64 - 1.

    Returns
    -------
    ndarray (n,), int64
        A permutation of 0 ... n - 1.

    Raises
    ------
    ArgumentError
        Where an argument is out of range.

    Examples
    --------
    >>> order(8, seed=0, epoch=0)
    array([0, 2, 1, 5, 4, 3, 6, 7])
    """
    n = check_positive_int(n, "n")
    for name, value in (("seed", seed), ("epoch", epoch)):
        if check_positive_int(value, name, least=0) >= 2**64:
            raise ArgumentError(f"{name}: expected a number below 2**64, got {value}")
    words = np.random.Philox(key=np.array([seed, epoch], np.uint64)).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64, copy=False)


def batches(n: int, batch_size: int) -> list[slice]:
    """Return the pieces of an epoch's order, one for each step; the last may be smaller.

    Step `s` of a run is piece ``s % len(pieces)`` of epoch ``s // len(pieces)``.

    Raises
    ------
    ArgumentError
        Where a number is below 1.

    Examples
    --------
    >>> batches(10, 4)
    [slice(0, 4, None), slice(4, 8, None), slice(8, 10, None)]
    """
    n, batch_size = check_positive_int(n, "n"), check_positive_int(batch_size, "batch_size")
    return [slice(start, min(start + batch_size, n)) for start in range(0, n, batch_size)]


def gather(out: NDArray[Any], x: NDArray[Any], indices: NDArray[np.int64], preprocess: Preprocess) -> None:
    """Write the preprocessed samples ``x[indices]`` into the first rows of `out`.

    Parameters
    ----------
    out : ndarray (M, *output_shape), float32 or float64
        The model's input buffer; rows from ``len(indices)`` on are left alone.
    x : ndarray (N, *shape)
        Samples, uint8 or float.
    indices : ndarray (n,), integer
        Which samples, n at most M, each from 0 to N - 1.
    preprocess : Preprocess
        What is done to them.

    Raises
    ------
    ArgumentError, DTypeError, ShapeError
        Where something does not fit; `out` is unchanged then.

    Examples
    --------
    >>> x = np.array([[0], [64], [128]], np.uint8)
    >>> out = np.zeros((3, 1), np.float32)
    >>> gather(out, x, np.array([2, 1]), Preprocess.fit("scale", x, max_value=128))
    >>> out.ravel()
    array([1. , 0.5, 0. ], dtype=float32)
    """
    if indices.ndim != 1 or indices.dtype.kind not in "ui":
        raise DTypeError(f"indices: expected integers of shape (n,), got {indices.dtype} {indices.shape}")
    if len(indices) > len(out):
        raise ShapeError(f"out: expected at least {len(indices)} rows, got {len(out)}")
    if len(indices) and (int(indices.min()) < 0 or int(indices.max()) >= len(x)):
        raise ArgumentError(f"indices: expected 0 to {len(x) - 1}, got {indices.min()} to {indices.max()}")
    preprocess.apply(x[indices], out=out[: len(indices)])
