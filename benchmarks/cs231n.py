"""The speeds that `backpass.cs231n` promises: `python -m benchmarks.cs231n`.

conv_forward_fast + conv_backward_fast against the naive loops and against im2col in NumPy, on E17's sizes; the simplified
batch norm backward against the staged one, and the kernel against the simplified one, on (100, 500).
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from time import perf_counter

import numpy as np

import backpass as bp
from backpass import native
from backpass.cs231n import fast_layers, layers
from backpass.layers.base import Cache

ROUNDS = 15


def seconds(**calls: tuple[Callable[[], object], int]) -> dict[str, float]:
    """Return for each name the median time of a call: name=(call, calls in a block), in turn, `ROUNDS` blocks of each."""
    # Until one large block has been freed, glibc hands freed memory back to the system, and page faults would be timed.
    np.empty(2**21)
    times: dict[str, list[float]] = {name: [] for name in calls}
    for call, _ in calls.values():
        call()
    for _ in range(ROUNDS):
        for name, (call, repeats) in calls.items():
            start = perf_counter()
            for _ in range(repeats):
                call()
            times[name].append((perf_counter() - start) / repeats)
    return {name: median(values) for name, values in times.items()}


def convolution() -> dict[str, float]:
    """Return milliseconds and ratios of forward + backward, and the largest difference of any result."""
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((100, 3, 31, 31)), rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)
    settings = {"stride": 2, "pad": 1}
    dout = rng.standard_normal((100, 25, 16, 16))

    def both(kind: str) -> tuple[np.ndarray, ...]:
        module = layers if kind == "naive" else fast_layers
        out, cache = getattr(module, f"conv_forward_{kind}")(x, w, b, settings)
        return out, *getattr(module, f"conv_backward_{kind}")(dout, cache)

    start = perf_counter()
    wanted = both("naive")
    naive = perf_counter() - start
    found = seconds(strides=(lambda: both("strides"), 3), fast=(lambda: both("fast"), 10))
    return {
        "naive ms": naive * 1e3,
        "strides ms": found["strides"] * 1e3,
        "fast ms": found["fast"] * 1e3,
        "naive / fast": naive / found["fast"],
        "strides / fast": found["strides"] / found["fast"],
        "difference": max(
            float(abs(one - other).max())
            for kind in ("strides", "fast")
            for one, other in zip(wanted, both(kind), strict=True)
        ),
    }


def pooling() -> dict[str, float]:
    """Return the same for 2 x 2 max pooling of (100, 3, 32, 32)."""
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((100, 3, 32, 32)), rng.standard_normal((100, 3, 16, 16))
    settings = {"pool_height": 2, "pool_width": 2, "stride": 2}

    def both(kind: str) -> tuple[np.ndarray, ...]:
        module = layers if kind == "naive" else fast_layers
        out, cache = getattr(module, f"max_pool_forward_{kind}")(x, settings)
        return out, getattr(module, f"max_pool_backward_{kind}")(dout, cache)

    found = seconds(naive=(lambda: both("naive"), 1), fast=(lambda: both("fast"), 10))
    return {
        "naive ms": found["naive"] * 1e3,
        "fast ms": found["fast"] * 1e3,
        "naive / fast": found["naive"] / found["fast"],
        "difference": max(float(abs(a - b).max()) for a, b in zip(both("naive"), both("fast"), strict=True)),
    }


def batch_norm() -> dict[str, float]:
    """Return microseconds and ratios of the backward of batch norm on (100, 500)."""
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 100, 500))
    gamma, beta = rng.standard_normal(500), np.zeros(500)
    _, cache = layers.batchnorm_forward(x, gamma, beta, {"mode": "train"})
    dx, g = np.empty_like(x), Cache(gamma=np.zeros(500), beta=np.zeros(500))
    saved = Cache(mean=cache.mean, var=cache.var, rstd=cache.rstd)
    call = bp.BatchNorm().backward_kernel(dx, dout, x, x, Cache(gamma=gamma, beta=beta), g, saved)
    call()
    assert np.allclose(dx, layers.batchnorm_backward_alt(dout, cache)[0])
    found = seconds(
        staged=(lambda: layers.batchnorm_backward(dout, cache), 100),
        simplified=(lambda: layers.batchnorm_backward_alt(dout, cache), 100),
        kernel=(call, 200),
    )
    return {
        **{f"{name} us": value * 1e6 for name, value in found.items()},
        "staged / simplified": found["staged"] / found["simplified"],
        "simplified / kernel": found["simplified"] / found["kernel"],
    }


if __name__ == "__main__":
    print(f"{native.threads()} threads, {native.isa}")
    for measure in (convolution, pooling, batch_norm):
        print(f"{measure.__name__}: " + ", ".join(f"{name} {value:.3g}" for name, value in measure().items()))
