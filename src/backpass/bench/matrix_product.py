"""The matrix product on its own: square, and the shapes of the nets' forward and backward passes, in float32."""

from __future__ import annotations

import numpy as np

from ..layers.base import Array
from .group import Group, Side

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


def operands(shape: Shape) -> tuple[Array, Array, Array]:
    """Return the same a, b, and room for the product, for every side."""
    m, k, n = shape
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((m, k), np.float32), rng.standard_normal((k, n), np.float32)
    return a, b, np.empty((m, n), np.float32)


def work(shape: Shape) -> tuple[float, float]:
    """Return floating-point operations and bytes."""
    m, k, n = shape
    return 2.0 * m * k * n, 4.0 * (m * k + k * n + m * n)


def backpass(shape: Shape) -> Side:
    """Run our kernel as a program."""
    from .. import native

    a, b, out = operands(shape)
    if not native.available:
        return numpy(shape)
    program = native.Program([native.matrix_product(out, a, b, 0, 0)])

    def arrays() -> dict[str, Array]:
        program.run()
        return {"out": out}

    return Side(program.run, arrays, lambda: {"out": a.astype(np.float64) @ b})


def numpy(shape: Shape) -> Side:
    """Run NumPy's product into an array that exists."""
    a, b, out = operands(shape)
    return Side(lambda: np.matmul(a, b, out=out), lambda: {"out": np.matmul(a, b, out=out)})


def torch(shape: Shape) -> Side:
    """Run PyTorch's product into a tensor that exists."""
    import torch

    a, b, out = (torch.from_numpy(array) for array in operands(shape))
    return Side(lambda: torch.mm(a, b, out=out), lambda: {"out": torch.mm(a, b, out=out).numpy()})


def jax(shape: Shape) -> Side:
    """Run the product that JAX compiles."""
    import jax

    a, b = (jax.numpy.asarray(array) for array in operands(shape)[:2])
    product = jax.jit(jax.numpy.matmul)
    return Side(lambda: product(a, b).block_until_ready(), lambda: {"out": np.asarray(product(a, b))})


GROUP = Group(
    title="matrix product (m, k) x (k, n) in float32",
    cases=SQUARES | NETS,
    sides={"backpass": backpass, "numpy": numpy, "torch": torch, "jax": jax},
    work=work,
    quick=("1024 square", "C forward (100,3072)x(3072,100)"),
)
