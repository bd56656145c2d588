"""The speeds that `backpass.cs231n` promises, on the sizes of the course's notebooks, float64.

`backpass` is the native kernel, `numpy` the fast way in NumPy (im2col by strides and one product; the simplified formula),
`steps` the way as it is defined (loops over every output; batch norm's graph step by step).  Pooling has no fast way in NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import backpass as bp
from backpass.cs231n import fast_layers, layers
from backpass.layers.base import Cache

TITLE = "the course's layers, float64"
SAME = 1e-9
CASES = {
    "conv (100, 3, 31, 31), forward + backward": "conv",
    "max pool (100, 3, 32, 32), forward + backward": "pool",
    "batch norm (100, 500), backward": "batchnorm",
}
Arrays = tuple[np.ndarray, ...]
WAYS = {"backpass": "fast", "numpy": "strides", "steps": "naive"}


def conv(side: str) -> Callable[[], Arrays]:
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((100, 3, 31, 31)), rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)
    settings, dout = {"stride": 2, "pad": 1}, rng.standard_normal((100, 25, 16, 16))
    module = layers if side == "steps" else fast_layers
    forward, backward = (getattr(module, f"conv_{which}_{WAYS[side]}") for which in ("forward", "backward"))

    def step() -> Arrays:
        out, cache = forward(x, w, b, settings)
        return out, *backward(dout, cache)

    return step


def pool(side: str) -> Callable[[], Arrays]:
    if side == "numpy":
        raise ImportError
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((100, 3, 32, 32)), rng.standard_normal((100, 3, 16, 16))
    settings = {"pool_height": 2, "pool_width": 2, "stride": 2}
    module = layers if side == "steps" else fast_layers
    forward, backward = (getattr(module, f"max_pool_{which}_{WAYS[side]}") for which in ("forward", "backward"))

    def step() -> Arrays:
        out, cache = forward(x, settings)
        return out, backward(dout, cache)

    return step


def batchnorm(side: str) -> Callable[[], Arrays]:
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 100, 500))
    gamma, beta = rng.standard_normal(500), np.zeros(500)
    _, cache = layers.batchnorm_forward(x, gamma, beta, {"mode": "train"})
    if side != "backpass":
        backward = layers.batchnorm_backward if side == "steps" else layers.batchnorm_backward_alt
        return lambda: backward(dout, cache)
    dx, g = np.empty_like(x), Cache(gamma=np.zeros(500), beta=np.zeros(500))
    saved = Cache(mean=cache.mean, var=cache.var, rstd=cache.rstd)
    call = bp.BatchNorm().backward_kernel(dx, dout, x, x, Cache(gamma=gamma, beta=beta), g, saved)

    def step() -> Arrays:
        call()
        return dx, g.gamma, g.beta

    return step


def side(name: str) -> Callable[[str], tuple[Callable[[], Any], Callable[[], list[float]]]]:
    def begin(case: str) -> tuple[Callable[[], Any], Callable[[], list[float]]]:
        # Until one large block has been freed, glibc hands freed memory back to the system at once, and page faults would
        # be timed. A notebook has long freed one.
        np.empty(4_000_000)
        make = {"conv": conv, "pool": pool, "batchnorm": batchnorm}[case]

        def check() -> list[float]:
            arrays = make(name)()  # begun anew: parameter gradients of the kernel add up
            return [float(array.ravel() @ np.cos(np.arange(array.size)) / np.abs(array).sum()) for array in arrays]

        return make(name), check

    return begin


SIDES = {name: side(name) for name in WAYS}
