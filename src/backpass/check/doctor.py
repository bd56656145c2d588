"""The examination: measure, locate, explain, and look at how the code behaves."""

from __future__ import annotations

import ast
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import numeric, repair, solve
from backpass.check.causes import CAUSES, Cause, Context, explain, number_in_words
from backpass.check.instrument import Event, Program, is_real, reachable, relative_path
from backpass.check.locate import Key, Location, Truth, Verdict, backward_events, fits, judge, locate
from backpass.check.report import Finding, GradientRow, LineMark, Report
from backpass.check.subject import Layer, Subject, describe, stems

Array = NDArray[np.float64]

SMALL = 2000  # elements up to which a wrong gradient is measured whole; beyond, a sample
MEANINGLESS = 1e-12  # a gradient this small, next to its parameter and the loss, says nothing


@dataclass
class Measured:
    """The user's gradients next to the numerical ones."""

    yours: dict[str, Any]
    true: dict[str, Array] = field(default_factory=dict)  # NaN where not measured
    wrong: list[str] = field(default_factory=list)
    rows: list[GradientRow] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


@contextmanager
def quiet() -> Iterator[None]:
    """No NumPy warnings from the user's code while it is being shaken."""
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def measure(subject: Subject) -> Measured:
    """Compare all gradients: along one random direction each, and element by element where that fails."""
    program = subject.program
    with quiet():
        yours = subject.backward(lambda: None)
        measured = Measured(yours)
        with program.watched("branches") as recorder:
            recorder.reset()
            for leaf, base in subject.leaves.items():
                gradient = yours.get(leaf)
                if gradient is None:
                    measured.missing.append(leaf)
                    continue
                _measure_leaf(subject, measured, leaf, base, gradient)
    return measured


def _measure_leaf(subject: Subject, measured: Measured, leaf: str, base: Array, gradient: Any) -> None:
    recorder = subject.program.recorder

    def loss(moved: Array) -> float:
        recorder.branches = 0
        return subject.loss({**subject.leaves, leaf: moved})

    value = np.asarray(gradient)
    fits = value.shape == base.shape and value.dtype.kind == "f" and bool(np.isfinite(value).all())
    if fits and base.size:
        u = np.random.default_rng([base.size, 11]).standard_normal(base.shape)
        typical = float(np.sqrt(np.mean(base**2))) or 1.0
        d = numeric.derivative_along(lambda t: loss(base + t * u), lambda: recorder.branches, scale=typical)
        expected = float(np.sum(value * u))
        norm = max(float(np.sqrt(np.sum(np.square(value, dtype=np.float64)))), abs(d.value))
        error = abs(d.value - expected) / norm if norm > 0 else 0.0
        noise = 30 * d.error / norm if norm > 0 else 0.0
        short = value.dtype.itemsize < 8
        if not d.kink and error <= max(1e-5 if short else numeric.RIGHT, noise):
            note = ""
            if norm * typical < MEANINGLESS * max(1.0, abs(loss(base))):
                note = "so small that the comparison says little"
            measured.true[leaf] = value.astype(np.float64)
            measured.rows.append(GradientRow(leaf, "right", error, base.size, note=note))
            return
    chosen = None if base.size <= SMALL else np.random.default_rng(0).choice(base.size, 200, replace=False)
    true = numeric.gradient(loss, lambda: recorder.branches, base, chosen)
    measured.true[leaf] = np.where(np.isnan(true.value), 0.0 if chosen is None else np.nan, true.value)
    kinks = int(true.kink.sum())
    if not fits:
        measured.wrong.append(leaf)
        error = (
            float("nan")
            if value.dtype.kind not in "fiu" or value.shape != base.shape
            else numeric.relative_error(value, true.value)
        )
        note = (
            f"is {describe(gradient)}, should be an array {base.shape}"
            if value.shape != base.shape
            else f"is of {value.dtype}"
        )
        measured.rows.append(GradientRow(leaf, "wrong", error, base.size, kinks, note))
        return
    scale = float(np.nanmax(np.abs(np.where(np.isnan(true.value), 0, true.value)), initial=0.0))
    scale = max(scale, float(np.abs(value).max()))
    difference = np.abs(value - true.value)
    # At a kink any value between the two one-sided slopes is a fair answer.
    low, high = np.minimum(true.left, true.right), np.maximum(true.left, true.right)
    slack = 1e-3 * scale
    difference = np.where(
        true.kink, np.where((value >= low - slack) & (value <= high + slack), 0.0, difference), difference
    )
    difference = np.where(np.isnan(true.value), 0.0, difference)
    error = float(difference.max()) / scale if scale > 0 else 0.0
    noise = 30 * true.error / scale if scale > 0 else 0.0
    if error <= max(numeric.RIGHT, noise):
        status = "right" if kinks < base.size else "excluded"
        measured.rows.append(GradientRow(leaf, status, error, base.size, kinks))
        measured.true[leaf] = value.astype(np.float64)
    else:
        if kinks:
            measured.true[leaf] = np.where(true.kink, value, measured.true[leaf])
        measured.wrong.append(leaf)
        measured.rows.append(GradientRow(leaf, "wrong", error, base.size, kinks, numeric.band(error)))


# ---------------------------------------------------------------------------------------------------------------
# From wrong numbers to a line and a cause


def diagnose(subject: Subject, measured: Measured, report: Report, budget_s: float = 3.0) -> None:
    """Find the faults behind wrong gradients, one after the other, and add them to a report."""
    program = subject.program
    if not program.functions:
        _without_source(subject, measured, report, "the source is not at hand, so no line can be judged")
        return
    started = time.thread_time()
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
            finding, fault = _decide(
                subject,
                truth,
                measured,
                location,
                events,
                wrong,
                yours,
                overrides,
                budget_s - (time.thread_time() - started),
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
            _mark(report, verdicts, finding, fault)
            first_round = False
            wrong, yours, overrides = _with_fault_removed(
                subject, measured, truth, fault, overrides, finding, wrong, yours
            )
            if not wrong or fault is None:
                break


def _draws_in_backward(subject: Layer, report: Report) -> bool:
    """Whether the backward draws random numbers of its own: two seeds, one cache."""
    recorder = subject.program.recorder
    runs, results = [], []
    with quiet(), subject.program.watched("values"):
        for seed in (1, 2):
            subject.randomness.rewind()
            recorder.reset()
            result = subject._call_forward(subject.leaves)
            subject.randomness.rewind(seed)
            recorder.reset(record=True)
            returned = subject.call_backward([np.array(d) for d in subject.upstream], result, subject.arguments)
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
    site = different[0].site
    code = subject.program.files[site.path].lines[site.line - 1].strip()
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


def _without_source(subject: Subject, measured: Measured, report: Report, why: str) -> None:
    for leaf in measured.wrong:
        cause = explain(
            f"d{leaf}", measured.yours[leaf], measured.true[leaf], _context(subject, measured, {}, [], leaf)
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


def _context(
    subject: Subject, measured: Measured, arrays: dict[str, Any], upstream: list[Any], leaf: str = ""
) -> Context:
    scalars: dict[str, Any] = {}
    for name, value in getattr(subject, "arguments", {}).items():
        if isinstance(value, dict):
            scalars |= {k: v for k, v in value.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            scalars[name] = value
    scalars = {**subject.sizes(), **scalars}
    others = {} if subject.joint else measured.true
    return Context(
        arrays={
            **arrays,
            **{f"the upstream gradient {i + 1}" if i else "the upstream gradient": u for i, u in enumerate(upstream)},
        },
        scalars=scalars,
        upstream=upstream,
        loss=subject.joint,
        parameters=subject.leaves if subject.joint else {},
        labels=next(
            (
                v
                for v in getattr(subject, "arguments", {}).values()
                if isinstance(v, np.ndarray) and v.dtype.kind == "i"
            ),
            None,
        ),
        others={f"d{o}": t for o, t in others.items() if o != leaf and not np.isnan(t).any()},
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
    candidates = _candidates(program, location, scope)
    right_now = {leaf for leaf in measured.true if leaf not in wrong}
    edited = {function for function, _, _ in candidates}
    run = lambda: subject.backward(lambda: None)  # noqa: E731 - the plain way, where forward and backward share code
    if isinstance(subject, Layer) and not edited & set(reachable([subject.forward])):
        run = subject.backward_again()

    def right_outputs() -> set[str]:
        got = run()
        return {leaf for leaf, true in measured.true.items() if leaf in got and _equal(got[leaf], true)}

    repairs = repair.search(
        program, candidates, right_outputs, right_now & set(measured.true), set(wrong), max(0.5, budget_s / 2)
    )
    if not repairs or not repairs[0].complete:
        # Nothing helps, or not everywhere, where the values are wrong; what they are made of may be the derivative of
        # something else.
        wider = _candidates(program, location, scope, wider=True)
        others = repair.search(
            program, wider, right_outputs, right_now & set(measured.true), set(wrong), max(0.5, budget_s / 2)
        )
        repairs = others if not repairs or (others and others[0].complete) else repairs
    chosen = repairs[0] if repairs else None
    cause = _cause_by_value(subject, truth, measured, first, wrong, yours)
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
        solved = _solved(subject, truth, measured, location, events, cause, overrides, yours)
        if solved is not None:
            cause, anchor = solved
            first = anchor
            location.suspects = [anchor]
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
    key, message = _words(cause, chosen, anchor, wrong)
    name = (fault.site.name if fault is not None else "") or (f"d{wrong[0]}")
    finding = Finding(
        "wrong",
        key,
        message,
        function=function.rpartition(".")[2],
        path=relative_path(path),
        line=line,
        code=code,
        quantity=name,
        fix=f"{chosen.edit.text}" + ("" if chosen.complete else f"  (makes {_list(chosen.fixes)} right)")
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


def _solved(
    subject: Subject,
    truth: Truth,
    measured: Measured,
    location: Location,
    events: list[Event],
    known: Cause | None,
    overrides: dict[Key, Any],
    yours: dict[str, Any],
) -> tuple[Cause, Verdict] | None:
    """Look, among what the first wrong value is made of, for one whose fault would explain everything."""
    first = location.first_wrong
    assert first is not None
    right = measured.true[first.leaf] if first.leaf else truth.full(first.node) if first.node else None
    if right is None or np.isnan(right).any() or np.shape(first.events[-1].value) != right.shape:
        return None
    target = solve.Target(first.events[-1].key, right)
    arrays, upstream = named_values(truth.events), getattr(subject, "upstream", [])
    limit = known.cost if known is not None else 3.0 if _only_assembles(subject.program, first) else 1.5
    best: tuple[Cause, Verdict] | None = None
    for verdict in _ingredients(subject.program, truth, location, events):
        event = verdict.events[-1]
        value = solve.needed(subject, event, target, overrides)
        if value is None:
            continue
        cause = _explain_solved(event, value, _context(subject, measured, arrays, upstream))
        alike = (
            known is not None
            and cause.key == known.key
            and cause.cost <= limit
            and stems(event.site.name)
            and not (verdict.partial or _along_some_uses(verdict))
        )
        if (alike or cause.cost < limit - 0.1) and (best is None or cause.cost <= best[0].cost):
            best = cause, verdict  # of values that are wrong in the same way the first is at fault
    return best


def _explain_solved(event: Event, right: Any, context: Context) -> Cause:
    """Say what is wrong with a value that should have been another."""
    name, value = event.site.name or "a value", np.asarray(event.value)
    if value.dtype.kind == "b":
        count = int(np.sum(value != right))
        return Cause("mask", f"{name} is wrong in {count} of {value.size} elements", 0.5)
    if value.ndim == 0:
        return Cause("factor", f"{name} is {value:.6g}, but should be {number_in_words(float(right), context)[0]}", 0.5)
    if value.dtype.kind in "iu" and np.abs(right - np.round(right)).max() > 1e-6:
        return Cause("dtype", f"{name} is of {value.dtype}, so its values are cut off", 0.5)
    context.others = {}
    cause = explain(name, value.astype(np.float64), right, context)
    return cause or Cause("unknown", f"{name} is wrong: with another value of it all would be right", 2.5)


def _ingredients(program: Program, truth: Truth, location: Location, events: list[Event]) -> list[Verdict]:
    """Values that lead to the first wrong one and were judged neither right nor wrong, the latest first.

    Masks, sizes and the like, which do not move with the upstream gradient, are among them, but not what came out of the
    cache: that is the forward's.
    """
    first = location.first_wrong
    assert first is not None
    found = [v for v in location.suspects if v is not first and len(v.events) == 1]
    found += [v for v in location.verdicts if _along_some_uses(v) and v.order < first.order and len(v.events) == 1]
    function = program.function_at(first.site.path, first.site.line)
    source = program.source(function) if function is not None else None
    if source is None:
        return found[::-1]
    statements = repair.statements_at(source[1], {v.site.line for v in location.suspects})
    lines = {s.lineno for s in repair.asides(source[1], statements)}
    judged = {e.key for v in location.verdicts for e in v.events}
    forward = [e.value for e in truth.events if isinstance(e.value, np.ndarray)]
    for event in events:
        site = event.site
        if (
            site.path == first.site.path
            and site.line in lines
            and site.kind in ("assign", "after")
            and not site.in_loop
            and event.key not in judged
            and event.order < first.order
            and isinstance(event.value, np.ndarray | int | float | np.number)
            and not any(a.shape == np.shape(event.value) and np.array_equal(a, event.value) for a in forward)
        ):
            found.append(Verdict(site, "open", event.order, [event]))
    return sorted(found, key=lambda v: -v.order)


def _along_some_uses(verdict: Verdict) -> bool:
    """Whether a value is right as the derivative along some of the uses of a variable: others may have been forgotten."""
    return verdict.status == "right" and verdict.node is not None and verdict.node.kind in ("use", "uses")


def _only_assembles(program: Program, verdict: Verdict) -> bool:
    """Whether a line only puts together, or passes on, what lines before it have computed."""
    function = program.function_at(verdict.site.path, verdict.site.line)
    source = program.source(function) if function is not None else None
    if source is None:
        return False
    statements = repair.statements_at(source[1], {verdict.site.line})
    return not any(
        isinstance(n, ast.BinOp | ast.AugAssign) for s in statements if not isinstance(s, ast.For) for n in ast.walk(s)
    )


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


def _list(names: set[str] | list[str]) -> str:
    return ", ".join(f"d{n}" for n in sorted(names))


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
    "overlap",
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


def _words(cause: Cause | None, chosen: repair.Repair | None, anchor: Verdict, wrong: list[str]) -> tuple[str, str]:
    """Return the cause's key and the sentence, from what the values and what the edits say."""
    name = f"d{anchor.leaf}" if anchor.leaf in wrong else anchor.site.name or _list(wrong)
    if chosen is None and cause is None:
        return "unknown", f"{name} is wrong"
    if chosen is None:
        assert cause is not None
        return cause.key, f"{cause.sentence}  ->  {CAUSES[cause.key]}"
    key = chosen.edit.key
    if cause is not None and (
        (cause.key in ("keepdims", "shape") and cause.cost <= 0.5)
        or (cause.key == "regularisation" and key == "missing_term")
        or (key == "operation" and cause.key in ("extra_factor", "missing_factor", "function", "power"))
    ):
        key = cause.key
    elif cause is not None and cause.cost < 2 and key in _VAGUE and cause.key in _TELLING:
        key = cause.key
    if cause is not None and key == "missing_factor" and cause.key == "gamma_missing":
        key = cause.key
    sentence = cause.sentence if cause is not None and cause.cost < 2 else f"{name} is wrong"
    return key, f"{sentence}  ->  {CAUSES[key]}"


def _cause_by_value(
    subject: Subject,
    truth: Truth,
    measured: Measured,
    first: Verdict | None,
    wrong: list[str],
    yours: dict[str, Any],
) -> Cause | None:
    arrays = named_values(truth.events)
    upstream = getattr(subject, "upstream", [])
    targets: list[tuple[str, str, Any, Array, Verdict | None]] = []
    if first is not None:
        value = first.events[-1].value
        leaf = first.leaf if first.leaf in wrong else None
        if first.still and not subject.joint:
            return Cause(
                "upstream_missing", f"{first.site.name or _list(wrong)} does not change with the upstream gradient", 0.2
            )
        if leaf is not None:
            targets.append((leaf, first.site.name or f"d{leaf}", value, measured.true[leaf], first))
        elif (first.node is not None and first.node.shape == np.shape(value)) or first.node is not None:
            targets.append(("", first.site.name, value, truth.full(first.node), first))
    targets += [
        (leaf, f"d{leaf}", yours[leaf], measured.true[leaf], None)
        for leaf in wrong
        if not targets or leaf != targets[0][0]
    ]
    best: Cause | None = None
    if first is not None:
        part = _part_of_uses(truth, first, wrong)
        if part is not None:
            best = part
    for leaf, name, value, true, _ in targets:
        if value is None or np.isnan(true).any():
            continue
        context = _context(subject, measured, arrays, upstream, leaf)
        context.code = _code(subject.program, first)
        cause = explain(name, value, true, context)
        if leaf and (cause is None or cause.cost > 1.5):
            if _is_that_of_ones(subject, leaf, value):
                cause = Cause(
                    "upstream_missing", f"{name} is what it would be if the upstream gradient were all ones", 1.0
                )
            else:
                cause = _path(subject, truth, leaf, value, context) or cause
        if cause is not None and (best is None or cause.cost < best.cost):
            best = cause
        if first is not None and best is not None:
            break
    return best


def _code(program: Program, verdict: Verdict | None) -> str:
    """Return the text of the line of a verdict."""
    if verdict is None or verdict.site.path not in program.files:
        return ""
    lines = program.files[verdict.site.path].lines
    return lines[verdict.site.line - 1] if 0 < verdict.site.line <= len(lines) else ""


def _part_of_uses(truth: Truth, verdict: Verdict, wrong: list[str]) -> Cause | None:
    """Whether a value is the derivative along some of the uses of its variable only."""
    value = np.asarray(verdict.events[-1].value)
    owner = verdict.leaf or (verdict.node.name if verdict.node is not None else "")
    if not owner or value.dtype.kind != "f":
        return None
    uses = [n for n in truth.nodes if n.kind == "use" and n.name == owner and n.moves_loss and n.shape == value.shape]
    for node in truth.nodes:
        if node.kind in ("use", "uses") and node.name == owner and node.shape == value.shape and fits(value, node):
            left = sorted({n.line for n in uses if n.keys[0] not in node.keys})
            if left:
                where = f"line{'s' if len(left) > 1 else ''} {', '.join(map(str, left))}"
                return Cause(
                    "missing_term",
                    f"{verdict.site.name or _list(wrong)} lacks the path through {where} of the forward",
                    0.6,
                )
    return None


def _probes(shape: tuple[int, ...]) -> list[Array]:
    rng = np.random.default_rng([*shape, 9])
    return [rng.standard_normal(shape) for _ in range(3)]


def _along(subject: Subject, leaf: str, held: dict[Key, Any]) -> Array:
    """Components of the true gradient of a leaf along three directions, with some values of the forward held fast."""
    recorder = subject.program.recorder
    base = subject.leaves[leaf]
    typical = float(np.sqrt(np.mean(base**2))) or 1.0
    components = []
    for u in _probes(base.shape):

        def loss(t: float, u: Array = u) -> float:
            recorder.reset(overrides=held)
            return subject.loss({**subject.leaves, leaf: base + t * u})

        components.append(numeric.derivative_along(loss, lambda: recorder.branches, scale=typical).value)
    return np.array(components)


def _is_that_of_ones(subject: Subject, leaf: str, value: Any) -> bool:
    """Whether a value is what it would be if the upstream gradient were all ones."""
    if not isinstance(subject, Layer) or np.shape(value) != subject.leaves[leaf].shape:
        return False
    kept = subject.upstream
    subject.upstream = [np.ones(np.shape(d)) for d in kept]
    try:
        with subject.program.watched("exact"):
            ones = _along(subject, leaf, {})
    finally:
        subject.upstream = kept
    yours = np.array([float(np.sum(value * u)) for u in _probes(np.shape(value))])
    return bool(numeric.relative_error(yours, ones) < 1e-5 and ones.any())


def _path(subject: Subject, truth: Truth, leaf: str, value: Any, context: Context) -> Cause | None:
    """Whether a value is the true gradient but for one path: with some value of the forward held fast.

    Or its share multiplied.
    """
    shape = subject.leaves[leaf].shape
    if np.shape(value) != shape:
        return None
    names: dict[str, Key] = {}
    for node in truth.nodes:
        if (
            node.kind in ("assign", "after")
            and node.name
            and node.moves_loss
            and node.name != leaf
            and len(node.keys) == 1
        ):
            names[node.name] = node.keys[0]
    chosen = list(names)[:8]
    values = {e.key: e.value for e in truth.events}
    yours = np.array([float(np.sum(value * u)) for u in _probes(shape)])
    sets = [(n,) for n in chosen] + [(a, b) for i, a in enumerate(chosen) for b in chosen[i + 1 :]]
    with subject.program.watched("exact"):
        true = _along(subject, leaf, {})
        for some in sets:
            frozen = _along(subject, leaf, {names[n]: np.array(values[names[n]]) for n in some})
            size = float(np.abs(true).max() + np.abs(yours).max())
            through = true - frozen
            if float(np.abs(through).max()) < 1e-5 * size:
                continue
            k = float(np.sum((yours - frozen) * through) / np.sum(through**2))
            if float(np.abs(yours - frozen - k * through).max()) > 1e-5 * size:
                continue
            via = " and ".join(some)
            if abs(k) < 1e-5:
                return Cause("missing_term", f"d{leaf} lacks the path through {via}", 1.2)
            if len(some) == 1 and abs(k + 1) < 1e-5:
                return Cause("sign", f"in d{leaf}, the path through {via} has the wrong sign", 1.6)
            if len(some) == 1 and abs(k - 1) > 1e-4:
                return Cause(
                    "factor",
                    f"in d{leaf}, the path through {via} is {number_in_words(k, context)[0]} times what it should be",
                    1.6,
                )
    return None


def named_values(events: list[Event]) -> dict[str, Any]:
    """Values of the forward by name (the last of each), for sentences."""
    values: dict[str, Any] = {}
    for event in events:
        named = event.site.name and (event.site.defines or event.site.kind == "argument")
        if isinstance(event.value, np.ndarray) and event.value.dtype.kind in "fb":
            if named:
                values[event.site.name] = event.value
            elif event.site.kind == "return" and event.site.position == 0:
                values["the output"] = event.value
    return values


def scope_of(subject: Subject, events: list[Event], verdicts: list[Verdict], anchor: Verdict) -> repair.Scope:
    """Return what can be mentioned in an edit near a place: local variables, entries of dicts, sizes."""
    scope = repair.Scope(problem=subject.sizes())
    gradient_keys = {e.key for v in verdicts for e in v.events}
    for event in events:
        site = event.site
        if site.function.rpartition(".")[2] != anchor.site.function.rpartition(".")[2] or site.path != anchor.site.path:
            continue
        if site.kind in ("argument", "assign", "item", "after") and site.name.isidentifier():
            add_to_scope(scope, site.name, event.value)
            if event.key in gradient_keys:
                scope.gradients.add(site.name)
    for name in list(scope.arrays):
        if name in _upstream_names(subject):
            scope.gradients.add(name)
    _add_expressions(subject.program, scope, anchor, events)
    for name, value in list(scope.arrays.items()):
        if name in scope.gradients and np.ndim(value) and len(scope.sizes) < 4:
            scope.sizes |= {f"{name}.shape[{i}]": s for i, s in enumerate(np.shape(value))}
    if len(scope.arrays) > 24:
        keep = sorted(scope.arrays, key=lambda n: n not in scope.gradients)[:24]
        scope.arrays = {k: scope.arrays[k] for k in keep}
    return scope


def _upstream_names(subject: Subject) -> set[str]:
    if not isinstance(subject, Layer):
        return set()
    import inspect

    try:
        names = list(inspect.signature(subject.user_backward).parameters)
    except (TypeError, ValueError):
        return set()
    return {n for n, (role, _) in zip(names, subject.binding.roles, strict=False) if role == "upstream"}


def add_to_scope(scope: repair.Scope, text: str, value: Any) -> None:
    """Add a value, or the entries of a dict, to what edits may mention."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fb" and value.size:
        scope.arrays[text] = value
    elif isinstance(value, np.ndarray) and value.dtype.kind in "iu" and value.ndim:
        scope.indices.add(text)
    elif isinstance(value, bool | np.bool_):
        return
    elif isinstance(value, int | float | np.integer | np.floating):
        scope.scalars[text] = int(value) if isinstance(value, int | np.integer) else float(value)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, str) and (
                isinstance(item, np.ndarray) or (isinstance(item, int | float) and not isinstance(item, bool))
            ):
                add_to_scope(scope, f"{text}[{key!r}]", item)


def _add_expressions(program: Program, scope: repair.Scope, anchor: Verdict, events: list[Event]) -> None:
    """`cache["x"]`, `self.mask`, `cache.rstd`: read as they stand in the text."""
    file = program.files.get(anchor.site.path)
    if file is None:
        return
    by_key = {
        e.site.key: e.value
        for e in events
        if e.site.kind == "expression" and e.site.function.endswith(anchor.site.function)
    }
    for node in ast.walk(file.tree):
        key = getattr(node, "_key", None)
        if key in by_key and isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name):
            if isinstance(node, ast.Attribute) and node.attr == "T":
                continue
            if isinstance(node, ast.Subscript) and (node.value.id in scope.arrays or ":" in ast.unparse(node.slice)):
                continue  # a part of an array; the entries of dicts and lists are values of their own
            add_to_scope(scope, ast.unparse(node), by_key[key])


def _candidates(
    program: Program, location: Location, scope: repair.Scope, wider: bool = False
) -> list[tuple[types.FunctionType, ast.FunctionDef, repair.Edit]]:
    """Edits of the suspected lines, and of the masks, sizes and indices that they use."""
    by_function: dict[types.FunctionType, set[int]] = {}
    judged = {v.site.line for v in location.verdicts}
    suspects = location.suspects
    if wider and location.first_wrong is not None:
        suspects = suspects + [
            v for v in location.verdicts if _along_some_uses(v) and v.order < location.first_wrong.order
        ]
    home = location.first_wrong.site.line if location.first_wrong else None
    for verdict in suspects:
        function = program.function_at(verdict.site.path, verdict.site.line)
        if function is not None:
            by_function.setdefault(function, set()).add(verdict.site.line)
    candidates = []
    for function, suspected in by_function.items():
        source = program.source(function)
        if source is None:
            continue
        _, definition, plain = source
        statements = repair.statements_at(definition, suspected)
        partial = {v.site.line for v in suspects} - {v.site.line for v in location.suspects}
        own = [s for s in statements if s.lineno in partial] if wider else statements
        for edit in repair.edits_of(definition, own, scope):
            if edit.cost >= 1.9 and home is not None and edit.line != home:
                edit.cost += 0.12  # what is missing is missed where the first wrong value is named
            candidates.append((plain, definition, edit))
        others = [s for s in repair.asides(definition, statements) if wider == (s.lineno in judged)]
        for edit in repair.edits_of(definition, others, scope):
            edit.cost += 0.12 if edit.cost < 1.9 else 0.3
            candidates.append((plain, definition, edit))
    return candidates


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
            f"with {fault.site.name or 'it'} put right, {_list(cured)} {'is' if len(cured) == 1 else 'are'} right"
        )
    return still, {**yours, **{k: v for k, v in got.items() if k in yours}}, new


def _mark(report: Report, verdicts: list[Verdict], finding: Finding, fault: Verdict | None) -> None:
    """Mark the lines of the source, and say which quantities are right and which follow."""
    marks = {(m.path, m.line): m for m in _marks(verdicts, report.lines)}
    old = marks.get((finding.path, finding.line))
    text = finding.message + (f"; try: {finding.fix}" if finding.fix else "")
    text = (old.text + ". " if old else "") + text
    marks[finding.path, finding.line] = LineMark(finding.path, finding.line, "fault", finding.quantity, text)
    report.lines = sorted(marks.values(), key=lambda m: (m.path, m.line))
    right = sorted({v.site.name for v in verdicts if v.status == "right" and v.site.name})
    follows = sorted(
        {
            v.site.name
            for v in verdicts
            if v.follows and v.site.name and (fault is None or v.site.name != fault.site.name)
        }
    )
    if right or follows:
        parts = []
        if right:
            parts.append(f"{', '.join(right)} {'are' if len(right) > 1 else 'is'} right")
        if follows:
            parts.append(f"{', '.join(follows)} {'are' if len(follows) > 1 else 'is'} wrong because of it")
        finding.details.append("; ".join(parts))


def _marks(verdicts: list[Verdict], before: list[LineMark]) -> list[LineMark]:
    """One mark per line: the worst of what is known of it."""
    marks: dict[tuple[str, int], LineMark] = {(m.path, m.line): m for m in before}
    rank = {"fault": 4, "follows": 3, "open": 2, "right": 1}
    for verdict in verdicts:
        site = verdict.site
        status = {"right": "right", "wrong": "follows", "open": "open"}[verdict.status]
        value = np.asarray(verdict.events[-1].value)
        what = site.name or "value"
        if verdict.node is not None and verdict.status == "right":
            owner = verdict.node.name or "an expression"
            text = f"{what} {value.shape}: equals the derivative of {owner} (line {verdict.node.line})"
        elif verdict.status == "right":
            text = f"{what} {value.shape}: equals the numerical gradient"
        elif verdict.status == "wrong":
            text = f"{what} {value.shape}: differs from the true derivative"
            text += f" of {verdict.node.name}" if verdict.node else ""
        else:
            text = f"{what} {value.shape}: no value of the forward has this derivative; not judged"
        if value.size <= 6:
            text += f"; value {np.array2string(value, precision=4)}"
        mark = LineMark(relative_path(site.path), site.line, status, what, text)
        old = marks.get((mark.path, mark.line))
        if old is None or rank[status] > rank.get(old.status, 0):
            marks[mark.path, mark.line] = mark
    return sorted(marks.values(), key=lambda m: (m.path, m.line))


def mark_right(subject: Subject, measured: Measured, report: Report, budget_s: float = 0.3) -> None:
    """Mark the lines of a backward whose outputs are right, for whoever wants to see how each line is."""
    with quiet():
        truth = Truth(subject, budget_s=budget_s)
        events, moving = backward_events(subject, truth, {})
        verdicts = judge(
            subject, truth, events, moving, {k: (measured.yours[k], measured.true[k]) for k in measured.true}
        )
    for verdict in verdicts:
        if verdict.status == "wrong":
            verdict.status = "open"  # a name that means something else than it seems to: the outputs are right
    report.lines = [m for m in _marks(verdicts, []) if m.status in ("right", "open")]


def user_line(error: BaseException, program: Program | None = None) -> tuple[str, int, str, str]:
    """Path, line, function and code of the innermost frame that is the user's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = "backpass" + "/check/"
    chosen = None
    for frame in frames:
        known = program is not None and frame.filename in program.files
        if known or (
            program is None and own not in frame.filename.replace("\\", "/") and "numpy" not in frame.filename
        ):
            chosen = frame
    if chosen is None:
        return "", 0, "", ""
    return relative_path(chosen.filename), chosen.lineno or 0, chosen.name, chosen.line or ""


def exception_finding(error: BaseException, program: Program | None, when: str) -> Finding:
    """Return an exception of the user's code, as a finding."""
    path, line, function, code = user_line(error, program)
    return Finding("wrong", "exception", f"{when}: {type(error).__name__}: {error}", function, path, line, code)


Check = Callable[[Subject, Report], None]


def has_wrong(report: Report) -> bool:
    """Whether something wrong has been found so far."""
    return any(f.severity == "wrong" for f in report.findings)


def real_events(events: list[Event]) -> list[Event]:
    """Events with a floating-point value."""
    return [e for e in events if is_real(e.value)]
