"""Blame the line that makes a value rather than the one that uses it, where both can be mended in the same way.

`ds = dout * root` and `return ds * x`: that a factor is missing shows in the second line, where the gradient has a
counterpart in the forward.  `ds` has none.  If what helps there, `ds / s` for `ds`, helps in its definition as well,
then the definition is the first wrong line.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Container

import numpy as np

from backpass.check.edits import Slot, parse, set_edit, stored_names
from backpass.check.instrument import Program
from backpass.check.locate import Truth, Verdict
from backpass.check.nested import stems
from backpass.check.recorder import is_real
from backpass.check.repair import Repair, search


def moved_to_definition(
    program: Program,
    truth: Truth,
    verdicts: list[Verdict],
    repair: Repair,
    given: Container[tuple[str, int]],
    right_outputs: Callable[[], set[str]],
    already_right: set[str],
) -> Repair:
    """Return the same repair in the definition of the name that it edits, or as it is where that does not help."""
    source = program.source(repair.function)
    if source is None:
        return repair
    path, definition = source[0].path, source[1]
    for _ in range(3):  # a definition may itself only pass on what a line before it has made
        name, after = repair.edit.show(), _after(repair)
        made = _definition_of(definition, name, repair.edit.line) if name.isidentifier() else None
        if after is None or made is None or (path, made.lineno) in given:
            return repair
        put = _Put(name, made.value)
        new = put.visit(after)
        if not put.done or _has_counterpart(truth, verdicts, path, made.lineno, name):
            return repair
        edit = set_edit(repair.edit.cost, repair.edit.key, Slot(made, "value", None, "root", made.lineno), new)
        found = search(
            program, [(repair.function, definition, edit)], right_outputs, already_right, repair.fixes, budget_s=0.5
        )
        if not found or found[0].fixes < repair.fixes:
            return repair
        repair = Repair(edit, repair.function, repair.fixes, repair.complete)
    return repair


def _after(repair: Repair) -> ast.expr | None:
    """Return what an edit puts in the place of an expression, or None where it is not an expression."""
    if repair.edit.after is not None:
        return None
    repair.edit.apply()
    text = repair.edit.show()
    repair.edit.undo()
    try:
        return parse(text)
    except SyntaxError:  # a whole statement
        return None


def _definition_of(definition: ast.FunctionDef, name: str, line: int) -> ast.Assign | None:
    """Return the last assignment of a name before a line, if nothing else is done to it on the way."""
    stores = [
        n
        for n in ast.walk(definition)
        if isinstance(n, ast.Assign | ast.AugAssign | ast.For) and n.lineno < line and name in stored_names(n, {name})
    ]
    last = max(stores, key=lambda n: n.lineno, default=None)
    plain = isinstance(last, ast.Assign) and len(last.targets) == 1 and isinstance(last.targets[0], ast.Name)
    return last if plain and isinstance(last, ast.Assign) else None


def _has_counterpart(truth: Truth, verdicts: list[Verdict], path: str, line: int, name: str) -> bool:
    """Whether a value is right as the derivative of a value of the forward, or does not carry the upstream gradient.

    A `dz` may be that of `-z`, where the forward has no `z` but `np.exp(-z)`.  The derivative along some uses of a variable
    does not count: another use may have been forgotten there.
    """
    here = [v for v in verdicts if (v.site.path, v.site.line, v.site.name) == (path, line, name)]
    right = [v for v in here if v.status == "right"]
    of_its_own = {n.name.lower().replace("_", "") for n in truth.nodes}.isdisjoint(stems(name))
    values = [v.events[-1].value for v in here]
    if of_its_own and any(is_real(value) and truth.match(-np.asarray(value)) is not None for value in values):
        return True
    return not here or any(v.node is None or v.node.kind in ("assign", "after", "argument") for v in right)


class _Put(ast.NodeTransformer):
    """Put an expression in the place of a name."""

    def __init__(self, name: str, new: ast.expr) -> None:
        self.name, self.new, self.done = name, new, False

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Put it, if this is the name."""
        self.done = self.done or node.id == self.name
        return self.new if node.id == self.name else node
