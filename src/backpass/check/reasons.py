"""Say why a value is wrong, from the values themselves and from the paths that lead to it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check import numeric
from backpass.check.causes import Cause, Context, explain, number_in_words
from backpass.check.instrument import Program
from backpass.check.locate import Key, Truth, Verdict, fits
from backpass.check.measure import Measured
from backpass.check.recorder import Event
from backpass.check.subject import Layer, Subject

Array = NDArray[np.float64]


def context_of(
    subject: Subject, measured: Measured, arrays: dict[str, Any], upstream: list[Any], leaf: str = ""
) -> Context:
    """Collect the values and sizes by name that may explain a difference."""
    scalars: dict[str, Any] = {}
    for name, value in getattr(subject, "arguments", {}).items():
        if isinstance(value, dict):
            scalars |= {k: v for k, v in value.items() if isinstance(v, int | float) and not isinstance(v, bool)}
        elif isinstance(value, int | float) and not isinstance(value, bool):
            scalars[name] = value
    scalars = {**_settings_of(subject), **subject.sizes(), **scalars}
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
        others={f"d{o}": t for o, t in others.items() if o in measured.wrong and o != leaf and not np.isnan(t).any()},
    )


def _settings_of(subject: Subject) -> dict[str, Any]:
    """Return the numbers that a layer object carries: its probability, its epsilon."""
    result = getattr(subject, "last_result", None)
    owners = [r for r in result[1:] if hasattr(r, "__dict__")] if isinstance(result, tuple) else []
    return {k: v for o in owners for k, v in vars(o).items() if isinstance(v, float)}


def gradients_of(names: set[str] | list[str]) -> str:
    """Return the gradients of some leaves, in words."""
    return ", ".join(f"d{n}" for n in sorted(names))


def cause_by_value(
    subject: Subject,
    truth: Truth,
    measured: Measured,
    first: Verdict | None,
    wrong: list[str],
    yours: dict[str, Any],
) -> Cause | None:
    """Explain the first wrong value, or else the wrong gradients, by what they differ in from the true ones."""
    arrays = named_values(truth.events)
    upstream = getattr(subject, "upstream", [])
    targets: list[tuple[str, str, Any, Array, Verdict | None]] = []
    if first is not None:
        value = first.events[-1].value
        leaf = first.leaf if first.leaf in wrong else None
        if first.still and not subject.joint:
            return Cause(
                "upstream_missing",
                f"{first.site.name or gradients_of(wrong)} does not change with the upstream gradient",
                0.2,
            )
        if leaf is not None:
            said = first.site.name if first.site.name not in ("", leaf) else f"d{leaf}"
            targets.append((leaf, said, value, measured.true[leaf], first))
        elif (first.node is not None and first.node.shape == np.shape(value)) or first.node is not None:
            name = first.site.name
            if first.site.kind == "argument":
                name += f", as {first.events[0].site.function.rpartition('.')[2]} gets it,"
            targets.append(("", name, value, truth.full(first.node), first))
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
        context = context_of(subject, measured, arrays, upstream, leaf)
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
    return lines[verdict.site.line - 1].split("#")[0] if 0 < verdict.site.line <= len(lines) else ""


def _part_of_uses(truth: Truth, verdict: Verdict, wrong: list[str]) -> Cause | None:
    """Whether a value is the derivative along some of the uses of its variable only."""
    value = np.asarray(verdict.events[-1].value)
    owner = verdict.leaf or (verdict.node.name if verdict.node is not None else "")
    if not owner or value.dtype.kind != "f":
        return None
    uses = [
        n
        for n in truth.nodes
        if n.kind in ("use", "return") and n.name == owner and n.moves_loss and n.shape == value.shape
    ]
    for node in truth.nodes:
        if (
            node.kind in ("use", "uses", "return")
            and node.name == owner
            and node.shape == value.shape
            and fits(value, node)
        ):
            left = sorted({n.line for n in uses if n.keys[0] not in node.keys})
            if left:
                where = f"line{'s' if len(left) > 1 else ''} {', '.join(map(str, left))}"
                return Cause(
                    "missing_term",
                    f"{verdict.site.name or gradients_of(wrong)} lacks the path through {where} of the forward",
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
