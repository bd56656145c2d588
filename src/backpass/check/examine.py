"""`check`: everything that is tried on one pair of functions, one loss, or one model."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import formulas, inputs, numeric, repair
from backpass.check.causes import CAUSES
from backpass.check.doctor import diagnose, exception_finding, has_wrong, measure, named_values, quiet
from backpass.check.inputs import Variant, kind_of
from backpass.check.instrument import Event, Program, line_with, relative_path
from backpass.check.report import Finding, GradientRow, Report
from backpass.check.subject import Layer, Loss, NotCheckable, Subject, arguments_by_name, call_with, fresh, repeatable
from backpass.errors import ArgumentError

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
        `forward(...) -> out, cache` (or several outs before the cache); or a function that returns `loss, gradients`; or a
        model, that is an object with `params` (a dict of arrays) and `loss(X, y) -> loss, grads`.
    backward
        `backward(dout, cache) -> gradients`, in the order of the forward's arguments (or a dict by name).  None for a loss.
        For a model: X.
    arguments
        Arguments of the forward: a tuple, or a dict by name, or a function of a `numpy.random.Generator` that returns one of them.
        Floating-point arrays are differentiated.  None: made from the names of function and parameters.  For a model: y.
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
    if not callable(forward) or hasattr(forward, "params"):
        if hasattr(forward, "loss") and hasattr(forward, "params"):
            from backpass.check.models import check_model

            return check_model(forward, backward, arguments, name=name, budget_s=budget_s)
        raise ArgumentError(
            f"expected a function or a model with `params` and `loss(X, y)`, got {type(forward).__name__}"
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


def _examine(
    forward: Any, backward: Any, variants: list[Variant], program: Program, report: Report, wrt: list[str] | None, seed: int, budget_s: float, title: str
) -> None:  # fmt: skip
    for variant in variants:
        _examine_variant(forward, backward, variant, program, report, wrt, seed, budget_s)
        if has_wrong(report):
            break  # one fault reported well, rather than its echo in every variant
    if backward is not None and not any(f.cause == "exception" for f in report.findings):
        with quiet():
            _formula(forward, variants[0], program, report, title, budget_s)
            _behaviour(forward, backward, variants[0], program, report, wrt, seed)
            _modes(forward, variants[0], program, report, title, budget_s)
    elif backward is None and not has_wrong(report):
        with quiet():
            _loss_behaviour(forward, variants[0], program, report)


def _title(forward: Callable[..., Any], backward: Callable[..., Any] | None) -> str:
    return str(getattr(backward if backward is not None else forward, "__name__", "backward"))


def _variants(forward: Callable[..., Any], title: str, arguments: Any, seed: int) -> list[Variant]:
    if callable(arguments):
        arguments = arguments(np.random.default_rng(seed))
    if arguments is not None:
        named = arguments_by_name(forward, arguments)
        return [Variant("main", {k: _as_float(v) for k, v in named.items()})]
    variants = inputs.build(forward, getattr(forward, "__name__", title), seed)
    if not variants:
        raise ArgumentError(
            f"no inputs could be made for {getattr(forward, '__name__', 'forward')}: a parameter's name is not one of the usual; "
            "give them, as a tuple or dict of arrays, or as a function inputs(rng)"
        )
    return variants


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
    except Exception as error:
        if variant.purpose == "test":
            report.checked.append(f"not {label}: the backward raised {type(error).__name__}")
            return
        report.findings.append(exception_finding(error, program, f"the backward raised{' ' + label if label else ''}"))
        return
    report.checked.append(label or "the usual shapes")
    if variant.purpose == "main":
        report.gradients = measured.rows
    elif measured.wrong:
        report.gradients += [_labelled(r, label) for r in measured.rows if r.status == "wrong"]
    kinks = sum(r.kinks for r in measured.rows)
    if kinks and variant.purpose == "main":
        report.findings.append(
            Finding(
                "note",
                "kink",
                f"{kinks} element{'s lie' if kinks > 1 else ' lies'} at a kink, where there is no derivative; left out of the comparison",
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
    for row in measured.rows:
        if row.note.startswith("so small") and variant.purpose == "main":
            report.findings.append(Finding("note", "small", f"d{row.name} is {row.note}", quantity=f"d{row.name}"))
    if measured.wrong:
        before = len(report.findings)
        diagnose(subject, measured, report, budget_s)
        if label:
            for finding in report.findings[before:]:
                finding.message = f"{label}: {finding.message}"
        if before == len(report.findings):
            names = ", ".join(f"d{w}" for w in measured.wrong)
            report.findings.append(
                Finding("wrong", "unknown", f"{names} wrong, and no line could be singled out", quantity=names)
            )


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
        "test": "in test mode",
        "image": "with inputs of more axes",
    }[variant.purpose]


def _finite_forward(subject: Subject, report: Report) -> None:
    with quiet():
        if not np.isfinite(subject.loss(subject.leaves)) and not any(f.cause == "not_finite" for f in report.findings):
            report.findings.append(
                Finding("wrong", "not_finite", "the forward returns NaN or infinity on ordinary inputs")
            )


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
            d = numeric.derivative_along(
                lambda t, leaf=leaf, base=base, u=u: subject.loss({**subject.leaves, leaf: base + t * u}), lambda: 0
            )  # type: ignore[misc]
            got = float(np.sum(yours[leaf] * u))
            if abs(got - d.value) > 1e-6 * max(abs(got), abs(d.value), 1e-3):
                line, code, path, function = line_with(
                    program, subject.user_backward, ("==", "equal", "isclose", "argmax", r"\bmax")
                )
                report.findings.append(
                    Finding("wrong", "ties", f"d{leaf} is wrong where values are equal (frequent after a relu)  ->  {CAUSES['ties']}",
                            function, path, line, code, f"d{leaf}", "send it to one of them (argmax), or divide by how many there are")
                )  # fmt: skip
                return
    report.checked.append("ties")


# ---------------------------------------------------------------------------------------------------------------
# Is the forward what its name says?


def _formula(forward: Any, variant: Variant, program: Program, report: Report, title: str, budget_s: float) -> None:
    kind = kind_of(getattr(forward, "__name__", title))
    name = getattr(forward, "__name__", title)

    def agrees() -> bool:
        result = call_with(forward, fresh(variant.arguments))
        out = np.asarray(result[0] if isinstance(result, tuple) else result)
        return any(
            o.shape == out.shape and numeric.relative_error(out, o) < 1e-6
            for o in formulas.expected(kind, name, fresh(variant.arguments))
        )

    references = list(formulas.expected(kind, name, fresh(variant.arguments)))
    if not references:
        return
    try:
        if agrees():
            report.checked.append("the forward's formula")
            return
    except Exception:
        return
    found = repair_forward(forward, variant, program, agrees, budget_s)
    if found is not None:
        finding = _forward_finding(program, found, "forward_formula", f"the forward is not {kind.replace('_', ' ')}")
        report.findings.insert(0, finding)


def _forward_finding(program: Program, found: repair.Repair, cause: str, message: str) -> Finding:
    path = found.function.__code__.co_filename
    code = program.files[path].lines[found.edit.line - 1].strip()
    return Finding(
        "wrong", cause, f"{message}  ->  {CAUSES[cause]}", found.function.__code__.co_name, relative_path(path), found.edit.line, code,
        fix=found.edit.text,
    )  # fmt: skip


def repair_forward(
    forward: Any, variant: Variant, program: Program, agrees: Callable[[], bool], budget_s: float
) -> repair.Repair | None:
    """An edit of the forward (or of what it calls in its file) that makes it agree with a formula."""
    recorder = program.recorder
    with program.watched("values"):
        recorder.reset(record=True)
        call_with(forward, fresh(variant.arguments))
        events = recorder.events or []
        recorder.reset()
    candidates = []
    for function in program.functions:
        names = {e.site.function for e in events}
        source = program.source(function)
        if source is None or source[1].name not in {n.rpartition(".")[2] for n in names}:
            continue
        _, definition, plain = source
        scope = _forward_scope(events, definition.name)
        every = repair.statements_at(
            definition, set(range(definition.lineno, (definition.end_lineno or definition.lineno) + 1))
        )
        candidates += [(plain, definition, e) for e in repair.edits_of(definition, every, scope)]

    def outcome() -> set[str]:
        return {"out"} if agrees() else set()

    repairs = repair.search(program, candidates, outcome, set(), {"out"}, budget_s)
    return repairs[0] if repairs else None


def _forward_scope(events: list[Event], function: str) -> repair.Scope:
    from backpass.check.doctor import _add_to_scope

    scope = repair.Scope()
    for event in events:
        if event.site.function.rpartition(".")[2] == function and event.site.kind in (
            "argument",
            "assign",
            "item",
            "after",
        ):
            _add_to_scope(scope, event.site.name, event.value)
    return scope


# ---------------------------------------------------------------------------------------------------------------
# Running statistics and test mode


def _modes(forward: Any, variant: Variant, program: Program, report: Report, title: str, budget_s: float) -> None:
    kind = kind_of(getattr(forward, "__name__", title))
    key = next((k for k, v in variant.arguments.items() if isinstance(v, dict) and "mode" in v), None)
    if kind in ("batchnorm", "spatial_batchnorm") and key is not None:
        _running_statistics(forward, variant, key, program, report, kind, budget_s)
    if kind == "dropout":
        _dropout_modes(forward, variant, program, report)


def _running_statistics(
    forward: Any, variant: Variant, key: str, program: Program, report: Report, kind: str, budget_s: float
) -> None:
    texts = [file.lines for file in program.files.values()]
    if not any("running" in line for lines in texts for line in lines):
        return
    x = next(v for v in variant.arguments.values() if isinstance(v, np.ndarray) and v.ndim in (2, 4))
    axes = (0,) if x.ndim == 2 else (0, 2, 3)
    momentum = variant.arguments[key]["momentum"]
    start_mean, start_var = np.linspace(0.5, 1.5, x.shape[1]), np.linspace(2.0, 3.0, x.shape[1])
    expected = {
        "running_mean": momentum * start_mean + (1 - momentum) * x.mean(axis=axes),
        "running_var": momentum * start_var + (1 - momentum) * x.var(axis=axes),
    }

    def after_training() -> dict[str, Any]:
        arguments = fresh(variant.arguments)
        arguments[key] |= {"running_mean": start_mean.copy(), "running_var": start_var.copy()}
        call_with(forward, arguments)
        return dict(arguments[key])

    def right() -> set[str]:
        got = after_training()
        return {
            k
            for k, v in expected.items()
            if k in got and np.shape(got[k]) == v.shape and numeric.relative_error(got[k], v) < 1e-9
        }

    try:
        fine = right()
    except Exception:
        return
    if fine != set(expected):
        got = after_training()
        for name in sorted(set(expected) - fine):
            _faulty_statistic(forward, variant, key, program, report, name, got.get(name), right, expected, fine, budget_s, x, momentum,
                              {"running_mean": start_mean, "running_var": start_var}[name], axes)  # fmt: skip
        return
    report.checked.append("running statistics")
    _test_mode(forward, variant, key, program, report, kind, budget_s, x, expected)


def _faulty_statistic(
    forward: Any, variant: Variant, key: str, program: Program, report: Report, name: str, got: Any, right: Callable[[], set[str]],
    expected: dict[str, Array], fine: set[str], budget_s: float, x: Array, momentum: float, start: Array, axes: tuple[int, ...],
) -> None:  # fmt: skip
    batch = x.mean(axis=axes) if name == "running_mean" else x.var(axis=axes)
    why = ""
    count = x.size // x.shape[1]
    if got is None or numeric.relative_error(np.asarray(got), start) < 1e-12:
        why = "it is not updated (or not written back)"
    elif numeric.relative_error(np.asarray(got), (1 - momentum) * start + momentum * batch) < 1e-9:
        why = "momentum is the wrong way round: it is the weight of the old value"
    elif (
        name == "running_var"
        and numeric.relative_error(np.asarray(got), momentum * start + (1 - momentum) * batch * count / (count - 1))
        < 1e-9
    ):
        why = "the unbiased variance (1/(N-1)) is used; the course, and this layer's forward, use 1/N"
    elif (
        name == "running_var"
        and numeric.relative_error(np.asarray(got), momentum * start + (1 - momentum) * np.sqrt(batch)) < 1e-9
    ):
        why = "the standard deviation is averaged instead of the variance"
    line, code, path, function = line_with(
        program, forward, (rf"{name}.*=.*(momentum|1 ?- ?)", rf"{name}.*[*+]=", name)
    )
    found = None
    if not why or why.startswith("momentum") or not line:
        candidates_wanted = {name}
        found = _repair_statistics(
            forward, variant, program, lambda: right() & candidates_wanted, candidates_wanted, budget_s
        )
    message = f"{name} is wrong" + (f": {why}" if why else "") + f"  ->  {CAUSES['running_stats']}"
    if found is not None and not why.startswith("momentum"):
        report.findings.append(
            _forward_finding(program, found, "running_stats", f"{name} is wrong" + (f": {why}" if why else ""))
        )
    else:
        report.findings.append(Finding("wrong", "running_stats", message, function, path, line, code, name))


def _repair_statistics(
    forward: Any, variant: Variant, program: Program, right: Callable[[], set[str]], wanted: set[str], budget_s: float
) -> repair.Repair | None:
    return repair_forward(forward, variant, program, lambda: wanted <= right(), budget_s)


def _test_mode(
    forward: Any,
    variant: Variant,
    key: str,
    program: Program,
    report: Report,
    kind: str,
    budget_s: float,
    x: Array,
    statistics: dict[str, Array],
) -> None:
    arguments = fresh(variant.arguments)
    arguments[key] |= {"mode": "test", **{k: v.copy() for k, v in statistics.items()}}
    eps = arguments[key].get("eps", 1e-5)
    shape = (1, -1, 1, 1) if x.ndim == 4 else (-1,)
    gamma, beta = (formulas._find(arguments, p) for p in (formulas.SCALE, formulas.SHIFT))
    mean, var = statistics["running_mean"].reshape(shape), statistics["running_var"].reshape(shape)
    expected = (x - mean) / np.sqrt(var + eps)
    if gamma is not None:
        expected = expected * np.reshape(gamma, shape)
    if beta is not None:
        expected = expected + np.reshape(beta, shape)

    def agrees() -> bool:
        result = call_with(forward, fresh(arguments))
        out = np.asarray(result[0] if isinstance(result, tuple) else result)
        return out.shape == expected.shape and numeric.relative_error(out, expected) < 1e-6

    try:
        if agrees():
            report.checked.append("test mode")
            return
    except Exception as error:
        report.findings.append(exception_finding(error, program, "in test mode the forward raised"))
        return
    found = repair_forward(forward, Variant("test", arguments), program, agrees, budget_s)
    if found is not None:
        report.findings.append(
            _forward_finding(
                program,
                found,
                "test_mode",
                "in test mode the output is not (x - running_mean) / sqrt(running_var + eps)",
            )
        )
    else:
        line, code, path, function = _test_line(program, forward)
        report.findings.append(
            Finding(
                "wrong",
                "test_mode",
                "in test mode the output is not (x - running_mean) / sqrt(running_var + eps), scaled and shifted",
                function,
                path,
                line,
                code,
            )
        )


def _dropout_modes(forward: Any, variant: Variant, program: Program, report: Report) -> None:
    """The mean over many masks in training should be what test mode returns."""
    x = next(v for v in variant.arguments.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f")
    big = np.full((200, 200), 1.7)

    def output(mode: str) -> Array | None:
        arguments = {k: (big.copy() if v is x else fresh(v)) for k, v in variant.arguments.items()}
        changed = False
        for k, v in arguments.items():
            if isinstance(v, dict) and "mode" in v:
                v["mode"], changed = mode, True
            elif k == "mode":
                arguments[k], changed = mode, True
            elif k.lower() in ("train", "training", "is_train", "is_training"):
                arguments[k], changed = mode == "train", True
        if not changed:
            return None
        np.random.seed(1)  # noqa: NPY002
        result = call_with(forward, arguments)
        return np.asarray(result[0] if isinstance(result, tuple) else result, dtype=np.float64)

    try:
        train, test = output("train"), output("test")
    except Exception:
        return
    if train is None or test is None or train.shape != test.shape:
        return
    mean = float(train.mean())
    spread = float(train.std()) / np.sqrt(train.size)
    if abs(mean - float(test.mean())) <= 6 * spread + 1e-9:
        report.checked.append("train and test mode agree in the mean")
        return
    ratio = mean / float(test.mean()) if test.any() else float("nan")
    line, code, path, function = line_with(
        program, forward, (r"(rand|random|binomial|choice|uniform)\(", "mask", "train", "test")
    )
    if np.array_equal(test, big) and abs(mean - 1.7) > 6 * spread:
        words = f"the mean output in training is {ratio:.3g} times that in test mode: divide what is kept by the probability of keeping"
    else:
        line, code, path, function = _test_line(program, forward)
        words = f"test mode does not return the mean of training (ratio {ratio:.3g})"
    report.findings.append(
        Finding("wrong", "test_mode", f"{words}  ->  {CAUSES['test_mode']}", function, path, line, code)
    )


def _test_line(program: Program, forward: Any) -> tuple[int, str, str, str]:
    """The statement that makes the output in test mode."""
    import ast

    source = program.source(forward)
    if source is None:
        return 0, "", "", ""
    file, node, _ = source
    for branch in ast.walk(node):
        if isinstance(branch, ast.If):
            text = ast.unparse(branch.test)
            body = branch.body if "test" in text or "not " in text else branch.orelse
            while len(body) == 1 and isinstance(body[0], ast.If):
                body = body[0].body
            for statement in body:
                if isinstance(statement, ast.Assign | ast.Return):
                    line = statement.lineno
                    return line, file.lines[line - 1].strip(), relative_path(file.path), node.name
    return 0, "", "", ""


# ---------------------------------------------------------------------------------------------------------------
# Behaviour: mutation, second call, number types


def arrays_in(value: Any, label: str, depth: int = 0) -> list[tuple[str, Any]]:
    """All arrays inside a cache, whatever it is made of, each with a name."""
    if isinstance(value, np.ndarray):
        return [(label, value)]
    if depth > 3:
        return []
    if isinstance(value, dict):
        return [a for k, v in value.items() for a in arrays_in(v, f"{label}[{k!r}]", depth + 1)]
    if isinstance(value, tuple | list):
        names = getattr(value, "_fields", None)
        return [
            a
            for i, v in enumerate(value)
            for a in arrays_in(v, f"{label}.{names[i]}" if names else f"{label}[{i}]", depth + 1)
        ]
    if hasattr(value, "__dict__") and not callable(value):
        return [a for k, v in vars(value).items() for a in arrays_in(v, f"{label}.{k}", depth + 1)]
    return []


def _behaviour(
    forward: Any, backward: Any, variant: Variant, program: Program, report: Report, wrt: list[str] | None, seed: int
) -> None:
    layer = Layer(forward, backward, variant.arguments, program, wrt, seed)
    recorder = program.recorder
    arguments = fresh(variant.arguments)
    given = [
        (k, v) for k, v in arguments.items() if isinstance(v, np.ndarray) and not k.startswith(("running", "moving"))
    ]
    layer.randomness.rewind()
    with program.watched("ticks"):
        recorder.reset(watch=[a for _, a in given])
        before = [a.copy() for _, a in given]
        result = call_with(forward, arguments)
        changed = recorder.changed
        recorder.reset()
    _report_mutation(program, report, forward, "forward", given, before, changed)
    upstream = [np.array(d) for d in layer.upstream]
    rest = result[layer.binding.outputs :] if isinstance(result, tuple) else ()
    cached = [a for i, c in enumerate(rest) for a in arrays_in(c, "cache" if len(rest) == 1 else f"cache {i + 1}")]
    watched = [("dout" if len(upstream) == 1 else f"upstream gradient {i + 1}", d) for i, d in enumerate(upstream)]
    names = {id(a): k for k, a in given}
    watched += [(f"{names[id(a)]} (through the cache)" if id(a) in names else label, a) for label, a in cached]
    watched += [(k, a) for k, a in given if all(a is not w for _, w in watched)]
    before = [np.array(a) for _, a in watched]
    layer.randomness.rewind(1)
    with program.watched("ticks"):
        recorder.reset(watch=[a for _, a in watched])
        first = layer.call_backward(upstream, result, arguments)
        first = _frozen(layer.by_leaf(first))
        changed = recorder.changed
        recorder.reset()
    mutated = _report_mutation(program, report, backward, "backward", watched, before, changed)
    for (_, array), old in zip(watched, before, strict=True):
        if mutated and array.flags.writeable:
            array[...] = old
    upstream = [np.array(d) for d in layer.upstream]
    layer.randomness.rewind(1)
    try:
        second = _frozen(layer.by_leaf(layer.call_backward(upstream, result, arguments)))
    except Exception as error:
        finding = exception_finding(error, program, "a second call of the backward with the same cache raised")
        finding.cause = "second_call"
        report.findings.append(finding)
        return
    if not has_wrong(report) or not mutated:
        _report_second_call(layer, program, report, first, second, mutated)
    _number_types(forward, backward, variant, program, report, layer)


def _frozen(gradients: dict[str, Any]) -> dict[str, Any]:
    return {k: np.array(v) for k, v in gradients.items() if v is not None}


def _report_mutation(
    program: Program,
    report: Report,
    function: Any,
    which: str,
    arrays: list[tuple[str, Any]],
    before: list[Any],
    changed: list[tuple[int, str, int]],
) -> bool:
    damaged = [
        i
        for i, ((_, a), old) in enumerate(zip(arrays, before, strict=True))
        if not np.array_equal(a, old, equal_nan=True)
    ]
    if not damaged:
        return False
    places = {i: (path, line) for i, path, line in reversed(changed)}
    index = min(damaged, key=lambda i: next((n for n, c in enumerate(changed) if c[0] == i), len(changed)))
    name = arrays[index][0]
    path, line, code = "", 0, ""
    if index in places:
        path, line = places[index]
        code = program.files[path].lines[line - 1].strip()
        path = relative_path(path)
    else:
        line, code, path, _ = line_with(program, function, ("out=", "return"))
    report.findings.append(
        Finding("wrong", "mutation", f"the {which} changes {name} in place  ->  the caller's array is spoilt: work on a copy",
                getattr(function, "__name__", which), path, line, code, name)
    )  # fmt: skip
    return True


def _report_second_call(
    layer: Layer, program: Program, report: Report, first: dict[str, Any], second: dict[str, Any], mutated: bool
) -> None:
    different = [k for k in first if k in second and not np.array_equal(first[k], second[k], equal_nan=True)]
    if not different or mutated:
        return
    recorder = program.recorder
    runs = []
    layer.randomness.rewind(1)
    result = layer._call_forward(layer.leaves)
    with program.watched("values"):
        for _ in range(2):
            layer.randomness.rewind(1)
            recorder.reset(record=True)
            layer.call_backward([np.array(d) for d in layer.upstream], result, fresh(layer.arguments))
            runs.append(recorder.events or [])
            recorder.reset()
    other = {e.key: e.value for e in runs[1]}
    place = next(
        (
            e.site
            for e in runs[0]
            if e.site.defines
            and isinstance(e.value, np.ndarray | np.generic)
            and not np.array_equal(e.value, other.get(e.key, np.nan), equal_nan=True)
        ),
        None,
    )
    names = ", ".join(f"d{k}" for k in different)
    finding = Finding(
        "wrong",
        "second_call",
        f"{names}: a second call with the same cache gives another result  ->  something is kept between calls",
    )
    if place is not None:
        finding.path, finding.line, finding.function = (
            relative_path(place.path),
            place.line,
            place.function.rpartition(".")[2],
        )
        finding.code = program.files[place.path].lines[place.line - 1].strip()
        finding.quantity = place.name
    report.findings.append(finding)


def _number_types(
    forward: Any, backward: Any, variant: Variant, program: Program, report: Report, layer: Layer
) -> None:
    """float32 in, float32 out; float64 in, float64 out."""
    for leaf, gradient in _frozen(layer.backward(lambda: None)).items():
        if gradient.dtype in (np.float32, np.float16) and not any(f.cause == "dtype" for f in report.findings):
            _dtype_finding(
                layer,
                program,
                report,
                gradient.dtype,
                f"d{leaf} comes back as {gradient.dtype} from float64 inputs: digits are lost",
                True,
            )
            return
    low = {
        k: v.astype(np.float32) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else fresh(v)
        for k, v in variant.arguments.items()
    }
    try:
        small = Layer(forward, backward, low, program)
        small.leaves = {k: low[k] for k in layer.leaves}  # type: ignore[assignment]
        small.last_result = small._call_forward(small.leaves)
        small.upstream = [np.asarray(d, dtype=np.float32) for d in small.upstream]  # type: ignore[misc]
        out = small._outputs(small.last_result)[0]
        gradients = _frozen(small.backward(lambda: None))
    except Exception as error:
        report.findings.append(exception_finding(error, program, "with float32 inputs it raised"))
        report.findings[-1].severity = "warning"
        return
    report.checked.append("float32")
    if has_wrong(report):
        return
    if np.asarray(out).dtype == np.float64:
        _dtype_finding(
            small,
            program,
            report,
            np.dtype(np.float64),
            "the forward turns float32 inputs into float64",
            False,
            forward=True,
        )
        return
    promoted = [k for k, g in gradients.items() if g.dtype == np.float64]
    if promoted:
        names = ", ".join(f"d{k}" for k in promoted)
        _dtype_finding(
            small,
            program,
            report,
            np.dtype(np.float64),
            f"{names} of float64 from float32 inputs: twice the memory, half the speed",
            False,
        )


def _dtype_finding(
    layer: Layer, program: Program, report: Report, dtype: Any, message: str, truncated: bool, forward: bool = False
) -> None:
    recorder = program.recorder
    with program.watched("values"):
        recorder.reset(record=True)
        layer.randomness.rewind()
        result = layer._call_forward(layer.leaves)
        if not forward:
            recorder.reset(record=True)
            arguments = {k: layer.leaves.get(k, fresh(v)) for k, v in layer.arguments.items()}
            layer.call_backward([np.array(d) for d in layer.upstream], result, arguments)
        events = recorder.events or []
        recorder.reset()
    place = next(
        (
            e
            for e in events
            if isinstance(e.value, np.ndarray) and e.value.dtype == dtype and e.site.kind not in ("argument", "use")
        ),
        None,
    )
    finding = Finding("warning", "dtype", f"{message}  ->  {CAUSES['dtype']}")
    if place is not None:
        site = place.site
        finding.path, finding.line, finding.function = (
            relative_path(site.path),
            site.line,
            site.function.rpartition(".")[2],
        )
        finding.code, finding.quantity = program.files[site.path].lines[site.line - 1].strip(), site.name
    report.findings.append(finding)


def _loss_behaviour(function: Any, variant: Variant, program: Program, report: Report) -> None:
    """A loss must not change its inputs."""
    recorder = program.recorder
    arguments = fresh(variant.arguments)
    given = [(k, v) for k, v in arguments.items() if isinstance(v, np.ndarray)]
    before = [a.copy() for _, a in given]
    with program.watched("ticks"):
        recorder.reset(watch=[a for _, a in given])
        call_with(function, arguments)
        changed = recorder.changed
        recorder.reset()
    _report_mutation(program, report, function, "function", given, before, changed)


__all__ = ["check", "named_values"]
