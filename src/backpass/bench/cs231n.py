"""The speeds that `backpass.cs231n` promises, on the sizes of the course's notebooks, in float64.

`backpass` is the native kernel, `numpy` the fast way in NumPy (im2col by strides and one product; the simplified formula),
`steps` the way as it is defined (loops over every output; batch norm's graph step by step).  Pooling has no fast way in
NumPy.  Batch norm's simplified formula is a promise of its own: there it is `backpass`, beside the steps only.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..arena import aligned_vector
from ..layers.base import Array, Cache
from .group import Group, Side, Unsuitable

CASES = {
    "conv (100, 3, 31, 31), forward + backward": "conv",
    "max pool (100, 3, 32, 32), forward + backward": "pool",
    "batch norm (100, 500), backward": "batchnorm",
    "simplified batch norm (100, 500), backward in NumPy": "simplified",
}
WAYS = {"backpass": "fast", "numpy": "strides", "steps": "naive"}
Step = Callable[[], tuple[Array, ...]]


def conv(who: str) -> Step:
    """Return conv_forward and conv_backward in one of the three ways."""
    from ..cs231n import fast_layers, layers

    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((100, 3, 31, 31)), rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)
    settings, dout = {"stride": 2, "pad": 1}, rng.standard_normal((100, 25, 16, 16))
    module = layers if who == "steps" else fast_layers
    forward, backward = (getattr(module, f"conv_{which}_{WAYS[who]}") for which in ("forward", "backward"))

    def step() -> tuple[Array, ...]:
        out, cache = forward(x, w, b, settings)
        return out, *backward(dout, cache)

    return step


def pool(who: str) -> Step:
    """Return max_pool_forward and max_pool_backward, fast or naive."""
    from ..cs231n import fast_layers, layers

    if who == "numpy":
        raise Unsuitable("pooling has no fast way in NumPy")
    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((100, 3, 32, 32)), rng.standard_normal((100, 3, 16, 16))
    settings = {"pool_height": 2, "pool_width": 2, "stride": 2}
    module = layers if who == "steps" else fast_layers
    forward, backward = (getattr(module, f"max_pool_{which}_{WAYS[who]}") for which in ("forward", "backward"))

    def step() -> tuple[Array, ...]:
        out, cache = forward(x, settings)
        return out, backward(dout, cache)

    return step


def batchnorm(who: str) -> Step:
    """Return the kernel of batch norm's backward, batchnorm_backward_alt or batchnorm_backward."""
    from ..cs231n import layers
    from ..layers import BatchNorm

    rng = np.random.default_rng(0)
    x, dout = rng.standard_normal((2, 100, 500))
    gamma, beta = rng.standard_normal(500), np.zeros(500)
    _, cache = layers.batchnorm_forward(x, gamma, beta, {"mode": "train"})
    if who != "backpass":
        backward = layers.batchnorm_backward if who == "steps" else layers.batchnorm_backward_alt
        return lambda: backward(dout, cache)
    x, dout, dx = (_as_in_a_model(array, turn) for turn, array in enumerate((x, dout, x)))
    g = Cache(gamma=np.zeros(500), beta=np.zeros(500))
    saved = Cache(mean=cache.mean, var=cache.var, rstd=cache.rstd)
    call = BatchNorm().backward_kernel(dx, dout, x, x, Cache(gamma=gamma, beta=beta), g, saved)

    def step() -> tuple[Array, ...]:
        call()
        return dx, g.gamma, g.beta

    return step


def _as_in_a_model(array: Array, turn: int) -> Array:
    """Return a copy that lies where a model lays its arrays: aligned, and not all at the same place of a page."""
    copy = aligned_vector(array.size, array.dtype, turn).reshape(array.shape)
    copy[...] = array
    return copy


def simplified(who: str) -> Step:
    """Return batchnorm_backward_alt as ours, or batchnorm_backward."""
    if who == "numpy":
        raise Unsuitable("ours is the fast way in NumPy")
    return batchnorm("numpy" if who == "backpass" else who)


MAKE = {"conv": conv, "pool": pool, "batchnorm": batchnorm, "simplified": simplified}


def side(who: str, case: str) -> Side:
    """Return one of the three ways of a case."""
    # Until one large block has been freed, glibc hands freed memory back to the system at once, and page faults would
    # be timed. A notebook has long freed one.
    np.empty(4_000_000)
    make = MAKE[case]

    def arrays(of: str = who) -> dict[str, Array]:  # begun anew: parameter gradients of the kernel add up
        return {str(i): array for i, array in enumerate(make(of)())}

    reference = "numpy" if case == "batchnorm" else "steps"
    return Side(make(who), arrays, partial(arrays, reference) if who == "backpass" else None)


GROUP = Group(
    title="the course's layers in float64: native, fast in NumPy, and as defined (steps)",
    cases=CASES,
    sides={who: partial(side, who) for who in WAYS},
    same=1e-9,
    full_sides=("steps@all",),
)
