"""What the adapters share: one real dtype for all arrays, and settings read from the course's dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ArgumentError
from ..layers.base import Array


def reals(*arrays: Any) -> list[Array]:
    """Return arrays in one dtype: float32 if all fit into it, else float64 (so whole numbers count as float64).

    Examples
    --------
    >>> [a.dtype.name for a in reals(np.ones(2, np.float32), np.ones(2, np.float32))], reals([1, 2])[0].dtype.name
    (['float32', 'float32'], 'float64')
    """
    given = [np.asarray(array) for array in arrays]
    dtype = np.result_type(np.float32, *given)
    return [array.astype(dtype, copy=False) for array in given]


def mode_of(param: Mapping[str, Any], what: str) -> str:
    """Return "train" or "test" from a course dictionary; raise ArgumentError for anything else."""
    mode = param.get("mode")
    if mode not in ("train", "test"):
        raise ArgumentError(f"{what}: expected its 'mode' to be 'train' or 'test', got {mode!r}")
    return str(mode)


def setting(param: Mapping[str, Any], name: str, what: str) -> int:
    """Return a whole number that a course dictionary must hold, such as `conv_param["stride"]`."""
    value = param.get(name)
    if not isinstance(value, (int, np.integer)) or isinstance(value, bool) or value < 0:
        raise ArgumentError(f"{what}: expected its {name!r} to be a whole number, got {value!r}")
    return int(value)
