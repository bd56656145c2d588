"""Residual: two chains of layers, the main path and the shortcut, see the same input; their outputs are added.

    out = main(x) + shortcut(x),   an empty shortcut is the identity: out = main(x) + x

Source
    He, Zhang, Ren and Sun 2015, arXiv:1512.03385, eq. 1 (identity) and 2 (projection); with the norms before the
    convolutions ("pre-activation"): He et al. 2016, arXiv:1603.05027, figure 1b.

Derivation
    x is used twice.  Write the fork as two names, out = main(x1) + shortcut(x2) with x1 = x and x2 = x.  The sum gives
    dout to both chains unchanged, each goes back by itself, layer by layer, and by the chain rule
        dx = dx1·∂x1/∂x + dx2·∂x2/∂x = dx1 + dx2:
    the gradient of a fork is the sum of the gradients of its branches.  With an identity shortcut dx2 is dout, so that
    dx = dout + (what came through main): however small the second term, the first arrives.  That is why a hundred such
    layers still train.

Shapes
    x: what the first layers take; out: what the last layers give, the same for both chains.  Parameters, state and cache
    have the names of the inner layers behind their place: ``main.0.w``, ``shortcut.1.gamma``.

Dtype
    That of x.

Cost
    That of the inner layers, and a sum that reads two arrays and writes one, forward and back.  Inner outputs that an inner
    backward reads are saved; the others, and all inner gradients, share memory that is free again after the call.  Pairs
    inside a chain are fused as in a model, and so is a relu behind the sum.

Errors
    ShapeError where an inner layer does not fit, and where the two chains give different shapes.

Conventions
    The activation after the sum of He et al. 2015 is a layer of its own behind this one; pre-activation begins main with norm
    and relu and has none behind.  Draws of inner layers (dropout) are those of layer number + 2^16·(1 + k), for the k-th
    inner layer.

Example
    >>> import numpy as np
    >>> from backpass import Affine
    >>> from backpass.layers.combine import residual_backward, residual_forward
    >>> x, w = np.array([[1.0, 2.0]]), np.array([[0.0, 3.0], [1.0, 0.0]])
    >>> out, cache = residual_forward(x, main=(Affine(2),), shortcut=(), **{"main.0.w": w, "main.0.b": np.zeros(2)})
    >>> out
    array([[3., 5.]])
    >>> dx, dw, db = residual_backward(np.array([[10.0, 100.0]]), cache)
    >>> dx  # dout, and dout @ w.T
    array([[310., 110.]])
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from .. import native
from ..arena import Wanted, place
from ..errors import ShapeError
from .affine import Affine
from .base import Array, Cache, Call, Declared, Layer, Param, Reference, Shape, Steps, expect, require
from .batchnorm import BatchNorm
from .conv import Conv
from .dropout import Dropout
from .fusion import (
    FUSIONS,
    Fusion,
    Unit,
    bind_backward,
    bind_forward,
    bind_infer,
    infer_scratch,
    infer_units_of,
    unit_in_place,
    unit_reads,
    units_of,
)
from .groupnorm import GroupNorm
from .relu import ReLU
from .spatial_batchnorm import SpatialBatchNorm
from .tanh import Tanh

# -- reference ---------------------------------------------------------------------------------------------------------


def residual_forward(
    x: Array, *, main: Sequence[Layer], shortcut: Sequence[Layer], **arrays: Array
) -> tuple[Array, Cache]:
    """Run both chains on x; return the sum of their outputs, and the cache."""
    main_out, main_saved = _chain_forward("main", main, x, arrays)
    shortcut_out, shortcut_saved = _chain_forward("shortcut", shortcut, x, arrays)
    out = main_out + shortcut_out
    return out, Cache(main=main, shortcut=shortcut, **main_saved, **shortcut_saved)


def residual_backward_staged(dout: Array, cache: Cache) -> Any:
    """Go back through the sum, both chains by their own stages, and the fork; return dx and the parameters' gradients."""
    dmain_out = dout
    dshortcut_out = dout
    dx_shortcut, dshortcut_params = _chain_backward("shortcut", cache.shortcut, dshortcut_out, cache, "staged")
    dx_main, dmain_params = _chain_backward("main", cache.main, dmain_out, cache, "staged")
    dx = dx_main + dx_shortcut
    gradients = (*dmain_params, *dshortcut_params)
    return (dx, *gradients) if gradients else dx


def residual_backward(dout: Array, cache: Cache) -> Any:
    """Go back through both chains and add up; return dx and the parameters' gradients in the order declared."""
    dx_main, dmain_params = _chain_backward("main", cache.main, dout, cache, "backward")
    dx_shortcut, dshortcut_params = _chain_backward("shortcut", cache.shortcut, dout, cache, "backward")
    dx = dx_main + dx_shortcut
    gradients = (*dmain_params, *dshortcut_params)
    return (dx, *gradients) if gradients else dx


def residual_infer(x: Array, *, main: Sequence[Layer], shortcut: Sequence[Layer], **arrays: Array) -> Array:
    """Predict with both chains and add up."""
    return _chain_infer("main", main, x, arrays) + _chain_infer("shortcut", shortcut, x, arrays)


def _chain_forward(
    chain: str, layers: Sequence[Layer], x: Array, arrays: Mapping[str, Any]
) -> tuple[Array, dict[str, Any]]:
    """Return the last layer's out, and by name what each saves: main.0.out, main.0.cache, and the cache's own names."""
    saved: dict[str, Any] = {}
    for j, layer in enumerate(layers):
        inside = _inside(arrays, f"{chain}.{j}.")
        if layer.declare(x.shape).random:
            inside.random = saved[f"{chain}.{j}.random"] = _inner_random(arrays["random"], chain, j)
        function = layer.reference.forward
        x, cache = function(x, **layer.reference_arguments(function, inside))
        saved |= {f"{chain}.{j}.{name}": value for name, value in vars(cache).items()}
        saved |= {f"{chain}.{j}.out": x, f"{chain}.{j}.cache": cache}
    return x, saved


def _chain_backward(
    chain: str, layers: Sequence[Layer], dout: Array, cache: Cache, which: str
) -> tuple[Array, list[Array]]:
    """Return dx and the gradients of the parameters, first layer first."""
    gradients: list[Array] = []
    for j in reversed(range(len(layers))):
        result = getattr(layers[j].reference, which)(dout, vars(cache)[f"{chain}.{j}.cache"])
        dout, *own = result if isinstance(result, tuple) else (result,)
        gradients = [*own, *gradients]
    return dout, gradients


def _chain_infer(chain: str, layers: Sequence[Layer], x: Array, arrays: Mapping[str, Any]) -> Array:
    for j, layer in enumerate(layers):
        inside = _inside(arrays, f"{chain}.{j}.")
        function = layer.reference.infer
        if function is not None:
            x = function(x, **layer.reference_arguments(function, inside))
        else:
            x, _ = layer.reference.forward(x, **layer.reference_arguments(layer.reference.forward, inside))
    return x


def _inside(arrays: Mapping[str, Any], prefix: str) -> Cache:
    """Return the arrays of one inner layer by its own names."""
    return Cache(**{name.removeprefix(prefix): value for name, value in arrays.items() if name.startswith(prefix)})


def _inner_random(random: Array, chain: str, j: int) -> Array:
    """Return (seed, layer, step) of an inner layer: numbers that no other layer has."""
    k = 2 * j + (chain == "shortcut")
    inner = random.copy()
    inner[1] += np.uint64(1 + k << (16 if random[1] < 1 << 16 else 24))  # the second: a residual in a residual
    return inner


AT_THE_SUM = 10**9  # a time after all others

# -- one chain for one input shape: what runs as one, and where each array between lies ------------------------------------


class Chain:
    """A chain of layers: declarations, units, and the places of its inputs and outputs.

    A place is a name: ``x`` and ``out`` are given, ``main.1.out`` is saved in the cache or lies in scratch memory.  A unit
    that is a view has its input's place as output.
    """

    def __init__(self, name: str, layers: Sequence[Layer], x: Shape, *, training: bool) -> None:
        self.name, self.layers, self.training = name, layers, training
        self.shapes = [tuple(x)]  # of x and of each layer's out
        self.declared: list[Declared] = []
        for j, layer in enumerate(layers):
            try:
                self.declared.append(layer.declare(self.shapes[-1]))
            except ShapeError as error:
                raise ShapeError(f"Residual: x of shape {tuple(x)}: {name}.{j}: {error}") from None
            self.shapes.append(tuple(self.declared[-1].out))
        self.units = units_of(layers, self.shapes) if training else infer_units_of(layers, self.shapes)
        self.views = [u.first == u.last and layers[u.first].is_view(training=training) for u in self.units]
        self.places = ["x"]
        self.kept: set[str] = set()  # what an inner backward reads
        for unit, view in zip(self.units, self.views, strict=True):
            reads = set() if view or not training else unit_reads(unit, layers, self.declared)
            if "x" in reads:
                self.kept.add(self.places[-1])
            self.places.append(self.places[-1] if view else f"{name}.{unit.last}.out")
            if "out" in reads:
                self.kept.add(self.places[-1])

    def shape_at(self, k: int) -> Shape:
        """Return the shape of the input of unit k; of the output, for k = number of units."""
        return self.shapes[self.units[k].first] if k < len(self.units) else self.shapes[-1]

    def scratch(self, unit: Unit) -> tuple[int, str]:
        """Return how many elements a unit's forward (or prediction) uses while it runs, and what it calls them."""
        if self.training:
            return self.declared[unit.first].forward_scratch, "forward_scratch"
        return infer_scratch(unit, self.layers, self.declared), "infer_scratch"

    def spaces(self, space: Any) -> list[Cache]:
        """Return each layer's part of a namespace of the whole layer."""
        return [_inside(vars(space), f"{self.name}.{j}.") for j in range(len(self.layers))]

    def caches(self, c: Any, scratch: Mapping[str, Array]) -> list[Cache]:
        """Return each layer's cache with its scratch; the same objects each time, where references leave what they save."""
        key = f"{self.name}.caches"
        if key not in vars(c):
            setattr(c, key, self.spaces(c))
        caches: list[Cache] = getattr(c, key)
        for j, cache in enumerate(caches):
            vars(cache).update(vars(_inside(scratch, f"{self.name}.{j}.")))
        return caches


@dataclass
class Scratch:
    """Arrays of the model's dtype in one flat block, laid out by when each is used; sizes count elements."""

    wanted: dict[str, tuple[Shape, int, int]]  # shape, first and last use

    def layout(self) -> tuple[dict[str, tuple[int, Shape]], int]:
        """Return where each array begins, and the elements of all."""
        lives = [Wanted(shape, np.dtype("u1"), first, last) for shape, first, last in self.wanted.values()]
        offsets, size = place(lives)
        return {name: (at, self.wanted[name][0]) for name, at in zip(self.wanted, offsets, strict=True)}, size

    def carve(self, block: Array | None) -> dict[str, Array]:
        """Return the arrays in a block of memory."""
        layout, size = self.layout()
        if block is None or not size:
            return {}
        return {name: block[at : at + int(np.prod(shape))].reshape(shape) for name, (at, shape) in layout.items()}


def _outputs_scratch(chains: Sequence[Chain]) -> Scratch:
    """Lay out outputs that nobody reads after the sum, and what inner layers ask for; main ends in out itself."""
    wanted: dict[str, tuple[Shape, int, int]] = {}
    time = 0
    for chain in chains:
        for k, unit in enumerate(chain.units):
            time += 1
            place_ = chain.places[k + 1]
            last = AT_THE_SUM if k + 1 == len(chain.units) else time + 1
            if place_ in wanted:  # a view
                wanted[place_] = (*wanted[place_][:2], last)
            elif place_ != "x" and place_ not in chain.kept:
                wanted[place_] = (chain.shape_at(k + 1), time, last)
            size, name = chain.scratch(unit)
            if size:
                wanted[f"{chain.name}.{unit.first}.{name}"] = ((size,), time, time)
    wanted.pop(chains[0].places[-1], None)
    return Scratch(wanted)


def _gradient_places(chain: Chain) -> list[str]:
    """Return the place of the gradient of each unit's input, and last of the chain's output: ``dout``, which is given.

    A unit that can writes its gradient where it reads the one behind it: not in dout, which both chains read, and not if it
    is the first, whose gradient may not be wanted.
    """
    places = ["dout"]
    for k, unit in reversed(list(enumerate(chain.units))):
        can = unit_in_place(unit, chain.layers, chain.shape_at(k), chain.shape_at(k + 1))
        in_place = can and places[-1] != "dout" and not all(chain.views[:k])
        places.append(places[-1] if chain.views[k] or in_place else f"{chain.name}.{unit.first}.dx")
    return places[::-1]


def _gradients_scratch(chains: Sequence[Chain]) -> Scratch:
    """Lay out the gradients between the units, and what inner layers ask for; main ends in dx itself."""
    wanted: dict[str, tuple[Shape, int, int]] = {}
    time = 0
    for chain in chains:
        places = _gradient_places(chain)
        for k, unit in reversed(list(enumerate(chain.units))):
            time += 1
            last = AT_THE_SUM if k == 0 else time + 1
            if places[k] in wanted:
                wanted[places[k]] = (*wanted[places[k]][:2], last)
            elif places[k] != "dout":
                wanted[places[k]] = (chain.shape_at(k), time, last)
            if size := chain.declared[unit.first].backward_scratch:
                wanted[f"{chain.name}.{unit.first}.backward_scratch"] = ((size,), time, time)
    wanted.pop(_gradient_places(chains[0])[0], None)
    return Scratch(wanted)


@dataclass(frozen=True)
class Residual(Layer):
    """Layers around which a shortcut leads; see `backpass.layers.combine` for the mathematics.

    Parameters
    ----------
    main : sequence of Layer
        Run one after another on x.
    shortcut : sequence of Layer
        Run on x too; none for the identity.  A projection where main changes the shape.

    Examples
    --------
    >>> import backpass as bp
    >>> block = bp.Residual([bp.Conv(8, 3), bp.ReLU(), bp.Conv(8, 3)])
    >>> list(block.declare((4, 8, 6, 6)).params)
    ['main.0.w', 'main.0.b', 'main.2.w', 'main.2.b']
    >>> half = bp.Residual([bp.Conv(16, 3, stride=2)], shortcut=[bp.Conv(16, 1, stride=2)])
    >>> half.declare((4, 8, 6, 6)).out
    (4, 16, 3, 3)
    """

    main: Sequence[Layer]
    shortcut: Sequence[Layer] = ()

    reference = Reference(residual_forward, residual_backward, residual_backward_staged, residual_infer)

    def __post_init__(self) -> None:
        for name, layers in (("main", self.main), ("shortcut", self.shortcut)):
            fits = isinstance(layers, (list, tuple)) and all(isinstance(layer, Layer) for layer in layers)
            require(fits, self, name, "a list of layers such as [bp.Conv(16, 3), bp.ReLU()]", layers)
            object.__setattr__(self, name, tuple(layers))
        require(len(self.main) > 0, self, "main", "at least one layer", self.main)

    def _chains(self, x: Shape, *, training: bool = True) -> tuple[Chain, Chain]:
        return Chain("main", self.main, x, training=training), Chain("shortcut", self.shortcut, x, training=training)

    def declare(self, x: Shape) -> Declared:
        """Return the shapes for an input of shape `x`."""
        expect(self, x, "N ...")
        chains = main, shortcut = self._chains(x)
        if main.shapes[-1] != shortcut.shapes[-1]:
            raise ShapeError(
                f"Residual: expected main and shortcut to give the same shape, got {main.shapes[-1]} and "
                f"{shortcut.shapes[-1]} from x of shape {tuple(x)}; lead the shortcut through a projection, such as "
                "shortcut=[bp.Conv(filters, 1, stride=2, bias=False), bp.SpatialBatchNorm()]"
            )
        params: dict[str, Param] = {}
        state: dict[str, tuple[Shape, float]] = {}
        cache: dict[str, Any] = {}
        updates: list[str] = []
        for chain in chains:
            shapes = dict(zip(chain.places, map(chain.shape_at, range(len(chain.places))), strict=True))
            cache |= {name: shapes[name] for name in chain.places if name in chain.kept - {"x"}}
            for j, d in enumerate(chain.declared):
                prefix = f"{chain.name}.{j}."
                params |= {prefix + name: param for name, param in d.params.items()}
                state |= {prefix + name: first for name, first in d.state.items()}
                cache |= {prefix + name: spec for name, spec in d.cache.items()}
                if d.random:
                    cache[prefix + "random"] = ((3,), "uint64")
                if d.state:
                    updates += [prefix + name for name in (d.cache if d.updates is None else d.updates)]
        infer_chains = self._chains(x, training=False)
        return Declared(
            out=main.shapes[-1],
            params=params,
            state=state,
            cache=cache,
            reads=("x",) if "x" in main.kept | shortcut.kept else (),
            random=any(d.random for chain in chains for d in chain.declared),
            updates=tuple(updates),
            forward_scratch=_outputs_scratch(chains).layout()[1],
            backward_scratch=_gradients_scratch(chains).layout()[1],
            infer_scratch=_outputs_scratch(infer_chains).layout()[1],
        )

    def check_batch(self, x: Shape) -> None:
        """Raise ShapeError if an inner layer cannot train on such a batch."""
        for name, layer, shape in self.parts(x):
            try:
                layer.check_batch(shape)
            except ShapeError as error:
                raise ShapeError(f"Residual: {name}: {error}") from None

    def parts(self, x: Shape) -> list[tuple[str, Layer, Shape]]:
        """Return name, layer and input shape of the inner layers."""
        return [
            (f"{chain.name}.{j}", layer, chain.shapes[j])
            for chain in self._chains(x)
            for j, layer in enumerate(chain.layers)
        ]

    def runs_as(self, x: Shape) -> str:
        """Return what `Model.summary` says; the inner layers have rows of their own."""
        return "its layers, then the sum"

    def reference_arguments(self, function: Any, *namespaces: Any) -> dict[str, Any]:
        """Return both chains, and every array of the inner layers by its name."""
        arrays = {"main": self.main, "shortcut": self.shortcut}
        for space in reversed(namespaces):  # of equal names (a running mean, a batch's mean) the first counts
            arrays |= {name: value for name, value in vars(space).items() if isinstance(value, np.ndarray)}
        return arrays

    # -- kernels -------------------------------------------------------------------------------------------------------

    def forward_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the inner layers' kernels, and the sum."""
        return self.bind_forward(out, x, p, s, c, relu=False)

    def bind_forward(self, out: Array, x: Array, p: Any, s: Any, c: Any, *, relu: bool) -> Call:
        """Bind the forward, with or without a relu after the sum."""
        steps = Steps()
        chains = self._chains(x.shape)
        arrays = _outputs_scratch(chains).carve(getattr(c, "forward_scratch", None))
        arrays |= {name: getattr(c, name) for chain in chains for name in chain.kept - {"x"}}
        caches = {chain.name: chain.caches(c, arrays) for chain in chains}
        for chain in chains:
            for j, d in enumerate(chain.declared):
                if d.random:
                    deal = partial(_deal_random, caches[chain.name][j].random, c.random, chain.name, j)
                    steps.add(f"{chain.name}.{j}", deal)

        def bind(chain: Chain, unit: Unit, out: Array, x: Array) -> Call:
            spaces = (chain.spaces(p), chain.spaces(s), caches[chain.name])
            return bind_forward(unit, chain.layers, out, x, *spaces)

        _bind_outputs(steps, chains, arrays, out, x, bind)
        steps.add("sum", _sum_of_outputs(chains, arrays, out, x, relu=relu))
        return steps

    def infer_kernel(self, out: Array, x: Array, p: Any, s: Any, c: Any) -> Call:
        """Bind the inner layers' predictions, and the sum."""
        return self.bind_infer(out, x, p, s, c, relu=False)

    def bind_infer(self, out: Array, x: Array, p: Any, s: Any, c: Any, *, relu: bool) -> Call:
        """Bind the prediction, with or without a relu after the sum."""
        steps = Steps()
        chains = self._chains(x.shape, training=False)
        arrays = _outputs_scratch(chains).carve(getattr(c, "infer_scratch", None))

        def bind(chain: Chain, unit: Unit, out: Array, x: Array) -> Call:
            caches = [_inside(arrays, f"{chain.name}.{j}.") for j in range(len(chain.layers))]
            return bind_infer(unit, chain.layers, out, x, chain.spaces(p), chain.spaces(s), caches)

        _bind_outputs(steps, chains, arrays, out, x, bind)
        steps.add("sum", _sum_of_outputs(chains, arrays, out, x, relu=relu))
        return steps

    def backward_kernel(self, dx: Array | None, dout: Array, x: Array, out: Array, p: Any, g: Any, c: Any) -> Call:
        """Bind the backward of main, then of the shortcut, and the sum of what they give."""
        steps = Steps()
        chains = self._chains(x.shape)
        gradients = _gradients_scratch(chains).carve(getattr(c, "backward_scratch", None))
        ends = []
        for chain in chains:
            places, spaces = _gradient_places(chain), (chain.spaces(p), chain.spaces(g), chain.caches(c, gradients))
            at: dict[str, Array | None] = {**gradients, "dout": dout}
            if places[0] != "dout" and (chain.name == "main" or dx is None):
                at[places[0]] = dx
            values = [_saved(chain, k, x, c) for k in range(len(chain.places))]
            for k, unit in reversed(list(enumerate(chain.units))):
                if chain.views[k] or (at[places[k]] is None and not any(vars(q) for q in spaces[0][unit.span])):
                    continue
                dx_k, dout_k = at[places[k]], at[places[k + 1]]
                assert dout_k is not None
                dx_k = None if dx_k is None else dx_k.reshape(chain.shape_at(k))
                dout_k = dout_k.reshape(chain.shape_at(k + 1))
                call = bind_backward(unit, chain.layers, dx_k, dout_k, values[k], values[k + 1], *spaces)
                steps.add(f"{chain.name}.{unit.first}", call)
            ends.append(at[places[0]])
        if dx is not None:
            steps.add("sum", native.add_forward(dx, *(end.reshape(dx.shape) for end in ends if end is not None), 0))
        return steps

    # -- running statistics ----------------------------------------------------------------------------------------------

    def update(self, s: Any, c: Any) -> None:
        """Update the running statistics of the inner layers."""
        for layer, inner_s, inner_c in self._with_state(s, c):
            layer.update(inner_s, inner_c)

    def update_kernel(self, s: Any, c: Any) -> Call:
        """Bind the calls that do the same."""
        steps = Steps()
        for layer, inner_s, inner_c in self._with_state(s, c):
            call = layer.update_kernel(inner_s, inner_c) if layer.has_kernels() else None
            steps.add("update", call or partial(layer.update, inner_s, inner_c))
        return steps

    def _with_state(self, s: Any, c: Any) -> Iterator[tuple[Layer, Cache, Cache]]:
        for chain, layers in (("main", self.main), ("shortcut", self.shortcut)):
            for j, layer in enumerate(layers):
                inner = _inside(vars(s), f"{chain}.{j}.")
                if vars(inner):
                    yield layer, inner, _inside(vars(c), f"{chain}.{j}.")


Bind = Callable[[Chain, Unit, Array, Array], Call]


def _bind_outputs(
    steps: Steps, chains: Sequence[Chain], arrays: dict[str, Array], out: Array, x: Array, bind: Bind
) -> None:
    """Append the calls that compute both chains."""
    for chain in chains:
        at = _outputs(chain, arrays, out, x)
        for k, (unit, view) in enumerate(zip(chain.units, chain.views, strict=True)):
            if not view:
                steps.add(f"{chain.name}.{unit.first}", bind(chain, unit, at[k + 1], at[k]))


def _sum_of_outputs(chains: Sequence[Chain], arrays: dict[str, Array], out: Array, x: Array, *, relu: bool) -> Call:
    ends = (_outputs(chain, arrays, out, x)[-1] for chain in chains)
    call: Call = native.add_forward(out, *ends, int(relu))
    return call


def _outputs(chain: Chain, arrays: dict[str, Array], out: Array, x: Array) -> list[Array]:
    """Return the arrays of a chain: x, and the output of each unit; main's last one is out, unless it is saved."""
    at = {"x": x, **arrays}
    if chain.name == "main":
        at.setdefault(chain.places[-1], out)
    return [at[place_].reshape(chain.shape_at(k)) for k, place_ in enumerate(chain.places)]


def _saved(chain: Chain, k: int, x: Array, c: Any) -> Array:
    """Return a unit's input (or the chain's output) for its backward; only a shape where that does not read it."""
    place_ = chain.places[k]
    array = x if place_ == "x" else getattr(c, place_) if place_ in chain.kept else None
    if array is None:
        return np.broadcast_to(np.zeros((), x.dtype), chain.shape_at(k))
    return array.reshape(chain.shape_at(k))


def _deal_random(inner: Array, random: Array, chain: str, j: int) -> None:
    inner[...] = _inner_random(random, chain, j)


# -- the relu behind the sum -----------------------------------------------------------------------------------------------


def _residual_relu_forward(out: Array, x: Array, layers: Any, p: Any, g: Any, s: Any, c: Any) -> Call:
    call: Call = layers[0].bind_forward(out, x, p[0], s[0], c[0], relu=True)
    return call


def _residual_relu_backward(
    dx: Any, dout: Array, x: Array, out: Array, layers: Any, p: Any, g: Any, s: Any, c: Any
) -> Call:
    steps = Steps()
    steps.add("sum", native.relu_backward(dout, dout, out))  # nobody reads this dout later
    steps += layers[0].backward_kernel(dx, dout, x, out, p[0], g[0], c[0])
    return steps


def _residual_relu_infer(out: Array, x: Array, layers: Any, p: Any, s: Any, c: Any) -> Call:
    call: Call = layers[0].bind_infer(out, x, p[0], s[0], c[0], relu=True)
    return call


FUSIONS[Residual, ReLU] = Fusion(_residual_relu_forward, _residual_relu_backward, _residual_relu_infer)


CASES = [
    (Residual((Affine(5), ReLU(), Affine(4))), (3, 4)),
    (Residual((Affine(3), Tanh()), (Affine(3),)), (2, 5)),  # main's last output is read by its backward
    (Residual((BatchNorm(), ReLU(), Affine(4)), (BatchNorm(decay=0.5),)), (7, 4)),
    (
        Residual((Conv(3, 3, bias=False), SpatialBatchNorm(), ReLU(), Conv(3, 3, bias=False), SpatialBatchNorm())),
        (2, 3, 5, 4),
    ),
    (
        Residual(
            (Conv(8, 3, stride=2, bias=False), SpatialBatchNorm(), ReLU(), Conv(8, 3, bias=False), SpatialBatchNorm()),
            (Conv(8, 1, stride=2, bias=False), SpatialBatchNorm()),
        ),
        (2, 4, 7, 6),
    ),
    (Residual((GroupNorm(2), ReLU(), Conv(4, 3), GroupNorm(2), ReLU(), Conv(4, 3))), (2, 4, 3, 5)),  # pre-activation
    # One Winograd convolution: the rounding of two in a row is beyond what the contract allows float32 without FMA.
    (Residual((Conv(9, 3), ReLU(), Dropout(0.25), Conv(9, 3, algorithm="direct"))), (2, 9, 4, 4)),
    (Residual((Residual((Affine(3), ReLU(), Affine(4))), ReLU(), Dropout(0.5)), (Dropout(0.0),)), (5, 4)),
]
