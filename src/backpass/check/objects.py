"""Layers written as classes: `forward(x)` keeps what it needs on the object, `backward(dout)` leaves gradients there.

Such an object is seen as a pair of functions: the forward gets a copy of the object with the given parameters and
returns the copy as its cache; the backward reads the gradients off it (`dW`, `grad_W`, `W_grad`, `grads["W"]`).
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.nested import stems
from backpass.errors import ArgumentError

Array = NDArray[np.float64]


def parameters_of(layer: Any, x: Any) -> list[str]:
    """Names of the arrays of a layer for which it computes gradients, found by one forward and one backward.

    Parameters without a gradient that can be found by name are left out.
    """
    tried = copy.deepcopy(layer)
    tried.backward(np.ones_like(np.asarray(_first(tried.forward(np.array(x))))))
    return [name for name in _arrays(layer) if _gradient(tried, name) is not None]


def _arrays(layer: Any) -> dict[str, Array]:
    """Floating-point arrays on the object itself or in its `params`."""
    found = {k: v for k, v in vars(layer).items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"}
    params = getattr(layer, "params", None)
    if isinstance(params, dict):
        found |= {k: v for k, v in params.items() if isinstance(v, np.ndarray) and v.dtype.kind == "f"}
    return found


def _gradient(layer: Any, name: str) -> Any:
    """Return the gradient that a layer keeps for a parameter, or None."""
    places = [vars(layer)] + [
        d for d in (getattr(layer, n, None) for n in ("grads", "grad", "gradients")) if isinstance(d, dict)
    ]
    for place in places:
        for key in (f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad", f"{name}_g", f"dL_d{name}", f"{name}grad"):
            for actual, value in place.items():
                if str(actual).lower() == key.lower() and isinstance(value, np.ndarray | np.generic):
                    return value
        if place is not vars(layer) and name in place:
            return place[name]
    return None


def _first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


def as_pair(layer: Any, x: Any) -> tuple[Callable[..., Any], Callable[..., Any], dict[str, Any]]:
    """See a layer object as forward, backward and arguments.

    Raises
    ------
    ArgumentError
        Where x is no array of floating-point numbers.
    """
    x = np.asarray(x)
    if x.dtype.kind != "f":
        raise ArgumentError(f"check(layer, x) needs an x of floating-point numbers, got {x.dtype}")
    cls = type(layer)  # held by the closures, so that the methods are found and watched
    names = parameters_of(layer, x)
    arrays = _arrays(layer)

    def forward(**arguments: Any) -> Any:
        working = copy.deepcopy(layer)
        for name in names:
            _put(working, name, arguments[name])
        return _first(cls.forward(working, arguments["x"])), working

    def backward(dout: Any, cache: Any) -> Any:
        dx = cls.backward(cache, dout)
        return {"x": _first(dx), **{name: _gradient(cache, name) for name in names}}

    forward.__name__ = f"{cls.__name__}.forward"
    backward.__name__ = f"{cls.__name__}.backward"
    return forward, backward, {"x": x, **{name: arrays[name] for name in names}}


def _put(layer: Any, name: str, value: Array) -> None:
    params = getattr(layer, "params", None)
    if isinstance(params, dict) and name in params:
        params[name] = value
    else:
        setattr(layer, name, value)


FEATURES = "as many as x has"
SIZES: list[tuple[str, Any]] = [
    (
        r"^(n_?|num_?|size_?|dim_?)?(in|input|inputs|input_dim|input_size|in_features|in_dim|fan_in|d|d_in|nin)(_?\w*)$",
        FEATURES,
    ),
    (r"^(n_?|num_?|size_?|dim_?)?(out|output|outputs|hidden|units|m|d_out|nout|fan_out|neurons)(_?\w*)$", 3),
    (r"^(num_?features|features|dim|channels|n_?features|size|shape|normalized_shape|d_model)$", FEATURES),
    (r"^(p|rate|drop\w*|prob)$", 0.3),
    (r"^(alpha|slope|negative_slope)$", 0.1),
]


def made_with(cls: type, inputs: Any, rng: np.random.Generator) -> tuple[Any, Array] | None:
    """Return an object of a class and an x for it, from what a user gave, or None.

    Inputs may be a function of a generator, and hold `(layer, x)`, or x only: as an array, or in a tuple or dict.  Where
    they do not fit the class (they may belong to another function of the same file) both are guessed.
    """
    given = inputs(rng) if callable(inputs) else inputs
    if isinstance(given, tuple | list) and given and isinstance(given[0], cls):
        return given[0], given[1]
    values = list(given.values()) if isinstance(given, dict) else given if isinstance(given, tuple | list) else [given]
    x = next((v for v in values if isinstance(v, np.ndarray) and v.dtype.kind == "f"), None)
    return (build(cls, rng, x) if x is not None else None) or build(cls, rng)


def build(cls: type, rng: np.random.Generator, x: Array | None = None) -> tuple[Any, Array] | None:
    """Return an object of a class and an x for it, guessed from the constructor's parameters, or None.

    With an x the constructor's defaults are tried first, and then sizes that fit the second axis of x.
    """
    if x is None:
        return _constructed(cls, rng, rng.standard_normal((5, 4)), 4)
    return _constructed(cls, rng, x, None) or _constructed(cls, rng, x, x.shape[min(1, x.ndim - 1)])


def _constructed(cls: type, rng: np.random.Generator, x: Array, features: int | None) -> tuple[Any, Array] | None:
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
        if features is None:
            if required:
                return None
            continue
        value = next((v for pattern, v in SIZES if re.match(pattern, parameter.name.lower())), None)
        value = features if value == FEATURES else value
        low = parameter.name.lower()
        if low in ("w", "weight", "weights"):
            value = rng.standard_normal((features, 3))
        elif low in ("b", "bias") and required:
            value = rng.standard_normal(3)
        elif low in ("gamma", "beta"):
            value = rng.standard_normal(features)
        if value is not None and (required or isinstance(value, int)):
            arguments[parameter.name] = value
        elif required:
            return None
    np.random.seed(0)  # noqa: NPY002 - a constructor may draw its weights from the global generator
    try:
        layer = cls(**arguments)
        copy.deepcopy(layer).forward(x.copy())
    except Exception:
        return None
    for name, array in _arrays(layer).items():
        if set(stems(name)) & {other.lower().replace("_", "") for other in _arrays(layer)}:
            continue  # room for a gradient
        if not array.any() or (array == array.flat[0]).all():  # zeros and ones would hide slips
            _put(layer, name, array + rng.standard_normal(array.shape))
    return layer, x
