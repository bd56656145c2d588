"""Arrays inside whatever holds them: dicts, lists, tuples and objects, and the gradients that go with them.

People keep `params["W1"]`, `self.layers[0].W` or `weights[2]`, and give back gradients in another dict, list or object.  An
array is known by its path, the steps that lead to it; a gradient belongs to the array whose path ends alike, `d` and `grad`
before a name left aside.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

Path = tuple[Any, ...]
DEEPEST = 5


def stems(name: str) -> list[str]:
    """Return the quantities that a gradient's name may stand for, likeliest first.

    >>> stems("dxhat"), stems("grad_w"), stems("dL_dvar"), stems("dx1")
    (['xhat'], ['w'], ['var'], ['x1', 'x'])
    """
    low = name.lower()
    found: list[str] = []
    for pattern in (
        r"^dl_?_?d_?(.+)$",
        r"^dloss_?_?d_?(.+)$",
        r"^(?:d|grad|gradient|delta|g|adj|bar|nabla|err)_(.+)$",
        r"^d(.+)$",
        r"^grad(.+)$",
        r"^(.+?)_(?:grad|gradient|g|d|bar|adj|delta)$",
        r"^(.+?)grad$",
    ):
        match = re.match(pattern, low)
        if match:
            stem = match.group(1).strip("_")
            for candidate in (
                stem,
                re.sub(r"(_?\d+|_+(a|b|tmp|part|total|sum|new|direct|from.*|via.*|through.*))$", "", stem),
            ):
                plain = candidate.replace("_", "")
                if plain and plain not in found:
                    found.append(plain)
            break
    return found


def steps_into(value: Any) -> list[tuple[Any, Any]]:
    """Return what a container or object holds, each with the step that leads to it; nothing for anything else."""
    if isinstance(value, dict):
        return list(value.items())
    if isinstance(value, tuple | list):
        return list(enumerate(value))
    return list(vars(value).items()) if is_object(value) else []


def is_object(value: Any) -> bool:
    """Whether a value is an object of somebody's own class, with attributes: no function, class, module or generator."""
    known = isinstance(value, type | types.ModuleType | types.FunctionType | types.MethodType | np.random.Generator)
    return hasattr(value, "__dict__") and not known and not isinstance(value, np.ndarray)


def found_in(value: Any, wanted: Callable[[Any], bool], path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Walk to every item that is wanted, the outermost first where one lies in another.

    >>> model = {"W": np.ones(2), "layers": [{"b": np.zeros(3)}]}
    >>> [path for path, _ in found_in(model, lambda v: isinstance(v, np.ndarray))]
    [('W',), ('layers', 0, 'b')]
    """
    if wanted(value):
        yield path, value
    elif len(path) < DEEPEST:
        for step, inner in steps_into(value):
            yield from found_in(inner, wanted, (*path, step))


def classes_in(value: Any, depth: int = 0) -> tuple[type, ...]:
    """Return the classes of an object and of all objects that it is made of, each once.

    >>> class Part:
    ...     pass
    >>> [c.__name__ for c in classes_in(types.SimpleNamespace(parts=[Part(), Part()]))]
    ['SimpleNamespace', 'Part']
    """
    if depth > DEEPEST:
        return ()
    own = (type(value),) if hasattr(value, "__dict__") else ()
    inner = (c for _, item in steps_into(value) for c in classes_in(item, depth + 1))
    return tuple(dict.fromkeys((*own, *inner)))


def is_float_array(value: Any) -> bool:
    """Whether a value is an array of floating-point numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def replaced(container: Any, path: Path, new: Any) -> Any:
    """Put something at a path, in place where that can be, and return the container (a tuple is made anew).

    >>> replaced({"state": (1.0, 2.0)}, ("state", 1), 5.0)
    {'state': (1.0, 5.0)}
    """
    if not path:
        return new
    step, *rest = path
    inner = dict(steps_into(container)).get(step)
    value = replaced(inner, tuple(rest), new)
    if isinstance(container, tuple):
        items = [value if i == step else v for i, v in enumerate(container)]
        return type(container)(*items) if hasattr(container, "_fields") else tuple(items)
    if isinstance(container, dict | list):
        container[step] = value
    else:
        setattr(container, step, value)
    return container


def word_for(path: Path) -> str:
    """Write a path as a reader would.

    >>> word_for(("layers", 0, "W")), word_for(("weights", 2)), word_for((0, "b"))
    ('layers[0].W', 'weights[2]', '[0].b')
    """
    words = [f"[{step}]" if not isinstance(step, str) else f".{step}" for step in path]
    return "".join(words).removeprefix(".")


def short_names(paths: list[Path], taken: set[str]) -> dict[str, Path]:
    """Name each path by its end, from the last name on, or in full where that would be ambiguous."""
    named: dict[str, Path] = {}
    ends = []
    for path in paths:
        last = max((i for i, step in enumerate(path) if isinstance(step, str)), default=0)
        ends.append(word_for(path[last:]))
    for path, end in zip(paths, ends, strict=True):
        named[end if ends.count(end) == 1 and end not in taken else word_for(path)] = path
    return named


def _is_gradient_of(step: Any, parameter: Any) -> bool:
    """Whether a step to a gradient is that to a parameter, or its name with d, grad ... about it."""
    if step == parameter:
        return True
    if not isinstance(step, str) or not isinstance(parameter, str):
        return False
    plain = parameter.lower().replace("_", "")
    return step.lower().replace("_", "") == plain or plain in stems(step)[:1]


GRADIENTS = ("grads", "grad", "gradients", "gradient", "dparams", "d")  # what people call a container of gradients
HOLDERS = ("params", "parameters", "weights", "state", "theta", "layers", *GRADIENTS)


def matched(returned: Any, paths: dict[str, Path]) -> dict[str, Any]:
    """Say which gradient in a container belongs to which array, by the ends of their paths.

    >>> paths = {"W": ("params", "W"), "x": ("x",)}
    >>> matched({"dx": 1.0, "grads": {"dW": 2.0}}, paths)
    {'x': 1.0, 'W': 2.0}
    """
    found: dict[str, Any] = {}
    for at, gradient in found_in(returned, lambda v: v is None or isinstance(v, np.ndarray | np.generic | float | int)):
        best: tuple[float, str] | None = None
        for name, path in paths.items():
            alike = 0
            for step, parameter in zip(reversed(at), reversed(path), strict=False):
                if not _is_gradient_of(step, parameter):
                    break
                alike += 1
            whole = alike == len(path)
            rest = [s for s in at[: len(at) - alike] if s not in HOLDERS and not stems(str(s))]
            fits = alike and (whole or not rest)
            if fits and name not in found and (best is None or alike + whole / 2 > best[0]):
                best = alike + whole / 2, name
        if best is not None and not isinstance(gradient, bool):
            found[best[1]] = gradient
    return found


def kept_gradients(owner: Any, paths: dict[str, Path]) -> dict[str, Any]:
    """Return the gradients that an object keeps on itself, or on what it holds, of its arrays at some paths.

    >>> layer = types.SimpleNamespace(W=np.ones(2), dW=np.zeros(2))
    >>> kept_gradients(layer, {"W": ("W",)})
    {'W': array([0., 0.])}
    """
    places = {
        at: value
        for at, value in found_in(owner, lambda v: isinstance(v, np.ndarray | np.generic))
        if at not in paths.values() and any(isinstance(s, str) and (s.lower() in GRADIENTS or stems(s)) for s in at)
    }
    found: dict[str, Any] = {}
    for at, value in places.items():
        nest = value
        for step in reversed(at):
            nest = {step: nest}
        for name, gradient in matched(nest, paths).items():
            found.setdefault(name, gradient)
    return found
