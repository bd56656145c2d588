"""Convolution, image norms and pooling, forward + backward in float32; our arrays are NCHW at both ends."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from ..layers import AveragePool, Conv, GlobalAveragePool, GroupNorm, MaxPool, ReLU, SpatialBatchNorm
from ..layers.base import Layer, Shape
from . import layer_case
from .group import Group
from .layer_case import LayerCase

IMAGES = (64, 64, 32, 32)


def _conv(x_shape: Shape, filters: int, kernel_size: int, *, dx: bool = True, **more: Any) -> LayerCase:
    return LayerCase((Conv(filters, kernel_size, **more),), x_shape, dx=dx)


def _on(x_shape: Shape, *layers: Layer) -> LayerCase:
    return LayerCase(layers, x_shape)


CASES = {
    "winograd 64-64 32x32": _conv(IMAGES, 64, 3),
    "winograd 32-64 32x32": _conv((64, 32, 32, 32), 64, 3),
    "winograd 128-128 16x16": _conv((64, 128, 16, 16), 128, 3),
    "winograd 64-128 16x16": _conv((64, 64, 16, 16), 128, 3),
    "winograd 128-256 8x8": _conv((64, 128, 8, 8), 256, 3),
    "other 3x3 first layer 3-64 32x32, no dx": _conv((64, 3, 32, 32), 64, 3, dx=False),
    "other 3x3 3-64 32x32": _conv((64, 3, 32, 32), 64, 3),
    "other 7x7 first layer 3-32 32x32, no dx": _conv((64, 3, 32, 32), 32, 7, dx=False),
    "other 7x7 32-32 16x16": _conv((64, 32, 16, 16), 32, 7),
    "other 5x5 32-64 32x32": _conv((64, 32, 32, 32), 64, 5),
    "other 1x1 64-128 16x16": _conv((64, 64, 16, 16), 128, 1),
    "other 1x1 256-64 32x32": _conv((16, 256, 32, 32), 64, 1),
    "other 3x3 stride 2 64-128 32x32": _conv(IMAGES, 128, 3, stride=2),
    "other depthwise 3x3 64 32x32": _conv(IMAGES, 64, 3, groups=64),
    "other depthwise 3x3 stride 2 64 32x32": _conv(IMAGES, 64, 3, groups=64, stride=2),
    "norm batch norm + relu": _on(IMAGES, SpatialBatchNorm(), ReLU()),
    "norm batch norm": _on(IMAGES, SpatialBatchNorm()),
    "norm group norm, 8 groups": _on(IMAGES, GroupNorm(8)),
    "pool max 2x2": _on(IMAGES, MaxPool(2)),
    "pool max 3x3 stride 2": _on(IMAGES, MaxPool(3, stride=2, padding=1)),
    "pool average 2x2": _on(IMAGES, AveragePool(2)),
    "pool global average": _on((64, 256, 8, 8), GlobalAveragePool()),
}

GROUP = Group(
    title="one layer or two on images, forward + backward, float32",
    cases=CASES,
    sides={name: side for name, side in layer_case.SIDES.items() if name != "numpy"},
    same=layer_case.SAME,
    work=layer_case.work,
    quick=("winograd 64-128 16x16", "other 1x1 64-128 16x16", "norm batch norm + relu", "pool max 2x2"),
    full_sides=("torch compile NCHW@1", "torch compile channels_last@1"),
)


def accuracy() -> str:
    """Return the largest error of each algorithm in float32, relative to the largest element of the float64 result.

    Examples
    --------
    See `python -m backpass.bench.conv`.
    """
    lines = [f"{'case':<40} {'algorithm':<10} {'out':>8} {'dx':>8} {'dw':>8}"]
    for name, case in CASES.items():
        if "winograd" not in case.layers[0].runs_as(case.x_shape):
            continue
        results = {}
        for algorithm, dtype in (("direct", "float64"), ("direct", "float32"), ("winograd", "float32")):
            layers = [replace(cast(Conv, case.layers[0]), algorithm=algorithm)]
            model = replace(case, layers=tuple(layers)).model(dtype=dtype)
            out = model.forward(case.array("x", case.x_shape))
            dx = model.backward(case.array("dout", out.shape))
            results[algorithm, dtype] = (out, dx, model.named_grads()["0.w"].copy())
        for algorithm in ("direct", "winograd"):
            pairs = zip(results[algorithm, "float32"], results["direct", "float64"], strict=True)
            errors = [f"{abs(a - b).max() / abs(b).max():8.1e}" for a, b in pairs]
            lines.append(f"{name:<40} {algorithm:<10} {' '.join(errors)}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(accuracy())
