"""The doctor on backpass itself: registered layers, losses and optimizers, and whole `backpass.Model`s.

A layer is checked as the pairs of its reference (forward with backward, forward with staged) on the CASES of its
module; a loss by its reference and its staged backward; an optimizer, reference and kernel, against its formula.  Layers,
losses and optimizers that people register themselves are seen in the same way.
"""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.instrument import Program, relative_path
from backpass.check.measure import measure as measured_gradients
from backpass.check.optimizers import check_optimizer, formula_of
from backpass.check.report import Finding, Report
from backpass.check.subject import Subject
from backpass.errors import ArgumentError, ShapeError
from backpass.layers.base import Layer
from backpass.losses import Loss, MSELoss, SoftmaxLoss
from backpass.model import Model
from backpass.optim.base import Optimizer, T

Array = NDArray[np.float64]
Part = tuple[str, Callable[[], Report]]  # the name of what is checked, and the check

LARGEST = 700  # elements of x up to which a case of CASES is taken: finite differences need no more
SCORES_SIZE = 2.5  # typical size of scores, so that margins of both signs occur


def is_own(thing: Any) -> bool:
    """Whether something is a layer, a loss or an optimizer of backpass's kind, or the class of one.

    >>> import backpass as bp
    >>> is_own(bp.ReLU), is_own(bp.Adam()), is_own(len)
    (True, True, False)
    """
    kinds = (Layer, Loss, Optimizer)
    return issubclass(thing, kinds) and thing not in kinds if inspect.isclass(thing) else isinstance(thing, kinds)


def parts(thing: Any, x: Any = None, *, seed: int = 0, budget_s: float = 3.0) -> list[Part]:
    """Return what there is to check about a layer, a loss or an optimizer: names, and calls that return reports.

    Raises
    ------
    ArgumentError
        Where there is no x and the module has no CASES to take one from, or the update rule is of no known name.

    Examples
    --------
    >>> import backpass as bp
    >>> [name for name, _ in parts(bp.BatchNorm)]
    ['BatchNorm.backward', 'BatchNorm.staged']
    """
    cls = thing if inspect.isclass(thing) else type(thing)
    if issubclass(cls, Optimizer):
        return _optimizer_parts(cls, thing)
    cases = _cases(cls, thing, x)
    build = _layer_pair if issubclass(cls, Layer) else _loss_pair
    return [
        (f"{cls.__name__}.{which}", lambda which=which: _over_cases(cls, which, build, cases, seed, budget_s))  # type: ignore[misc]
        for which in ("backward", "staged")
        if which == "backward" or issubclass(cls, Layer) or _function(cls, "backward_staged") is not None
    ]


def check_own(thing: Any, x: Any = None, *, name: str = "", seed: int = 0, budget_s: float = 3.0) -> Report:
    """Check a layer, a loss or an optimizer of backpass's kind: all of `parts` in one report."""
    total = Report(name or (thing if inspect.isclass(thing) else type(thing)).__name__)
    for part, run in parts(thing, x, seed=seed, budget_s=budget_s):
        report = run()
        short = part.rpartition(".")[2]
        total.findings += report.findings
        total.gradients += [replace(row, note=f"{short} {row.note}".strip()) for row in report.gradients]
        total.lines += report.lines
        total.sources |= report.sources
        total.checked += [f"{short}: {words}" for words in report.checked]
        total.seconds += report.seconds
    return total


# -- layers and losses ------------------------------------------------------------------------------------------------


def _cases(cls: type, thing: Any, x: Any) -> list[tuple[Any, tuple[int, ...]]]:
    """Return objects and shapes of x (of the scores, for a loss): small ones of the module's CASES, or what was given."""
    known = [(o, tuple(s)) for o, s in getattr(sys.modules[cls.__module__], "CASES", []) if type(o) is cls]
    if not inspect.isclass(thing):
        shapes = [np.shape(x)] if x is not None else [s for _, s in known]
        known = [(thing, s) for s in shapes if _fits(thing, s)]
        if x is not None and not known:
            known = [(thing, np.shape(x))]  # the layer's own message says what does not fit
    small = [case for case in known if np.prod(case[1]) <= LARGEST]
    if not known:
        raise ArgumentError(
            f"expected a layer object and an x, check({cls.__name__}(...), x), or a list CASES of (object, shape of x) "
            f"in {cls.__module__}, got neither"
        )
    return small or known[:1]


def _fits(thing: Any, shape: tuple[int, ...]) -> bool:
    try:
        if isinstance(thing, Layer):
            thing.declare(shape)
            thing.check_batch(shape)
        else:
            _targets(thing, shape)
    except ShapeError:
        return False
    return True


def _over_cases(
    cls: type, which: str, build: Callable[..., Any], cases: list[Any], seed: int, budget_s: float
) -> Report:
    """Check one backward on all cases; stop at the first that is wrong."""
    from backpass.check.examine import check

    started = time.perf_counter()
    total = Report(f"{cls.__name__}.{which}")
    for made, shape in cases:
        forward, backward, arguments, wrt = build(made, shape, which, seed)
        report = check(forward, backward, arguments, wrt=wrt, name=total.name, seed=seed, budget_s=budget_s)
        label = f"{made!r} with {'x' if isinstance(made, Layer) else 'scores'} of shape {shape}"
        total.checked.append(label)
        said = {f.message for f in total.findings}
        total.findings += [f for f in report.findings if f.message not in said]
        total.sources |= report.sources
        if not report.ok:
            report.findings[0].details.append(label)
            total.gradients, total.lines = report.gradients, report.lines
            break
        if not total.gradients:
            total.gradients, total.lines = report.gradients, report.lines
        else:
            worst = {row.name: row for row in report.gradients}
            total.gradients = [max(row, worst.get(row.name, row), key=lambda r: r.error) for row in total.gradients]
    total.findings.sort(key=lambda f: ("wrong", "warning", "note").index(f.severity))
    total.seconds = time.perf_counter() - started
    return total


def _layer_pair(layer: Layer, shape: tuple[int, ...], which: str, seed: int) -> tuple[Any, Any, dict[str, Any], Any]:
    """Return a layer's reference as forward, backward, arguments, and the names of what the gradients are of."""
    rng = np.random.default_rng([seed, 5])
    declared = layer.declare(shape)
    params = {name: _parameter(rng, param.shape) for name, param in declared.params.items()}
    state = {name: np.full(size, value) for name, (size, value) in declared.state.items()}
    random = {"random": np.array([seed, 1, 2], np.uint64)} if declared.random else {}
    forward = layer.reference.forward
    chosen = layer.reference_arguments(forward, *(SimpleNamespace(**space) for space in (params, state, random)))
    arguments = {next(iter(inspect.signature(forward).parameters)): _batch(rng, shape), **chosen}
    wrt = [next(iter(arguments)), *params]
    return forward, getattr(layer.reference, which), arguments, wrt


def _batch(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    return rng.standard_normal(shape) + 0.2


def _parameter(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Return values away from zero: zeros and ones, with which training begins, would hide slips."""
    return np.asarray(rng.uniform(0.4, 1.6, shape) * rng.choice([-1.0, 1.0], shape))


def _function(cls: type, ending: str) -> Any:
    """Return the module's function of a name that ends so, such as softmax_forward, or None."""
    functions = vars(sys.modules[cls.__module__])
    found = [
        f for n, f in functions.items() if n.endswith("_" + ending) and getattr(f, "__module__", "") == cls.__module__
    ]
    return found[0] if found else None


def _targets(loss: Loss, shape: tuple[int, ...]) -> Any:
    """Return labels if the loss takes them, else targets of the shape of the scores."""
    rng = np.random.default_rng(3)
    try:
        return loss.check(shape, rng.integers(0, shape[1], shape[0]))
    except ShapeError:
        return loss.check(shape, rng.standard_normal(shape))


def _loss_pair(loss: Loss, shape: tuple[int, ...], which: str, seed: int) -> tuple[Any, Any, dict[str, Any], Any]:
    """Return a loss as one function of the scores that returns its value and their gradient."""
    rng = np.random.default_rng([seed, 6])
    y, sample_weights = _targets(loss, shape), rng.uniform(0.5, 2.0, shape[0])
    scores = SCORES_SIZE * rng.standard_normal(shape)
    cls = type(loss)
    if which == "backward":

        def reference(scores: Array) -> Any:
            return cls.reference(loss, scores, y, sample_weights)

        return reference, None, {"scores": scores}, ["scores"]
    forward, staged = _function(cls, "forward"), _function(cls, "backward_staged")
    weights = sample_weights / sample_weights.sum()
    names = inspect.signature(forward).parameters
    hyper = {name: value for name, value in vars(loss).items() if name in names}

    def by_stages(scores: Array) -> Any:
        value, cache = forward(scores, y, weights, **hyper)
        return value, staged(cache)

    return by_stages, None, {"scores": scores}, ["scores"]


# -- optimizers -------------------------------------------------------------------------------------------------------

FIELDS = {"lr": "learning_rate", "decay": "decay_rate", "eps": "epsilon"}  # ours -> the names of the formulas' settings


def _optimizer_parts(cls: type[Optimizer], thing: Any) -> list[Part]:
    formula = formula_of(cls.__name__)
    if not formula:
        raise ArgumentError(
            f"{cls.__name__}: the name tells no formula to compare with; "
            "use backpass.check.check_optimizer(rule, formula_name)"
        )
    optimizer = cls() if inspect.isclass(thing) else thing
    return [
        (f"{cls.__name__}.{which}", lambda which=which: _check_optimizer(optimizer, formula, which))  # type: ignore[misc]
        for which in ("update", "kernel")
        if which == "update" or cls.kernel is not Optimizer.kernel
    ]


def _check_optimizer(optimizer: Optimizer, formula: str, which: str) -> Report:
    """Run an optimizer as `rule(w, dw, config)`, by its reference or by its kernel; findings point at its own lines."""
    cls = type(optimizer)

    def rule(w: Array, dw: Array, config: dict[str, Any]) -> tuple[Array, dict[str, Any]]:
        names = {field: config.get(FIELDS.get(field, field)) for field in vars(optimizer)}
        chosen = replace(optimizer, **{k: v for k, v in names.items() if v is not None})  # type: ignore[type-var]
        slots = {name: config.get(f"slot {name}", np.zeros(w.size)) for name in cls.slots}
        step = config.get("step", 0) + 1
        control = np.array([chosen.lr, step, 1.0, 0.0])
        control[T] = step
        flat = w.reshape(-1).copy()
        call = Optimizer.kernel if which == "update" else cls.kernel  # the base's kernel runs the reference
        call(chosen, flat, dw.reshape(-1), slots, control, chosen.options("weight"))()
        return flat.reshape(w.shape), {**config, "step": step, **{f"slot {k}": v for k, v in slots.items()}}

    report = check_optimizer(rule, formula)
    report.name = f"{cls.__name__}.{which}"
    path, line, code, text = _place(_function(cls, "update") if which == "update" else cls.kernel)
    for finding in report.findings:
        finding.path, finding.line, finding.code, finding.function = path, line, code, report.name
    report.sources = {f"{path}:{report.name}": {"path": path, "first": line, "text": text}} if text else {}
    return report


def _place(function: Any) -> tuple[str, int, str, list[str]]:
    """Return path, first line, its text and all lines of a function, as far as there is source."""
    try:
        lines, first = inspect.getsourcelines(function)
    except (OSError, TypeError):
        return "", 0, "", []
    kept = [line.rstrip("\n") for line in lines]
    return relative_path(inspect.getsourcefile(function) or ""), first, kept[0].strip(), kept


# -- whole models -----------------------------------------------------------------------------------------------------


class Net(Subject):
    """A `backpass.Model` in float64 with a loss behind it, as a subject: its leaves are x and the parameters."""

    def __init__(self, model: Model, x: Array, y: Any, *, kernels: bool, seed: int = 0) -> None:
        self.twin = Model(model.layers, model.input_shape, seed=model.seed, dtype="float64", kernels=kernels)
        for name, view in model.named_params().items():
            self.twin.named_params()[name][...] = view
        self.twin.step = model.step  # the same dropout masks in every run
        self.name = "Model"
        named = self.twin.named_params()
        super().__init__(Program([]), {"x": np.array(x, np.float64), **{k: v.copy() for k, v in named.items()}})
        shape = (len(x), *self.twin.output_shape)
        self.upstream = np.random.default_rng([seed, 9]).standard_normal(shape)
        self.criterion: Loss | None = None
        if y is not None:
            self.criterion = SoftmaxLoss() if np.asarray(y).dtype.kind in "iub" else MSELoss()
            self.y = self.criterion.check(shape, y)

    def _scores(self, leaves: dict[str, Array]) -> tuple[float, Array]:
        views = self.twin.named_params()
        for name, value in leaves.items():
            if name != "x":
                views[name][...] = value
        scores = self.twin.forward(leaves["x"])
        if self.criterion is None:
            return float((scores * self.upstream).sum()), self.upstream
        return self.criterion.reference(scores, self.y)

    def loss(self, leaves: dict[str, Array]) -> float:
        """Run the training forward and the loss."""
        return self._scores(leaves)[0]

    def backward(self, begin: Callable[[], None], seed: int = 0) -> dict[str, Any]:
        """Run the model's backward."""
        del seed  # the loss chooses the upstream gradient
        _, dscores = self._scores(self.leaves)
        begin()
        dx = self.twin.backward(dscores)
        return {"x": dx, **{name: view.copy() for name, view in self.twin.named_grads().items()}}


def check_net(model: Model, x: Any, y: Any = None, *, name: str = "", seed: int = 0, budget_s: float = 3.0) -> Report:
    """Check all gradients of a `backpass.Model` on a small batch, with kernels and without, in float64.

    Parameters
    ----------
    model : Model
        Left as it is: a copy in float64 is checked, with the same parameters and the same dropout masks.
    x : array (N, *input_shape)
        A handful of samples.
    y : array, optional
        Labels (whole numbers: softmax loss) or targets (mean squared error); None for a random upstream gradient.
    name : str
        The name in the report.
    seed : int
        Seed of the upstream gradient.
    budget_s : float
        About how long, in seconds, to look for the line of a fault.

    Returns
    -------
    Report
        A finding names the layer, whether its kernel or its reference is at fault, and there the line.

    Raises
    ------
    ArgumentError
        If there is no x.

    Examples
    --------
    >>> import backpass as bp
    >>> net = bp.models.fully_connected([5], classes=3, norm=bp.BatchNorm(), drop_prob=0.5)
    >>> model = bp.Model(net, input_shape=(4,), seed=0)
    >>> bool(check_net(model, np.random.default_rng(0).standard_normal((6, 4)), np.array([0, 1, 2, 0, 1, 2])))
    True
    """
    if x is None:
        raise ArgumentError("Model: expected a batch to check it on, check(model, x, y), got none")
    started = time.perf_counter()
    report = Report(name or "Model")
    for kernels in (True, False) if model.kernels else (False,):
        subject = Net(model, model._check_input(x), y, kernels=kernels, seed=seed)
        measured = measured_gradients(subject)
        how = "kernels" if kernels else "NumPy references"
        report.checked.append(f"{how}, float64")
        report.gradients += [replace(row, note=f"{how} {row.note}".strip()) for row in measured.rows]
        if measured.wrong:
            report.findings += _blame(subject, measured.wrong, how, seed, budget_s)
    report.seconds = time.perf_counter() - started
    return report


def _described(model: Model, parameter: str) -> str:
    """Return a parameter with its layer.

    >>> import backpass as bp
    >>> _described(bp.Model([bp.Affine(3)], (4,)), "0.w")
    'd0.w (w of layer 0, Affine)'
    """
    number, _, word = parameter.partition(".")
    return f"d{parameter} ({word} of layer {number}, {type(model.layers[int(number)]).__name__})" if word else "dx"


def _blame(subject: Net, wrong: list[str], how: str, seed: int, budget_s: float) -> Iterator[Finding]:
    """Yield a finding for each layer that is wrong by itself; if there is none, say which layers' gradients are wrong."""
    model = subject.twin
    names = ", ".join(_described(model, leaf) for leaf in wrong)
    found = False
    plan = model.inspection_plan(len(subject.leaves["x"]))
    plan.x[...] = subject.leaves["x"]
    for call in plan.forward:
        call()
    x = plan.x
    for i, layer in enumerate(model.layers):
        alone = _alone(model, i, x.shape[1:])
        single = Net(alone, x, None, kernels=model.kernels, seed=seed)
        bad = measured_gradients(single).wrong
        out = plan.outs[i]
        x = out if out is not None else x
        if not bad:
            continue
        found = True
        title = f"layer {i}, {type(layer).__name__}"
        inner = [] if model.kernels and layer.has_kernels() else _reference_findings(layer, single, seed, budget_s)
        for finding in inner:
            finding.message = f"{title}: {finding.message}"
            finding.details.append(f"wrong in the model: {names}")
            yield finding
        if not inner:
            part = "kernel" if model.kernels and layer.has_kernels() else "backward"
            gradients = ", ".join("d" + leaf.removeprefix("0.") for leaf in bad)
            message = f"{title}: its {part} gives a wrong {gradients} also when the layer runs alone"
            yield Finding("wrong", "unknown", message, quantity=gradients, details=[f"wrong in the model: {names}"])
    if not found:
        yield Finding(
            "wrong",
            "unknown",
            f"with {how}, {names} wrong, though every layer is right alone: two layers fused into one kernel, or the "
            "model's own memory",
            quantity=names,
        )


def _alone(model: Model, i: int, sample: tuple[int, ...]) -> Model:
    """Return a model of one layer of another, with its parameters."""
    alone = Model([model.layers[i]], sample, seed=model.seed, dtype="float64", kernels=model.kernels)
    for name, view in vars(model.p[i]).items():
        alone.named_params()[f"0.{name}"][...] = view
    alone.step = model.step
    return alone


def _reference_findings(layer: Layer, single: Net, seed: int, budget_s: float) -> list[Finding]:
    """Return what the doctor says of the layer's reference by itself."""
    report = dict(parts(layer, single.leaves["x"], seed=seed, budget_s=budget_s))[f"{type(layer).__name__}.backward"]()
    return [f for f in report.findings if f.severity == "wrong"]
