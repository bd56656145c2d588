"""A list of layers bound to memory: one flat vector of parameters, one of gradients, one of running statistics.

`Model` checks the shapes, draws the first weights and hands out named views.  For each batch size it plans once
which array lies where and strings the layers' bound calls into programs; after that a step allocates nothing.

    scores = model.forward(x)             # training forward: saves what the backward needs
    loss, dscores = bp.softmax_loss(scores, y)
    model.backward(dscores)               # fills model.grads
    model.update()                        # running statistics, and the step that dropout counts by
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from . import native
from .arena import Wanted, aligned_bytes, aligned_vector, carve, place
from .errors import ArgumentError, BackpassError, DTypeError, ShapeError
from .layers.base import Array, Cache, Call, Declared, Layer, Shape, Steps, require
from .layers.fusion import (
    bind_backward,
    bind_forward,
    bind_infer,
    infer_scratch,
    infer_units_of,
    leave_out_unread,
    unit_in_place,
    unit_overwrites,
    unit_reads,
    units_of,
)
from .views import views

if TYPE_CHECKING:
    from .data.preprocess import Preprocess
    from .profile import Profile

GROUPS = ("weight", "bias", "gamma", "beta")
INFER_BATCH = 256  # rows per prediction program: enough to fill the kernels, little memory

# A program up to so many multiply-adds and bytes, some 0.3 ms on one thread, tries whether that is quicker than all threads.
SMALL_PRODUCTS, SMALL_BYTES = 16_000_000, 2 << 20


@dataclass
class Plan:
    """Everything bound for one batch size: arrays to fill and read, and the calls that lead from one to the other."""

    x: Array
    scores: Array
    dscores: Array
    dx: Array | None
    forward: list[Call]
    backward: list[Call]  # overwrites every gradient
    update: list[Call]
    forward_names: list[str]  # for each call the layer that it runs: "3", or "3.main.0" for a layer in a layer
    backward_names: list[str]
    caches: list[Cache]
    outs: list[Array | None]  # per layer; None where fusion leaves it out
    douts: list[Array | None]
    arena_bytes: int
    small: bool  # whether a training step is so small that one thread may be quicker than several


class Model:
    """A net: layers, their parameters, and the programs that run them.

    Parameters
    ----------
    layers : sequence of Layer
        Such as `bp.models.fully_connected([100], classes=10)` returns.
    input_shape : tuple of int
        Shape of one sample, without the batch dimension.
    seed : int
        Decides the first weights, and the numbers that dropout draws.
    dtype : {"float32", "float64"}
        Of every parameter and activation.
    kernels : bool
        False runs every layer's NumPy reference, whatever is installed.
    preprocess : Preprocess, optional
        What `predict` does to raw samples first; a Trainer sets it.

    Attributes
    ----------
    params, grads, state : ndarray
        Flat vectors; `named_params()` and so on give the views. Weights come first, then biases, gammas and betas, so
        that `groups` are slices.
    step : int
        How many updates were made; dropout draws by it.

    Raises
    ------
    ShapeError
        If a layer does not fit the one before it; the message says which.

    Examples
    --------
    >>> import backpass as bp
    >>> model = bp.Model([bp.Affine(8), bp.ReLU(), bp.Affine(3)], input_shape=(4,), seed=0)
    >>> model.params.size
    67
    >>> model.infer(np.ones((2, 4))).shape
    (2, 3)
    """

    def __init__(
        self,
        layers: Sequence[Layer],
        input_shape: Sequence[int],
        *,
        seed: int = 0,
        dtype: Any = "float32",
        kernels: bool = True,
        preprocess: Preprocess | None = None,
    ) -> None:
        self.layers = tuple(layers)
        require(len(self.layers) > 0, "Model", "layers", "at least one layer", list(layers))
        for layer in self.layers:
            require(isinstance(layer, Layer), "Model", "layers", "layer objects such as bp.ReLU()", layer)
        self.input_shape = _sample_shape(input_shape)
        require(isinstance(seed, (int, np.integer)) and 0 <= seed < 2**63, "Model", "seed", "a whole number >= 0", seed)
        self.seed = int(seed)
        self.dtype = _real_dtype(dtype)
        self.kernels = bool(kernels) and native.available
        self.preprocess = preprocess

        declared = [d for _, d in self._declare(2)]  # parameters and state do not depend on the batch size
        self.output_shape = declared[-1].out[1:]
        self.params, self.p, self.groups = _flat_params(declared, self.dtype)
        self.grads, self.g, _ = _flat_params(declared, self.dtype, turn=1)
        self.state, self.s = _flat_state(declared, self.dtype)
        for i, d in enumerate(declared):
            for j, (name, param) in enumerate(d.params.items()):
                rng = np.random.Generator(np.random.Philox(key=[self.seed, i << 16 | j]))
                vars(self.p[i])[name][...] = param.init(rng, param.shape)
            for name, (_, value) in d.state.items():
                vars(self.s[i])[name][...] = value
        self._random = np.zeros((len(self.layers), 3), np.uint64)
        self._random[:, 0] = self.seed
        self._random[:, 1] = np.arange(len(self.layers))
        self._plans: dict[tuple[int, bool], Plan] = {}
        self._infer_plans: dict[tuple[int, bool], tuple[Array, Array, Any, Array]] = {}
        self._arena = self._infer_arena = np.zeros(0, np.uint8)
        self._current: Plan | None = None  # of the last forward
        self._went_back = False  # whether its activations are used up

    # -- names ----------------------------------------------------------------------------------------------------

    def named_params(self) -> dict[str, Array]:
        """Return views of the parameters by name, such as ``"0.w"``: layer number, then parameter.

        Examples
        --------
        >>> import backpass as bp
        >>> {name: view.shape for name, view in bp.Model([bp.Affine(3)], (4,)).named_params().items()}
        {'0.w': (4, 3), '0.b': (3,)}
        """
        return _named(self.p)

    def named_grads(self) -> dict[str, Array]:
        """Return views of the gradients by the names of `named_params`."""
        return _named(self.g)

    def named_state(self) -> dict[str, Array]:
        """Return views of the running statistics by name, such as ``"1.mean"``."""
        return _named(self.s)

    @property
    def step(self) -> int:
        """How many updates were made."""
        return int(self._random[0, 2])

    @step.setter
    def step(self, value: int) -> None:
        self._random[:, 2] = value

    # -- training -------------------------------------------------------------------------------------------------

    def forward(self, x: Any) -> Array:
        """Compute the scores of a training batch and save what `backward` needs.

        Parameters
        ----------
        x : array (N, *input_shape)
            Finite numbers; cast to the model's dtype.

        Returns
        -------
        ndarray (N, *output_shape)
            A copy of the scores.

        Raises
        ------
        ShapeError, DTypeError, ArgumentError
            If x has another shape, is not numeric, or holds NaN or infinity. Nothing is changed then.
        """
        x = self._check_input(x)
        plan = self.plan(len(x))
        plan.x[...] = x
        self._current = None
        _run(plan.forward)
        self._current, self._went_back = plan, False
        return plan.scores.copy()

    def backward(self, dscores: Any) -> Array:
        """Go back from the gradient of the scores: fill `grads` and return the gradient of the input.

        Parameters
        ----------
        dscores : array
            Gradient of the loss by the scores that the last `forward` returned; same shape.

        Returns
        -------
        ndarray (N, *input_shape)
            A copy of dx.

        Raises
        ------
        ArgumentError
            If there was no forward since the last backward, which lays gradients where the activations were.
        ShapeError
            If dscores has not the shape of the scores.
        """
        plan = self._current
        if plan is None or self._went_back:
            got = "none" if plan is None else "a second backward"
            raise ArgumentError(f"Model.backward: expected a forward(x) before each backward, got {got}")
        dscores = np.asarray(dscores)
        if dscores.shape != plan.scores.shape:
            raise ShapeError(
                f"Model.backward: expected dscores of the scores' shape {plan.scores.shape}, got {dscores.shape}"
            )
        plan.dscores[...] = dscores
        self._went_back = True
        _run(plan.backward)
        assert plan.dx is not None
        return plan.dx.copy()

    def update(self) -> None:
        """Fold the last forward into the running statistics and count the step."""
        if self._current is None:
            raise ArgumentError("Model.update: expected a forward(x) before it, got none")
        _run(self._current.update)
        self.step += 1

    # -- prediction -----------------------------------------------------------------------------------------------

    def infer(self, x: Any) -> Array:
        """Compute scores for prediction: running statistics instead of the batch's, no dropout, nothing saved.

        Parameters
        ----------
        x : array (N, *input_shape)
            Any N, also 0; already preprocessed.

        Returns
        -------
        ndarray (N, *output_shape)
        """
        x = self._check_shape(x, empty=True)
        if not self.kernels or x.itemsize > self.dtype.itemsize:
            self._check_finite(x)  # else the program looks; here NumPy would warn of infinities on their way
        return self._infer(x, np.copyto)

    def predict_scores(self, x: Any, *, tta: str = "none") -> Array:
        """Compute the scores of raw samples, which the model's `preprocess` treats first.

        Parameters
        ----------
        x : array (N, *sample shape)
            As in the data set: uint8 pictures, say.
        tta : {"none", "flip", "flip+translate"}
            Test-time augmentation: the mean over several views of each picture (`backpass.views`).

        Returns
        -------
        ndarray (N, *output_shape)
        """
        x = np.asarray(x)
        if self.preprocess is not None:
            sample = self.preprocess.shift.shape
            if x.ndim < 1 or x.shape[1:] != sample:
                wanted = ", ".join(map(str, sample))
                raise ShapeError(f"Model.predict: expected x of shape (N, {wanted}), got {x.shape}")
            if x.dtype.kind == "f" and not np.isfinite(x).all():
                raise ArgumentError("Model.predict: expected finite numbers in x, got NaN or infinity")
        scores: Array = np.zeros((), self.dtype)
        for weight, view in views(x, tta):
            seen = self._preprocess_and_infer(view)
            scores = seen if weight == 1 else scores + self.dtype.type(weight) * seen
        return scores

    def _preprocess_and_infer(self, x: Array) -> Array:
        if self.preprocess is None:
            return self.infer(x)
        apply = self.preprocess.apply
        return self._infer(x, lambda into, rows: apply(rows, out=into))

    def predict(self, x: Any, *, tta: str = "none") -> Array:
        """Return the class with the highest score for each raw sample.

        Parameters
        ----------
        x : array (N, *sample shape)
        tta : {"none", "flip", "flip+translate"}
            As for `predict_scores`.

        Returns
        -------
        ndarray (N,) of int64
        """
        return self.predict_scores(x, tta=tta).reshape(len(x), int(np.prod(self.output_shape))).argmax(axis=1)

    def _infer(self, x: Array, fill: Any) -> Array:
        out = np.empty((len(x), *self.output_shape), self.dtype)
        for start in range(0, len(x), INFER_BATCH):
            rows = x[start : start + INFER_BATCH]
            into, scores, program, finite = self._infer_plan(len(rows))
            fill(into, rows)
            program.run()
            if not finite[0]:
                self._check_finite(x)
                raise ArgumentError(
                    "Model.predict: expected numbers that are finite after preprocessing, got NaN or infinity"
                )
            out[start : start + len(rows)] = scores
        return out

    # -- plans ----------------------------------------------------------------------------------------------------

    def plan(self, batch: int, *, input_gradient: bool = True) -> Plan:
        """Return the arrays and calls for a batch size, planned once and kept.

        Parameters
        ----------
        batch : int
            N.
        input_gradient : bool
            Whether the backward goes on to the input; training does not need it.

        Raises
        ------
        ShapeError
            If a layer cannot train on such a batch (batch norm on a single sample).
        """
        key = (batch, input_gradient)
        if key not in self._plans:
            if len(self._plans) >= 8:  # batch sizes rarely vary: whoever varies them gets the last few for free
                self._plans.pop(next(iter(self._plans)))
            self._plans[key] = self._make_plan(batch, input_gradient=input_gradient, fuse=True, keep=False)
        return self._plans[key]

    def inspection_plan(self, batch: int) -> Plan:
        """Return a plan that fuses nothing and keeps every activation and gradient, to look at."""
        return self._make_plan(batch, input_gradient=True, fuse=False, keep=True)

    def watched_plan(self, batch: int, look: Callable[[str, int, Array], object]) -> Plan:
        """Return a plan that fuses nothing and calls `look` on every array as it is computed; it keeps none of them.

        Parameters
        ----------
        batch : int
            N.
        look : function
            Called with "out" or "dout", the number of the layer, and the array (only valid during the call).
        """
        self._current = None  # the plan may lie where the last forward's activations do
        return self._make_plan(batch, input_gradient=False, fuse=False, keep=False, look=look)

    def _declare(self, batch: int) -> Iterator[tuple[Shape, Declared]]:
        """Yield each layer's input shape and declaration; a misfit says where it is."""
        x: Shape = (batch, *self.input_shape)
        for i, layer in enumerate(self.layers):
            try:
                declared = layer.declare(x)
            except ShapeError as error:
                raise ShapeError(self._located(i, str(error))) from None
            yield x, declared
            x = declared.out

    def _located(self, i: int, message: str) -> str:
        name = type(self.layers[i]).__name__
        after = f", after {type(self.layers[i - 1]).__name__}" if i else ", the first"
        return message.replace(f"{name}:", f"{name} (layer {i}{after}):", 1)

    def _make_plan(
        self,
        batch: int,
        *,
        input_gradient: bool,
        fuse: bool,
        keep: bool,
        look: Callable[[str, int, Array], object] | None = None,
    ) -> Plan:
        shapes, declared = zip(*self._declare(batch), strict=True)
        for i, (layer, shape) in enumerate(zip(self.layers, shapes, strict=True)):
            try:
                layer.check_batch(shape)
            except ShapeError as error:
                raise ShapeError(self._located(i, str(error))) from None
        if fuse and self.kernels:
            declared = leave_out_unread(self.layers, shapes, declared)
        units = units_of(self.layers, shapes, fuse=fuse and self.kernels)
        views = [u.fusion is None and self.layers[u.first].is_view(training=True) for u in units]

        # When is what alive? Unit i runs forward at time i and backward at time 2U - i; the loss runs at U.
        U = len(units)
        wanted: list[Wanted] = []

        def want(shape: Shape, first: int, last: int, dtype: Any = self.dtype) -> int:
            wanted.append(Wanted(shape, np.dtype(dtype), 0 if keep else first, 2 * U if keep else last))
            return len(wanted) - 1

        def stretch(i: int, last: int) -> None:
            old = wanted[i]
            wanted[i] = Wanted(old.shape, old.dtype, old.first, max(old.last, last))

        x_at = want(shapes[0], 0, 0)
        outs_at: list[int] = []  # per unit; a view has the index of the array that it views
        for i, unit in enumerate(units):
            source = outs_at[-1] if i else x_at
            reads = unit_reads(unit, self.layers, declared, kernels=self.kernels)
            stretch(source, i)
            if not views[i] and "x" in reads:
                stretch(source, 2 * U - i)
            if views[i]:
                outs_at.append(source)
            else:
                out = declared[unit.last].out
                outs_at.append(want(out, i, 2 * U - i if "out" in reads else i))
        stretch(outs_at[-1], U)
        douts_at = [0] * U
        for i in reversed(range(U)):
            shares = i + 1 < U and views[i + 1]
            if i + 1 < U and not keep and douts_at[i + 1] != douts_at[-1]:  # dscores stay what the loss made of them
                behind = units[i + 1]
                sizes = (shapes[behind.first], declared[behind.last].out)
                shares |= unit_in_place(behind, self.layers, *sizes, kernels=self.kernels)
            if shares:
                douts_at[i] = douts_at[i + 1]
                stretch(douts_at[i], 2 * U - i)
            else:
                douts_at[i] = want(declared[units[i].last].out, 2 * U - i - 1, 2 * U - i)
        dx_at = -1
        if input_gradient and views[0]:
            dx_at = douts_at[0]
            stretch(dx_at, 2 * U)
        elif input_gradient:
            dx_at = want(shapes[0], 2 * U, 2 * U)
        caches_at: list[dict[str, int]] = [{} for _ in self.layers]
        for i, unit in enumerate(units):
            for j in range(unit.first, unit.last + 1):
                updates = declared[j].updates  # the update, after the backward, reads these once more
                if updates is None:
                    updates = tuple(declared[j].cache) if declared[j].state else ()
                for name, spec in declared[j].cache.items():
                    shape, dtype = spec if spec and isinstance(spec[-1], str) else (spec, self.dtype)
                    caches_at[j][name] = want(shape, i, 2 * U if name in updates else 2 * U - i, dtype)
                if declared[j].forward_scratch:
                    caches_at[j]["forward_scratch"] = want((declared[j].forward_scratch,), i, i)
                if declared[j].backward_scratch:
                    caches_at[j]["backward_scratch"] = want((declared[j].backward_scratch,), 2 * U - i, 2 * U - i)

        offsets, size_bytes = place(wanted)
        own = keep or (look and len(self._arena) < size_bytes)
        memory = aligned_bytes(size_bytes) if own else self._shared_arena(size_bytes)
        arrays = carve(memory, wanted, offsets)

        caches = [Cache(**{name: arrays[at] for name, at in names.items()}) for names in caches_at]
        for cache, d, row in zip(caches, declared, self._random, strict=True):
            if d.random:
                cache.random = row
        plan = Plan(
            x=arrays[x_at],
            scores=arrays[outs_at[-1]].reshape(declared[-1].out),
            dscores=arrays[douts_at[-1]],
            dx=arrays[dx_at].reshape(shapes[0]) if input_gradient else None,
            forward=[],
            backward=[],
            update=[],
            forward_names=[],
            backward_names=[],
            caches=caches,
            outs=[None] * len(self.layers),
            douts=[None] * len(self.layers),
            arena_bytes=size_bytes,
            # forward, dw and dx; parameters, gradients and the two moments of an Adam
            small=_is_small(3 * sum(d.products for d in declared), size_bytes + 4 * self.params.nbytes),
        )
        x = plan.x
        backwards: list[Steps] = []
        overwritten: list[Array] = []
        for i, unit in enumerate(units):
            out = arrays[outs_at[i]].reshape(declared[unit.last].out)
            dout = arrays[douts_at[i]].reshape(out.shape)
            dx: Array | None = plan.dx
            if i:
                dx = arrays[douts_at[i - 1]].reshape(x.shape)
            plan.outs[unit.last], plan.douts[unit.last] = out, dout
            if not views[i]:
                net = (unit, self.layers)
                forward = bind_forward(*net, out, x, self.p, self.s, caches, kernels=self.kernels)
                for name, call in _steps(str(unit.first), forward):
                    plan.forward.append(call)
                    plan.forward_names.append(name)
                if dx is not None or any(vars(p) for p in self.p[unit.span]):
                    spaces = (self.p, self.g, caches)
                    backward = bind_backward(*net, dx, dout, x, out, *spaces, kernels=self.kernels, accumulate=False)
                    backwards.append(_steps(str(unit.first), backward))
                    names = unit_overwrites(*net, kernels=self.kernels)
                    overwritten += [vars(self.g[unit.first])[name] for name in names]
            if look:  # the backward runs from the end: before the unit's own
                plan.forward.append(partial(look, "out", unit.last, out))
                backwards.append(_steps("look", partial(look, "dout", unit.last, dout)))
            for j in range(unit.first, unit.last + 1):
                layer, s, c = self.layers[j], self.s[j], caches[j]
                if vars(s):
                    update = layer.update_kernel(s, c) if self.kernels and layer.has_kernels() else None
                    plan.update += [call for _, call in _steps(str(j), update or partial(layer.update, s, c))]
            x = out
        for steps in [self._zeros(overwritten), *reversed(backwards)]:
            plan.backward += [call for _, call in steps]
            plan.backward_names += [name for name, _ in steps]
        return plan

    def _shared_arena(self, size_bytes: int) -> Array:
        """Return the memory where plans lie, at least so large."""
        if len(self._arena) < size_bytes:
            self._arena = aligned_bytes(size_bytes)
            self._plans.clear()  # they lie in the smaller arena; most programs never meet a larger batch
            self._infer_plans.clear()
        return self._arena

    def _zeros(self, overwritten: Sequence[Array]) -> Steps:
        """Return steps, called "zero", that zero the gradients which a backward adds to: all but the `overwritten` views."""
        starts = [(view.ctypes.data - self.grads.ctypes.data) // self.grads.itemsize for view in overwritten]
        taken = sorted((start, start + view.size) for start, view in zip(starts, overwritten, strict=True))
        steps = Steps()
        at = 0
        for start, end in [*taken, (self.grads.size, self.grads.size)]:
            if at < start:
                rest = self.grads[at:start]
                steps.add("zero", native.fill_zeros(rest) if self.kernels else partial(rest.fill, 0))
            at = end
        return steps

    def _infer_plan(self, batch: int) -> tuple[Array, Array, Any, Array]:
        """Return where the input goes, where the scores will be, the program, and where it says whether the input was finite."""
        waits = self._current is not None  # what a forward saved lies in the arena: leave it alone
        if (batch, waits) in self._infer_plans:
            return self._infer_plans[batch, waits]
        shapes, declared = zip(*self._declare(batch), strict=True)
        if self.kernels:
            declared = leave_out_unread(self.layers, shapes, declared)
        units = infer_units_of(self.layers, shapes, fuse=self.kernels)
        wanted = [Wanted(shapes[0], self.dtype, 0, 0)]
        at: list[int] = [0]
        for i, unit in enumerate(units):
            old = wanted[at[-1]]
            wanted[at[-1]] = Wanted(old.shape, old.dtype, old.first, i)
            if unit.first == unit.last and self.layers[unit.first].is_view(training=False):
                at.append(at[-1])
            else:
                wanted.append(Wanted(declared[unit.last].out, self.dtype, i, i + 1))
                at.append(len(wanted) - 1)
        scratch_at = {}
        for i, unit in enumerate(units):
            if size := infer_scratch(unit, self.layers, declared):
                wanted.append(Wanted((size,), self.dtype, i, i))
                scratch_at[unit.first] = len(wanted) - 1
        offsets, size_bytes = place(wanted)
        if waits and len(self._infer_arena) < size_bytes:
            self._infer_arena = aligned_bytes(size_bytes)
            self._infer_plans.clear()
        if len(self._infer_plans) >= 8:
            self._infer_plans.pop(next(iter(self._infer_plans)))
        arrays = carve(self._infer_arena if waits else self._shared_arena(size_bytes), wanted, offsets)
        x, finite = arrays[0], np.ones(1)
        calls: list[Call] = [native.all_finite(x, finite)] if self.kernels else []
        scratch = [Cache() for _ in self.layers]
        for j, k in scratch_at.items():
            scratch[j].infer_scratch = arrays[k]
        for i, unit in enumerate(units):
            out = arrays[at[i + 1]].reshape(declared[unit.last].out)
            if at[i + 1] != at[i]:
                call = bind_infer(unit, self.layers, out, x, self.p, self.s, scratch, kernels=self.kernels)
                calls += [step for _, step in _steps(str(unit.first), call)]
            x = out
        small = _is_small(sum(d.products for d in declared), size_bytes + self.params.nbytes)
        self._infer_plans[batch, waits] = (arrays[0], x, native.Program(calls, small), finite)
        return self._infer_plans[batch, waits]

    # -- checks and words -------------------------------------------------------------------------------------------

    def _check_input(self, x: Any) -> Array:
        x = self._check_shape(x)
        self._check_finite(x)
        return x

    def _check_shape(self, x: Any, *, empty: bool = False) -> Array:
        x = np.asarray(x)
        if x.dtype.kind not in "fiub":
            raise DTypeError(f"Model: expected x to hold numbers, got dtype {x.dtype}")
        if x.ndim != 1 + len(self.input_shape) or x.shape[1:] != self.input_shape:
            wanted = ", ".join(map(str, self.input_shape))
            raise ShapeError(f"Model: expected x of shape (N, {wanted}), got {x.shape}")
        if len(x) == 0 and not empty:
            raise ShapeError(f"Model: expected at least one sample in x, got shape {x.shape}")
        return x

    def _check_finite(self, x: Array) -> None:
        if x.dtype.kind == "f" and x.size:
            most = min(np.finfo(self.dtype).max, np.finfo(x.dtype).max)  # float64 may hold what float32 does not
            if not (x.min() >= -most and x.max() <= most):  # False for NaN; a test of each element would copy x
                bad = tuple(int(i) for i in np.argwhere(~(np.abs(x) <= most))[0])
                raise ArgumentError(f"Model: expected finite {self.dtype.name} numbers in x, got {x[bad]} at {bad}")

    def summary(self, batch: int = 64) -> str:
        """Return a table of layers, shapes, parameters and kernels, and the memory that training takes.

        Parameters
        ----------
        batch : int
            The batch size to reckon with.

        Examples
        --------
        >>> import backpass as bp
        >>> print(bp.Model([bp.Affine(3)], (4,)).summary().splitlines()[0])
        layer              output                 parameters  runs as
        """
        rows = [("layer", "output", "parameters", "runs as")]
        shapes, declared = zip(*self._declare(batch), strict=True)
        fused = {j for u in units_of(self.layers, shapes, fuse=self.kernels) for j in range(u.first + 1, u.last + 1)}
        for i, (layer, x, d) in enumerate(zip(self.layers, shapes, declared, strict=True)):
            rows.append(self._summary_row(f"{i} {type(layer).__name__}", layer, x, d, fused=i in fused))
            inner = layer.parts(x)
            fused_inner = _fused_parts(inner) if self.kernels else set()
            for name, part, shape in inner:
                words = f"   {name} {type(part).__name__}"
                rows.append(self._summary_row(words, part, shape, part.declare(shape), fused=name in fused_inner))
        width = max(18, *(len(row[0]) for row in rows))
        lines = [f"{name:<{width}} {out:<22} {count:>10}  {how}" for name, out, count, how in rows]
        plan = self.plan(batch, input_gradient=False)
        lines.append(
            f"{self.params.size:,} parameters, {self.state.size:,} running statistics, {self.dtype.name}; batch {batch}: "
            f"{_human_bytes(plan.arena_bytes)} activations, "
            f"{_human_bytes(self.params.nbytes + self.grads.nbytes + self.state.nbytes)} parameters and gradients; "
            f"kernels: {native.isa if self.kernels else 'off'}"
        )
        return "\n".join(lines)

    def profile(self, batch: int = 64, *, rounds: int = 5) -> Profile:
        """Time each layer of a training step, forward and backward, on random numbers; see `backpass.profile`.

        Parameters
        ----------
        batch : int
            N.
        rounds : int
            How often; medians count.

        Returns
        -------
        Profile
            Prints as a table: milliseconds, GFLOP/s, GB/s and the share of the step.

        Examples
        --------
        >>> import backpass as bp
        >>> measured = bp.Model([bp.Affine(3)], (4,)).profile(8)  # print(measured) shows the table
        >>> measured.batch, [row.name for row in measured.rows]
        (8, ['0 Affine'])
        """
        from .profile import profile

        return profile(self, batch, rounds=rounds)

    def _summary_row(
        self, name: str, layer: Layer, x: Shape, declared: Declared, *, fused: bool
    ) -> tuple[str, str, str, str]:
        if fused:
            how = "fused with the layer above"
        elif layer.is_view(training=True):
            how = "a view"
        else:
            how = layer.runs_as(x) if self.kernels and layer.has_kernels() else "NumPy reference"
        count = sum(int(np.prod(p.shape)) for p in declared.params.values())
        return name, f"({', '.join(map(str, ('N', *declared.out[1:])))})", f"{count:,}", how

    def __repr__(self) -> str:
        return (
            f"Model({list(self.layers)!r}, input_shape={self.input_shape}, seed={self.seed}, dtype={self.dtype.name!r})"
        )


def _fused_parts(parts: Sequence[tuple[str, Layer, Shape]]) -> set[str]:
    """Return the names of the inner layers that run in the kernel of the one before them."""
    found: set[str] = set()
    for chain in dict.fromkeys(name.rpartition(".")[0] for name, _, _ in parts):
        names, layers, shapes = zip(*(part for part in parts if part[0].rpartition(".")[0] == chain), strict=True)
        found |= {names[j] for u in units_of(layers, shapes) for j in range(u.first + 1, u.last + 1)}
    return found


def _steps(name: str, call: Call) -> Steps:
    steps = Steps()
    steps.add(name, call)
    return steps


def _is_small(products: int, size_bytes: int) -> bool:
    return products <= SMALL_PRODUCTS and size_bytes <= SMALL_BYTES


def _run(calls: Sequence[Call]) -> None:
    for call in calls:
        call()


def _human_bytes(count: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count = count / 1024  # type: ignore[assignment]
    return f"{count:.2f} GiB"


def _sample_shape(shape: Sequence[int]) -> Shape:
    try:
        sizes = tuple(int(size) for size in shape)
    except TypeError:
        raise ShapeError(f"Model: input_shape: expected a tuple of sizes such as (3, 32, 32), got {shape!r}") from None
    if not sizes or any(size < 1 for size in sizes):
        raise ShapeError(f"Model: input_shape: expected sizes of at least 1, got {shape!r}")
    return sizes


def _real_dtype(dtype: Any) -> np.dtype:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.dtype("float32"), np.dtype("float64")):
        raise DTypeError(f"Model: dtype: expected float32 or float64, got {dtype!r}")
    return found


def _flat_params(
    declared: Sequence[Declared], dtype: np.dtype, turn: int = 0
) -> tuple[Array, list[Cache], dict[str, slice]]:
    """Return a flat vector of zeros, each layer's views of it, and the slice of each group."""
    none = np.zeros(0, dtype)
    views: list[dict[str, Array]] = [dict.fromkeys(d.params, none) for d in declared]  # in the order declared
    size = sum(int(np.prod(p.shape)) for d in declared for p in d.params.values())
    flat = aligned_vector(size, dtype, turn)
    groups: dict[str, slice] = {}
    at = 0
    for group in GROUPS:
        start = at
        for i, d in enumerate(declared):
            for name, param in d.params.items():
                if param.group not in GROUPS:
                    raise BackpassError(f"parameter {name}: expected a group of {GROUPS}, got {param.group!r}")
                if param.group == group:
                    count = int(np.prod(param.shape))
                    views[i][name] = flat[at : at + count].reshape(param.shape)
                    at += count
        groups[group] = slice(start, at)
    return flat, [Cache(**v) for v in views], groups


def _flat_state(declared: Sequence[Declared], dtype: np.dtype) -> tuple[Array, list[Cache]]:
    flat = np.zeros(sum(int(np.prod(shape)) for d in declared for shape, _ in d.state.values()), dtype)
    views, at = [], 0
    for d in declared:
        view = Cache()
        for name, (shape, _) in d.state.items():
            count = int(np.prod(shape))
            setattr(view, name, flat[at : at + count].reshape(shape))
            at += count
        views.append(view)
    return flat, views


def _named(namespaces: Sequence[Any]) -> dict[str, Array]:
    named: Mapping[str, Array] = {
        f"{i}.{name}": view for i, space in enumerate(namespaces) for name, view in vars(space).items()
    }
    return dict(named)
