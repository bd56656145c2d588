"""A few layers on one input, forward, backward or both: what the benchmarks of layers are made of."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..layers.base import Array, Cache, Layer, Shape
from ..layers.fusion import FUSIONS
from .group import Side, Unsuitable

SAME = 1e-3  # sums over a hundred thousand float32 numbers in other orders; NumPy's are the least exact

# Winograd's algorithms for a tile: its side, its products for one channel and one filter, and the floating-point operations
# of its transforms for one channel and for one filter (native/winograd.hpp, winograd_strided.hpp).  Bᵀ d B is 12 times the 19
# of `input`, Aᵀ m A 10 times the 13 of `output`; at stride 2, 18 times 27 and 9 times 11.  Their adjoints, and those of
# other sizes, cost the same within a few per cent.
WINOGRADS = {
    "winograd F(4x4,3x3)": (4, 36, 12 * 19, 10 * 13),
    "winograd F(3x3,4x4)": (3, 36, 12 * 19, 10 * 13),
    "winograd F(2x2,5x5)": (2, 36, 12 * 19, 10 * 13),
    "winograd 4 F(3x3,4x4)": (3, 121, 12 * 19, 10 * 13),
    "winograd F(4x4,3x3) stride 2": (4, 81, 18 * 27, 9 * 11),
}
# These make the last tiles an output shorter where that is enough: 5 products instead of 6 along it.
SHORTENS = ("winograd F(4x4,3x3)", "winograd F(3x3,4x4)")


@dataclass(frozen=True)
class LayerCase:
    """Layers on an input of a shape.

    Attributes
    ----------
    layers : tuple of Layer
    x_shape : tuple of int
    what : {"forward", "backward", "both"}
        Which pass is timed.
    dx : bool
        The backward goes on to the input; the first layer of a net need not.
    """

    layers: tuple[Layer, ...]
    x_shape: Shape
    what: str = "both"
    dx: bool = True

    def array(self, name: str, shape: Shape) -> Array:
        """Return the same numbers on every side."""
        return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, np.float32)

    def model(self, *, kernels: bool = True, dtype: str = "float32") -> Any:
        """Return the layers as a model; every parameter is random, so that none is left out unnoticed."""
        from ..model import Model

        model = Model(self.layers, self.x_shape[1:], kernels=kernels, dtype=dtype)
        for name, view in model.named_params().items():
            scale = 1 / np.sqrt(view.size / view.shape[-1]) if view.ndim == 2 else 1.0
            view[...] = self.array(name, view.shape) * scale
        return model


def backpass(case: LayerCase) -> Side:
    """Run the layers as a model plans them, in one program."""
    from .. import native

    model = case.model()
    plan = model.plan(case.x_shape[0], input_gradient=case.dx)
    calls = {"forward": plan.forward, "backward": plan.backward, "both": [*plan.forward, *plan.backward]}[case.what]
    plan.x[...] = case.array("x", case.x_shape)
    native.Program(plan.forward).run()
    plan.dscores[...] = case.array("dout", plan.scores.shape)

    def arrays(of: Any = model) -> dict[str, Array]:
        plan = of.plan(case.x_shape[0], input_gradient=case.dx)
        plan.x[...] = case.array("x", case.x_shape)
        of.grads[...] = 0
        native.Program(plan.forward).run()
        found = {"out": plan.scores.copy()}  # the backward may use its memory
        if any(d.random for _, d in of._declare(2)):
            return _share_kept(found["out"])
        if case.what != "forward":
            plan.dscores[...] = case.array("dout", plan.scores.shape)
            native.Program(plan.backward).run()
            found |= {f"d{name}": view for name, view in of.named_grads().items()}
            found |= {} if plan.dx is None else {"dx": plan.dx}
        return found

    exact = "float64" if model.params.size else "float32"  # gradients of parameters are sums over the whole batch
    return Side(native.Program(calls).run, arrays, lambda: arrays(case.model(kernels=False, dtype=exact)))


def _share_kept(out: Array) -> dict[str, Array]:
    """Return what can be compared where every side draws its own random numbers."""
    return {"share kept": np.array([round(float((out != 0).mean()), 2)])}


def numpy(case: LayerCase) -> Side:
    """Run the layers' NumPy references, as in the course: arrays are made as they come."""
    if case.what == "backward":
        raise Unsuitable("a backward needs the forward's cache")
    model = case.model(kernels=False)
    x = case.array("x", case.x_shape)
    caches = [Cache(random=row) for row in model._random]

    def forward() -> tuple[Array, list[Cache]]:
        out, saved = x, []
        for layer, p, s, c in zip(model.layers, model.p, model.s, caches, strict=True):
            function = layer.reference.forward
            out, cache = function(out, **layer.reference_arguments(function, p, s, c))
            saved.append(cache)
        return out, saved

    dout = case.array("dout", forward()[0].shape)

    def backward(saved: list[Cache]) -> dict[str, Array]:
        gradient, found = dout, dict[str, Array]()
        for i, (layer, cache) in reversed(list(enumerate(zip(model.layers, saved, strict=True)))):
            result = layer.reference.backward(gradient, cache)
            gradient, *rest = result if isinstance(result, tuple) else (result,)
            found |= {f"d{i}.{name}": value for name, value in zip(vars(model.p[i]), rest, strict=True)}
        return {"dx": gradient, **found}

    def arrays() -> dict[str, Array]:
        out, saved = forward()
        if any(d.random for _, d in model._declare(2)):
            return _share_kept(out)
        return {"out": out, **({} if case.what == "forward" else backward(saved))}

    return Side(forward if case.what == "forward" else lambda: backward(forward()[1]), arrays)


def torch(case: LayerCase, *, layout: str = "contiguous_format", compiled: bool = False) -> Side:
    """Do the same with PyTorch; every array is in the given layout from the start."""
    import torch

    from . import torch_twin

    if case.what == "backward":
        raise Unsuitable("a backward of autograd needs the forward's graph")
    if layout == "channels_last" and len(case.x_shape) != 4:
        raise Unsuitable("only images have channels")
    memory = {"memory_format": getattr(torch, layout)}
    model = case.model()
    twin = torch_twin.twin(model)
    net = twin.net.to(**memory)
    run = torch.compile(net) if compiled else net

    def tensor(name: str, shape: Shape) -> torch.Tensor:
        found = torch.from_numpy(case.array(name, shape))
        return found.to(**memory) if len(shape) == 4 else found

    x = tensor("x", case.x_shape).requires_grad_(case.dx)
    dout = tensor("dout", tuple(net(x).shape))
    leaves = [*net.parameters(), x]

    def both() -> torch.Tensor:
        for leaf in leaves:
            leaf.grad = None
        out = run(x)
        out.backward(dout)
        return out

    def arrays() -> dict[str, Array]:
        out = run(x) if case.what == "forward" else both()
        if any(d.random for _, d in model._declare(2)):
            return _share_kept(torch_twin.array(out))
        found = {"out": torch_twin.array(out)}
        if case.what == "both":
            found |= twin.gradients()
            found |= {"dx": torch_twin.array(x.grad)} if x.grad is not None else {}
        return found

    return Side((lambda: run(x)) if case.what == "forward" else both, arrays)


SIDES: dict[str, Callable[[Any], Side]] = {
    "backpass": backpass,
    "torch eager NCHW": torch,
    "torch eager channels_last": partial(torch, layout="channels_last"),
    "torch compile NCHW": partial(torch, compiled=True),
    "torch compile channels_last": partial(torch, layout="channels_last", compiled=True),
    "numpy": numpy,
}


# -- what a case cannot do without -------------------------------------------------------------------------------------

# Batch norms need statistics before they can normalise, and two sums before they can go back: their input is read
# twice, their upstream gradient too.
READ_TWICE = ("BatchNorm", "SpatialBatchNorm")


def work(case: LayerCase) -> tuple[float, float]:
    """Return the floating-point operations and bytes that a case cannot do without.

    Operations are those of products (Winograd's own, with its transforms, where that runs); bytes are each array read or
    written once, inputs of batch norms twice.

    Examples
    --------
    >>> from backpass import ReLU
    >>> work(LayerCase((ReLU(),), (1000, 250), "forward"))
    (0.0, 2000000.0)
    """
    total = [0.0, 0.0, 0.0, 0.0]
    before: Layer | None = None
    for layer, x, declared in _declared(case.layers, case.x_shape):
        own = _layer_work(layer, x, declared, to_input=case.dx or before is not None, before=before)
        before = layer
        total = [a + b for a, b in zip(total, own, strict=True)]
    ahead, ahead_moved, back, back_moved = total
    if case.what == "forward":
        return ahead, 4 * ahead_moved
    if case.what == "backward":
        return back, 4 * back_moved
    return ahead + back, 4 * (ahead_moved + back_moved)


def _layer_work(layer: Layer, x: Shape, declared: Any, *, to_input: bool, before: Layer | None) -> list[float]:
    """Operations and moved elements of the forward, and of the backward; `before` is the layer before, if there is one."""
    size_x, size_out = _size([x]), _size([declared.out])
    if parts := layer.parts(x):
        total = [0.0, 3.0 * size_out, 0.0, 3.0 * size_x]  # the sum of the chains, and of their gradients
        inside: Layer | None = None
        for name, part, shape in parts:
            inside = None if name.endswith(".0") else inside
            own = _layer_work(part, shape, part.declare(shape), to_input=True, before=inside)
            inside = part
            total = [a + b for a, b in zip(total, own, strict=True)]
        return total
    ahead, back = _product_flops(layer, x, declared, to_input=to_input)
    if before is not None and type(layer).__name__ == "ReLU":  # done in the pass of the layer before it
        fusion = FUSIONS.get((type(before), type(layer)))  # which may read its sign to go back
        return [0.0, 0.0, 0.0, size_out if fusion is None or "out" in fusion.reads else 0.0]
    if layer.is_view(training=True):
        return [0.0, 0.0, 0.0, 0.0]
    kept = _cache_bytes(declared) / 4
    params = _size([p.shape for p in declared.params.values()])
    passes = 2 if type(layer).__name__ in READ_TWICE else 1
    forward = size_x * passes + params + size_out + kept
    read = size_out + kept + size_x * ("x" in declared.reads) + size_out * ("out" in declared.reads)
    backward = read * passes + size_x * to_input + 3 * params
    return [ahead, forward, back, backward]


def _declared(layers: Sequence[Layer], x: Shape) -> list[tuple[Layer, Shape, Any]]:
    found = []
    for layer in layers:
        declared = layer.declare(x)
        found.append((layer, x, declared))
        x = declared.out
    return found


def _size(shapes: Sequence[Shape]) -> int:
    return sum(int(np.prod(shape)) for shape in shapes)


def _cache_bytes(declared: Any) -> int:
    total = 0
    for spec in declared.cache.values():
        shape, dtype = spec if spec and isinstance(spec[-1], str) else (spec, "float32")
        total += int(np.prod(shape)) * np.dtype(dtype).itemsize
    return total


def _product_flops(layer: Layer, x: Shape, declared: Any, *, to_input: bool) -> tuple[float, float]:
    """Operations of the matrix product or convolution, forward and backward; none in other layers."""
    if "w" not in declared.params:
        return 0.0, 0.0
    weights = _size([declared.params["w"].shape])
    backs = 1 + to_input
    algorithm = WINOGRADS.get(layer.runs_as(x))
    if algorithm is None:
        product = 2.0 * weights * x[0] * int(np.prod(declared.out[2:]))
        return product, backs * product
    side, products, input_flops, output_flops = algorithm
    filters, channels = declared.params["w"].shape[:2]
    rows, cols = (-(-size // side) for size in declared.out[2:])
    tiles, product = x[0] * rows * cols, 2.0 * filters * channels
    if layer.runs_as(x) in SHORTENS:
        shorter = (min(n, n * side - size) for n, size in zip((rows, cols), declared.out[2:], strict=True))
        product *= x[0] * (6 * rows - next(shorter)) * (6 * cols - next(shorter))
    else:
        product *= tiles * products
    transforms = input_flops * channels + output_flops * filters
    return product + tiles * transforms, backs * product + tiles * (transforms + input_flops * channels * to_input)
