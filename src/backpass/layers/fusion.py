"""Layers that run together: pairs that one kernel computes, and batch norm, relu and dropout.

The list of layers that the user wrote does not change, nor do the results beyond rounding; the array between the
layers is never written.  Nor does a convolution compute the last rows and columns that a max pooling behind it never
reads.  A model looks all this up here when it plans its programs; `Model.inspection_plan` leaves fusion out.

For prediction, a batch norm behind a convolution is folded into it: out = conv(x; w·scale, (b - mean)·scale + beta) with
scale = gamma / sqrt(var + eps).  The folded weights are computed in every prediction, from what parameters and running
statistics are then: nothing can be out of date, and it costs no more than to look whether they have changed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from .. import native
from .affine import Affine
from .base import Array, Cache, Call, Declared, Layer, NoCache, Shape, Steps
from .batchnorm import BatchNorm
from .conv import Conv
from .dropout import Dropout, drop_threshold
from .groupnorm import GroupNorm
from .layernorm import LayerNorm
from .maxpool import MaxPool
from .relu import ReLU
from .spatial_batchnorm import SpatialBatchNorm


@dataclass(frozen=True)
class Fusion:
    """The kernels of two or three layers; `layers`, `p`, `g`, `s`, `c` are sequences with an entry for each of them.

    Attributes
    ----------
    forward : (out, x, layers, p, g, s, c) -> Call
    backward : (dx, dout, x, out, layers, p, g, s, c) -> Call
    infer : (out, x, layers, p, s, c) -> Call
    reads : tuple of {"x", "out"}
        What the backward reads besides the caches.
    overwrites : tuple of str
        Gradients of the first layer that the backward overwrites if it is given `accumulate=False`; if there are none,
        it takes no such argument.
    in_place : bool
        The backward may get the same memory as dx and dout, where the first layer's may.
    fits : (layers, x_shape) -> bool
        Whether there are kernels for such layers on an input of this shape; missing if there always are.
    """

    forward: Callable[..., Call]
    backward: Callable[..., Call]
    infer: Callable[..., Call]
    reads: tuple[str, ...] = ("x", "out")
    overwrites: tuple[str, ...] = ()
    in_place: bool = False
    fits: Callable[[Sequence[Layer], Shape], bool] | None = None


@dataclass(frozen=True)
class Folding:
    """What predicts as one, though it trains as several units.

    Attributes
    ----------
    infer : (out, x, layers, p, s, c) -> Call
    scratch : (layers, declared) -> int
        Elements of the model's dtype that it uses while it runs: `c[0].infer_scratch`.
    """

    infer: Callable[..., Call]
    scratch: Callable[..., int]


FUSIONS: dict[tuple[type[Layer], ...], Fusion] = {}
FOLDINGS: dict[tuple[type[Layer], ...], Folding] = {}


@dataclass(frozen=True)
class Unit:
    """What runs as one in a list of layers: a single one, or several that a fused kernel computes together."""

    first: int
    last: int
    fusion: Fusion | None = None
    folding: Folding | None = None

    @property
    def span(self) -> slice:
        """Where the unit's layers are in the list."""
        return slice(self.first, self.last + 1)


def units_of(layers: Sequence[Layer], shapes: Sequence[Shape], *, fuse: bool = True) -> list[Unit]:
    """Return a list of layers, with the shapes of their inputs, as units.

    A relu between two that it could go with runs with the max pooling behind it, or all three run together.

    Examples
    --------
    >>> import backpass as bp
    >>> [(unit.first, unit.last) for unit in units_of([bp.Affine(3), bp.ReLU(), bp.Affine(2)], [(9, 4), (9, 3), (9, 3)])]
    [(0, 1), (2, 2)]
    >>> shapes = [(9, 3, 8, 8), (9, 32, 8, 8), (9, 32, 8, 8)]
    >>> [(unit.first, unit.last) for unit in units_of([bp.Conv(32, 3), bp.ReLU(), bp.MaxPool(2)], shapes)]
    [(0, 0), (1, 2)]
    >>> [(unit.first, unit.last) for unit in units_of([bp.Conv(32, 7), bp.ReLU(), bp.MaxPool(2)], shapes)]
    [(0, 2)]
    """
    units: list[Unit] = []
    i = 0
    while i < len(layers):
        fusion, count = _first_fusion(layers[i : i + 3], shapes[i]) if fuse else (None, 1)
        if count == 2 and [type(layer) for layer in layers[i + 1 : i + 3]] == [ReLU, MaxPool]:
            fusion, count = None, 1
        units.append(Unit(i, i + count - 1, fusion))
        i += count
    return units


def _first_fusion(layers: Sequence[Layer], x: Shape) -> tuple[Fusion | None, int]:
    """Return what computes the first three of these layers, or the first two, together, and how many they are."""
    for part in (layers[:3], layers[:2]):
        fusion = FUSIONS.get(tuple(type(layer) for layer in part))
        if fusion and (fusion.fits is None or fusion.fits(part, x)):
            return fusion, len(part)
    return None, 1


def infer_units_of(layers: Sequence[Layer], shapes: Sequence[Shape], *, fuse: bool = True) -> list[Unit]:
    """Return a list of layers, with the shapes of their inputs, as units of a prediction.

    Examples
    --------
    >>> import backpass as bp
    >>> layers, shapes = [bp.Conv(3, 3), bp.SpatialBatchNorm(), bp.ReLU(), bp.MaxPool(2)], [(9, 3, 8, 8)] * 4
    >>> [(unit.first, unit.last) for unit in infer_units_of(layers, shapes)]
    [(0, 2), (3, 3)]
    >>> [(unit.first, unit.last) for unit in infer_units_of(layers[:2], shapes[:2])]
    [(0, 1)]
    """
    units: list[Unit] = []
    i = 0
    while i < len(layers):
        kinds = tuple(type(layer) for layer in layers[i : i + 3]) if fuse else ()
        key = kinds if kinds in FOLDINGS else kinds[:2]
        if key in FOLDINGS:
            units.append(Unit(i, i + len(key) - 1, folding=FOLDINGS[key]))
        else:
            fusion, count = _first_fusion(layers[i : i + 3], shapes[i]) if fuse else (None, 1)
            units.append(Unit(i, i + count - 1, fusion))
        i = units[-1].last + 1
    return units


def leave_out_unread(
    layers: Sequence[Layer], shapes: Sequence[Shape], declared: Sequence[Declared]
) -> tuple[Declared, ...]:
    """Return what layers declare, but from a convolution only the outputs that some window of a max pooling behind it reads.

    Examples
    --------
    >>> import backpass as bp
    >>> conv, pool = bp.Conv(16, 3), bp.MaxPool(2)
    >>> shapes = [(4, 8, 15, 14), (4, 16, 15, 14)]
    >>> [d.out for d in leave_out_unread([conv, pool], shapes, [conv.declare(shapes[0]), pool.declare(shapes[1])])]
    [(4, 16, 14, 14), (4, 16, 7, 7)]
    """
    made = list(declared)
    for i, (layer, behind) in enumerate(pairwise(layers)):
        if isinstance(layer, Conv) and isinstance(behind, MaxPool):
            size = behind.read_size(declared[i].out)
            if layer.can_leave_out(shapes[i], size):
                made[i] = replace(declared[i], out=(*declared[i].out[:2], *size))
    return tuple(made)


def infer_scratch(unit: Unit, layers: Sequence[Layer], declared: Sequence[Declared]) -> int:
    """Return how many elements a unit's prediction uses while it runs."""
    if unit.folding:
        return unit.folding.scratch(layers[unit.span], declared[unit.span])
    return declared[unit.first].infer_scratch


def unit_reads(unit: Unit, layers: Sequence[Layer], declared: Sequence[Declared], *, kernels: bool = True) -> set[str]:
    """Return which of "x" and "out" a unit's backward reads; a reference keeps both, by reference."""
    if unit.fusion:
        return set(unit.fusion.reads)
    if not kernels or not layers[unit.first].has_kernels():
        return {"x", "out"}
    return set(declared[unit.first].reads)


def unit_overwrites(unit: Unit, layers: Sequence[Layer], *, kernels: bool = True) -> tuple[str, ...]:
    """Return the gradients of a unit's first layer that its backward can overwrite rather than add to."""
    if unit.fusion:
        return unit.fusion.overwrites
    layer = layers[unit.first]
    return layer.overwrites if kernels and layer.has_kernels() else ()


def unit_in_place(unit: Unit, layers: Sequence[Layer], x: Shape, out: Shape, *, kernels: bool = True) -> bool:
    """Return whether a unit's backward may get the same memory as dx and dout, for an input and output of these shapes."""
    layer = layers[unit.first]
    allowed = unit.fusion.in_place if unit.fusion else kernels and layer.has_kernels()
    return allowed and x == out and layer.goes_back_in_place(x)


def bind_forward(
    unit: Unit, layers: Sequence[Layer], out: Array, x: Array, p: Any, s: Any, c: Any, *, kernels: bool = True
) -> Call:
    """Return the call that runs a unit's training forward; `p`, `s`, `c` are sequences with an entry per layer."""
    i, layer = unit.first, layers[unit.first]
    if unit.fusion:
        parts = (layers[unit.span], p[unit.span], None, s[unit.span], c[unit.span])
        return unit.fusion.forward(out, x, *parts)
    call = layer.forward_kernel(out, x, p[i], s[i], c[i]) if kernels and layer.has_kernels() else None
    return call or partial(layer.reference_forward, out, x, p[i], s[i], c[i])


def bind_backward(
    unit: Unit,
    layers: Sequence[Layer],
    dx: Array | None,
    dout: Array,
    x: Array,
    out: Array,
    p: Any,
    g: Any,
    c: Any,
    *,
    kernels: bool = True,
    accumulate: bool = True,
) -> Call:
    """Return the call that runs a unit's backward; `accumulate=False` overwrites the gradients of `unit_overwrites`."""
    i, layer = unit.first, layers[unit.first]
    how = {} if accumulate or not unit_overwrites(unit, layers, kernels=kernels) else {"accumulate": False}
    if unit.fusion:
        parts = (layers[unit.span], p[unit.span], g[unit.span], None, c[unit.span])
        return unit.fusion.backward(dx, dout, x, out, *parts, **how)
    if kernels and layer.has_kernels():
        call = layer.backward_kernel(dx, dout, x, out, p[i], g[i], c[i], **how)
        if call is not None:
            return call
    return partial(layer.reference_backward, dx, dout, p[i], g[i], c[i])


def bind_infer(
    unit: Unit, layers: Sequence[Layer], out: Array, x: Array, p: Any, s: Any, c: Any, *, kernels: bool = True
) -> Call:
    """Return the call that predicts with a unit."""
    i, layer = unit.first, layers[unit.first]
    if fused := unit.folding or unit.fusion:
        return fused.infer(out, x, layers[unit.span], p[unit.span], s[unit.span], c[unit.span])
    call = layer.infer_kernel(out, x, p[i], s[i], c[i]) if kernels and layer.has_kernels() else None
    return call or partial(layer.reference_infer, out, x, p[i], s[i])


def _affine_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    return native.affine_forward(out, x, p[0].w, p[0].b, 1)


def _affine_relu_backward(
    dx: Any,
    dout: Array,
    x: Array,
    out: Array,
    layers: Any,
    p: Any,
    g: Any,
    s: Any,
    c: Any,
    *,
    accumulate: bool = True,
) -> Call:
    return native.affine_relu_backward(dx, g[0].w, g[0].b, dout, x, p[0].w, int(accumulate), out)


def _affine_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    return native.affine_forward(out, x, p[0].w, p[0].b, 1)


FUSIONS[Affine, ReLU] = Fusion(_affine_relu_forward, _affine_relu_backward, _affine_relu_infer, overwrites=("w",))


def _batchnorm_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    return native.batchnorm_forward(out, c[0].mean, c[0].var, c[0].rstd, x, p[0].gamma, p[0].beta, layers[0].eps, 1)


def _batchnorm_relu_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    return native.batchnorm_backward(dx, g[0].gamma, g[0].beta, dout, x, p[0].gamma, c[0].mean, c[0].rstd, out, 1.0)


def _batchnorm_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    return native.batchnorm_infer(out, x, p[0].gamma, p[0].beta, s[0].mean, s[0].var, layers[0].eps, 1)


FUSIONS[BatchNorm, ReLU] = Fusion(
    _batchnorm_relu_forward, _batchnorm_relu_backward, _batchnorm_relu_infer, in_place=True
)


# Dropout behind a relu: its output is positive exactly where the relu's is and it kept the value.  So the backward needs to
# know nothing but that output, and neither the relu's nor what was kept is written.


def _batchnorm_relu_dropout_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    steps = Steps()
    steps.add("norm", _batchnorm_relu_forward(out, x, layers, p, g, s, c))
    if layers[2].drop_prob > 0:
        threshold, scale = drop_threshold(layers[2].drop_prob), layers[2].scale
        steps.add("dropout", native.dropout_forward(out, None, out, c[2].random, threshold, scale))
    return steps


def _batchnorm_relu_dropout_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    saved = (c[0].mean, c[0].rstd, out, layers[2].scale)
    return native.batchnorm_backward(dx, g[0].gamma, g[0].beta, dout, x, p[0].gamma, *saved)


FUSIONS[BatchNorm, ReLU, Dropout] = Fusion(
    _batchnorm_relu_dropout_forward, _batchnorm_relu_dropout_backward, _batchnorm_relu_infer, in_place=True
)


def _layernorm_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    return native.layernorm_forward(out, c[0].mean, c[0].rstd, x, p[0].gamma, p[0].beta, layers[0].eps, 1)


def _layernorm_relu_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    return native.layernorm_backward(dx, g[0].gamma, g[0].beta, dout, x, p[0].gamma, c[0].mean, c[0].rstd, out)


def _layernorm_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    return native.layernorm_forward(out, None, None, x, p[0].gamma, p[0].beta, layers[0].eps, 1)


FUSIONS[LayerNorm, ReLU] = Fusion(_layernorm_relu_forward, _layernorm_relu_backward, _layernorm_relu_infer)


def _conv_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    call: Call = layers[0].bind_forward(out, x, p[0], relu=True)
    return call


def _conv_relu_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    call: Call = layers[0].bind_backward(dx, dout, x, p[0], g[0], out)
    return call


def _conv_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    call: Call = layers[0].bind_forward(out, x, p[0], relu=True)
    return call


FUSIONS[Conv, ReLU] = Fusion(_conv_relu_forward, _conv_relu_backward, _conv_relu_infer)


def _spatial_batchnorm_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    saved = (c[0].mean, c[0].var, c[0].rstd)
    return native.spatial_batchnorm_forward(out, *saved, x, p[0].gamma, p[0].beta, layers[0].eps, 1)


def _spatial_batchnorm_relu_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    return native.spatial_batchnorm_backward(
        dx, g[0].gamma, g[0].beta, dout, x, p[0].gamma, p[0].beta, c[0].mean, c[0].rstd, 1
    )


def _spatial_batchnorm_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    return native.spatial_batchnorm_infer(out, x, p[0].gamma, p[0].beta, s[0].mean, s[0].var, layers[0].eps, 1)


FUSIONS[SpatialBatchNorm, ReLU] = Fusion(
    _spatial_batchnorm_relu_forward,
    _spatial_batchnorm_relu_backward,
    _spatial_batchnorm_relu_infer,
    reads=("x",),
    in_place=True,
)


def _groupnorm_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    settings = (layers[0].groups, layers[0].eps, 1)
    return native.groupnorm_forward(out, c[0].mean, c[0].rstd, x, p[0].gamma, p[0].beta, *settings)


def _groupnorm_relu_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    return native.groupnorm_backward(dx, g[0].gamma, g[0].beta, dout, x, p[0].gamma, p[0].beta, c[0].mean, c[0].rstd, 1)


def _groupnorm_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    settings = (layers[0].groups, layers[0].eps, 1)
    return native.groupnorm_forward(out, None, None, x, p[0].gamma, p[0].beta, *settings)


FUSIONS[GroupNorm, ReLU] = Fusion(
    _groupnorm_relu_forward, _groupnorm_relu_backward, _groupnorm_relu_infer, reads=("x",), in_place=True
)


# relu and max pooling may change places: the largest of the positive parts is the positive part of the largest, and where
# that is zero, neither lets a gradient pass.  So the large array between them is never made, nor kept for the backward.


def _relu_maxpool_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    steps = Steps()
    steps.add("pool", layers[1].forward_kernel(out, x, p[1], None, c[1]))
    steps.add("relu", native.relu_forward(out, out))
    return steps


def _relu_maxpool_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    steps = Steps()
    steps.add("relu", native.relu_backward(dout, dout, out))  # nobody reads this dout later
    steps.add("pool", layers[1].backward_kernel(dx, dout, x, out, p[1], g[1], c[1]))
    return steps


def _relu_maxpool_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    return _relu_maxpool_forward(out, x, layers, p, None, s, (NoCache(), NoCache()))


FUSIONS[ReLU, MaxPool] = Fusion(_relu_maxpool_forward, _relu_maxpool_backward, _relu_maxpool_infer, ("out",))


# Nor is it written by a convolution of a few channels: its tiles go through relu and pooling at once.  argmax is 4, which is no
# place, where the relu lets nothing pass.


def _conv_relu_maxpool_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    call: Call = layers[0].bind_pooled_forward(out, c[2].argmax, x, p[0])
    return call


def _conv_relu_maxpool_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call | Steps:
    conv, _, pool = layers
    if dx is None:
        call: Call = conv.bind_pooled_backward(dout, c[2].argmax, x, g[0])
        return call
    steps = Steps()
    between = np.empty(conv.declare(x.shape).out, x.dtype)  # training does not ask for the dx of pictures
    steps.add("pool", pool.backward_kernel(between, dout, None, out, p[2], g[2], c[2]))
    steps.add("conv", conv.bind_backward(dx, between, x, p[0], g[0], None))
    return steps


def _conv_relu_maxpool_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    call: Call = layers[0].bind_pooled_forward(out, None, x, p[0])
    return call


def _pools_along(layers: Sequence[Layer], x: Shape) -> bool:
    conv, _, pool = layers
    return isinstance(conv, Conv) and isinstance(pool, MaxPool) and pool.halves() and conv.can_pool(x)


FUSIONS[Conv, ReLU, MaxPool] = Fusion(
    _conv_relu_maxpool_forward,
    _conv_relu_maxpool_backward,
    _conv_relu_maxpool_infer,
    reads=("x",),
    fits=_pools_along,
)


def _folded_size(layers: Sequence[Layer], declared: Sequence[Declared]) -> int:
    """Return the size of folded weights and biases; 0 where there are more weights than outputs: then it does not pay."""
    weights = int(np.prod(declared[0].params["w"].shape))
    return weights + declared[0].out[1] if weights <= np.prod(declared[0].out) else 0


def _folded_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    conv, norm, *relu = layers
    steps = Steps()
    folded = getattr(c[0], "infer_scratch", None)
    arguments = (p[1].gamma, p[1].beta, s[1].mean, s[1].var, norm.eps)
    if folded is None:
        steps.add("conv", conv.bind_forward(out, x, p[0], relu=False))
        steps.add("norm", native.spatial_batchnorm_infer(out, out, *arguments, int(bool(relu))))
        return steps
    w, b = folded[: p[0].w.size].reshape(p[0].w.shape), folded[p[0].w.size :]
    steps.add("fold", native.fold_batchnorm(w, b, p[0].w, p[0].b if conv.bias else None, *arguments))
    steps.add("conv", replace(conv, bias=True).bind_forward(out, x, Cache(w=w, b=b), relu=bool(relu)))
    return steps


FOLDINGS[Conv, SpatialBatchNorm] = FOLDINGS[Conv, SpatialBatchNorm, ReLU] = Folding(_folded_infer, _folded_size)
