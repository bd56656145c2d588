"""What a layer is: hyperparameters, a declaration of shapes, a NumPy reference, and kernels where speed matters.

A layer object is a frozen dataclass of hyperparameters.  It owns no array: `Layer.declare` says which shapes it
needs for an input, the model allocates them, and hands them back as namespaces

    p  parameters          (p.w, p.gamma ...)
    g  their gradients     (same names; a backward adds to them)
    s  state               (running statistics)
    c  cache               (what the forward saves for the backward; a backward only reads it)

Activations and their gradients (`x`, `out`, `dx`, `dout`) are overwritten; parameter gradients accumulate.  A layer with
large ones may name some in `overwrites`: its backward kernel then takes `accumulate=False`, which a model asks for
where it would otherwise write zeros just to have them added to.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np

from ..basics import Array, Shape, is_number, require
from ..errors import ShapeError

__all__ = [
    "Array",
    "Cache",
    "Call",
    "Declared",
    "Init",
    "Layer",
    "NoCache",
    "Param",
    "Reference",
    "Shape",
    "Steps",
    "expect",
    "is_number",
    "require",
]

Init = Callable[["np.random.Generator", Shape], Array]  # as text: numpy.random takes 20 ms to import
Call = Callable[[], object]


class Steps(list[tuple[str, Call]]):
    """Several calls as one, each with the name of the part that it runs; a model strings them into its program singly."""

    def __call__(self) -> None:
        """Run them in order."""
        for _, call in self:
            call()

    def add(self, name: str, call: Call) -> None:
        """Append a call; those of a part that is made of parts itself get its name before theirs."""
        self.extend([(f"{name}.{inner}", step) for inner, step in call] if isinstance(call, Steps) else [(name, call)])


class Cache(SimpleNamespace):
    """Named arrays: `c.xhat`, `p.w`. One notation in references, layers and kernel calls."""


class NoCache:
    """The cache of a prediction: every name is None, so that a kernel saves nothing."""

    def __getattr__(self, name: str) -> None:
        return None


@dataclass(frozen=True)
class Param:
    """A parameter's shape, first value and group (weight, bias, gamma or beta: what optimizer options go by)."""

    shape: Shape
    init: Init
    group: str = "weight"


@dataclass(frozen=True)
class Declared:
    """What a layer needs for one input shape; all shapes include the batch dimension N.

    Attributes
    ----------
    out : tuple of int
        Shape of the output.
    params : dict of Param
        By name, in the order in which the backward returns their gradients.
    state : dict of (shape, first value)
        Running statistics, by name.
    cache : dict of shape, or of (shape, dtype name) where it is not the model's dtype
        What the forward kernel saves, by name.
    reads : tuple of {"x", "out"}
        What the backward kernel reads besides the cache; the model keeps these until then.
    random : bool
        The layer draws random numbers: the model gives `c.random`, a uint64 array (seed, layer, step).
    updates : tuple of str, optional
        Which of the cache `update` reads, after the backward; all of it, if the layer has state and does not say.
    forward_scratch, backward_scratch, infer_scratch : int
        Elements of the model's dtype that a kernel uses while it runs: the model gives flat arrays of these names in `c`.
    """

    out: Shape
    params: Mapping[str, Param] = field(default_factory=dict)
    state: Mapping[str, tuple[Shape, float]] = field(default_factory=dict)
    cache: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ("x",)
    random: bool = False
    updates: tuple[str, ...] | None = None
    forward_scratch: int = 0
    backward_scratch: int = 0
    infer_scratch: int = 0

    @property
    def products(self) -> int:
        """Multiply-adds of a forward with the weights: w.size / F for each number of an output with F channels."""
        weights = sum(math.prod(param.shape) for param in self.params.values() if param.group == "weight")
        return math.prod(self.out) * weights // self.out[1] if weights else 0


@dataclass(frozen=True)
class Reference:
    """A layer in plain NumPy.

    `forward(x, ...) -> out, cache` takes parameters, state and hyperparameters by name; `backward(dout, cache)` and
    `staged(dout, cache)` return `dx, d<param>, ...` (only dx where there are no parameters);
    `infer(x, ...) -> out` is prediction, where that is not the forward.
    """

    forward: Callable[..., tuple[Array, Cache]]
    backward: Callable[..., Any]
    staged: Callable[..., Any]
    infer: Callable[..., Array] | None = None


@cache
def _argument_names(function: Callable[..., Any]) -> tuple[str, ...]:
    return tuple(inspect.signature(function).parameters)[1:]  # all but x


class Layer:
    """The base of every layer; a subclass is a frozen dataclass and is registered by its name.

    A subclass gives `reference` and `declare`, and, where speed matters, the kernel methods (all of them or none).
    Without kernels, or where they are switched off, the reference runs.
    """

    registry: ClassVar[dict[str, type[Layer]]] = {}
    reference: ClassVar[Reference]
    overwrites: ClassVar[tuple[str, ...]] = ()
    """Gradients that `backward_kernel(..., accumulate=False)` overwrites; other layers' kernels have no such argument."""
    in_place: ClassVar[bool] = False
    """Whether `backward_kernel` may get the same memory as dx and dout: writing where it has just read is twice as fast."""

    def __init_subclass__(cls) -> None:
        Layer.registry[cls.__name__] = cls

    # -- what a subclass says -----------------------------------------------------------------------------------

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`; raise ShapeError if `x` does not fit."""
        raise TypeError(f"{type(self).__name__} must define declare(x)")

    def check_batch(self, x: Shape) -> None:
        """Raise ShapeError if this layer cannot train on a batch of shape `x` (but may predict on it)."""

    def runs_as(self, x: Shape) -> str:
        """Return what `Model.summary` calls this layer's kernel for an input of shape `x`: which algorithm, if several."""
        return "kernel"

    def parts(self, x: Shape) -> list[tuple[str, Layer, Shape]]:
        """Return name, layer and input shape of the layers that this one is made of, if it is."""
        return []

    def goes_back_in_place(self, x: Shape) -> bool:
        """Whether the backward kernel may get one array as dx and dout for an input of shape `x`: `in_place`, by default."""
        return self.in_place

    def is_view(self, *, training: bool) -> bool:
        """Whether the output is the input's memory, reshaped: then nothing is computed and nothing copied."""
        return False

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call | None:
        """Return a bound call that computes `out` and saves the cache; None if there is no kernel."""
        return None

    def backward_kernel(
        self,
        dx: Array | None,
        dout: Array,
        x: Array,
        out: Array,
        p: Any,
        g: Any,
        c: Any,
    ) -> Call | None:
        """Return a bound call that overwrites `dx` (unless None) and adds to `g`."""
        return None

    def infer_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call | None:
        """Return a bound call that predicts; by default the forward, saving nothing. `c` holds the scratch, if any."""
        return self.forward_kernel(out, x, p, s, NoCache())

    def update(self, s: Any, c: Any) -> None:
        """Fold what the last training forward saved into the running statistics, if the layer has any."""

    def update_kernel(self, s: Any, c: Any) -> Call | None:
        """Return a bound call that does what `update` does."""
        return None

    # -- the reference as calls, for a model without kernels and for the tests -------------------------------------

    @classmethod
    def has_kernels(cls) -> bool:
        """Whether this layer's class brings kernels of its own."""
        return cls.forward_kernel is not Layer.forward_kernel

    def reference_arguments(self, function: Callable[..., Any], *namespaces: Any) -> dict[str, Any]:
        """Return the arguments that a reference function asks for by name, from hyperparameters and arrays."""
        hyper = {f.name: getattr(self, f.name) for f in fields(self)}  # type: ignore[arg-type]
        found: dict[str, Any] = {}
        for name in _argument_names(function):
            if name in hyper:
                found[name] = hyper[name]
            else:
                found[name] = next(vars(n)[name] for n in namespaces if name in vars(n))
        return found

    def reference_forward(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> None:
        """Run the reference forward into `out`; its cache is kept as `c.reference`, the declared names are filled."""
        function = self.reference.forward
        result, saved = function(x, **self.reference_arguments(function, p, s, c))
        out[...] = result
        for name, value in vars(saved).items():
            if name in vars(c):
                vars(c)[name][...] = value
        c.reference = saved

    def reference_backward(self, dx: Array | None, dout: Array, p: Any, g: Any, c: Any) -> None:
        """Run the reference backward: overwrite `dx`, add to `g`."""
        result = self.reference.backward(dout, c.reference)
        gradients = result if isinstance(result, tuple) else (result,)
        if dx is not None:
            dx[...] = gradients[0]
        for name, gradient in zip(vars(p), gradients[1:], strict=True):
            vars(g)[name][...] += gradient

    def reference_infer(self, out: Array, x: Array, p: Any, s: Any) -> None:
        """Run the reference prediction into `out`."""
        function = self.reference.infer
        if function is None:
            out[...] = self.reference.forward(x, **self.reference_arguments(self.reference.forward, p, s))[0]
        else:
            out[...] = function(x, **self.reference_arguments(function, p, s))


def expect(layer: Layer, x: Shape, pattern: str, hint: str = "") -> Shape:
    """Check the shape of an input against a pattern of size names and return it.

    Parameters
    ----------
    layer : Layer
        Who asks; its name opens the message.
    x : tuple of int
        The shape that came.
    pattern : str
        Size names, such as ``"N D"`` or ``"N C H W"``; ``"N ..."`` takes any rank from 2.
    hint : str
        What the user may want instead.

    Raises
    ------
    ShapeError
        If the rank does not fit, or a size is not positive.

    Examples
    --------
    >>> from backpass import ReLU
    >>> N, D = expect(ReLU(), (4, 3), "N D")
    """
    want = pattern.split()
    fits = len(x) >= 2 if want[-1] == "..." else len(x) == len(want)
    if not fits or any(size < 1 for size in x):
        message = f"{type(layer).__name__}: expected x of shape ({', '.join(want)}), got {tuple(x)}"
        raise ShapeError(message + (f"; {hint}" if hint else ""))
    return tuple(x)
