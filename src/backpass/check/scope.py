"""What an edit near a place may mention, and the edits of the lines under suspicion."""

from __future__ import annotations

import ast
import inspect
import types
from typing import Any

import numpy as np

from backpass.check.edits import Edit, Scope, asides, statements_at
from backpass.check.instrument import Program
from backpass.check.locate import Location, Verdict
from backpass.check.recorder import Event
from backpass.check.slips import edits_of
from backpass.check.subject import Layer, Subject


def scope_of(subject: Subject, events: list[Event], verdicts: list[Verdict], anchor: Verdict) -> Scope:
    """Return what can be mentioned in an edit near a place: local variables, entries of dicts, sizes."""
    scope = Scope(problem=subject.sizes())
    gradient_keys = {e.key for v in verdicts for e in v.events}
    for event in events:
        site = event.site
        if site.function.rpartition(".")[2] != anchor.site.function.rpartition(".")[2] or site.path != anchor.site.path:
            continue
        if site.kind in ("use", "expression", "assign") and isinstance(event.value, np.ndarray):
            scope.values[site.key] = event.value
        if site.kind in ("argument", "assign", "item", "after") and site.name.isidentifier():
            add_to_scope(scope, site.name, event.value)
            if event.key in gradient_keys:
                scope.gradients.add(site.name)
    scope.upstream = _upstream_names(subject) & set(scope.arrays)
    scope.gradients |= scope.upstream
    if isinstance(subject, Layer):
        _add_fields(subject, scope)
    _add_expressions(subject.program, scope, anchor, events)
    for name, value in list(scope.arrays.items()):
        if name in scope.gradients and np.ndim(value) and len(scope.sizes) < 4:
            scope.sizes |= {f"{name}.shape[{i}]": s for i, s in enumerate(np.shape(value))}
    if len(scope.arrays) > 24:
        keep = sorted(scope.arrays, key=lambda n: n not in scope.gradients)[:24]
        scope.arrays = {k: scope.arrays[k] for k in keep}
    return scope


def _add_fields(subject: Layer, scope: Scope) -> None:
    """Add what a cache with names holds, used or not: `cache.mid`, `cache["mid"]`."""
    rest = subject.last_result[subject.binding.outputs :] if isinstance(subject.last_result, tuple) else ()
    for name, (role, which) in zip(parameter_names(subject.user_backward), subject.binding.roles, strict=False):
        if role != "cache" or which >= len(rest):
            continue
        cache = rest[which]
        if isinstance(cache, dict):
            add_to_scope(scope, name, cache)
            continue
        fields = cache._asdict() if hasattr(cache, "_asdict") else getattr(cache, "__dict__", {})
        for field, value in fields.items():
            if isinstance(value, np.ndarray):
                add_to_scope(scope, f"{name}.{field}", value)


def parameter_names(function: Any) -> list[str]:
    """Return the names of a function's parameters; none where they cannot be had."""
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _upstream_names(subject: Subject) -> set[str]:
    if not isinstance(subject, Layer):
        return set()
    names = parameter_names(subject.user_backward)
    return {n for n, (role, _) in zip(names, subject.binding.roles, strict=False) if role == "upstream"}


def add_to_scope(scope: Scope, text: str, value: Any) -> None:
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


def _add_expressions(program: Program, scope: Scope, anchor: Verdict, events: list[Event]) -> None:
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
                if node.value.id in scope.upstream:
                    scope.parts.add(ast.unparse(node))
                continue  # a part of an array; the entries of dicts and lists are values of their own
            add_to_scope(scope, ast.unparse(node), by_key[key])


def candidates_of(
    program: Program, location: Location, scope: Scope, given: set[tuple[str, int]], wider: bool = False
) -> list[tuple[types.FunctionType, ast.FunctionDef, Edit]]:
    """Edits of the suspected lines, and of the masks, sizes and indices that they use.

    The lines `given` are those of the forward, where a function holds both.
    """
    by_function: dict[types.FunctionType, set[int]] = {}
    judged = {v.site.line for v in location.verdicts}
    suspects = location.suspects
    if wider and location.first_wrong is not None:
        suspects = suspects + [
            v
            for v in location.verdicts
            if v.status == "right"
            and not v.exact
            and v.site.kind in ("assign", "after")
            and v.order < location.first_wrong.order
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
        statements = statements_at(definition, suspected)
        partial = {v.site.line for v in suspects} - {v.site.line for v in location.suspects}
        own = [s for s in statements if s.lineno in partial] if wider else statements
        for edit in edits_of(definition, own, scope):
            if wider:
                edit.cost += 0.01 * sum(edit.line < line < (home or 0) for line in partial)  # the latest first
            if edit.cost >= 1.9 and home is not None and edit.line != home:
                edit.cost += 0.12  # what is missing is missed where the first wrong value is named
            candidates.append((plain, definition, edit))
        others = [
            s
            for s in asides(definition, statements, scope.arrays)
            if wider == (s.lineno in judged) and (verdict.site.path, s.lineno) not in given
        ]
        for edit in edits_of(definition, others, scope):
            edit.cost += 0.12 if edit.cost < 1.9 else 0.3
            candidates.append((plain, definition, edit))
    return candidates
