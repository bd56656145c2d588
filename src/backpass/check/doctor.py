"""The examination: measure, locate, explain, and look at how the code behaves."""

from __future__ import annotations

import ast
import contextlib
import re
import traceback
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import numeric
from backpass.check.causes import CAUSES, Cause, explain
from backpass.check.earlier import moved_to_definition
from backpass.check.edits import Scope, statements_at
from backpass.check.instrument import Program, reachable, relative_path
from backpass.check.locate import Key, Location, Truth, Verdict, backward_events, judge, locate
from backpass.check.marks import mark
from backpass.check.measure import Measured, gradients_are_right, quiet
from backpass.check.nested import stems
from backpass.check.reasons import cause_by_value, context_of, gradients_of
from backpass.check.recorder import Allowance, Event, Site, is_real
from backpass.check.repair import Repair, search
from backpass.check.report import Finding, Report
from backpass.check.scope import candidates_of, scope_of
from backpass.check.solve import solve_for
from backpass.check.subject import Layer, Subject
from backpass.check.windows import other_windows

Array = NDArray[np.float64]


def diagnose(subject: Subject, measured: Measured, report: Report, budget_s: float = 3.0) -> None:
    """Find the faults behind wrong gradients and add them to a report; that they are wrong is said whatever happens."""
    before = len(report.findings)
    stopped = ""
    try:
        _find_faults(subject, measured, report, budget_s)
    except Exception as error:
        stopped = f" (the search ended with {type(error).__name__}: {error})"
    if not any(f.severity == "wrong" for f in report.findings[before:]):
        names = ", ".join(f"d{w}" for w in measured.wrong)
        message = f"{names} wrong, and no line could be singled out{stopped}"
        report.findings.append(Finding("wrong", "unknown", message, quantity=names))


def _find_faults(subject: Subject, measured: Measured, report: Report, budget_s: float) -> None:
    """Find the faults, one after the other."""
    program = subject.program
    if not program.functions:
        _without_source(subject, measured, report, "the source is not at hand, so no line can be judged")
        return
    allowance = Allowance(program.recorder, budget_s)
    if isinstance(subject, Layer) and _draws_in_backward(subject, report):
        return
    with quiet():
        truth = Truth(subject, budget_s=budget_s / 4)
        overrides: dict[Key, Any] = {}
        yours = dict(measured.yours)
        wrong = list(measured.wrong)
        first_round = True
        for _ in range(4):
            try:
                events, moving = backward_events(subject, truth, overrides)
            except Exception as error:
                report.findings[-1].details.append(f"after that, {type(error).__name__}: {error}")
                break
            outputs = {leaf: (yours[leaf], measured.true[leaf]) for leaf in measured.true}
            verdicts = judge(subject, truth, events, moving, outputs)
            location = locate(subject, truth, verdicts, events, wrong, overrides, measured.true)
            if first_round and not location.suspects:
                location.suspects = _last_return(subject, events)
            finding, fault = _decide(
                subject,
                truth,
                measured,
                location,
                events,
                wrong,
                yours,
                overrides,
                allowance.left(),
            )
            if finding is None:
                if first_round:
                    _without_source(
                        subject,
                        measured,
                        report,
                        "none of the values computed on the way could be matched with one of the forward",
                    )
                break
            if any(
                f.line == finding.line and f.path == finding.path and f.severity == "wrong" for f in report.findings
            ):
                break
            report.findings.append(finding)
            mark(report, verdicts, finding, fault)
            first_round = False
            wrong, yours, overrides = _with_fault_removed(
                subject, measured, truth, fault, overrides, finding, wrong, yours
            )
            if not wrong or fault is None or not allowance.left():
                break


def explain_exception(subject: Subject, error: Exception, finding: Finding, budget_s: float) -> None:
    """Look for an edit of the line that raised with which all gradients come out right; it is then the cause."""
    program = subject.program
    places = [f for f in traceback.extract_tb(error.__traceback__) if f.filename in program.files]
    if not places:
        return
    path, line = places[-1].filename, places[-1].lineno or 0
    function = program.function_at(path, line)
    source = program.source(function) if function is not None else None
    if source is None:
        return
    with quiet():
        events = _events_until(subject)
        site = Site(0, "assign", "", path, line, source[1].name, False)
        anchor = Verdict(site, "wrong", len(events), [])
        scope = scope_of(subject, events, [], anchor)
        moving = _gradient_names(scope)
        scope.gradients |= moving
        location = Location([anchor], anchor, [])
        candidates = candidates_of(program, location, scope, set())

        def outcome() -> set[str]:
            return {"all"} if gradients_are_right(subject) else set()

        repairs = search(program, candidates, outcome, set(), {"all"}, budget_s)
    if repairs:
        edit = repairs[0].edit
        finding.cause, finding.fix = edit.key, edit.text
        finding.message += f"  ->  {CAUSES[edit.key]}"


def _events_until(subject: Subject) -> list[Event]:
    """Return what a backward computes until it raises."""
    recorder = subject.program.recorder
    with subject.program.watched("values"):
        with contextlib.suppress(Exception):
            subject.backward(lambda: recorder.reset(record=True))
        events = recorder.events or []
        recorder.reset()
    return events


def _gradient_names(scope: Scope) -> set[str]:
    """Names that look like those of gradients."""
    return {n for n in scope.arrays if re.match(r"^(d|g|grad|delta|dout|upstream)", n)}


def _nothing() -> None:
    """Begin a backward without watching it."""


def _draws_in_backward(subject: Layer, report: Report) -> bool:
    """Whether the backward draws random numbers of its own: two seeds, one cache."""
    recorder = subject.program.recorder
    runs, results = [], []
    with quiet(), subject.program.watched("values"):
        for seed in (1, 2):
            subject.randomness.rewind()
            recorder.reset()
            arguments = subject.filled(subject.leaves)
            result = subject.run_forward(arguments)
            subject.randomness.rewind(seed)
            recorder.reset(record=True)
            returned = subject.call_backward([np.array(d) for d in subject.upstream], result, arguments)
            results.append(subject.by_leaf(returned))
            runs.append(recorder.events or [])
            recorder.reset()
    if all(np.array_equal(np.asarray(g), np.asarray(results[1].get(k))) for k, g in results[0].items()):
        return False
    other = {e.key: e.value for e in runs[1]}
    different = [
        e
        for e in runs[0]
        if isinstance(e.value, np.ndarray)
        and isinstance(other.get(e.key), np.ndarray)
        and not np.array_equal(e.value, other[e.key], equal_nan=e.value.dtype.kind == "f")
    ]
    if not different:
        return False
    shared = {f.__code__.co_name for f in reachable([subject.forward])}  # a helper of both is not at fault
    own = [e for e in different if e.site.function.rpartition(".")[2] not in shared]
    site = (own or different)[0].site
    code = subject.program.code_at(site.path, site.line)
    report.findings.append(
        Finding(
            "wrong",
            "randomness",
            f"the backward draws random numbers of its own  ->  {CAUSES['randomness']}: keep the mask in the cache",
            site.function.rpartition(".")[2],
            relative_path(site.path),
            site.line,
            code,
            site.name,
        )
    )
    return True


def _last_return(subject: Subject, events: list[Event]) -> list[Verdict]:
    """Return the last return of a backward in which nothing could be judged: it computes what it returns on the way."""
    function = subject.program.function_at(events[-1].site.path, events[-1].site.line) if events else None
    source = subject.program.source(function) if function is not None else None
    returns = [n for n in ast.walk(source[1]) if isinstance(n, ast.Return) and n.value is not None] if source else []
    if not returns:
        return []
    line = max(n.lineno for n in returns)
    site = Site(0, "return", "", events[-1].site.path, line, events[-1].site.function, False)
    return [Verdict(site, "open", len(events), [])]


def _without_source(subject: Subject, measured: Measured, report: Report, why: str) -> None:
    for leaf in measured.wrong:
        cause = explain(
            f"d{leaf}", measured.yours[leaf], measured.true[leaf], context_of(subject, measured, {}, [], leaf)
        )
        sentence = f"{cause.sentence}  ->  {CAUSES[cause.key]}" if cause else f"d{leaf} is wrong"
        report.findings.append(
            Finding(
                "wrong",
                cause.key if cause else "unknown",
                f"{sentence} ({why})",
                function=subject.name,
                quantity=f"d{leaf}",
            )
        )


def _decide(
    subject: Subject,
    truth: Truth,
    measured: Measured,
    location: Location,
    events: list[Event],
    wrong: list[str],
    yours: dict[str, Any],
    overrides: dict[Key, Any],
    budget_s: float,
) -> tuple[Finding | None, Verdict | None]:
    program = subject.program
    if not location.suspects:
        return None, None
    first = location.first_wrong
    anchor = first or location.suspects[-1]
    scope = scope_of(subject, events, location.verdicts, anchor)
    given = {(n.path, n.line) for n in truth.nodes if n.moves_loss} if subject.joint else set()
    cause = cause_by_value(subject, truth, measured, first, wrong, yours)
    candidates = candidates_of(program, location, scope, given)
    if cause is not None and cause.cost <= 1:  # what the values say is tried first
        for _, _, edit in candidates:
            edit.cost -= 0.3 * (edit.key == cause.key)
    if cause is not None and cause.cost <= 0.3:
        budget_s = min(budget_s, 1.5)  # the cause is known; an edit would only say what to write
    allowance = Allowance(program.recorder, budget_s)
    right_now = {leaf for leaf in measured.true if leaf not in wrong}
    edited = {function for function, _, _ in candidates}
    run: Callable[[], dict[str, Any]] = partial(subject.backward, _nothing)
    if isinstance(subject, Layer) and not edited & set(reachable([subject.forward])):
        run = subject.backward_again()

    loss = subject.loss(subject.leaves) if subject.joint else 0.0

    def right_outputs() -> set[str]:
        got = run()
        if subject.joint and abs(subject.seen - loss) > 1e-9 * max(1.0, abs(loss)):
            return set()  # the loss is what it is; its gradient is at fault
        return {leaf for leaf, true in measured.true.items() if leaf in got and _equal(got[leaf], true)}

    repairs = search(
        program, candidates, right_outputs, right_now & set(measured.true), set(wrong), max(0.5, budget_s / 2)
    )
    called = first is not None and first.site.kind == "argument"  # what a helper is given: the call is at fault
    if not called and (not repairs or not repairs[0].complete):
        # Nothing helps, or not everywhere, where the values are wrong; what they are made of may be the derivative of
        # something else.
        wider = candidates_of(program, location, scope, given, wider=True)
        others = search(
            program,
            wider,
            right_outputs,
            right_now & set(measured.true),
            set(wrong),
            max(0.3, min(budget_s / 2, allowance.left())),
        )
        repairs = others if not repairs or (others and others[0].complete) else repairs
    chosen = repairs[0] if repairs else None
    if chosen is not None:
        chosen = moved_to_definition(
            program, truth, location.verdicts, chosen, given, right_outputs, right_now & set(measured.true)
        )
    broken = _first_broken(events, [yours[o] for o in wrong])
    if broken is not None:
        kind, event = broken
        anchor = Verdict(event.site, "wrong", event.order, [event])
        chosen, first = None, anchor
        location.suspects = [anchor]
        value = event.value
        cause = Cause(
            kind,
            f"{event.site.name or 'a value'} "
            + (f"is of {value.dtype}, so digits are cut off" if kind == "dtype" else "holds NaN or infinity"),
            0.2,
        )
    if chosen is None and broken is None and first is not None:
        solved = solve_for(subject, truth, measured, location, events, cause, overrides, max(0.8, allowance.left()))
        if solved is not None:
            cause, anchor = solved
            first = anchor
            location.suspects = [anchor]
    if chosen is None and broken is None and first is not None and (cause is None or cause.cost > 1.5):
        moved = other_windows(program, truth, events, first)
        if moved is not None:
            cause, anchor = moved
            first = anchor
            location.suspects = [anchor]
    if chosen is None and cause is not None and cause.key == "return_order":
        swapped = _return_of(events, anchor, yours)
        if swapped is not None:
            anchor = first = swapped
            location.suspects = [anchor]
    if chosen is None and cause is not None and cause.key == "missing_term":
        anchor = _where_made(program, events, anchor)
        location.suspects = [*location.suspects, anchor]
    line, path, function = anchor.site.line, anchor.site.path, anchor.site.function
    if chosen is not None:
        line = chosen.edit.line
        path = chosen.function.__code__.co_filename
        function = chosen.function.__code__.co_name
    elif first is None and location.suspects:
        earliest = location.suspects[0]
        line, path, function = earliest.site.line, earliest.site.path, earliest.site.function
    at_line = [v for v in location.suspects if v.site.line == line and v.site.path == path]
    fault = at_line[-1] if at_line else first
    source = program.files[path].lines if path in program.files else []
    code = source[line - 1].strip() if 0 < line <= len(source) else ""
    if chosen is None and (cause is None or cause.key == "unknown") and (usual := _usual(code)) is not None:
        found = cause.sentence if cause is not None else f"{_name_of(anchor, wrong)} is wrong"
        cause = Cause(usual.key, f"{found}; what most often goes wrong in such a line", 3.0)
    key, message = _words(cause, chosen, anchor, wrong)
    if key == "window" and cause is not None and cause.key == "argmax" and re.search(r"arg(max|min|sort)", code):
        key = "argmax"
    name = (fault.site.name if fault is not None else "") or (f"d{wrong[0]}")
    name = f"d{name}" if name in measured.true else name  # `grads["W1"]` is called dW1, as in the table of gradients
    finding = Finding(
        "wrong",
        key,
        message,
        function=function.rpartition(".")[2],
        path=relative_path(path),
        line=line,
        code=code,
        quantity=name,
        fix=f"{chosen.edit.text}" + ("" if chosen.complete else f"  (makes {gradients_of(chosen.fixes)} right)")
        if chosen
        else "",
    )
    if chosen is None:
        finding.other_lines = sorted({v.site.line for v in location.suspects} - {line})
        if finding.other_lines:
            finding.details.append(
                f"line{'s' if len(finding.other_lines) > 1 else ''} {', '.join(map(str, finding.other_lines))} "
                "could not be judged and may be at fault as well"
            )
    return finding, fault


def _where_made(program: Program, events: list[Event], verdict: Verdict) -> Verdict:
    """Return the place that made a value, where the place at hand only scales it: `dx = dx / N`, `dx *= mask`."""
    site = verdict.site
    function = program.function_at(site.path, site.line)
    source = program.source(function) if function is not None else None
    statements = statements_at(source[1], {site.line}) if source is not None else []
    for statement in statements:
        value = getattr(statement, "value", None)
        scales = isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Mult | ast.Div)
        if (
            isinstance(statement, ast.Assign)
            and isinstance(value, ast.BinOp)
            and isinstance(value.op, ast.Mult | ast.Div)
        ):
            scales = isinstance(value.left, ast.Name) and value.left.id == site.name
        earlier = [
            e
            for e in events
            if scales
            and e.order < verdict.order
            and (e.site.name, e.site.function, e.site.kind) == (site.name, site.function, "assign")
            and e.site.line < site.line
        ]
        if earlier:
            return Verdict(earlier[-1].site, "wrong", earlier[-1].order, earlier[-1:])
    return verdict


def _return_of(events: list[Event], verdict: Verdict, yours: dict[str, Any]) -> Verdict | None:
    """Return the place that returns a gradient for that of another leaf, unless its very name says the other."""
    leaf = verdict.leaf
    if not leaf or stems(verdict.site.name)[:1] == [leaf.lower().replace("_", "")]:
        return None
    returned = [
        e
        for e in events
        if e.site.kind == "return" and is_real(e.value) and np.array_equal(e.value, yours[leaf], equal_nan=True)
    ]
    return Verdict(returned[-1].site, "wrong", returned[-1].order, returned[-1:], leaf=leaf) if returned else None


def _first_broken(events: list[Event], outputs: list[Any]) -> tuple[str, Event] | None:
    """Return the first value that is not finite, or of a number type too small, when an output is."""
    arrays = [np.asarray(o) for o in outputs]
    named = [e for e in events if e.site.defines and isinstance(e.value, np.ndarray | np.floating)]
    if any(a.dtype.kind == "f" and not np.isfinite(a).all() for a in arrays):
        bad = next((e for e in named if np.asarray(e.value).dtype.kind == "f" and not np.isfinite(e.value).all()), None)
        return None if bad is None else ("not_finite", bad)
    for array in arrays:
        if array.dtype.kind in "iu":
            names = {
                e.site.name
                for e in named
                if e.value.dtype == array.dtype and np.shape(e.value) == array.shape and np.array_equal(e.value, array)
            }
            bad = next((e for e in named if e.value.dtype == array.dtype and e.site.name in names), None)
            return None if bad is None else ("dtype", bad)
    half = next((e for e in named if e.value.dtype == np.float16), None)
    return None if half is None else ("dtype", half)


def _equal(yours: Any, true: Array) -> bool:
    value = np.asarray(yours)
    if value.shape != true.shape or value.dtype.kind != "f":
        return False
    known = ~np.isnan(true)
    return numeric.relative_error(value[known], true[known]) <= 10 * numeric.RIGHT


_VAGUE = {
    "factor",
    "extra_factor",
    "missing_factor",
    "extra_term",
    "wrong_variable",
    "operation",
    "power",
    "mask",
    "window",
    "missing_term",
    "upstream_missing",
}


_TELLING = {
    "sum_for_mean",
    "keep_prob",
    "regularisation",
    "return_order",
    "dtype",
    "mask_missing",
    "mask_twice",
    "gamma_missing",
    "sign",
    "keepdims",
    "shape",
    "transposed",
    "missing_sum",
}


def _name_of(anchor: Verdict, wrong: list[str]) -> str:
    return f"d{anchor.leaf}" if anchor.leaf in wrong else anchor.site.name or gradients_of(wrong)


def _words(cause: Cause | None, chosen: Repair | None, anchor: Verdict, wrong: list[str]) -> tuple[str, str]:
    """Return the cause's key and the sentence, from what the values and what the edits say."""
    name = _name_of(anchor, wrong)
    if chosen is None and cause is None:
        return "unknown", f"{name} is wrong"
    if chosen is None:
        assert cause is not None
        return cause.key, f"{cause.sentence}  ->  {CAUSES[cause.key]}"
    if cause is None:
        return chosen.edit.key, f"{name} is wrong  ->  {CAUSES[chosen.edit.key]}"
    key = cause.key if _tells_more(cause, chosen.edit.key, wrong) else chosen.edit.key
    sentence = cause.sentence if cause.cost < 2 else f"{name} is wrong"
    return key, f"{sentence}  ->  {CAUSES[key]}"


# What goes wrong in a line that does such a thing, where neither values nor edits say more; the first that fits.
_USUAL: list[tuple[str, str]] = [
    ("argmax", r"argmax|argmin|argsort|unravel_index|divmod"),
    ("mask", r"[<>]=?|==|where\(|mask"),
    ("transposed", r"\.T\b|transpose|swapaxes|moveaxis|rollaxis"),
    ("window", r"\[[^\]]*[+-]?\w+ ?: ?[^\]]*\]|slice\("),
    ("transposed", r"einsum|tensordot|reshape"),
    ("axis", r"axis|keepdims|(sum|mean)\("),
    ("transposed", r" @ |\.dot\(|matmul"),
    ("power", r"\*\*|sqrt|square"),
    ("function", r"(exp|log|tanh|cosh|sigmoid|sin|cos)\("),
    ("missing_term", r" [+-] "),
    ("missing_factor", r"[*/]"),
]


def _usual(code: str) -> Cause | None:
    """Say what most often goes wrong in a line like this one."""
    plain = re.sub(r"([\"']).*?\1", "''", code.split("#")[0])  # without texts
    key = next((key for key, pattern in _USUAL if re.search(pattern, plain)), None)
    return Cause(key, "", 3.0) if key else None


def _tells_more(cause: Cause, edited: str, wrong: list[str]) -> bool:
    """Whether the values say more about the cause than the edit that puts them right."""
    if cause.key in ("keepdims", "shape"):
        return cause.cost <= 0.5  # the numbers are right, only their shape is not
    if cause.key == "missing_sum" and edited == "window":
        return False
    if cause.key == "return_order" and (len(wrong) == 1 or edited != "return_order"):
        return False  # in the wrong order there would be two wrong ones
    if cause.key == "keep_prob":
        return cause.cost < 1  # a number made of the probability is no coincidence
    if (cause.key, edited) == ("missing_sum", "axis"):
        return cause.cost <= 0.5  # the shape says that too little is summed
    if edited == "operation":
        return cause.cost < 1.3 and cause.key in ("extra_factor", "missing_factor", "function", "power")
    if edited == "missing_factor" and (
        cause.key == "gamma_missing" or (cause.key, cause.cost) == ("upstream_missing", 0.2)
    ):
        return True
    return cause.cost < 2 and edited in _VAGUE and cause.key in _TELLING


def _with_fault_removed(
    subject: Subject,
    measured: Measured,
    truth: Truth,
    fault: Verdict | None,
    overrides: dict[Key, Any],
    finding: Finding,
    wrong: list[str],
    yours: dict[str, Any],
) -> tuple[list[str], dict[str, Any], dict[Key, Any]]:
    """Put the true derivative where the fault was, and see which outputs are still wrong."""
    if fault is None or len(fault.events) != 1:
        return [], yours, overrides
    value = np.asarray(fault.events[0].value)
    leaf = next((o for o in wrong if np.array_equal(np.asarray(yours[o]), value)), None)
    if leaf is not None:
        true: Array | None = measured.true[leaf]
    elif fault.status == "wrong" and fault.node is not None and fault.node.shape == value.shape:
        true = truth.full(fault.node)
    else:
        return [], yours, overrides
    if true is None or np.isnan(true).any():
        return [], yours, overrides
    recorder = subject.program.recorder
    new = {**overrides, fault.events[0].key: true}
    with subject.program.watched("values"):
        try:
            got = subject.backward(lambda: recorder.reset(overrides=new))
        except Exception:
            return [], yours, overrides
    still = [o for o in wrong if not (o in got and _equal(got[o], measured.true[o]))]
    cured = [o for o in wrong if o not in still]
    if cured and not finding.details:
        finding.details.append(
            f"with {fault.site.name or 'it'} put right, {gradients_of(cured)} {'is' if len(cured) == 1 else 'are'} right"
        )
    return still, {**yours, **{k: v for k, v in got.items() if k in yours}}, new
