"""`check`: everything that is tried on one pair of functions, one loss, or one model."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import inputs, numeric
from backpass.check.behaviour import arrays_in, examine_behaviour, examine_loss_behaviour, keeps_state
from backpass.check.causes import CAUSES
from backpass.check.doctor import diagnose, explain_exception
from backpass.check.findings import exception_finding, has_wrong
from backpass.check.inputs import Variant
from backpass.check.instrument import Program, line_with, relative_path
from backpass.check.marks import mark_right
from backpass.check.measure import Measured, attempt, gradients_are_right, measure, quiet
from backpass.check.objects import as_pair, made_with, methods_of, static_pair
from backpass.check.own import check_net, check_own, is_own
from backpass.check.promises import examine_formula, examine_modes
from backpass.check.recorder import is_real
from backpass.check.report import Finding, GradientRow, Report
from backpass.check.subject import Layer, Loss, NotCheckable, Subject, arguments_by_name, call_with, fresh, repeatable
from backpass.errors import ArgumentError, BackpassError
from backpass.model import Model

Array = NDArray[np.float64]


def check(
    forward: Any,
    backward: Any = None,
    arguments: Any = None,
    *,
    wrt: list[str] | None = None,
    name: str = "",
    seed: int = 0,
    budget_s: float = 3.0,
) -> Report:
    """Check a hand-written gradient, and where it is wrong say which line, why, and what to write instead.

    Parameters
    ----------
    forward
        `forward(...) -> out, cache` (or several outs before the cache); or a function that returns `loss, gradients`;
        or a model, that is an object with `params` (a dict of arrays) and `loss(X, y) -> loss, grads`; or a layer
        object with `forward(x)` and `backward(dout)` that keeps its gradients (`dW`, `grad_W`, `grads["W"]`); or a
        `backpass.Model` with x and y; or a layer, loss or optimizer of backpass's kind, or the class of one.
    backward
        `backward(dout, cache) -> gradients`, in the order of the forward's arguments (or a dict by name).  None for a
        loss.
        For a model: X.  For a layer object: x.
    arguments
        Arguments of the forward: a tuple, or a dict by name, or a function of a `numpy.random.Generator` that returns
        one of them, which may serve several forwards: what its dict holds beyond this one's parameters is left out.
        Floating-point arrays are differentiated.  None: made from the names of function and parameters.  For a model:
        y.
    wrt
        Names of the arguments that the returned gradients belong to, in their order, where the names do not tell.
    name
        The name in the report.
    seed
        Seed of the inputs and of the upstream gradient.
    budget_s
        About how long, in seconds, to look for the line and the cause of a fault.

    Returns
    -------
    Report
        `report.ok`, `report.findings`, `print(report)`, `report.to_json()`, `report.to_html()`.

    Raises
    ------
    ArgumentError
        Where the inputs cannot be guessed, or do not fit the forward.

    Examples
    --------
    >>> import numpy as np
    >>> def square_forward(x):
    ...     return x**2, x
    >>> def square_backward(dout, x):
    ...     return dout * x
    >>> report = check(square_forward, square_backward, (np.array([1.0, -2.0, 3.0]),))
    >>> report.ok, report.findings[0].cause
    (False, 'factor')
    """
    if isinstance(forward, Model):
        return check_net(forward, backward, arguments, name=name, seed=seed, budget_s=budget_s)
    if is_own(forward):
        return check_own(forward, backward, name=name, seed=seed, budget_s=budget_s)
    layer = not isinstance(forward, type) and methods_of(type(forward)) is not None
    if not callable(forward) or hasattr(forward, "params") or layer:
        if hasattr(forward, "loss") and hasattr(forward, "params"):
            from backpass.check.models import check_model

            return check_model(forward, backward, arguments, name=name, budget_s=budget_s)
        if layer:
            try:
                first, second, named = as_pair(forward, backward)
            except BackpassError:
                raise
            except Exception as error:
                program = Program([type(forward)])
                return Report(name or type(forward).__name__, [exception_finding(error, program, "it raised")])
            return check(first, second, named, name=name or type(forward).__name__, seed=seed, budget_s=budget_s)
        raise ArgumentError(
            "expected a function, a model with `params` and `loss(X, y)`, or a layer with `forward` and `backward`, "
            f"got {type(forward).__name__}"
        )
    started = time.perf_counter()
    title = name or _title(forward, backward)
    variants = _variants(forward, title, arguments, seed)
    program = Program([f for f in (forward, backward) if f is not None])
    report = Report(title)
    _add_sources(report, program, [f for f in (forward, backward) if f is not None])
    with repeatable(program):
        _examine(forward, backward, variants, program, report, wrt, seed, budget_s, title)
    report.findings.sort(key=lambda f: ("wrong", "warning", "note").index(f.severity))
    report.seconds = time.perf_counter() - started
    return report


def check_layer_class(cls: type, inputs: Any = None, *, name: str = "", budget_s: float = 3.0) -> Report:
    """Check a class with `forward(x)` and `backward(dout)` by an object of it.

    `inputs(rng)` may return (layer, x), or x alone, as an array or in a dict; what is not given is guessed.

    Raises
    ------
    ArgumentError
        Where no object can be made from the names of the constructor's parameters.

    Examples
    --------
    >>> class Square:
    ...     def forward(self, x):
    ...         self.x = x
    ...         return x**2
    ...     def backward(self, dout):
    ...         return 2 * dout * self.x
    >>> check_layer_class(Square, lambda rng: {"x": rng.standard_normal(3)}).ok
    True
    """
    static = static_pair(cls)
    if static is not None:
        return check(*static, inputs, name=name or cls.__name__, budget_s=budget_s)
    made = made_with(cls, inputs, np.random.default_rng(0))
    if made is None:
        raise ArgumentError(
            f"no {cls.__name__} could be made from the names of its constructor's parameters; "
            "give one: def inputs(rng): return layer, x"
        )
    return check(*made, name=name or cls.__name__, budget_s=budget_s)


def _examine(
    forward: Any,
    backward: Any,
    variants: list[Variant],
    program: Program,
    report: Report,
    wrt: list[str] | None,
    seed: int,
    budget_s: float,
    title: str,
) -> None:
    main = variants[0]
    modes_seen = False
    for variant in variants:
        if variant.purpose == "test" and backward is not None and not modes_seen:
            # A forward whose test mode is wrong makes a right backward look wrong there.
            attempt(report, "test mode", examine_modes, forward, main, program, report, title, budget_s)
            modes_seen = True
            if has_wrong(report):
                break
        attempt(
            report,
            f"the gradients {_label(variant)}".strip(),
            _examine_variant,
            forward,
            backward,
            variant,
            program,
            report,
            wrt,
            seed,
            budget_s,
        )
        if has_wrong(report):
            break  # one fault reported well, rather than its echo in every variant
    if backward is not None and report.gradients:
        gradients = _GradientsOf(forward, backward, main, program, wrt, seed)
        attempt(
            report, "the formula", examine_formula, forward, main, program, report, title, budget_s, gradients.are_right
        )
        attempt(report, "the behaviour", examine_behaviour, forward, backward, main, program, report, wrt, seed)
        _mutation_first(report)
        if not modes_seen:
            attempt(report, "test mode", examine_modes, forward, main, program, report, title, budget_s)
    elif backward is None and not has_wrong(report):
        attempt(report, "the behaviour", examine_loss_behaviour, forward, main, program, report)


def _mutation_first(report: Report) -> None:
    """Say of a line that is wrong, and changes the cache in place, only the latter: it is what is wrong with it."""
    places = {(f.path, f.line) for f in report.findings if f.cause == "mutation"}
    doubled = [f for f in report.findings if f.cause != "mutation" and (f.path, f.line) in places]
    if doubled:
        report.findings[:] = [f for f in report.findings if f not in doubled]
        report.findings.sort(key=lambda f: f.cause != "mutation")


@dataclass(frozen=True)
class _GradientsOf:
    """The gradients of a pair at one set of inputs, to be measured again when the forward has been edited."""

    forward: Any
    backward: Any
    variant: Variant
    program: Program
    wrt: list[str] | None
    seed: int

    def are_right(self) -> bool:
        """Whether the backward is that of the forward as it now is, along one direction for each array."""
        return gradients_are_right(
            Layer(self.forward, self.backward, self.variant.arguments, self.program, self.wrt, self.seed)
        )


def _title(forward: Callable[..., Any], backward: Callable[..., Any] | None) -> str:
    return str(getattr(backward if backward is not None else forward, "__name__", "backward"))


def _variants(forward: Callable[..., Any], title: str, arguments: Any, seed: int) -> list[Variant]:
    if callable(arguments):
        arguments = arguments(np.random.default_rng(seed))
    elif isinstance(arguments, dict):
        _refuse_unknown(forward, arguments)
    if arguments is not None:
        named = arguments_by_name(forward, arguments)
        given = {k: _as_float(v) for k, v in named.items()}
        single = _batch_of_one(forward, title, given)
        return [Variant("main", given), *([Variant("one", single)] if single is not None else [])]
    variants = inputs.build(forward, getattr(forward, "__name__", title), seed)
    if not variants:
        raise ArgumentError(
            f"no inputs could be made for {getattr(forward, '__name__', 'forward')}: a parameter's name is not "
            "one of the usual; "
            "give them, as a tuple or dict of arrays, or as a function inputs(rng)"
        )
    return variants


def _refuse_unknown(forward: Callable[..., Any], arguments: dict[str, Any]) -> None:
    """Raise where a dict for this forward alone holds a name that it does not take: a slip of the pen would go unseen."""
    try:
        parameters = inspect.signature(forward).parameters.values()
    except (TypeError, ValueError):
        return
    names = [p.name for p in parameters]
    unknown = [name for name in arguments if name not in names]
    if unknown and not any(p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD) for p in parameters):
        raise ArgumentError(
            f"arguments: {getattr(forward, '__name__', 'the forward')} takes {', '.join(names) or 'nothing'}, and the dict "
            f"holds {', '.join(map(str, unknown))} as well; a function inputs(rng) may return more than it takes"
        )


def _batch_of_one(forward: Callable[..., Any], title: str, given: dict[str, Any]) -> dict[str, Any] | None:
    """Return the first row only of a user's own inputs, or None where it is not plain which axis the batch is."""
    count = next((len(v) for v in given.values() if isinstance(v, np.ndarray) and v.ndim > 1), 0)
    if count < 2 or inputs.kind_of(getattr(forward, "__name__", title)) == "batchnorm":
        return None
    code, known = getattr(forward, "__code__", None), getattr(forward, "__globals__", {})
    if code is None or code.co_freevars or any(isinstance(known.get(n), np.ndarray) for n in code.co_names):
        return None  # it may hold labels, or weights, of the whole batch
    single = {}
    for name, value in given.items():
        if not isinstance(value, np.ndarray):
            inside = [a for _, a in arrays_in(value, name)]
            if value == count or any(count in a.shape for a in inside):
                return None
            single[name] = value
            continue
        batch = value.ndim > 1 or value.dtype.kind in "iu"
        if count in value.shape[1:] or (count in value.shape and not batch):
            return None
        single[name] = value[:1] if count in value.shape else value
    try:
        with quiet():
            result = call_with(forward, fresh(single))
            out = np.asarray(result[0] if isinstance(result, tuple) else result)
            # A scalar (a loss) does not show whether all of it is one sample now: the function may hold labels itself.
            usable = bool(np.isfinite(out).all()) and out.shape[:1] == (1,)
    except Exception:
        return None
    return single if usable else None


def _as_float(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":
        return value.astype(np.float64)
    return value


def _add_sources(report: Report, program: Program, functions: list[Any]) -> None:
    for function in functions:
        source = program.source(function)
        if source is not None:
            file, node, _ = source
            text = file.lines[node.lineno - 1 : node.end_lineno]
            report.sources[f"{relative_path(file.path)}:{node.name}"] = {
                "path": relative_path(file.path),
                "first": node.lineno,
                "text": text,
            }


def _examine_variant(
    forward: Any,
    backward: Any,
    variant: Variant,
    program: Program,
    report: Report,
    wrt: list[str] | None,
    seed: int,
    budget_s: float,
) -> None:
    label = _label(variant)
    try:
        with quiet():
            subject: Subject
            if backward is None:
                subject = Loss(forward, variant.arguments, program, wrt, report.name)
            else:
                subject = Layer(forward, backward, variant.arguments, program, wrt, seed, report.name)
    except NotCheckable as error:
        if variant.purpose == "main":
            report.findings.append(Finding("wrong", "exception", str(error)))
        return
    except Exception as error:
        if variant.purpose == "main":
            report.findings.append(exception_finding(error, program, "the forward raised"))
        else:
            report.checked.append(f"not {label}: the forward raised {type(error).__name__}")
        return
    if not subject.leaves:
        report.findings.append(
            Finding("wrong", "exception", "no argument is an array of floating-point numbers; nothing to differentiate")
        )
        return
    _finite_forward(subject, report)
    if variant.purpose == "ties" and isinstance(subject, Layer):
        _ties(subject, report)
        return
    try:
        measured = measure(subject)
        if isinstance(subject, Layer):
            measured.extra = subject.extra
    except Exception as error:
        if variant.purpose == "test":
            report.checked.append(f"not {label}: the backward raised {type(error).__name__}")
            return
        report.findings.append(exception_finding(error, program, f"the backward raised{' ' + label if label else ''}"))
        explain_exception(subject, error, report.findings[-1], budget_s)
        if variant.purpose == "stride":
            report.findings[-1].cause = "window"  # with the usual window it did not
        return
    report.checked.append(label or "the usual shapes")
    if variant.purpose == "main":
        report.gradients = measured.rows
    elif measured.wrong:
        report.gradients += [_labelled(r, label) for r in measured.rows if r.status == "wrong"]
    kinks = sum(r.kinks for r in measured.rows)
    if kinks and isinstance(subject, Layer) and not measured.wrong:
        _ties(subject, report)
        if has_wrong(report):
            return
    if kinks and variant.purpose == "main":
        report.findings.append(
            Finding(
                "note",
                "kink",
                f"{kinks} element{'s lie' if kinks > 1 else ' lies'} at a kink, where there is no derivative; "
                "left out of the comparison",
            )
        )
    for leaf in measured.missing:
        line, code, path, function = line_with(program, backward or forward, ("return",), last=True)
        report.findings.append(
            Finding(
                "wrong",
                "missing_gradient",
                f"no gradient of {leaf} is returned",
                function,
                path,
                line,
                code,
                f"d{leaf}",
            )
        )
    if backward is not None and variant.purpose == "main" and measured.extra:
        line, code, path, function = line_with(program, backward, ("return",), last=True)
        report.findings.append(
            Finding(
                "wrong",
                "extra_gradient",
                f"{measured.extra} more gradient{'s' if measured.extra > 1 else ''} than arrays that the forward takes "
                f"{'are' if measured.extra > 1 else 'is'} returned  ->  {CAUSES['extra_gradient']}",
                function,
                path,
                line,
                code,
            )
        )
    for row in measured.rows:
        if row.note.startswith("so small") and variant.purpose == "main":
            report.findings.append(Finding("note", "small", f"d{row.name} is {row.note}", quantity=f"d{row.name}"))
    if variant.purpose == "main" and not has_wrong(report) and not measured.wrong and program.functions:
        mark_right(subject, measured, report)
    if measured.wrong:
        _explain_wrong(subject, measured, program, report, label, budget_s)


def _explain_wrong(
    subject: Subject, measured: Measured, program: Program, report: Report, label: str, budget_s: float
) -> None:
    """Say where and why gradients are wrong."""
    before = len(report.findings)
    try:
        with quiet():
            if isinstance(subject, Layer) and keeps_state(subject, program, report):
                return  # what the gradients hold now depends on how often the backward was called
    except Exception as error:
        report.checked.append(f"not a second call: it raised {type(error).__name__}")
    diagnose(subject, measured, report, budget_s)
    if label:
        for finding in report.findings[before:]:
            finding.message = f"{label}: {finding.message}"


def _labelled(row: GradientRow, label: str) -> GradientRow:
    return GradientRow(row.name, row.status, row.error, row.elements, row.kinks, label)


def _label(variant: Variant) -> str:
    if variant.purpose == "main":
        return ""
    if variant.purpose == "stride":
        merged: dict[str, Any] = {}
        for key, value in variant.arguments.items():
            if isinstance(value, dict):
                merged |= value
            elif isinstance(value, int):
                merged[key] = value
        return "with " + ", ".join(f"{k} {v}" for k, v in merged.items() if isinstance(v, int))
    return {
        "small": "with inputs of a small scale",
        "ties": "with equal values in a window",
        "one": "with a batch of one",
        "single": "with an axis of size one",
        "test": "in test mode",
        "image": "with inputs of more axes",
    }[variant.purpose]


def _finite_forward(subject: Subject, report: Report) -> None:
    program = subject.program
    with quiet():
        if np.isfinite(subject.loss(subject.leaves)) or any(f.cause == "not_finite" for f in report.findings):
            return
        with program.watched("values"):
            program.recorder.reset(record=True)
            subject.loss(subject.leaves)
            events = program.recorder.events or []
            program.recorder.reset()
    message = "the forward returns NaN or infinity on ordinary inputs"
    bad = next((e for e in events if e.site.defines and is_real(e.value) and not np.isfinite(e.value).all()), None)
    place = ("", "", 0, "") if bad is None else program.place(bad.site)
    message += f"; the first to hold one is {bad.site.name}" if bad is not None and bad.site.name else ""
    report.findings.append(Finding("wrong", "not_finite", message, *place))


# ---------------------------------------------------------------------------------------------------------------
# Ties


def _ties(subject: Layer, report: Report) -> None:
    """Move equal values together, which keeps them equal: along such a direction the maximum has a derivative."""
    program = subject.program
    with quiet():
        try:
            yours = subject.backward(lambda: None)
        except Exception as error:
            report.findings.append(
                exception_finding(error, program, "the backward raised with equal values in a window")
            )
            return
        for leaf, base in subject.leaves.items():
            if leaf not in yours or np.shape(yours[leaf]) != base.shape:
                continue
            values, index = np.unique(base, return_inverse=True)
            u = np.random.default_rng(5).standard_normal(len(values))[index].reshape(base.shape)

            def along(t: float, leaf: str = leaf, base: Array = base, u: Array = u) -> float:
                return subject.loss({**subject.leaves, leaf: base + t * u})

            d = numeric.derivative_along(along, lambda: 0)
            if d.kink:
                continue  # not a tie, or not only
            got = float(np.sum(yours[leaf] * u))
            if abs(got - d.value) > 1e-6 * max(abs(got), abs(d.value), 1e-3):
                line, code, path, function = line_with(
                    program, subject.user_backward, ("==", "equal", "isclose", "argmax", r"\bmax")
                )
                report.findings.append(
                    Finding(
                        "wrong",
                        "ties",
                        f"d{leaf} is wrong where values are equal (frequent after a relu)  ->  {CAUSES['ties']}",
                        function,
                        path,
                        line,
                        code,
                        f"d{leaf}",
                        "send it to one of them (argmax), or divide by how many there are",
                    )
                )
                return
    report.checked.append("ties")
