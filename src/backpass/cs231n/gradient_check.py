"""The course's numeric gradients: centred differences, with x changed in place and restored.

Examples
--------
>>> import numpy as np
>>> eval_numerical_gradient(lambda x: float((x**2).sum()), np.array([1.0, -3.0]), verbose=False).round(6)
array([ 2., -6.])
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from ..layers.base import Array

__all__ = [
    "eval_numerical_gradient",
    "eval_numerical_gradient_array",
    "eval_numerical_gradient_blobs",
    "eval_numerical_gradient_net",
    "grad_check_sparse",
    "print_mean_std",
    "rel_error",
]


def _both_sides(f: Callable[[Array], Any], x: Array, where: tuple[int, ...], h: float) -> tuple[Any, Any]:
    """Return copies of f(x + h) and f(x - h) at one element of x; x is restored, also if f raises."""
    old = x[where]
    try:
        x[where] = old + h
        above = np.array(f(x))
        x[where] = old - h
        below = np.array(f(x))
    finally:
        x[where] = old
    return above, below


def _elements(x: Array) -> Iterator[tuple[int, ...]]:
    return iter(np.ndindex(x.shape))


def eval_numerical_gradient(f: Callable[[Array], Any], x: Array, verbose: bool = True, h: float = 1e-5) -> Array:
    """Return the gradient of a scalar f at x; `verbose` prints each element."""
    grad = np.zeros(x.shape, np.result_type(x, np.float32))
    for where in _elements(x):
        above, below = _both_sides(f, x, where, h)
        grad[where] = (above - below) / (2 * h)
        if verbose:
            print(where, grad[where])
    return grad


def eval_numerical_gradient_array(f: Callable[[Array], Any], x: Array, df: Array, h: float = 1e-5) -> Array:
    """Return the gradient at x of Σ f(x)·df, for an f that returns an array."""
    grad = np.zeros(x.shape, np.result_type(x, np.float32))
    for where in _elements(x):
        above, below = _both_sides(f, x, where, h)
        grad[where] = np.sum((above - below) * df) / (2 * h)
    return grad


def eval_numerical_gradient_blobs(
    f: Callable[..., Any], inputs: Sequence[Any], output: Any, h: float = 1e-5
) -> list[Array]:
    """Return the gradients of Σ output.vals·output.diffs by each input's `vals`; f(*inputs, output) fills output.vals."""

    def value(_: Array) -> Array:
        f(*inputs, output)
        return output.vals

    return [eval_numerical_gradient_array(value, blob.vals, output.diffs, h) for blob in inputs]


def eval_numerical_gradient_net(net: Any, inputs: Sequence[Any], output: Any, h: float = 1e-5) -> list[Array]:
    """Return the same for a net with `forward()`."""
    return eval_numerical_gradient_blobs(lambda *_: net.forward(), inputs, output, h)


def grad_check_sparse(
    f: Callable[[Array], Any], x: Array, analytic_grad: Array, num_checks: int = 10, h: float = 1e-5
) -> None:
    """Print the numeric and the analytic gradient and their relative error at random elements of x."""
    for _ in range(num_checks):
        where = tuple(random.randrange(size) for size in x.shape)
        above, below = _both_sides(f, x, where, h)
        numeric, analytic = float((above - below) / (2 * h)), float(analytic_grad[where])
        error = abs(numeric - analytic) / max(abs(numeric) + abs(analytic), 1e-300)
        print(f"numerical: {numeric:f} analytic: {analytic:f}, relative error: {error:e}")


def rel_error(x: Any, y: Any) -> float:
    """Return the largest |x - y| / max(1e-8, |x| + |y|).

    Examples
    --------
    >>> rel_error(np.array([1.0, 2.0]), np.array([1.0, 2.0]))
    0.0
    """
    x, y = np.asarray(x), np.asarray(y)
    return float(np.max(np.abs(x - y) / np.maximum(1e-8, np.abs(x) + np.abs(y))))


def print_mean_std(x: Array, axis: int | tuple[int, ...] = 0) -> None:
    """Print means and standard deviations over an axis, as the notebooks do."""
    print("  means: ", x.mean(axis=axis))
    print("  stds:  ", x.std(axis=axis))
    print()
