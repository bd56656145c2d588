"""What every module needs: names of types, and the check of an argument."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ArgumentError

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


def require(condition: bool, owner: object, argument: str, expected: str, got: object) -> None:
    """Raise ArgumentError `Owner: argument: expected ..., got ...` unless the condition holds.

    Examples
    --------
    >>> require(0 <= 0.5 < 1, "Dropout", "drop_prob", "a probability in [0, 1)", 0.5)
    """
    if not condition:
        name = owner if isinstance(owner, str) else type(owner).__name__
        raise ArgumentError(f"{name}: {argument}: expected {expected}, got {got!r}")


def is_number(value: object) -> bool:
    """Whether a value is a finite real number (not a bool).

    Examples
    --------
    >>> is_number(0.5), is_number(float("nan")), is_number("1"), is_number(True)
    (True, False, False, False)
    """
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        return False
    return bool(np.isfinite(value))
