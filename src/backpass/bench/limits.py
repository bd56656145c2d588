"""What this machine can do at most: multiply-adds in registers, the matrix product, and bytes copied per second."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import native
from ..arena import aligned_bytes
from ..layers.base import Array
from .group import Side, Unsuitable
from .results import BEYOND_CACHES
from .worker import time_step

COPIED_BYTES = (
    1 << 26
)  # each of two arrays, as in the largest cases of single layers: beyond the caches of most machines
SIZE = 1024  # of the matrices


def measure(seconds: float = 0.15) -> dict[str, Any]:
    """Return the rates of all threads of this process, each the best of several blocks.

    Returns
    -------
    dict
        `multiply_add_flops` and `matrix_product_flops` per second in float32, `copy_bytes` read and written per second.

    Raises
    ------
    ImportError
        In a package without kernels.

    Examples
    --------
    >>> rates = measure(0.01) if native.available else {"copy_bytes": 1.0}
    >>> rates["copy_bytes"] > 0
    True
    """
    if not native.available:
        raise ImportError("without kernels there are no limits to compare them with")
    pieces, rounds = 8 * native.threads(), 20_000
    out, flops = np.zeros(pieces, np.float32), np.zeros(1)
    program = native.Program([native.limit_multiply_add(out, flops, rounds)])
    multiply_add = _fastest(program.run, seconds)

    a = np.random.default_rng(0).standard_normal((SIZE, SIZE), np.float32)
    program = native.Program([native.matrix_product(np.empty_like(a), a, a, 0, 0)])
    product = _fastest(program.run, seconds)

    x, copy = aligned_bytes(COPIED_BYTES).view(np.float32), aligned_bytes(COPIED_BYTES).view(np.float32)
    x[...] = 1
    program = native.Program([native.limit_copy(copy, x)])
    copied = _fastest(program.run, seconds)
    return {
        "multiply_add_flops": float(flops[0]) / multiply_add,
        "matrix_product_flops": 2 * SIZE**3 / product,
        "copy_bytes": 2 * COPIED_BYTES / copied,
    }


def copying(work: Callable[[Any], tuple[float, float]]) -> Callable[[Any], Side]:
    """Return the side that copies as many bytes as a case moves, reading half of them and writing the other.

    Parameters
    ----------
    work : function(case) -> (operations, bytes)
        What the case cannot do without.

    Examples
    --------
    >>> copying(lambda case: (0.0, 1000.0))("a small case")
    Traceback (most recent call last):
        ...
    backpass.bench.group.Unsuitable: what it moves stays in the caches
    """

    def copy(case: Any) -> Side:
        flops, moved = work(case)
        if flops >= moved:
            raise Unsuitable("its limit is the multiply-adds")
        if moved < BEYOND_CACHES:
            raise Unsuitable("what it moves stays in the caches")
        if not native.available:
            raise Unsuitable("copying by kernels needs kernels")
        half = int(moved) // 8 * 4
        x, out = aligned_bytes(half), aligned_bytes(half)
        x[...] = 1
        program = native.Program([native.limit_copy(out.view(np.float32), x.view(np.float32))])

        def arrays() -> dict[str, Array]:
            program.run()
            return {"copied": np.array([out.sum(dtype=np.float64)])}

        return Side(program.run, arrays, lambda: {"copied": np.array([float(half)])})

    return copy


def _fastest(step: Any, seconds: float) -> float:
    """Return the time of a step in the best tenth of the blocks: a limit is what is possible, not what is usual."""
    return statistics.quantiles([*time_step(step, seconds)] * 2, n=10)[0]
