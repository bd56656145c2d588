"""What is being checked, seen one way: leaves (arrays with a derivative), a loss, and the user's gradients.

Three kinds of code fit: a pair `forward(...) -> out, cache` and `backward(dout, cache) -> gradients`; a function that
returns `loss, gradients`; and a model whose `loss(X, y)` returns `loss, gradients` of its `params`.
"""

from __future__ import annotations

import copy
import inspect
import random
import re
import types
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.instrument import Program
from backpass.check.nested import (
    Path,
    found_in,
    is_float_array,
    is_object,
    matched,
    replaced,
    short_names,
    stems,
    steps_into,
)
from backpass.check.recorder import is_real
from backpass.errors import ArgumentError

Array = NDArray[Any]  # float64, but for the look at float32

UPSTREAM = re.compile(
    r"^(d(out|y|z|h|a|o|output|next.*|loss.*|l_.*|_?prev.*)?|d\w+|grad\w*|g|gy|gout|upstream\w*|delta\w*|err(or)?|\w+_grad|up|top_diff)$",
    re.I,
)
CACHE = re.compile(
    r"^(cache\w*|ctx|context|saved\w*|mem(ory)?|tape|state|store|c|tmp|info|memo|stuff|aux|residuals?|fwd\w*|meta)$",
    re.I,
)
PARAMETER = re.compile(r"^(w|b|gamma|beta|weights?|bias(es)?|kernels?|filters?|theta)_?\d*$", re.I)
NOT_LEAVES = re.compile(r"(running|moving|^eps|epsilon|^rng$|^seed$|^mask$|^y$|^label|^target)", re.I)


class NotCheckable(Exception):
    """The user's code cannot be run in the way that a check needs; the message says why, in words for the user."""


def fresh(value: Any) -> Any:
    """Copy of an argument, so that one call cannot spoil the next."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {k: fresh(v) for k, v in value.items()}
    if isinstance(value, list):
        return [fresh(v) for v in value]
    if isinstance(value, tuple):
        items = [fresh(v) for v in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, np.random.Generator):
        generator = np.random.Generator(type(value.bit_generator)())
        generator.bit_generator.state = value.bit_generator.state
        return generator
    return copy.deepcopy(value) if is_object(value) else value


class Unseeded:
    """Stands in for `numpy.random.default_rng` while user code runs.

    Without a seed it gives a sequence that can be repeated.
    """

    start = (0, 0)
    original = staticmethod(np.random.default_rng)

    def __call__(self, seed: Any = None) -> np.random.Generator:
        """Return a generator of the seed given, or of the next one in the sequence."""
        if seed is not None:
            return Unseeded.original(seed)
        first, count = Unseeded.start
        Unseeded.start = (first, count + 1)
        return Unseeded.original([first, count, 41])


@contextmanager
def repeatable(program: Program) -> Iterator[None]:
    """Inside the block, generators that user code makes without a seed are the same each time."""
    stand_in = Unseeded()
    places = [f.__globals__ for f in program.functions]
    names = [(g, n) for g in places for n, v in list(g.items()) if v is Unseeded.original]
    np.random.default_rng = stand_in
    for namespace, name in names:
        namespace[name] = stand_in
    try:
        yield
    finally:
        np.random.default_rng = Unseeded.original
        for namespace, name in names:
            namespace[name] = Unseeded.original


@dataclass
class Randomness:
    """Every source of random numbers that the user's code can reach, put back to the same state before each call."""

    generators: list[tuple[np.random.Generator, Any]] = field(default_factory=list)

    @classmethod
    def around(cls, program: Program, extra: tuple[Any, ...] = ()) -> Randomness:
        """Find generators in the globals of the functions and on objects."""
        found: dict[int, np.random.Generator] = {}
        for function in program.functions:
            for value in list(function.__globals__.values()):
                if isinstance(value, np.random.Generator):
                    found[id(value)] = value
        for item in extra:
            for value in vars(item).values() if hasattr(item, "__dict__") else ():
                if isinstance(value, np.random.Generator):
                    found[id(value)] = value
        return cls([(g, g.bit_generator.state) for g in found.values()])

    def rewind(self, seed: int = 0) -> None:
        """Start all of them anew."""
        Unseeded.start = (seed, 0)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - user code draws from the global generator
        for generator, state in self.generators:
            generator.bit_generator.state = state


class Subject(ABC):
    """The common face; `loss`, `run` and `gradients` are what the three kinds fill in."""

    name = ""
    joint = False  # whether one function computes both the loss and the gradients
    seen = 0.0  # the loss that a joint function returned together with the gradients

    def __init__(self, program: Program, leaves: dict[str, Array]) -> None:
        self.program = program
        self.leaves = leaves
        self.randomness = Randomness.around(program)

    @abstractmethod
    def loss(self, leaves: dict[str, Array]) -> float:
        """Return the number that is differentiated; forward only."""

    @abstractmethod
    def backward(self, begin: Callable[[], None], seed: int = 0) -> dict[str, Any]:
        """Return the user's gradients by leaf; `begin` is called when the backward proper starts.

        `seed` picks the upstream gradient.
        """

    def sizes(self) -> dict[str, int]:
        """Sizes worth naming in a sentence: N, D ..., from the shape of the first leaf."""
        return {}


class Layer(Subject):
    """A forward and a backward, bound to inputs."""

    def __init__(
        self,
        forward: Callable[..., Any],
        backward: Callable[..., Any],
        arguments: dict[str, Any],
        program: Program,
        wrt: list[str] | None = None,
        seed: int = 0,
        name: str = "",
    ) -> None:
        leaves = arrays_among(arguments)
        if wrt:
            leaves = {k: leaves.get(k, arguments[k]) for k in wrt}
        super().__init__(program, leaves)
        self.paths: dict[str, Path] = {k: (k,) for k in leaves}
        self.forward, self.user_backward, self.arguments = forward, backward, arguments
        self.name = name or getattr(backward, "__name__", "backward")
        self.wrt = wrt
        self.seed = seed
        self.extra = 0  # arrays that the backward returned beyond those that the forward takes
        self.randomness.rewind()
        self.last_result = self._call_forward(leaves)
        self.binding = bind_backward(backward, list(arguments), self.last_result)
        self.outputs = self._outputs(self.last_result)
        if not any(is_real(o) for o in self.outputs):
            raise NotCheckable(
                f"{getattr(forward, '__name__', 'forward')} returned no array of floating-point numbers; nothing "
                "can be differentiated"
            )
        self.upstream = self._draw(seed)
        self.returned_names = returned_names(program, backward)
        if not wrt:
            self._add_inner_leaves()

    def _draw(self, seed: int) -> list[Array]:
        if not self.binding.takes_upstream:
            return [np.asarray(1.0)]
        rng = np.random.default_rng([seed, 77])
        return [np.asarray(rng.standard_normal(np.shape(o)))[()] for o in self.outputs]

    def _add_inner_leaves(self) -> None:
        """Add the arrays inside other arguments, and the plain numbers, for which the backward returns a gradient."""
        inner = inner_paths(self.arguments, set(self.paths))
        if not inner:
            return
        try:
            returned = self._returned(self.arguments)
        except Exception:
            return  # it will be said where the gradients are measured
        every = {**self.paths, **inner}
        order = {k: (*self.arguments,).index(p[0]) for k, p in every.items()}
        every = dict(sorted(every.items(), key=lambda item: order[item[0]]))
        got = assign_gradients(returned, every, self._shapes(every), self.returned_names)
        kept = [k for k in every if k in self.paths or got.get(k) is not None]
        if any(k in inner for k in kept):
            self.paths = {k: every[k] for k in kept}
            self.leaves = {k: np.asarray(value_at(self.arguments, p), np.float64) for k, p in self.paths.items()}

    def _shapes(self, paths: dict[str, Path]) -> dict[str, tuple[int, ...]]:
        return {k: np.shape(value_at(self.arguments, p)) for k, p in paths.items()}

    def filled(self, leaves: dict[str, Array]) -> dict[str, Any]:
        """Return a copy of the arguments with these values for the leaves."""
        return filled(self.arguments, self.paths, leaves)

    def _call_forward(self, leaves: dict[str, Array]) -> Any:
        return self.run_forward(self.filled(leaves))

    def run_forward(self, arguments: dict[str, Any]) -> Any:
        """Run the user's forward; a list that it returns is read as a tuple."""
        result = call_with(self.forward, arguments)
        return tuple(result) if type(result) is list else result

    def _parts(self, result: Any) -> list[Any]:
        """Return the outputs as the forward returned them: arrays, or tuples of arrays (`(h, c), cache`)."""
        return (list(result) if isinstance(result, tuple) else [result])[: self.binding.outputs]

    def _outputs(self, result: Any) -> list[Any]:
        parts = self._parts(result)
        return [o for part in parts for o in ([v for _, v in found_in(part, is_real)] or [part])]

    def loss(self, leaves: dict[str, Array]) -> float:
        """Run the forward."""
        self.randomness.rewind()
        outputs = self._outputs(self._call_forward(leaves))
        return float(
            sum(np.sum(np.asarray(o, dtype=np.float64) * d) for o, d in zip(outputs, self.upstream, strict=True))
        )

    def backward_again(self) -> Callable[[], dict[str, Any]]:
        """Return the user's backward as something to run over and over, on copies of one result of the forward.

        Where a result cannot be copied, or the backward may get at the forward's state by another way than the cache,
        each run begins with the forward.
        """
        self.randomness.rewind()
        arguments = self.filled(self.leaves)
        result = self.run_forward(arguments)
        plain = isinstance(self.user_backward, types.FunctionType) and self.user_backward in self.program.functions
        try:
            copy.deepcopy(result)
        except Exception:
            plain = False
        if not plain or not isinstance(result, tuple) or len(result) < 2:
            return lambda: self.backward(lambda: None)

        def run() -> dict[str, Any]:
            self.randomness.rewind()
            upstream = [np.array(d) if np.ndim(d) else d for d in self.upstream]
            return self.by_leaf(
                self.call_backward(upstream, copy.deepcopy(result), {k: fresh(v) for k, v in arguments.items()})
            )

        return run

    def call_backward(self, upstream: list[Any], result: Any, arguments: dict[str, Any]) -> Any:
        """Return the user's backward on a result of the user's forward."""
        left = list(upstream)
        grouped = []
        for part in self._parts(result):
            inside = [path for path, _ in found_in(part, is_real)]
            whole = fresh(part)
            for path in inside or [()]:
                whole = replaced(whole, path, left.pop(0))
            grouped.append(whole)
        return self.binding.call(self.user_backward, grouped, result, arguments)

    def _returned(self, arguments: dict[str, Any]) -> Any:
        self.randomness.rewind()
        arguments = fresh(arguments)
        result = self.run_forward(arguments)
        return self.call_backward([np.array(d) if np.ndim(d) else d for d in self.upstream], result, arguments)

    def backward(self, begin: Callable[[], None], seed: int = 0) -> dict[str, Any]:
        """Run the user's backward."""
        self.randomness.rewind()
        arguments = self.filled(self.leaves)
        result = self.run_forward(arguments)
        upstream = self.upstream if seed == 0 else self._draw(self.seed + seed)
        begin()
        returned = self.call_backward([np.array(d) if np.ndim(d) else d for d in upstream], result, arguments)
        return self.by_leaf(returned)

    def by_leaf(self, returned: Any) -> dict[str, Any]:
        """Say which returned array is the gradient of which leaf."""
        plain = isinstance(returned, tuple) and not self.wrt
        mine = self._without_data(returned) if plain else returned
        shapes = self._shapes(self.paths)
        got = assign_gradients(mine, self.paths, shapes, self.returned_names, explicit=self.wrt is not None)
        if plain:
            self.extra = self._count_extra(returned, got)
        return got

    def _without_data(self, returned: tuple[Any, ...]) -> tuple[Any, ...]:
        """Put None for labels and other data, where there is one entry for each array that the forward takes."""
        arrays = [k for k, v in self.arguments.items() if isinstance(v, np.ndarray)]
        if len(returned) != len(arrays) or len(arrays) == len(self.paths) or not self.paths.keys() <= set(arrays):
            return returned
        each = dict(zip(arrays, returned, strict=True))
        if any(np.shape(each[k]) != shape for k, shape in self._shapes(self.paths).items()):
            return returned
        return tuple(g if k in self.paths else None for k, g in each.items())

    def _count_extra(self, returned: tuple[Any, ...], got: dict[str, Any]) -> int:
        """Count the arrays returned that are the gradient of nothing that the forward takes.

        Labels and other data without a derivative may be given one: of their own shape, or zeros.
        """
        kept = {id(g) for g in got.values()}
        data = [v.shape for k, v in self.arguments.items() if isinstance(v, np.ndarray) and k not in self.paths]
        extra = 0
        for gradient in (g for g in returned if isinstance(g, np.ndarray) and id(g) not in kept):
            if gradient.shape in data:
                data.remove(gradient.shape)
            elif data and not gradient.any():
                data.pop()
            else:
                extra += 1
        return extra

    def sizes(self) -> dict[str, int]:
        """Name the sizes of the problem."""
        return named_sizes(next(iter(self.leaves.values())).shape, self.arguments)


class Loss(Subject):
    """A function that returns `loss, gradient ...`."""

    joint = True

    def __init__(
        self,
        function: Callable[..., Any],
        arguments: dict[str, Any],
        program: Program,
        wrt: list[str] | None = None,
        name: str = "",
    ) -> None:
        leaves = arrays_among(arguments)
        self.function, self.arguments = function, arguments
        self.paths: dict[str, Path] = {k: (k,) for k in leaves}
        self.name = name or getattr(function, "__name__", "loss")
        result = self._call(leaves)
        if not isinstance(result, tuple) or len(result) < 2 or np.ndim(result[0]) != 0:
            raise NotCheckable(
                f"{self.name} should return (loss, gradient), with the loss a single number; it returned "
                f"{describe(result)}"
            )
        names = returned_names(program, function)[1:]
        gradients = tuple(g for g in result[1:] if g is not None)
        if not gradients:
            raise NotCheckable(f"{self.name} returned no gradient, but {describe(result)}")
        if wrt:
            leaves = {k: leaves[k] for k in wrt}
            self.paths = {k: (k,) for k in wrt}
        else:
            self._choose(gradients, names)
            leaves = {k: np.asarray(value_at(arguments, p), np.float64) for k, p in self.paths.items()}
        super().__init__(program, leaves)
        self.returned_names = names

    def _choose(self, gradients: tuple[Any, ...], names: list[str]) -> None:
        """Choose the arguments, and arrays inside them, that gradients are returned of."""
        inner = inner_paths(self.arguments, set(self.paths))
        structured = any(isinstance(g, dict | list | tuple) for g in gradients)
        if not structured and (len(gradients) >= len(self.paths) or not self.paths):
            return
        every = {**self.paths, **(inner if structured else {})}
        shapes = {k: np.shape(value_at(self.arguments, p)) for k, p in every.items()}
        returned = gradients[0] if len(gradients) == 1 and structured else gradients
        got = assign_gradients(returned, every, shapes, names)
        chosen = {k: p for k, p in every.items() if got.get(k) is not None}
        if structured:  # what is called like a parameter should have a gradient in the dict
            chosen |= {k: p for k, p in self.paths.items() if chosen and PARAMETER.match(k)}
        self.paths = chosen or self.paths

    def _call(self, leaves: dict[str, Array]) -> Any:
        result = call_with(self.function, filled(self.arguments, self.paths, leaves))
        return tuple(result) if type(result) is list else result

    def loss(self, leaves: dict[str, Array]) -> float:
        """Run the forward."""
        self.randomness.rewind()
        return float(self._call(leaves)[0])

    def backward(self, begin: Callable[[], None], seed: int = 0) -> dict[str, Any]:
        """Run the user's backward."""
        del seed  # a loss has no upstream gradient to choose
        self.randomness.rewind()
        begin()
        result = self._call(self.leaves)
        self.seen = float(result[0])
        gradients = result[1] if len(result) == 2 else tuple(result[1:])
        shapes = {k: v.shape for k, v in self.leaves.items()}
        return assign_gradients(gradients, self.paths, shapes, self.returned_names)

    def sizes(self) -> dict[str, int]:
        """Name the sizes of the problem: those of the batch, where labels tell which argument that is."""
        arrays = [v for v in self.arguments.values() if isinstance(v, np.ndarray)]
        labels = next((v for v in arrays if v.dtype.kind in "iu" and v.ndim == 1), None)
        batch = (
            v for v in arrays if v.dtype.kind == "f" and v.ndim > 1 and labels is not None and len(v) == len(labels)
        )
        return named_sizes(next(batch, next(iter(self.leaves.values()))).shape, self.arguments)


def describe(value: Any) -> str:
    """Return a value in a few words, for messages.

    >>> describe((np.zeros((2, 3)), None))
    'a tuple of (an array (2, 3), None)'
    """
    if isinstance(value, np.ndarray):
        return f"an array {value.shape}" + ("" if value.dtype == np.float64 else f" of {value.dtype}")
    if isinstance(value, tuple):
        return f"a tuple of ({', '.join(describe(v) for v in value)})"
    if isinstance(value, dict):
        return f"a dict with {', '.join(map(str, value))}"
    return "None" if value is None else f"{type(value).__name__} {value!r}"[:60]


def call_with(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Call a function with arguments by name, positional-only ones included."""
    try:
        parameters = inspect.signature(function).parameters
    except (TypeError, ValueError):
        return function(*arguments.values())
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return function(**arguments)
    positional = [arguments[n] for n, p in parameters.items() if p.kind is p.POSITIONAL_ONLY and n in arguments]
    names = {n for n, p in parameters.items() if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    rest = [v for n, v in arguments.items() if n not in parameters]
    if rest:  # arguments that the signature does not name (*args): all by position
        return function(*arguments.values())
    return function(*positional, **{k: v for k, v in arguments.items() if k in names})


@dataclass
class Binding:
    """How the parameters of a backward are to be filled: each with an upstream gradient, the cache.

    Or an argument of the forward.
    """

    roles: list[tuple[str, Any]]
    outputs: int

    @property
    def takes_upstream(self) -> bool:
        """Whether the backward has a parameter for an upstream gradient."""
        return any(role == "upstream" for role, _ in self.roles)

    def call(self, backward: Callable[..., Any], upstream: list[Any], result: Any, arguments: dict[str, Any]) -> Any:
        """Call a backward."""
        values = []
        for role, which in self.roles:
            if role == "upstream":
                values.append(upstream[which])
            elif role == "cache":
                rest = result[self.outputs :] if isinstance(result, tuple) else ()
                values.append(rest[which] if which < len(rest) else None)
            elif role == "output":
                values.append(result[0] if isinstance(result, tuple) else result)
            else:
                values.append(arguments[which])
        return backward(*values)


def bind_backward(backward: Callable[..., Any], forward_arguments: list[str], result: Any) -> Binding:
    """Work out from names and counts what each parameter of a backward expects."""
    name = getattr(backward, "__name__", "backward")
    try:
        parameters = [
            p
            for p in inspect.signature(backward).parameters.values()
            if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        ]
    except (TypeError, ValueError):
        return Binding([("upstream", 0), ("cache", 0)], 1)
    names = [p.name for p in parameters]
    length = len(result) if isinstance(result, tuple) else 1
    has_cache = length > 1
    lower = {a.lower(): a for a in forward_arguments}
    roles: list[tuple[str, Any] | None] = [None] * len(names)
    for i, n in enumerate(names):
        if has_cache and CACHE.match(n) and n not in forward_arguments:
            roles[i] = ("cache", 0)
        elif n.lower() in lower:
            roles[i] = ("argument", lower[n.lower()])
        elif n.lower() in ("out", "output", "y", "s", "a", "result") and i > 0:
            roles[i] = ("output", 0)
    caches = sum(r is not None and r[0] == "cache" for r in roles)
    if has_cache and not caches and not is_real(result[-1]):  # something is kept that only a cache can be
        others = [i for i, r in enumerate(roles) if r == ("output", 0)]
        if others and all(UPSTREAM.match(n) for i, n in enumerate(names) if roles[i] is None):
            roles[others[-1]], caches = ("cache", 0), 1
    free = [i for i, r in enumerate(roles) if r is None and parameters[i].default is inspect.Parameter.empty]
    looks = [i for i in free if UPSTREAM.match(names[i])] or free[:1]
    several = len(looks) == len(free) < length and all(is_real(r) for r in result[: len(free)]) if has_cache else False
    cacheless = several and any(r and r[0] == "argument" for r in roles)  # the forward hands an argument on
    if (
        has_cache and caches == 0 and len(free) > 1 and not cacheless
    ):  # an unusual name for the cache: the parameter that is not an upstream gradient
        others = [i for i in free if i not in looks] or free[-1:]
        roles[others[0]] = ("cache", 0)
        free = [i for i in free if i != others[0]]
        looks = [i for i in looks if i in free] or free
        caches = 1
    if has_cache and caches == 0 and length == 2 and not any(r and r[0] in ("argument", "output") for r in roles):
        looks = looks[:1]
    if not looks and all(r is None or r[0] != "upstream" for r in roles):
        first = next((i for i, r in enumerate(roles) if r is None or r[0] != "cache"), None)
        if first is None and np.ndim(result[0] if isinstance(result, tuple) else result) == 0:
            return Binding([r for r in roles if r is not None], 1)  # of a loss: the upstream gradient is 1
        if first is None:
            raise NotCheckable(f"{name}{tuple(names)} has no parameter for the upstream gradient")
        looks, roles[first] = [first], None
    for rank, i in enumerate(looks):
        roles[i] = ("upstream", rank)
    outputs = len(looks)
    free = [i for i in free if i not in looks]
    rest = 1
    for i in free:
        roles[i] = ("cache", rest if caches else rest - 1)
        rest += 1
    if outputs > length:
        raise NotCheckable(f"{name} takes {outputs} upstream gradients, but the forward returned only {length} values")
    kept = [r for r in roles if r is not None] if None in roles else roles
    return Binding([r for r in kept if r is not None], outputs)


def returned_names(program: Program, function: Callable[..., Any]) -> list[str]:
    """Names of the variables in the last return statement; "" for expressions."""
    import ast

    source = program.source(function)
    if source is None:
        return []
    returns = [n for n in ast.walk(source[1]) if isinstance(n, ast.Return) and n.value is not None]
    if not returns:
        return []
    value = max(returns, key=lambda n: n.lineno).value
    items = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
    return [i.id if isinstance(i, ast.Name) else "" for i in items]


def assign_gradients(
    returned: Any,
    paths: dict[str, Path],
    shapes: dict[str, tuple[int, ...]],
    names: list[str],
    explicit: bool = False,
) -> dict[str, Any]:
    """Gradients by leaf: a dict or object by names, a tuple by position, or by names and shapes where there are fewer."""
    if isinstance(returned, dict) or (hasattr(returned, "__dict__") and not isinstance(returned, np.ndarray | tuple)):
        return matched(returned, paths)
    if not isinstance(returned, tuple | list):
        returned = (returned,)
        names = names[:1]
    arguments = list(dict.fromkeys(path[0] for path in paths.values()))
    if len(arguments) == 1 and arguments[0] not in paths and len(returned) > 1:
        returned = (returned,)  # a list of gradients of a list of arrays
    if len(returned) == len(arguments) or explicit:
        result: dict[str, Any] = {}
        for argument, value in zip(arguments, returned, strict=False):
            if argument in paths and not isinstance(value, dict | tuple):
                result[argument] = value
            else:
                inside = {k: p[1:] for k, p in paths.items() if p[0] == argument and len(p) > 1}
                result |= matched(value, inside or paths)
        return result
    result = {}
    left = list(paths)
    for position, value in enumerate(returned):
        if value is None or isinstance(value, str):
            continue
        if isinstance(value, dict | list | tuple):
            result |= matched(value, {k: paths[k] for k in left})
            left = [k for k in left if k not in result]
            continue
        wanted = stems(names[position]) if position < len(names) else []
        by_name = [leaf for leaf in left if leaf.lower().replace("_", "") in wanted]
        by_shape = [leaf for leaf in left if shapes[leaf] == np.shape(value)]
        chosen = (by_name or by_shape or left[:1])[:1]
        if chosen:
            result[chosen[0]] = value
            left.remove(chosen[0])
    return result


def arrays_among(arguments: dict[str, Any]) -> dict[str, Array]:
    """Return the arguments that are arrays of floating-point numbers, by name, in float64."""
    found = {k: v for k, v in arguments.items() if is_float_array(v) and not NOT_LEAVES.search(k)}
    return {k: np.asarray(v, dtype=np.float64) for k, v in found.items()}


def inner_paths(arguments: dict[str, Any], known: set[str]) -> dict[str, Path]:
    """Return arrays inside dicts, lists and tuples, and plain numbers: leaves if a gradient of them is returned."""

    def wanted(value: Any) -> bool:
        return is_float_array(value) or (isinstance(value, float | np.floating) and not isinstance(value, bool))

    paths = [
        path for name, value in arguments.items() if name not in known for path, _ in found_in(value, wanted, (name,))
    ]
    words = {path: [step for step in path if isinstance(step, str)] for path in paths}
    return short_names([p for p in paths if not any(NOT_LEAVES.search(w) for w in words[p])], known)


def value_at(arguments: Any, path: Path) -> Any:
    """Return what lies at a path."""
    for step in path:
        arguments = dict(steps_into(arguments))[step]
    return arguments


def filled(arguments: dict[str, Any], paths: dict[str, Path], leaves: dict[str, Array]) -> dict[str, Any]:
    """Return a copy of arguments with other values at some paths; a plain number stays one."""
    result: dict[str, Any] = fresh(arguments)
    for name, path in paths.items():
        if name in leaves:
            new = leaves[name].copy() if isinstance(value_at(arguments, path), np.ndarray) else float(leaves[name])
            result = replaced(result, path, new)
    return result


def named_sizes(shape: tuple[int, ...], arguments: dict[str, Any]) -> dict[str, int]:
    """Return the sizes of a problem under the field's names."""
    if len(shape) == 4:
        n, c, h, w = shape
        sizes = {"N": n, "C": c, "H": h, "W": w, "H*W": h * w, "N*H*W": n * h * w, "C*H*W": c * h * w}
        groups = arguments.get("G", arguments.get("groups"))
        if isinstance(groups, int) and groups > 0:
            sizes["C/G*H*W"] = c // groups * h * w
        return sizes
    if len(shape) == 2:
        return {"N": shape[0], "D": shape[1], "N*D": shape[0] * shape[1]}
    sizes = {f"size {i}": s for i, s in enumerate(shape)}
    if shape:
        sizes["N"] = shape[0]
    if len(shape) > 2:
        sizes["D"] = int(np.prod(shape[1:]))
    return sizes


def _named(function: Callable[..., Any], inputs: dict[str, Any]) -> dict[str, Any]:
    """Return what a function takes of the inputs: one `inputs(rng)` may serve several functions of a file."""
    try:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    except (TypeError, ValueError):
        return dict(inputs)
    if any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        return dict(inputs)
    if missing := [p.name for p in parameters if p.default is p.empty and p.name not in inputs]:
        raise ArgumentError(
            f"{getattr(function, '__name__', 'forward')} needs {', '.join(missing)} as well, but the inputs are "
            f"{', '.join(inputs) or 'none'}; give inputs(rng) for it, or check it as a part of what calls it"
        )
    return {p.name: inputs[p.name] for p in parameters if p.name in inputs}


def arguments_by_name(function: Callable[..., Any], inputs: Any) -> dict[str, Any]:
    """Arguments as a dict by parameter name, from a tuple or a dict."""
    if isinstance(inputs, dict):
        return _named(function, inputs)
    if not isinstance(inputs, tuple | list):
        inputs = (inputs,)
    try:
        parameters = [p for p in inspect.signature(function).parameters.values() if p.name != "self"]
    except (TypeError, ValueError):
        return {f"argument {i + 1}": v for i, v in enumerate(inputs)}
    positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(inputs) > len(positional):
        if any(p.kind is p.VAR_POSITIONAL for p in parameters):
            return {
                **dict(zip(positional, inputs, strict=False)),
                **{f"argument {i + 1}": v for i, v in enumerate(inputs) if i >= len(positional)},
            }
        raise ArgumentError(
            f"{getattr(function, '__name__', 'forward')} takes {len(positional)} arguments "
            f"({', '.join(positional)}), but the inputs hold {len(inputs)}"
        )
    return dict(zip(positional, inputs, strict=False))
