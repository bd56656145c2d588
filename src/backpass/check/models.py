"""Whole models: any object with `params` (a dict of arrays) and `loss(X, y) -> loss, grads`."""

from __future__ import annotations

import copy
import inspect
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from backpass.check.causes import CAUSES
from backpass.check.doctor import diagnose, explain_exception
from backpass.check.findings import exception_finding, has_wrong
from backpass.check.instrument import Program, line_with, relative_path
from backpass.check.measure import attempt, measure
from backpass.check.modes import examine_scores
from backpass.check.nested import (
    classes_in,
    found_in,
    is_float_array,
    kept_gradients,
    matched,
    replaced,
    short_names,
    steps_into,
)
from backpass.check.objects import BACKWARDS, for_parameter, is_room
from backpass.check.report import Finding, Report
from backpass.check.subject import (
    NotCheckable,
    Subject,
    assign_gradients,
    describe,
    named_sizes,
    repeatable,
    value_at,
)
from backpass.errors import ArgumentError

Array = NDArray[np.float64]


class LossAndGradients(Protocol):
    """The face of a model that the doctor knows."""

    params: dict[str, Any]

    def loss(self, x: Any, y: Any) -> tuple[float, dict[str, Any]]:
        """Loss and gradients, by the names of the parameters."""
        ...


def as_loss_grads(model: Any, x: Any, y: Any) -> LossAndGradients:
    """See a model as `params` and `loss(X, y) -> loss, grads`; the one place to adapt another kind of model.

    Raises
    ------
    ArgumentError
        Where the object has no loss, or no arrays to learn.
    """
    name = loss_method(type(model))
    params = getattr(model, "params", None)
    if name == "loss" and isinstance(params, dict) and params and not any(steps_into(v) for v in params.values()):
        try:
            result = copy.deepcopy(model).loss(np.array(x), None if y is None else np.array(y))
        except Exception:
            return model  # it will be said where the gradients are measured
        if not isinstance(result, float | np.floating) and not callable(getattr(result, "backward", None)):
            return model
    if not name or not any(True for _ in found_in(model, is_float_array)):
        raise ArgumentError(
            "expected a model with `params` (a dict of arrays) and `loss(X, y) -> loss, grads`, got "
            f"{type(model).__name__}"
        )
    return Adapted(model, name)


LOSSES = ("loss", "compute_loss", "loss_and_grads", "loss_and_gradients", "loss_and_gradient", "cost", "objective")


def loss_method(cls: type) -> str:
    """Return the name of the method that computes a model's loss, or ""."""
    return next((n for n in LOSSES if callable(getattr(cls, n, None))), "")


class Adapted:
    """A model with arrays anywhere on it, and gradients returned, or left on it by its loss or by a method of their own."""

    def __init__(self, model: Any, name: str) -> None:
        self.model, self.compute = model, name
        self.paths = short_names([p for p, _ in found_in(model, is_float_array) if not is_room(p, model)], set())
        self.params = {k: value_at(model, p) for k, p in self.paths.items()}

    def loss(self, x: Any, y: Any) -> tuple[Any, dict[str, Any]]:
        """Compute loss and gradients, by the names of the parameters."""
        for name, path in self.paths.items():
            replaced(self.model, path, self.params[name])
        result = getattr(self.model, self.compute)(x, y)
        loss, *rest = result if isinstance(result, tuple) else (result,)
        second = next((n for n in BACKWARDS if not rest and callable(getattr(self.model, n, None))), "")
        if second:
            method = getattr(self.model, second)
            wanted = [p for p in inspect.signature(method).parameters.values() if p.default is p.empty]
            rest = [method(*(x, y)[: len(wanted)])]
        returned = rest[0] if len(rest) == 1 else tuple(rest)
        shapes = {k: np.shape(v) for k, v in self.params.items()}
        listed = isinstance(returned, tuple | list) and not any(
            isinstance(s, int) for p in self.paths.values() for s in p
        )
        found = (
            assign_gradients(returned, {k: (k,) for k in self.paths}, shapes, [])
            if listed
            else matched(returned, self.paths)
        )
        return loss, {**kept_gradients(self.model, self.paths), **found}


class Whole(Subject):
    """A model as a subject: the leaves are its parameters."""

    joint = True

    def __init__(self, model: LossAndGradients, x: Any, y: Any, program: Program, name: str) -> None:
        self.model, self.x, self.y, self.name = model, x, y, name
        self.arguments = {
            "y": y,
            **{k: v for k, v in vars(model).items() if isinstance(v, int | float) and not isinstance(v, bool)},
        }
        self.types = {k: np.asarray(v).dtype for k, v in model.params.items()}
        super().__init__(program, {k: np.asarray(v, dtype=np.float64) for k, v in model.params.items()})
        from backpass.check.subject import Randomness

        self.randomness = Randomness.around(program, (model,))

    def _call(self, leaves: dict[str, Array]) -> Any:
        self.randomness.rewind()
        kept = dict(self.model.params)
        try:
            for name, value in leaves.items():
                self.model.params[name] = value.astype(self.types[name])
            return self.model.loss(np.array(self.x), None if self.y is None else np.array(self.y))
        finally:
            self.model.params.clear()
            self.model.params.update(kept)

    def loss(self, leaves: dict[str, Array]) -> float:
        """Run the forward."""
        return float(self._call(leaves)[0])

    def backward(self, begin: Callable[[], None], seed: int = 0) -> dict[str, Any]:
        """Run the user's backward."""
        del seed  # a loss has no upstream gradient to choose
        begin()
        result = self._call(self.leaves)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], dict):
            raise NotCheckable(
                "loss(X, y) should return (loss, grads), grads a dict by the names of the parameters; it "
                f"returned {describe(result)}"
            )
        self.seen = float(result[0])
        return dict(result[1])

    def sizes(self) -> dict[str, int]:
        """Name the sizes of the problem."""
        return {k: v for k, v in named_sizes(np.shape(self.x), {}).items() if k in ("N", "D", "C", "H", "W")}


def check_model(model: Any, x: Any, y: Any, *, name: str = "", budget_s: float = 3.0) -> Report:
    """Check all gradients of a model's parameters on a small batch.

    Parameters
    ----------
    model
        An object with `params` and `loss(X, y) -> loss, grads`, best of small layers and of float64 parameters.
    x, y
        A batch: a handful of rows is enough.
    name
        The name in the report.
    budget_s
        About how long, in seconds, to look for the line and the cause of a fault.

    Returns
    -------
    Report
        Findings name parameter, layer and line.

    Raises
    ------
    ArgumentError
        Where the model has not the expected face, or no batch is given.

    Examples
    --------
    >>> class Line:
    ...     params = {"w": np.array([2.0, 3.0])}
    ...     def loss(self, x, y):
    ...         error = x @ self.params["w"] - y
    ...         return (error**2).mean(), {"w": error @ x / len(x)}
    >>> report = check_model(Line(), np.array([[1.0, 2.0], [0.5, -1.0]]), np.array([1.0, 0.0]))
    >>> report.ok, report.findings[0].quantity
    (False, 'dw')
    """
    if x is None:
        raise ArgumentError("a model is checked on a batch: check(model, X, y)")
    started = time.perf_counter()
    adapted = as_loss_grads(model, x, y)
    program = Program([getattr(type(model), loss_method(type(model))), *classes_in(model)])
    report = Report(name or type(model).__name__)
    add_method_sources(report, program)
    with repeatable(program):
        attempt(report, "the gradients", _examine_batch, adapted, x, y, program, report, budget_s, "")
        if not has_wrong(report):
            one = x[:1], None if y is None else y[:1]
            label = "with a batch of one"
            attempt(report, f"the gradients {label}", _examine_batch, adapted, *one, program, report, budget_s, label)
        if not has_wrong(report):
            attempt(report, "a second call", _repeats, adapted, x, y, program, report)
        if not has_wrong(report):
            attempt(report, "test mode", examine_scores, model, x, y, program, report, budget_s)
    report.findings.sort(key=lambda f: ("wrong", "warning", "note").index(f.severity))
    report.seconds = time.perf_counter() - started
    return report


def add_method_sources(report: Report, program: Program) -> None:
    """Add the text of all functions that a check of the model looks into."""
    for function in program.functions:
        source = program.source(function)
        if source is not None:
            file, node, _ = source
            report.sources[f"{relative_path(file.path)}:{node.name}"] = {
                "path": relative_path(file.path),
                "first": node.lineno,
                "text": file.lines[node.lineno - 1 : node.end_lineno],
            }


def _examine_batch(
    model: LossAndGradients, x: Any, y: Any, program: Program, report: Report, budget_s: float, label: str
) -> None:
    subject = Whole(model, x, y, program, report.name)
    try:
        measured = measure(subject)
    except NotCheckable as error:
        report.findings.append(Finding("wrong", "exception", str(error)))
        return
    except Exception as error:
        report.findings.append(exception_finding(error, program, f"loss(X, y) raised{' ' + label if label else ''}"))
        explain_exception(subject, error, report.findings[-1], budget_s)
        return
    report.checked.append(label or "a batch")
    if not label:
        report.gradients = measured.rows
    for leaf in measured.missing:
        line, code, path, function = line_with(program, type(model).loss, ("return",), last=True)
        message = f"grads has no {leaf!r}: {layer_of(leaf)} would not learn"
        report.findings.append(Finding("wrong", "missing_gradient", message, function, path, line, code, leaf))
    extra = sorted(set(measured.yours) - set(subject.leaves))
    if extra and not label:
        report.findings.append(
            Finding(
                "warning",
                "extra_gradient",
                f"grads holds {', '.join(map(repr, extra))}, which {'is' if len(extra) == 1 else 'are'} not in params",
            )
        )
    if not measured.wrong:
        return
    before = len(report.findings)
    diagnose(subject, measured, report, budget_s)
    for finding in report.findings[before:]:
        layers = ", ".join(f"{w} ({layer_of(w)})" for w in sorted(measured.wrong))
        finding.details.append(f"wrong gradients: {layers}")
        if label:
            finding.message = f"{label}: {finding.message}"
        _regularisation(subject, measured.wrong, finding, measured.yours, measured.true)
    first = {(f.path, f.line, f.cause): f for f in reversed(report.findings)}
    report.findings[:] = [f for f in report.findings if f is first[f.path, f.line, f.cause]]


def layer_of(parameter: str) -> str:
    """Return the layer that a parameter's name tells.

    >>> layer_of("W2"), layer_of("gamma1"), layer_of("b10")
    ('weights of layer 2', 'scale of layer 1', 'bias of layer 10')
    """
    letters = parameter.rstrip("0123456789").rstrip("_").lower()
    number = parameter[len(parameter.rstrip("0123456789")) :]
    what = {"w": "weights", "b": "bias", "gamma": "scale", "beta": "shift"}.get(letters, parameter)
    return f"{what} of layer {number}" if number else what


def _regularisation(
    subject: Whole, wrong: list[str], finding: Finding, yours: dict[str, Any], true: dict[str, Array]
) -> None:
    """Blame the regularisation where a difference is a multiple of the parameter itself."""
    for leaf in wrong:
        value = np.asarray(yours[leaf])
        if value.shape != true[leaf].shape or value.size < 2:
            continue  # a single number is a multiple of any other
        difference = value - true[leaf]
        w = subject.leaves[leaf]
        square = float(np.sum(w * w))
        k = float(np.sum(difference * w)) / square if square else 0.0
        if k and np.abs(difference - k * w).max() < 1e-6 * max(float(np.abs(difference).max()), 1e-30) * 10:
            finding.cause = "regularisation"
            reg = subject.arguments.get("reg")
            amount = f"{k:.4g}" if not reg else f"{k / reg:.4g} reg"
            finding.message = f"d{leaf} is off by {amount} times {leaf}  ->  {CAUSES['regularisation']}"
            _blame_last_store(subject, value, finding)
            return


def _blame_last_store(subject: Whole, gradient: Any, finding: Finding) -> None:
    """Point at the line that gave a gradient its final value."""
    recorder = subject.program.recorder
    with subject.program.watched("values"):
        subject.backward(lambda: recorder.reset(record=True))
        events = recorder.events or []
        recorder.reset()
    stores = [
        e
        for e in events
        if e.site.kind in ("assign", "after")
        and isinstance(e.value, np.ndarray)
        and e.value.shape == gradient.shape
        and np.array_equal(e.value, gradient)
    ]
    if stores:
        site = stores[-1].site
        finding.path, finding.line, finding.function = (
            relative_path(site.path),
            site.line,
            site.function.rpartition(".")[2],
        )
        finding.code = subject.program.code_at(site.path, site.line)
        finding.fix = ""


def _repeats(model: LossAndGradients, x: Any, y: Any, program: Program, report: Report) -> None:
    """Twice the same call, twice the same result; float32 parameters, float32 gradients; the batch unchanged."""
    subject = Whole(model, x, y, program, report.name)
    given = np.array(x)
    subject.randomness.rewind()
    with program.watched("ticks"):
        program.recorder.reset(watch=[given])
        first = model.loss(given, y)
        changed = program.recorder.changed
        program.recorder.reset()
    if not np.array_equal(given, x):
        path, line = changed[0][1:] if changed else ("", 0)
        code = program.code_at(path, line) if changed else ""
        message = "loss changes X in place  ->  work on a copy"
        report.findings.append(
            Finding("wrong", "mutation", message, "loss", relative_path(path) if path else "", line, code, "X")
        )
    subject.randomness.rewind()
    second = model.loss(np.array(x), y)
    different = [k for k in first[1] if not np.array_equal(first[1][k], second[1][k])]
    if different:
        report.findings.append(
            Finding(
                "wrong",
                "second_call",
                f"a second call gives other gradients of {', '.join(different)}  ->  something is kept between calls",
            )
        )
    for key, gradient in first[1].items():
        if key in model.params and np.asarray(gradient).dtype != np.asarray(model.params[key]).dtype:
            report.findings.append(
                Finding(
                    "warning",
                    "dtype",
                    f"the gradient of {key} is of {np.asarray(gradient).dtype}, the parameter of "
                    f"{np.asarray(model.params[key]).dtype}",
                    quantity=key,
                )
            )
            break
    report.checked.append("a second call")


# ---------------------------------------------------------------------------------------------------------------
# Models by their class: built small, in several shapes


def configurations(cls: type) -> list[tuple[str, dict[str, Any], tuple[int, ...]]]:
    """Label, constructor arguments and shape of X for the variants of a course-style class."""
    names = set(inspect.signature(cls).parameters)
    base: dict[str, Any] = {"num_classes": 4, "weight_scale": 0.4, "reg": 0.3, "dtype": np.float64}
    flat = (8, 6)  # a batch of another size than any layer, so that a wrong axis shows
    if "num_filters" in names or "filter_size" in names:
        small = {**base, "input_dim": (2, 4, 6), "num_filters": 3, "filter_size": 3, "hidden_dim": 5}
        variants: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [("a small net", small, (2, 2, 4, 6))]
        return [(label, {k: v for k, v in a.items() if k in names}, s) for label, a, s in variants]
    if "hidden_dims" in names:
        dropout = next((n for n in ("dropout_keep_ratio", "dropout") if n in names), None)
        variants = [
            ("three layers", {**base, "input_dim": 6, "hidden_dims": [5, 7]}, flat),
            ("no regularisation", {**base, "input_dim": 6, "hidden_dims": [5, 7], "reg": 0.0}, flat),
            ("one hidden layer", {**base, "input_dim": 6, "hidden_dims": [5]}, flat),
            ("no hidden layer", {**base, "input_dim": 6, "hidden_dims": []}, flat),
            ("five layers", {**base, "input_dim": 6, "hidden_dims": [5, 7, 5, 4]}, flat),
        ]
        if "normalization" in names:
            variants += [
                (f"{n} norm", {**base, "input_dim": 6, "hidden_dims": [5, 7], "normalization": f"{n}norm"}, flat)
                for n in ("batch", "layer")
            ]
        if "use_batchnorm" in names:
            variants.append(
                ("batch norm", {**base, "input_dim": 6, "hidden_dims": [5, 7], "use_batchnorm": True}, flat)
            )
        if dropout:
            variants.append(("dropout", {**base, "input_dim": 6, "hidden_dims": [5, 7], dropout: 0.6, "seed": 5}, flat))
        return [(label, {k: v for k, v in a.items() if k in names}, s) for label, a, s in variants]
    arguments = {
        **base,
        "input_dim": 6,
        "input_size": 6,
        "hidden_dim": 5,
        "hidden_size": 5,
        "output_size": 4,
        "std": 0.4,
    }
    return [("a small net", {k: v for k, v in arguments.items() if k in names}, flat)]


def _required(cls: type) -> list[inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty and p.kind in kinds]


def _sizes_of(model: Any, arguments: dict[str, Any], shape: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
    """Return the shape of X and the number of classes: read off the weights where the constructor was not told."""
    weights = [v for _, v in found_in(model, is_float_array) if v.ndim == 2]
    if {"input_dim", "input_size"} & set(arguments) or not weights:
        return shape, 4
    return (shape[0], len(weights[0])), weights[-1].shape[1]


def _stir(model: Any, rng: np.random.Generator) -> None:
    """Move parameters that begin as zeros or ones, which would hide slips."""
    params = getattr(model, "params", None)
    for path, value in list(found_in(params if isinstance(params, dict) else model, is_float_array)):
        flat = not np.any(value) or str(path[-1]).startswith(("gamma", "beta"))
        if flat and not (params is None and is_room(path, model)):
            moved = value + 0.3 * rng.standard_normal(np.shape(value))
            replaced(params if isinstance(params, dict) else model, path, moved)


def _given(cls: type, inputs: Any, rng: np.random.Generator) -> tuple[Any, Any, Any] | None:
    """Return a model and a batch from what a user gave, or None where it does not make a model of this class."""
    given = inputs(rng) if callable(inputs) else inputs
    values = list(given.values()) if isinstance(given, dict) else given
    if not isinstance(values, tuple | list) or not values:
        return None
    if isinstance(values[0], cls):
        return tuple(values) if len(values) == 3 else None
    arrays = [v for v in values if isinstance(v, np.ndarray)]
    if len(arrays) != 2:
        return None
    np.random.seed(0)  # noqa: NPY002 - course code draws its weights from the global generator
    try:
        model = cls()
        _stir(model, rng)
        getattr(copy.deepcopy(model), loss_method(cls))(*(a.copy() for a in arrays))
    except Exception:
        return None
    return model, arrays[0], arrays[1]


def check_model_class(cls: type, inputs: Any = None, *, name: str = "", budget_s: float = 3.0) -> Report:
    """Check a course-style model class by small nets of it.

    One hidden layer, none, several; with and without norm and dropout, where the constructor knows them.
    `inputs(rng)` may return (model, X, y) for a class whose constructor has arguments of its own, or a batch of X and y (in
    a tuple or dict) for a model as the constructor's defaults make it.  Inputs that do not fit the model (they may belong
    to another function of the same file) are passed over.

    Examples
    --------
    >>> class Scores:
    ...     def __init__(self, input_dim, num_classes):
    ...         self.params = {"W1": np.ones((input_dim, num_classes))}
    ...     def loss(self, X, y):
    ...         return (X @ self.params["W1"]).sum(), {"W1": X.sum(axis=0)[:, None] + 0 * self.params["W1"]}
    >>> check_model_class(Scores).ok
    True
    """
    started = time.perf_counter()
    rng = np.random.default_rng(0)
    total = Report(name or cls.__name__)
    given = _given(cls, inputs, rng)
    if given is not None:
        return check_model(*given, name=total.name, budget_s=budget_s)
    for label, arguments, shape in configurations(cls):
        missing = [p.name for p in _required(cls) if p.name not in arguments]
        arguments |= {n: v for n in missing if (v := for_parameter(n.lower(), 6, rng)) is not None}
        if set(missing) - set(arguments):
            raise ArgumentError(
                f"no {cls.__name__} could be made from the names of its constructor's parameters; "
                "give one: def inputs(rng): return model, X, y"
            )
        np.random.seed(0)  # noqa: NPY002 - course code draws its weights from the global generator
        try:
            model = cls(**arguments)
        except Exception as error:
            if label in ("three layers", "a small net"):
                total.findings.append(exception_finding(error, None, f"{cls.__name__}({', '.join(arguments)}) raised"))
                break
            total.checked.append(f"not {label}: the constructor raised {type(error).__name__}")
            continue
        _stir(model, rng)
        shape, classes = _sizes_of(model, arguments, shape)
        report = check_model(
            model, rng.standard_normal(shape), rng.integers(0, classes, shape[0]), name=total.name, budget_s=budget_s
        )
        for finding in report.findings:
            if label not in ("three layers", "a small net"):
                finding.message = f"{label}: {finding.message}"
        total.findings += [
            f for f in report.findings if f.severity == "wrong" or f.message not in {g.message for g in total.findings}
        ]
        total.lines = report.lines or total.lines
        total.sources |= report.sources
        total.checked.append(label)
        total.gradients = total.gradients or report.gradients
        if has_wrong(total):
            total.gradients = report.gradients
            break
    total.seconds = time.perf_counter() - started
    return total
