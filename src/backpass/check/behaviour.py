"""Good manners: inputs and caches left alone, the same result twice, number types kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.causes import CAUSES
from backpass.check.findings import exception_finding, has_wrong
from backpass.check.inputs import Variant
from backpass.check.instrument import Program, line_with, relative_path
from backpass.check.nested import stems
from backpass.check.recorder import contents, same_contents
from backpass.check.report import Finding, Report
from backpass.check.subject import Layer, call_with, fresh

Array = NDArray[np.float64]


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


def examine_behaviour(
    forward: Any, backward: Any, variant: Variant, program: Program, report: Report, wrt: list[str] | None, seed: int
) -> None:
    """Look for arrays changed in place, state between calls, and number types that change."""
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
        result = layer.run_forward(arguments)
        changed = recorder.changed
        recorder.reset()
    _report_mutation(program, report, forward, "forward", given, before, changed)
    upstream = [np.array(d) for d in layer.upstream]
    rest = result[layer.binding.outputs :] if isinstance(result, tuple) else ()
    cached = [a for i, c in enumerate(rest) for a in arrays_in(c, "cache" if len(rest) == 1 else f"cache {i + 1}")]
    watched: list[tuple[str, Any]] = [
        ("dout" if len(upstream) == 1 else f"upstream gradient {i + 1}", d) for i, d in enumerate(upstream)
    ]
    names = {id(a): k for k, a in given}
    cached = [(label, a) for label, a in cached if not _is_room_for_a_gradient(label, rest)]
    watched += [(f"{names[id(a)]} (through the cache)" if id(a) in names else label, a) for label, a in cached]
    watched += [(k, a) for k, a in given if all(a is not w for _, w in watched)]
    watched += [("the cache", c) for c in rest if isinstance(c, list | dict)]
    before = [contents(a) for _, a in watched]
    layer.randomness.rewind(1)
    with program.watched("ticks"):
        recorder.reset(watch=[a for _, a in watched])
        first = layer.call_backward(upstream, result, arguments)
        first = _frozen(layer.by_leaf(first))
        changed = recorder.changed
        recorder.reset()
    mutated = _report_mutation(program, report, backward, "backward", watched, before, changed)
    if mutated:
        return  # a second call would start from what the first has spoilt
    upstream = [np.array(d) for d in layer.upstream]
    layer.randomness.rewind(1)
    try:
        second = _frozen(layer.by_leaf(layer.call_backward(upstream, result, arguments)))
    except Exception as error:
        finding = exception_finding(error, program, "a second call of the backward with the same cache raised")
        finding.cause = "second_call"
        report.findings.append(finding)
        return
    _report_second_call(layer, program, report, first, second)
    _number_types(forward, backward, variant, program, report, layer)


def _is_room_for_a_gradient(label: str, caches: tuple[Any, ...]) -> bool:
    """Whether an array of a layer object is where it keeps the gradient of another: that one may change."""
    owners = [c for c in caches if hasattr(c, "__dict__")]
    wanted = stems(label.rpartition(".")[2])
    return any(name.lower().replace("_", "") in wanted for owner in owners for name in vars(owner))


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
    damaged = [i for i, ((_, a), old) in enumerate(zip(arrays, before, strict=True)) if not same_contents(a, old)]
    if not damaged:
        return False
    places = {i: (path, line) for i, path, line in reversed(changed)}
    index = min(damaged, key=lambda i: next((n for n, c in enumerate(changed) if c[0] == i), len(changed)))
    name = arrays[index][0]
    path, line, code = "", 0, ""
    if index in places:
        path, line = places[index]
        code = program.code_at(path, line)
        path = relative_path(path)
    else:
        line, code, path, _ = line_with(program, function, ("out=", "return"))
    report.findings.append(
        Finding(
            "wrong",
            "mutation",
            f"the {which} changes {name} in place  ->  the caller's array is spoilt: work on a copy",
            getattr(function, "__name__", which),
            path,
            line,
            code,
            name,
        )
    )
    return True


def keeps_state(layer: Layer, program: Program, report: Report) -> bool:
    """Whether a second forward and backward, on the same inputs, give other gradients."""
    first, second = _frozen(layer.backward(lambda: None)), _frozen(layer.backward(lambda: None))
    before = len(report.findings)
    _report_second_call(layer, program, report, first, second)
    return len(report.findings) > before


def _report_second_call(
    layer: Layer, program: Program, report: Report, first: dict[str, Any], second: dict[str, Any]
) -> None:
    different = [k for k in first if k in second and not np.array_equal(first[k], second[k], equal_nan=True)]
    if not different:
        return
    recorder = program.recorder
    runs = []
    layer.randomness.rewind(1)
    arguments = layer.filled(layer.leaves)
    result = layer.run_forward(arguments)
    with program.watched("values"):
        for _ in range(2):
            layer.randomness.rewind(1)
            recorder.reset(record=True)
            layer.call_backward([np.array(d) for d in layer.upstream], result, arguments)
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
        finding.code = program.code_at(place.path, place.line)
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
                severity="wrong",
            )
            return
    low: dict[str, Any] = {
        k: v.astype(np.float32) if isinstance(v, np.ndarray) and v.dtype.kind == "f" else fresh(v)
        for k, v in variant.arguments.items()
    }
    try:
        small = Layer(forward, backward, low, program)
        small.leaves = {k: v.astype(np.float32) for k, v in layer.leaves.items()}
        small.last_result = small._call_forward(small.leaves)
        small.upstream = [d.astype(np.float32) for d in small.upstream]
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
        )


def _dtype_finding(
    layer: Layer,
    program: Program,
    report: Report,
    dtype: Any,
    message: str,
    forward: bool = False,
    severity: str = "warning",
) -> None:
    recorder = program.recorder
    with program.watched("values"):
        recorder.reset(record=True)
        layer.randomness.rewind()
        arguments = layer.filled(layer.leaves)
        result = layer.run_forward(arguments)
        if not forward:
            recorder.reset(record=True)
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
    finding = Finding(severity, "dtype", f"{message}  ->  {CAUSES['dtype']}")
    if place is not None:
        site = place.site
        finding.path, finding.line, finding.function = (
            relative_path(site.path),
            site.line,
            site.function.rpartition(".")[2],
        )
        finding.code, finding.quantity = program.code_at(site.path, site.line), site.name
    report.findings.append(finding)


def examine_loss_behaviour(function: Any, variant: Variant, program: Program, report: Report) -> None:
    """Check that a loss leaves its inputs alone."""
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
