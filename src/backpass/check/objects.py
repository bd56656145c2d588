"""Layers written as classes: `forward(x)` keeps what it needs on the object, `backward(dout)` leaves gradients there.

Such an object is seen as a pair of functions: the forward gets a copy of the object with the given parameters and
returns the copy as its cache; the backward reads the gradients off it (`dW`, `grad_W`, `W_grad`, `grads["W"]`), or takes
those that are returned.  Parameters may lie in dicts and lists, and in layers that the layer is made of.
"""

from __future__ import annotations

import copy
import inspect
import re
import types
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.inputs import build as guess_inputs
from backpass.check.instrument import Program, unwrap_descriptor
from backpass.check.nested import (
    GRADIENTS,
    Path,
    classes_in,
    found_in,
    is_float_array,
    kept_gradients,
    matched,
    replaced,
    short_names,
    stems,
)
from backpass.check.subject import (
    PARAMETER,
    arguments_by_name,
    assign_gradients,
    bind_backward,
    call_with,
    fresh,
    returned_names,
    value_at,
)
from backpass.errors import ArgumentError

Array = NDArray[np.float64]
Pair = tuple[Callable[..., Any], Callable[..., Any]]

FORWARDS = ("forward", "fprop", "fwd", "__call__", "call", "apply")
BACKWARDS = ("backward", "bprop", "bwd", "backprop", "backward_pass", "gradient", "grad")


def methods_of(cls: type) -> tuple[str, str] | None:
    """Return the names of a class's forward and backward, or None where it has not both.

    >>> class Relu:
    ...     def __call__(self, x): ...
    ...     def bprop(self, dout): ...
    >>> methods_of(Relu)
    ('__call__', 'bprop')
    """
    own = {n for c in cls.__mro__ for n, v in vars(c).items() if isinstance(unwrap_descriptor(v), types.FunctionType)}
    forward = next((n for n in FORWARDS if n in own), None)
    backward = next((n for n in BACKWARDS if n in own), None)
    return (forward, backward) if forward and backward else None


def static_pair(cls: type) -> Pair | None:
    """Return the functions of a class whose methods are static, or None; a context that they share becomes the cache."""
    methods = methods_of(cls)
    if methods is None or not all(isinstance(inspect.getattr_static(cls, n), staticmethod) for n in methods):
        return None
    first, second = (getattr(cls, n) for n in methods)
    parameters = list(inspect.signature(first).parameters.values())
    if not parameters or parameters[0].name not in ("ctx", "context"):
        return first, second

    def forward(**arguments: Any) -> Any:
        context = Context()
        return first(context, *arguments.values()), context

    def backward(dout: Any, ctx: Any) -> Any:
        return second(ctx, dout)

    forward.__signature__ = inspect.Signature(parameters[1:])  # type: ignore[attr-defined]
    forward.__name__ = f"{cls.__name__}_forward".lower()
    backward.__name__ = f"{cls.__name__}_backward".lower()
    return forward, backward


class Context(types.SimpleNamespace):
    """Where functions with a context keep what their backward needs, as in torch.autograd.Function."""

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep some arrays."""
        self.saved_tensors = tensors


def as_pair(layer: Any, x: Any) -> tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]:
    """See a layer object as forward, backward and arguments; x is what the forward takes, several arrays in a tuple or dict.

    Raises
    ------
    ArgumentError
        Where x holds no array of floating-point numbers.
    """
    cls = type(layer)  # held by the closures, so that the methods are found and watched
    methods = methods_of(cls)
    assert methods is not None
    classes = classes_in(layer)  # so are those of the layers that it is made of
    first, second = (getattr(cls, n) for n in methods)
    inputs = arguments_by_name(getattr(layer, methods[0]), x)
    if not any(is_float_array(v) for _, v in found_in(inputs, is_float_array)):
        kind = getattr(x, "dtype", type(x).__name__)
        raise ArgumentError(f"check(layer, x) needs an x of floating-point numbers, got {kind}")
    paths = short_names([p for p, _ in found_in(layer, is_float_array) if not is_room(p, layer)], set(inputs))
    names = returned_names(Program([second]), second)

    def run(arguments: dict[str, Any]) -> tuple[Any, Any]:
        working = copy.deepcopy(layer)
        assert type(working) in classes
        for name, path in paths.items():
            if name in arguments:
                replaced(working, path, arguments[name])
        return call_with(types.MethodType(first, working), {k: arguments[k] for k in inputs}), working

    result, tried = run(fresh(inputs))
    binding = bind_backward(types.MethodType(second, tried), list(inputs), result)

    def forward(**arguments: Any) -> Any:
        returned, working = run(arguments)
        if not isinstance(returned, tuple):
            return returned, working
        working.returned_by_forward = returned
        outs = returned[: binding.outputs]
        return outs if len(outs) > 1 else outs[0], working

    def call(upstream: list[Any], working: Any) -> dict[str, Any]:
        kept = getattr(working, "returned_by_forward", None)
        returned = binding.call(types.MethodType(second, working), upstream, kept, inputs)
        return _gradients(returned, working, inputs, paths, names)

    def backward(dout: Any, self: Any) -> Any:  # the cache is the object, and is called so in edits
        return call(list(dout) if isinstance(dout, tuple) else [dout], self)

    def backward_of_loss(cache: Any) -> Any:
        return call([], cache)

    chosen = backward if binding.takes_upstream else backward_of_loss
    forward.__name__ = f"{cls.__name__}.forward"
    chosen.__name__ = f"{cls.__name__}.backward"
    ones = [_ones(o) for o in (result if isinstance(result, tuple) else (result,))[: binding.outputs]]
    tried.returned_by_forward = result if isinstance(result, tuple) else (result,)
    learned = call(ones if binding.takes_upstream else [], tried)
    known = [k for k in paths if learned.get(k) is not None or (learned.keys() & paths.keys() and PARAMETER.match(k))]
    for name in set(paths) - set(known):
        del paths[name]
    return forward, chosen, {**inputs, **{name: value_at(layer, path) for name, path in paths.items()}}


def _ones(output: Any) -> Any:
    if isinstance(output, tuple | list):
        return tuple(_ones(o) for o in output)
    return np.ones_like(np.asarray(output, dtype=np.float64))


def is_room(path: Path, layer: Any) -> bool:
    """Whether an array lies where a layer keeps gradients, or is the gradient of another by its name."""
    words = [s for s in path if isinstance(s, str)]
    if any(w.lower() in GRADIENTS or re.search("running|moving", w) for w in words):
        return True
    siblings = {str(k).lower().replace("_", "") for k in getattr(value_at(layer, path[:-1]), "__dict__", {})}
    return bool(words) and bool(set(stems(words[-1])) & siblings)


def _gradients(
    returned: Any, working: Any, inputs: dict[str, Any], paths: dict[str, Path], names: list[str]
) -> dict[str, Any]:
    """Collect the gradients of the inputs and parameters: returned, or kept on the object."""
    kept = kept_gradients(working, paths)
    wanted: dict[str, Path] = {k: (k,) for k, v in inputs.items() if is_float_array(v)}
    if returned is None:
        return {**matched(vars(working), wanted), **kept}
    parts = returned if isinstance(returned, tuple | list) else (returned,)
    if isinstance(returned, dict) or len(parts) > len(wanted):
        wanted |= {k: (k,) for k in paths if k not in kept}
    shapes = {k: np.shape(inputs[k]) if k in inputs else np.shape(value_at(working, paths[k])) for k in wanted}
    return {**kept, **assign_gradients(returned, wanted, shapes, names)}


FEATURES = "as many as x has"
WIDTHS = "a list of sizes, from the features of x on"
SIZES: list[tuple[str, Any]] = [
    (
        r"^(n_?|num_?|size_?|dim_?)?(in|input|inputs|input_dim|input_size|in_features|in_dim|fan_in|d|d_in|nin)(_?\w*)$",
        FEATURES,
    ),
    (r"^(n_?|num_?|size_?|dim_?)?(out|output|outputs|hidden|units|m|d_out|nout|fan_out|neurons)(_?\w*)$", 3),
    (r"^(num_?features|features|dim|channels|n_?features|size|shape|normalized_shape|d_model)$", FEATURES),
    (r"^(sizes|dims|layer_(sizes|dims)|widths|layers)$", WIDTHS),
    (r"^(k|ksize|kernel|kernel_?size|filter_?size|pool_?size|window)$", 2),
    (r"^seed$", 0),
    (r"^(p|rate|drop\w*|prob)$", 0.3),
    (r"^(alpha|slope|negative_slope)$", 0.1),
]


def made_with(cls: type, inputs: Any, rng: np.random.Generator) -> tuple[Any, Any] | None:
    """Return an object of a class and its input, from what a user gave, or None.

    Inputs may be a function of a generator, and hold `(layer, x)` or x only, in a tuple or a dict.  Where they do not fit
    the class (they may belong to another function of the same file) both are guessed.
    """
    given = inputs(rng) if callable(inputs) else inputs
    values = list(given.values()) if isinstance(given, dict) else given if isinstance(given, tuple | list) else [given]
    layer = next((v for v in values if isinstance(v, cls)), None)
    if layer is not None:
        rest = {k: v for k, v in given.items() if v is not layer} if isinstance(given, dict) else tuple(values)[1:]
        return layer, next(iter(rest.values() if isinstance(rest, dict) else rest)) if len(rest) == 1 else rest
    x = next((v for v in values if is_float_array(v)), None)
    if x is not None:
        several = given if len(values) > 1 else x
        return build(cls, rng, several) or build(cls, rng, x) or build(cls, rng)
    return build(cls, rng)


def build(cls: type, rng: np.random.Generator, x: Any = None) -> tuple[Any, Any] | None:
    """Return an object of a class and an x for it, guessed from the constructor's parameters, or None.

    With an x the constructor's defaults are tried first, and then sizes that fit the second axis of x.
    """
    if x is not None:
        first = next(v for _, v in found_in(x, is_float_array))
        return _constructed(cls, rng, x, None) or _constructed(cls, rng, x, first.shape[min(1, first.ndim - 1)])
    methods = methods_of(cls)
    if methods is None:
        return None
    found: list[tuple[Any, Any]] = []
    forward = getattr(cls, methods[0])
    if len([p for p in inspect.signature(forward).parameters.values() if p.default is p.empty]) > 2:
        variants = guess_inputs(forward, cls.__name__)
        return next(
            (m for f in (None, 4) if variants and (m := _constructed(cls, rng, variants[0].arguments, f))), None
        )
    for shape in ((5, 4), (2, 3, 6, 4), (2, 3, 5)):
        for features in (None, shape[1]):
            made = _constructed(cls, rng, rng.standard_normal(shape), features)
            if made is not None and _runs(*made):
                return made
            found += [made] if made is not None else []
    return found[0] if found else None


def _runs(layer: Any, x: Any) -> bool:
    """Whether forward and backward run through."""
    try:
        as_pair(layer, x)
    except Exception:
        return False
    return True


def _constructed(cls: type, rng: np.random.Generator, x: Any, features: int | None) -> tuple[Any, Any] | None:
    """Return an object that takes x, and x; the constructor's own defaults where the number of features is None."""
    try:
        parameters = list(inspect.signature(cls).parameters.values())
    except (TypeError, ValueError):
        return None
    arguments: dict[str, Any] = {}
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty
        if not required and (features is None or not isinstance(parameter.default, int | tuple | list)):
            continue
        value = for_parameter(parameter.name.lower(), features, rng)
        if value is not None:
            arguments[parameter.name] = value
        elif required:
            return None
    methods = methods_of(cls)
    np.random.seed(0)  # noqa: NPY002 - a constructor may draw its weights from the global generator
    try:
        layer = cls(**arguments)
        forward = getattr(copy.deepcopy(layer), methods[0] if methods else "forward")
        call_with(forward, fresh(arguments_by_name(forward, x)))
    except Exception:
        return None
    for path, array in list(found_in(layer, is_float_array)):
        if not is_room(path, layer) and (array == array.flat[0]).all():  # zeros and ones would hide slips
            replaced(layer, path, array + rng.standard_normal(array.shape))
    return layer, x


def for_parameter(low: str, features: int | None, rng: np.random.Generator) -> Any:
    """Return a value for a parameter of a constructor, or None where its name tells nothing."""
    if low in ("rng", "generator", "random_state"):
        return np.random.default_rng(0)
    if features is None:
        return None
    if low in ("w", "weight", "weights"):
        return rng.standard_normal((features, 3))
    if low in ("b", "bias"):
        return rng.standard_normal(3)
    if low in ("gamma", "beta"):
        return rng.standard_normal(features)
    value = next((v for pattern, v in SIZES if re.match(pattern, low)), None)
    return features if value == FEATURES else [features, 5, 3] if value == WIDTHS else value
