"""What a name promises: the forward's formula, running statistics, test mode consistent with training mode."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import formulas, numeric
from backpass.check.causes import CAUSES
from backpass.check.edits import Scope, statements_at
from backpass.check.findings import exception_finding, has_wrong
from backpass.check.formulas import find_array
from backpass.check.inputs import SCALE, SHIFT, Variant, kind_of
from backpass.check.instrument import Program, line_with, reachable, relative_path
from backpass.check.recorder import Event
from backpass.check.repair import Repair, search
from backpass.check.report import Finding, Report
from backpass.check.scope import add_to_scope
from backpass.check.slips import edits_of
from backpass.check.subject import call_with, fresh

Array = NDArray[np.float64]
Place = tuple[int, str, str, str]  # line, its text, path, function


def examine_formula(
    forward: Any,
    variant: Variant,
    program: Program,
    report: Report,
    title: str,
    budget_s: float,
    gradients_right: Callable[[], bool],
) -> None:
    """Compare the forward of a layer of the usual kinds with its formula."""
    kind = kind_of(getattr(forward, "__name__", title))
    name = getattr(forward, "__name__", title)

    references = list(formulas.expected(kind, name, fresh(variant.arguments)))
    if not references:
        return

    def output() -> Array:
        return _output_of(call_with(forward, fresh(variant.arguments)))

    def agrees(accepted: list[Array]) -> bool:
        out = output()
        return any(o.shape == out.shape and numeric.relative_error(out, o) < 1e-6 for o in accepted)

    try:
        if agrees(references):
            report.checked.append("the forward's formula")
            return
        if formulas.of_the_family(kind, name, references, fresh(variant.arguments), output()):
            return
    except Exception:
        return
    # A slip is blamed only if undoing it gives the usual formula; another formula altogether is the author's business.
    found = repair_forward(forward, variant, program, lambda: agrees(references[:1]), budget_s)
    if found is not None:
        finding = _forward_finding(program, found, "forward_formula", f"the forward is not what {name} promises")
        # It comes first if it explains the wrong gradients as well.
        comes_first = has_wrong(report) and _with(program, found, gradients_right)
        report.findings.insert(0 if comes_first else len(report.findings), finding)


def _with(program: Program, repair: Repair, question: Callable[[], bool]) -> bool:
    """Ask a question of the program as it is with a repair made."""
    source = program.source(repair.function)
    assert source is not None
    repair.edit.apply()
    try:
        code = program.compile_definition(repair.function, source[1])
        with program.watched("", {repair.function: code}):
            return question()
    except Exception:
        return False
    finally:
        repair.edit.undo()


def _forward_finding(program: Program, found: Repair, cause: str, message: str) -> Finding:
    path = found.function.__code__.co_filename
    code = program.code_at(path, found.edit.line)
    return Finding(
        "wrong",
        cause,
        f"{message}  ->  {CAUSES[cause]}",
        found.function.__code__.co_name,
        relative_path(path),
        found.edit.line,
        code,
        fix=found.edit.text,
    )


def repair_forward(
    forward: Any, variant: Variant, program: Program, agrees: Callable[[], bool], budget_s: float
) -> Repair | None:
    """Return an edit of the forward (or of what it calls in its file) that makes it agree with a formula."""
    _, events = _recorded(program, lambda: call_with(forward, fresh(variant.arguments)))
    candidates = []
    for function in program.functions:
        names = {e.site.function for e in events}
        source = program.source(function)
        if source is None or source[1].name not in {n.rpartition(".")[2] for n in names}:
            continue
        _, definition, plain = source
        scope = _forward_scope(events, definition.name)
        every = statements_at(
            definition, set(range(definition.lineno, (definition.end_lineno or definition.lineno) + 1))
        )
        candidates += [(plain, definition, e) for e in edits_of(definition, every, scope)]

    def outcome() -> set[str]:
        return {"out"} if agrees() else set()

    repairs = search(program, candidates, outcome, set(), {"out"}, budget_s)
    return repairs[0] if repairs else None


def _forward_scope(events: list[Event], function: str) -> Scope:
    scope = Scope()
    for event in events:
        if event.site.function.rpartition(".")[2] == function and event.site.kind in (
            "argument",
            "assign",
            "item",
            "after",
        ):
            add_to_scope(scope, event.site.name, event.value)
    return scope


# ---------------------------------------------------------------------------------------------------------------
# Running statistics and test mode


def examine_modes(
    forward: Any, variant: Variant, program: Program, report: Report, title: str, budget_s: float
) -> None:
    """Check the running statistics of batch norm, and test mode against training mode."""
    kind = kind_of(getattr(forward, "__name__", title))
    key = next((k for k, v in variant.arguments.items() if isinstance(v, dict) and "mode" in v), None)
    if kind in ("batchnorm", "spatial_batchnorm") and key is not None:
        _running_statistics(forward, variant, key, program, report, budget_s)
    if kind == "dropout":
        _dropout_modes(forward, variant, program, report)


def _running_statistics(
    forward: Any, variant: Variant, key: str, program: Program, report: Report, budget_s: float
) -> None:
    text = "\n".join(ast.unparse(s[1]) for f in reachable([forward]) if (s := program.source(f)) is not None)
    if not all(word in text for word in ("running", "momentum")):
        return  # no running statistics, or not by the course's names
    x = next(v for v in variant.arguments.values() if isinstance(v, np.ndarray) and v.ndim in (2, 4))
    axes = (0,) if x.ndim == 2 else (0, 2, 3)
    momentum = variant.arguments[key].get("momentum", 0.9)  # a bn_param may leave it to the function's default
    start_mean, start_var = np.linspace(0.5, 1.5, x.shape[1]), np.linspace(2.0, 3.0, x.shape[1])
    expected = {
        "running_mean": momentum * start_mean + (1 - momentum) * x.mean(axis=axes),
        "running_var": momentum * start_var + (1 - momentum) * x.var(axis=axes),
    }

    def after_training() -> dict[str, Any]:
        arguments = fresh(variant.arguments)
        start = {"running_mean": start_mean.copy(), "running_var": start_var.copy()}
        arguments[key] |= {"momentum": momentum, **start}
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
            _faulty_statistic(
                forward,
                variant,
                program,
                report,
                name,
                got.get(name),
                right,
                after_training,
                budget_s,
                x,
                momentum,
                {"running_mean": start_mean, "running_var": start_var}[name],
                axes,
            )
        return
    report.checked.append("running statistics")
    _test_mode(forward, variant, key, program, report, budget_s, x, expected)


def _faulty_statistic(
    forward: Any,
    variant: Variant,
    program: Program,
    report: Report,
    name: str,
    got: Any,
    right: Callable[[], set[str]],
    after_training: Callable[[], Any],
    budget_s: float,
    x: Array,
    momentum: float,
    start: Array,
    axes: tuple[int, ...],
) -> None:
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
    changed = got is not None and not np.array_equal(got, start)
    computed = _first_with(program, _recorded(program, after_training)[1], got) if changed else None
    if computed is not None:
        line, code, path, function = computed
    found = None
    if not why or not line:
        candidates_wanted = {name}
        found = _repair_statistics(
            forward, variant, program, lambda: right() & candidates_wanted, candidates_wanted, budget_s
        )
    message = f"{name} is wrong" + (f": {why}" if why else "") + f"  ->  {CAUSES['running_stats']}"
    if found is not None:
        report.findings.append(
            _forward_finding(program, found, "running_stats", f"{name} is wrong" + (f": {why}" if why else ""))
        )
    else:
        report.findings.append(Finding("wrong", "running_stats", message, function, path, line, code, name))


def _repair_statistics(
    forward: Any, variant: Variant, program: Program, right: Callable[[], set[str]], wanted: set[str], budget_s: float
) -> Repair | None:
    return repair_forward(forward, variant, program, lambda: wanted <= right(), budget_s)


def _test_mode(
    forward: Any,
    variant: Variant,
    key: str,
    program: Program,
    report: Report,
    budget_s: float,
    x: Array,
    statistics: dict[str, Array],
) -> None:
    arguments = fresh(variant.arguments)
    arguments[key] |= {"mode": "test", **{k: v.copy() for k, v in statistics.items()}}
    eps = arguments[key].get("eps", 1e-5)
    shape = (1, -1, 1, 1) if x.ndim == 4 else (-1,)
    gamma, beta = (find_array(arguments, p) for p in (SCALE, SHIFT))
    mean, var = statistics["running_mean"].reshape(shape), statistics["running_var"].reshape(shape)
    expected = (x - mean) / np.sqrt(var + eps)
    if gamma is not None:
        expected = expected * np.reshape(gamma, shape)
    if beta is not None:
        expected = expected + np.reshape(beta, shape)

    trained = _output_of(call_with(forward, fresh(variant.arguments)))

    def agrees() -> bool:
        out = _output_of(call_with(forward, fresh(arguments)))
        return out.shape == expected.shape and numeric.relative_error(out, expected) < 1e-6

    def agrees_and_still_trains() -> bool:
        out = _output_of(call_with(forward, fresh(variant.arguments)))
        return agrees() and out.shape == trained.shape and numeric.relative_error(out, trained) < 1e-9

    try:
        if agrees():
            report.checked.append("test mode")
            return
    except Exception as error:
        report.findings.append(exception_finding(error, program, "in test mode the forward raised"))
        return
    message = "in test mode the output is not (x - running_mean) / sqrt(running_var + eps)"
    mixing = _where_rows_mix(program, forward, arguments, variant.arguments, x)
    if mixing is not None:
        line, code, path, function = mixing
        message += ", but depends on the other rows of the batch"
        report.findings.append(Finding("wrong", "test_mode", message, function, path, line, code))
        return
    found = repair_forward(forward, Variant("test", arguments), program, agrees_and_still_trains, budget_s)
    if found is not None:
        report.findings.append(
            _forward_finding(
                program,
                found,
                "test_mode",
                message,
            )
        )
    else:
        line, code, path, function = _line_of_output(program, forward, arguments)
        message += ", scaled and shifted"
        report.findings.append(Finding("wrong", "test_mode", message, function, path, line, code))


def _where_rows_mix(
    program: Program, forward: Any, tested: dict[str, Any], trained: dict[str, Any], x: Array
) -> Place | None:
    """Return the line of test mode at which an image comes to depend on the others of its batch, or None.

    What training computes as well, and nobody uses in test mode, is not blamed.
    """
    name = next(k for k, v in tested.items() if isinstance(v, np.ndarray) and v.shape == x.shape)

    def events_of(arguments: dict[str, Any]) -> list[Event]:
        _, events = _recorded(program, lambda: call_with(forward, fresh(arguments)))
        return [e for e in events if e.site.defines and isinstance(e.value, np.ndarray)]

    others = x.copy()
    others[1:] = others[1:] * 1.5 + 0.25
    moved = {e.key: e.value for e in events_of({**tested, name: others})}

    def mixes(event: Event) -> bool:
        value, other = event.value, moved.get(event.key)
        if other is None or value.shape != other.shape:
            return False
        rows = value.ndim > 1 and len(value) == len(x)
        return not np.array_equal(value[0], other[0]) if rows else not np.array_equal(value, other)

    in_both = {e.site.key for e in events_of(trained)}
    found = [e for e in events_of(tested) if mixes(e)]
    if not any(e.value.shape == x.shape for e in found):
        return None
    only = [e for e in found if e.site.key not in in_both] or [e for e in found if e.value.shape == x.shape]
    return _place(program, only[0])


def _dropout_modes(forward: Any, variant: Variant, program: Program, report: Report) -> None:
    """Compare the mean over many masks in training with what test mode returns."""
    x = next(v for v in variant.arguments.values() if isinstance(v, np.ndarray) and v.dtype.kind == "f")
    # 40 000 independent elements, even where whole channels are kept or dropped, whatever the number of axes.
    big = np.full((200, 200, *(1,) * (x.ndim - 2)) if x.ndim > 1 else (40000,), 1.7)

    def in_mode(mode: str) -> dict[str, Any] | None:
        arguments = {k: (big.copy() if v is x else fresh(v)) for k, v in variant.arguments.items()}
        changed = False
        for k, v in arguments.items():
            if isinstance(v, dict) and "mode" in v:
                v["mode"], changed = mode, True
            elif k == "mode":
                arguments[k], changed = mode, True
            elif k.lower() in ("train", "training", "is_train", "is_training"):
                arguments[k], changed = mode == "train", True
        return arguments if changed else None

    def output(mode: str) -> Array | None:
        arguments = in_mode(mode)
        if arguments is None:
            return None
        np.random.seed(1)  # noqa: NPY002
        return _output_of(call_with(forward, arguments)).astype(np.float64)

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
    scaled = _wrong_scale(program, forward, in_mode("train") or {}, big) if np.array_equal(test, big) else None
    if scaled is not None:
        scale, kept, (line, code, path, function) = scaled
        words = f"what is kept is multiplied by {scale:.4g}, but {kept:.4g} of the elements are kept"
        report.findings.append(
            Finding("wrong", "keep_prob", f"{words}  ->  {CAUSES['keep_prob']}", function, path, line, code)
        )
        return
    line, code, path, function = _line_of_output(program, forward, in_mode("train") or {})
    if np.array_equal(test, big) and abs(mean - 1.7) > 6 * spread:
        words = (
            f"the mean output in training is {ratio:.3g} times that in test mode: "
            "divide what is kept by the probability of keeping"
        )
    else:
        line, code, path, function = _line_of_output(program, forward, in_mode("test") or {})
        words = f"test mode does not return the mean of training (ratio {ratio:.3g})"
    report.findings.append(
        Finding("wrong", "test_mode", f"{words}  ->  {CAUSES['test_mode']}", function, path, line, code)
    )


def _wrong_scale(
    program: Program, forward: Any, arguments: dict[str, Any], x: Array
) -> tuple[float, float, Place] | None:
    """Return the scale of a dropout's mask, the share that is kept, and the line of the mask; None without a scale."""
    np.random.seed(1)  # noqa: NPY002
    result, events = _recorded(program, lambda: call_with(forward, fresh(arguments)))
    out = _output_of(result).astype(np.float64)
    kept = out != 0
    scales = np.unique(np.round(out[kept] / x[kept], 9))
    if len(scales) != 1 or abs(scales[0] - 1) < 1e-9:
        return None
    for event in events:
        site, value = event.site, event.value
        scaled = site.defines and isinstance(value, np.ndarray) and value.dtype.kind == "f" and value.shape == x.shape
        if scaled and np.array_equal(value != 0, kept) and abs(float(value.max()) - 1) > 1e-9:
            return float(scales[0]), float(kept.mean()), _place(program, event)
    return None


def _output_of(result: Any) -> Array:
    return np.asarray(result[0] if isinstance(result, tuple) else result)


def _line_of_output(program: Program, forward: Any, arguments: dict[str, Any]) -> Place:
    """Return the statement that first computes what the forward returns."""
    result, events = _recorded(program, lambda: call_with(forward, fresh(arguments)))
    return _first_with(program, events, _output_of(result)) or (0, "", "", "")


def _first_with(program: Program, events: list[Event], value: Any) -> Place | None:
    """Return the place that first computes an array."""
    for event in events:
        if event.site.defines and isinstance(event.value, np.ndarray) and np.array_equal(event.value, value):
            return _place(program, event)
    return None


def _recorded(program: Program, run: Callable[[], Any]) -> tuple[Any, list[Event]]:
    """Return the result of a run of the forward, and all that it computes on the way."""
    with program.watched("values"):
        program.recorder.reset(record=True)
        result = run()
        events = program.recorder.events or []
        program.recorder.reset()
    return result, events


def _place(program: Program, event: Event) -> Place:
    function, path, line, code = program.place(event.site)
    return line, code, path, function
