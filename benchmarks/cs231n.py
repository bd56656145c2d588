"""The speeds that `backpass.cs231n` promises: `python -m benchmarks.cs231n`.

conv_forward_fast + conv_backward_fast against the naive loops and against im2col in NumPy, on E17's sizes; the simplified
batch norm backward against the staged one, and the kernel against the simplified one, on (100, 500).
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

import numpy as np

import backpass as bp
from backpass import native
from backpass.cs231n import fast_layers, layers
from backpass.layers.base import Cache


def seconds(call, rounds: int) -> float:
    """Return the median of `rounds` runs, the first of which does not count."""
    call()
    times = []
    for _ in range(rounds):
        start = perf_counter()
        call()
        times.append(perf_counter() - start)
    return median(times)


def convolution() -> None:
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((100, 3, 31, 31)), rng.standard_normal((25, 3, 3, 3)), rng.standard_normal(25)
    settings = {"stride": 2, "pad": 1}
    out, _ = fast_layers.conv_forward_fast(x, w, b, settings)
    dout = rng.standard_normal(out.shape)

    def both(kind: str):
        module = layers if kind == "naive" else fast_layers
        found, cache = getattr(module, f"conv_forward_{kind}")(x, w, b, settings)
        assert np.allclose(found, out)
        return getattr(module, f"conv_backward_{kind}")(dout, cache)

    fast = seconds(lambda: both("fast"), 30)
    for kind, rounds, wanted in (("naive", 1, 200), ("strides", 10, 3)):
        slow = seconds(lambda kind=kind: both(kind), rounds)
        print(
            f"conv both ways: {kind} {slow * 1e3:.2f} ms, fast {fast * 1e3:.2f} ms: {slow / fast:.1f} x ({wanted} wanted)"
        )


def batch_norm() -> None:
    rng = np.random.default_rng(0)
    x, gamma, beta, dout = (
        rng.standard_normal((100, 500)),
        rng.standard_normal(500),
        np.zeros(500),
        rng.standard_normal((100, 500)),
    )
    _, cache = layers.batchnorm_forward(x, gamma, beta, {"mode": "train"})
    staged = seconds(lambda: layers.batchnorm_backward(dout, cache), 200)
    simplified = seconds(lambda: layers.batchnorm_backward_alt(dout, cache), 200)
    dx, g = np.empty_like(x), Cache(gamma=np.zeros(500), beta=np.zeros(500))
    saved = Cache(mean=cache.mean, var=cache.var, rstd=cache.rstd)
    call = bp.BatchNorm().backward_kernel(dx, dout, x, x, Cache(gamma=gamma, beta=beta), g, saved)
    kernel = seconds(call, 200)
    assert np.allclose(dx, layers.batchnorm_backward_alt(dout, cache)[0])
    print(
        f"batch norm backward: staged {staged * 1e6:.0f} us, simplified {simplified * 1e6:.0f} us, kernel {kernel * 1e6:.1f} us: "
        f"{staged / simplified:.1f} x (2 x wanted), {simplified / kernel:.1f} x (5 x wanted)"
    )


if __name__ == "__main__":
    print(f"{native.threads()} threads, {native.isa}")
    convolution()
    batch_norm()
