"""The matrix product on its own: square, and the shapes of the nets' forward and backward passes, in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

TITLE = "matrix product (m, k) x (k, n), float32, against NumPy's OpenBLAS and PyTorch"
SAME = 1e-3
Side = tuple[Callable[[], Any], Callable[[], Any]]
Shape = tuple[int, int, int]

SQUARES: dict[str, Shape] = {f"{n} square": (n, n, n) for n in (64, 128, 256, 512, 1024, 2048)}
NETS: dict[str, Shape] = {
    "A forward (32,64)x(64,32)": (32, 64, 32),
    "B forward (64,100)x(100,100)": (64, 100, 100),
    "C forward (100,3072)x(3072,100)": (100, 3072, 100),
    "C dw (3072,100)x(100,100)": (3072, 100, 100),
    "D forward (256,3072)x(3072,1024)": (256, 3072, 1024),
    "D forward (256,1024)x(1024,1024)": (256, 1024, 1024),
    "D dw (1024,256)x(256,1024)": (1024, 256, 1024),
}
CASES = SQUARES | NETS


def operands(shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same a, b, and room for the product, for every side."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    return a, b, np.empty((m, n), np.float32)


def some(product: np.ndarray) -> list[float]:
    """Numbers that would differ if the product did, scaled to about 1."""
    flat = product.ravel() / np.abs(product).max()
    return [*flat[:: max(1, flat.size // 7)], float(np.abs(flat).mean())]


def backpass(shape: Shape) -> Side:
    """Our kernel, run as a program."""
    from backpass import native

    a, b, out = operands(shape)
    program = native.Program([native.matrix_product(out, a, b, 0, 0)])
    return program.run, lambda: (program.run(), some(out))[1]


def numpy(shape: Shape) -> Side:
    """NumPy's product into an array that exists."""
    a, b, out = operands(shape)
    return lambda: np.matmul(a, b, out=out), lambda: some(np.matmul(a, b, out=out))


def torch(shape: Shape) -> Side:
    """PyTorch's product into a tensor that exists."""
    import torch

    a, b, out = (torch.from_numpy(array) for array in operands(shape))
    return lambda: torch.mm(a, b, out=out), lambda: some(torch.mm(a, b, out=out).numpy())


SIDES = {f"{side.__name__}@{threads}": side for side in (backpass, numpy, torch) for threads in (1, 2)}
