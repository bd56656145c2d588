"""Compare windows: whether the backward cuts the same pieces out of an array as the forward did."""

from __future__ import annotations

import ast

import numpy as np

from backpass.check.causes import Cause
from backpass.check.edits import asides, statements_at
from backpass.check.instrument import Program
from backpass.check.locate import Truth, Verdict
from backpass.check.recorder import Event, Site


def other_windows(program: Program, truth: Truth, events: list[Event], first: Verdict) -> tuple[Cause, Verdict] | None:
    """Return the line that cuts pieces of an array of the forward which the forward never cut, or None.

    Only pieces of a shape that the forward has cut as well can be compared.
    """
    function = program.function_at(first.site.path, first.site.line)
    source = program.source(function) if function is not None else None
    if source is None:
        return None
    file, definition, _ = source
    near = statements_at(definition, {first.site.line})
    lines = {s.lineno for s in near + asides(definition, near)}
    pieces = _pieces(file.tree)
    whole = {_print(e.value) for e in truth.events if isinstance(e.value, np.ndarray)}
    cut = [e.value for e in truth.events if e.site.key in pieces and isinstance(e.value, np.ndarray)]
    known, shapes = {_print(v) for v in cut}, {v.shape for v in cut}
    by_name = {e.site.name: e.value for e in events if e.site.name and isinstance(e.value, np.ndarray)}
    for key, node in pieces.items():
        base = by_name.get(ast.unparse(node.value).rpartition(".")[2])
        here = [e for e in events if e.site.key == key and isinstance(e.value, np.ndarray)]
        if not here or here[0].site.line not in lines or here[0].value.shape not in shapes:
            continue
        if base is None or _print(base) not in whole or all(_print(e.value) in known for e in here):
            continue
        line = _line_of_index(definition, node) or here[0].site.line
        site = Site(0, "assign", "", first.site.path, line, here[0].site.function, True)
        sentence = f"{ast.unparse(node)} is not what the forward cut out of {ast.unparse(node.value)}"
        return Cause("window", sentence, 0.8), Verdict(site, "wrong", here[0].order, here[:1])
    return None


def _pieces(tree: ast.AST) -> dict[int, ast.Subscript]:
    """Return the expressions that cut pieces out, by the key under which their values are recorded."""
    found: dict[int, ast.Subscript] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Subscript) and _cuts(node):
            found[node._key] = node  # type: ignore[attr-defined]
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Subscript) and _cuts(node.value):
            found[node.targets[0]._key] = node.value  # type: ignore[attr-defined]
    return found


def _print(array: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return array.shape, np.ascontiguousarray(array).tobytes()


def _cuts(node: ast.AST) -> bool:
    """Whether an expression takes a piece of an array at a place that is computed."""
    if not isinstance(node, ast.Subscript) or not isinstance(node.ctx, ast.Load):
        return False
    return any(isinstance(n, ast.Name | ast.BinOp) for n in ast.walk(node.slice))


def _line_of_index(definition: ast.FunctionDef, node: ast.Subscript) -> int:
    """Return the line that computes the bounds, where the expression itself only names them; else 0."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    names = {p.id for p in parts if isinstance(p, ast.Name)}
    for statement in ast.walk(definition):
        if isinstance(statement, ast.Assign):
            targets = {n.id for t in statement.targets for n in ast.walk(t) if isinstance(n, ast.Name)}
            if targets & names and any(isinstance(n, ast.BinOp) for n in ast.walk(statement.value)):
                return statement.lineno
    return 0
