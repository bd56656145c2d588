"""Convolution, image norms and pooling, forward + backward in float32, arrays NCHW on our side."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

TITLE = "one layer, forward + backward, float32"
SAME = 1e-4  # each check is relative to the length of its array; Winograd's and the sums' rounding is far below
Side = tuple[Callable[[], Any], Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """A layer on an input; the first layer of a net needs no dx."""

    x_shape: tuple[int, ...]
    layer: str
    settings: dict[str, Any] = field(default_factory=dict)
    relu: bool = False
    dx: bool = True

    def array(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """The same numbers on every side."""
        seed = ["x", "w", "b", "gamma", "beta", "dout"].index(name)
        return np.random.default_rng(seed).standard_normal(shape, np.float32)


def _conv(x_shape: tuple[int, ...], filters: int, kernel_size: int, *, dx: bool = True, **more: Any) -> Case:
    return Case(x_shape, "Conv", {"filters": filters, "kernel_size": kernel_size, **more}, dx=dx)


IMAGES = (64, 64, 32, 32)
CASES = {
    "winograd 64-64 32x32": _conv((64, 64, 32, 32), 64, 3),
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
    "other 3x3 stride 2 64-128 32x32": _conv((64, 64, 32, 32), 128, 3, stride=2),
    "other depthwise 3x3 64 32x32": _conv(IMAGES, 64, 3, groups=64),
    "other depthwise 3x3 stride 2 64 32x32": _conv(IMAGES, 64, 3, groups=64, stride=2),
    "norm batch norm + relu": Case(IMAGES, "SpatialBatchNorm", relu=True),
    "norm batch norm": Case(IMAGES, "SpatialBatchNorm"),
    "norm group norm, 8 groups": Case(IMAGES, "GroupNorm", {"groups": 8}),
    "pool max 2x2": Case(IMAGES, "MaxPool", {"size": 2}),
    "pool max 3x3 stride 2": Case(IMAGES, "MaxPool", {"size": 3, "stride": 2, "padding": 1}),
    "pool average 2x2": Case(IMAGES, "AveragePool", {"size": 2}),
    "pool global average": Case((64, 256, 8, 8), "GlobalAveragePool"),
}


def _checks(arrays: list[np.ndarray]) -> list[float]:
    """Each array along a fixed random direction, relative to its length: a number near 1 that only equals bring about."""
    found = []
    for array in arrays:
        flat = np.ascontiguousarray(array, np.float64).ravel()
        direction = np.random.default_rng(7).standard_normal(flat.size)
        found.append(float(flat @ direction / np.sqrt(flat @ flat)))
    return found


def backpass(case: Case) -> Side:
    """The layer as a model plans it, in one program."""
    import backpass as bp
    from backpass import native

    layers = [getattr(bp, case.layer)(**case.settings)] + [bp.ReLU()] * case.relu
    model = bp.Model(layers, case.x_shape[1:])
    for name, view in model.named_params().items():
        view[...] = case.array(name.split(".")[1], view.shape)
    plan = model.plan(case.x_shape[0], input_gradient=case.dx)
    forward, backward = native.Program(plan.forward), native.Program(plan.backward)
    both = native.Program([*plan.forward, *plan.backward])

    def check() -> list[float]:
        plan.x[...] = case.array("x", case.x_shape)
        model.grads[...] = 0
        forward.run()
        out = plan.scores.copy()  # the backward may use its memory
        plan.dscores[...] = case.array("dout", out.shape)
        backward.run()
        return _checks([out, *model.named_grads().values(), *([] if plan.dx is None else [plan.dx])])

    return both.run, check


def torch(case: Case, layout: str) -> Side:
    """The same with PyTorch; every array in the given layout from the start."""
    import torch
    import torch.nn.functional as F

    memory = {"memory_format": getattr(torch, layout)}

    def tensor(name: str, shape: tuple[int, ...]) -> torch.Tensor:
        found = torch.from_numpy(case.array(name, shape))
        return found.to(**memory) if len(shape) == 4 else found

    channels, settings = case.x_shape[1], case.settings
    x = tensor("x", case.x_shape).requires_grad_(case.dx)
    params: list[torch.Tensor] = []
    if case.layer == "Conv":
        kernel, groups = settings["kernel_size"], settings.get("groups", 1)
        params = [
            tensor("w", (settings["filters"], channels // groups, kernel, kernel)),
            tensor("b", (settings["filters"],)),
        ]
    elif "Norm" in case.layer:
        params = [tensor("gamma", (channels,)), tensor("beta", (channels,))]
    for param in params:
        param.requires_grad_()
    running = torch.zeros(channels), torch.ones(channels)

    def forward() -> torch.Tensor:
        if case.layer == "Conv":
            return F.conv2d(x, *params, settings.get("stride", 1), (kernel - 1) // 2, 1, groups)
        if case.layer == "SpatialBatchNorm":
            out = F.batch_norm(x, *running, *params, training=True)
            return F.relu_(out) if case.relu else out
        if case.layer == "GroupNorm":
            return F.group_norm(x, settings["groups"], *params)
        if case.layer == "GlobalAveragePool":
            return F.adaptive_avg_pool2d(x, 1)[:, :, 0, 0]
        pool = F.max_pool2d if case.layer == "MaxPool" else F.avg_pool2d
        return pool(x, settings["size"], settings.get("stride"), settings.get("padding", 0))

    dout = tensor("dout", tuple(forward().shape))
    leaves = params + [x] * case.dx

    def step() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None
        out = forward()
        out.backward(dout)
        return out

    def check() -> list[float]:
        out = step()
        return _checks([array.detach().contiguous().numpy() for array in (out, *(leaf.grad for leaf in leaves))])

    return step, check


SIDES = {
    "backpass@2": backpass,
    "torch NCHW@1": lambda case: torch(case, "contiguous_format"),
    "torch NCHW@2": lambda case: torch(case, "contiguous_format"),
    "torch channels_last@1": lambda case: torch(case, "channels_last"),
    "torch channels_last@2": lambda case: torch(case, "channels_last"),
}


def accuracy() -> str:
    """The largest error of each algorithm in float32, relative to the largest element of the float64 result."""
    import backpass as bp

    lines = [f"{'case':<24} {'algorithm':<10} {'out':>8} {'dx':>8} {'dw':>8}"]
    for name, case in CASES.items():
        if not name.startswith("winograd") and " 5x5 " not in name:
            continue
        results = {}
        for algorithm, dtype in (("direct", "float64"), ("direct", "float32"), ("winograd", "float32")):
            model = bp.Model([bp.Conv(**case.settings, algorithm=algorithm)], case.x_shape[1:], dtype=dtype)
            for key, view in model.named_params().items():
                view[...] = case.array(key.split(".")[1], view.shape)
            out = model.forward(case.array("x", case.x_shape))
            dx = model.backward(case.array("dout", out.shape))
            results[algorithm, dtype] = (out, dx, model.named_grads()["0.w"].copy())
        for algorithm in ("direct", "winograd"):
            pairs = zip(results[algorithm, "float32"], results["direct", "float64"], strict=True)
            errors = [f"{np.abs(a - b).max() / np.abs(b).max():8.1e}" for a, b in pairs]
            lines.append(f"{name:<24} {algorithm:<10} {' '.join(errors)}")
    return "\n".join(lines)


if __name__ == "__main__":  # python -m benchmarks.conv
    if sys.argv[1:] != ["--accuracy"]:
        raise SystemExit(
            "python -m benchmarks conv --help: the race against PyTorch\npython -m benchmarks.conv --accuracy: "
            "the error of Winograd's algorithm in float32"
        )
    print(accuracy())
