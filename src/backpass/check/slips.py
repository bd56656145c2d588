"""The slips that people make in a statement, undone: what is stored, added up, sized, returned."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterator

import numpy as np

from backpass.check.edits import (
    MASK,
    STRIDE,
    Edit,
    Scope,
    Slot,
    binary,
    block_of,
    is_expression,
    key_of_factor,
    names_in,
    number,
    parse,
    set_all,
    set_edit,
    slots_of,
    slots_of_statement,
)
from backpass.check.slips_of_expressions import of_expression
from backpass.check.slips_of_indices import comparison_edits, of_constant_or_index


def edits_of(
    definition: ast.FunctionDef, statements: list[ast.stmt], scope: Scope, *, insert: bool = True
) -> list[Edit]:
    """All edits of some statements, cheapest first."""
    found: list[Edit] = []
    for statement in statements:
        found += _of_statement(definition, statement, scope, insert)
    return sorted(found, key=lambda e: (e.cost, e.line))


def _of_statement(definition: ast.FunctionDef, statement: ast.stmt, scope: Scope, insert: bool) -> Iterator[Edit]:
    line = statement.lineno
    if isinstance(statement, ast.For):
        for slot in slots_of(statement, "iter", None, "index", line):
            yield from of_constant_or_index(slot, scope)
        return
    if isinstance(statement, ast.If):
        for slot in slots_of(statement, "test", None, "index", line):
            test = slot.get()
            if isinstance(test, ast.Compare) and not isinstance(test.comparators[0], ast.Constant | ast.Name):
                continue
            if isinstance(test, ast.Compare) and (
                not isinstance(c := test.comparators[0], ast.Constant) or type(c.value) in (int, float)
            ):
                yield from comparison_edits(slot, test)
        return
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
        yield _operator_edit(statement, ast.Sub() if isinstance(statement.op, ast.Add) else ast.Add(), "sign", line)
    yield from _store_edits(definition, statement)
    yield from _followed_by(definition, statement, scope)
    value = getattr(statement, "value", None)
    if value is None:
        return
    scope.linear = bool(names_in(value) & scope.gradients)
    yield from _size_edits(definition, statement, scope)
    yield from _strided(definition, statement, scope)
    yield from _inverted(statement, scope)
    if isinstance(statement, ast.Assign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Subscript):
                for slot in slots_of(target, "slice", None, "index", line):
                    yield from of_constant_or_index(slot, scope)
    roots = (
        [(value, "elts", i) for i in range(len(value.elts))]
        if isinstance(value, ast.Tuple | ast.List) and isinstance(statement, ast.Assign | ast.Return)
        else [(statement, "value", None)]
    )
    for parent, name, index in roots:
        for slot in slots_of(parent, name, index, "root", line):
            if slot.role in ("index", "position"):
                yield from of_constant_or_index(slot, scope)
            elif slot.role != "function":
                yield from of_expression(slot, scope, insert)
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        present = scope.scalars.get(statement.targets[0].id)
        for text, size in scope.problem.items():
            if type(present) is int and size != present:
                edit = set_edit(1.7, "factor", Slot(statement, "value", None, "root", line), number(size), text)
                edit.after = f"{text} (here {size})"
                yield edit
    if isinstance(statement, ast.Return) and isinstance(value, ast.Tuple | ast.List):
        yield from _order_edits(statement, value)


def _size_edits(definition: ast.FunctionDef, statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Put one size for another throughout the statement: `C` where `H * W` belongs.

    A size that the function itself computes is wrong there, not where it is used.
    """
    slots = [s for s in slots_of_statement(statement) if isinstance(s.get(), ast.Name) and s.role != "index"]
    names = {t: v for t, v in scope.scalars.items() if type(v) is int and v > 1 and t.isidentifier()}
    sizes: dict[int, str] = {v: t for t, v in reversed(names.items())}
    for (a, m), (b, n) in itertools.combinations_with_replacement(names.items(), 2):
        sizes.setdefault(m * n, f"({a} * {b})")
    for (a, m), (b, n), (c, k) in itertools.combinations(list(names.items())[:6], 3):
        sizes.setdefault(m * n * k, f"({a} * {b} * {c})")
    computed = {
        n.targets[0].id
        for n in ast.walk(definition)
        if isinstance(n, ast.Assign) and isinstance(n.targets[0], ast.Name) and isinstance(n.value, ast.BinOp)
    }
    for name in sorted({s.get().id for s in slots} & set(names) - computed):  # type: ignore[attr-defined]
        here = [s for s in slots if s.get().id == name]  # type: ignore[attr-defined]
        for size, text in sizes.items():
            if size != names[name] and (len(here) > 1 or "*" in text):
                yield set_all(1.75, "factor", statement, here, lambda _, text=text: parse(text))  # type: ignore[misc]


def _inverted(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Invert a mask wherever the statement uses it."""

    def mask(node: ast.expr) -> str:
        inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert) else node
        text = inner.id if isinstance(inner, ast.Name) else ""
        value = scope.arrays.get(text)
        return text if isinstance(value, np.ndarray) and value.dtype.kind == "b" else ""

    slots = [s for s in slots_of_statement(statement) if mask(s.get())]
    outer = [s for s in slots if not (isinstance(s.parent, ast.UnaryOp) and isinstance(s.parent.op, ast.Invert))]
    for name in {mask(s.get()) for s in outer}:
        here = [s for s in outer if mask(s.get()) == name]
        if len(here) > 1:
            yield set_all(
                1.2,
                "mask_inverted",
                statement,
                here,
                lambda n: n.operand if isinstance(n, ast.UnaryOp) else ast.UnaryOp(ast.Invert(), n),
            )


def _strided(definition: ast.FunctionDef, statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """Every position of a window times the stride."""
    counters = {
        n.id
        for loop in ast.walk(definition)
        if isinstance(loop, ast.For)
        for n in ast.walk(loop.target)
        if isinstance(n, ast.Name)
    }
    inside = [
        s
        for s in slots_of_statement(statement)
        if s.role == "index" and isinstance(s.get(), ast.Name) and s.get().id in counters  # type: ignore[attr-defined]
    ]
    bounds = [s for s in inside if not isinstance(s.parent, ast.Tuple)]
    for text, value in scope.scalars.items():
        if type(value) is int and STRIDE.search(text) and len(bounds) > 1:
            yield set_all(1.8, "window", statement, bounds, lambda n, t=text: binary(n, ast.Mult(), parse(t)))  # type: ignore[misc]


def _followed_by(definition: ast.FunctionDef, statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """After a store into part of an array, a line that scales the whole of it."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    home = block_of(definition, statement)
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name) or home is None:
        return
    body, index = home
    for text, value in scope.scalars.items():
        if isinstance(value, int | float) and value not in (0, 1) and is_expression(text):
            for sign in ("/", "*"):
                line = f"{target.value.id} = {target.value.id} {sign} {text}"
                new = ast.fix_missing_locations(ast.copy_location(ast.parse(line).body[0], statement))
                for node in ast.walk(new):
                    ast.copy_location(node, statement)
                key = key_of_factor(parse(text), scope, False)

                def put(new: ast.stmt = new) -> None:
                    body.insert(index + 1, new)

                def take() -> None:
                    del body[index + 1]

                yield Edit(
                    2.05,
                    key,
                    statement.lineno,
                    lambda: ast.unparse(statement),
                    text,
                    put,
                    take,
                    after=f"{ast.unparse(statement)}; {target.value.id} {sign}= {text}",
                )


def _operator_edit(node: ast.AugAssign, new: ast.operator, key: str, line: int) -> Edit:
    old = node.op

    def switch(op: ast.operator) -> None:
        node.op = op

    return Edit(1.0, key, line, lambda: ast.unparse(node), "", lambda: switch(new), lambda: switch(old))


def _store_edits(definition: ast.FunctionDef, statement: ast.stmt) -> Iterator[Edit]:
    """`a[i] = v` for `a[i] += v` and the other way round; a statement taken out."""
    if not isinstance(statement, ast.Assign | ast.AugAssign):
        return
    target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
    if not isinstance(target, ast.Subscript | ast.Name):
        return
    found = block_of(definition, statement)
    if found is None:
        return
    home, index = found
    if isinstance(statement, ast.Assign):
        new: ast.stmt = ast.AugAssign(target, ast.Add(), statement.value)
        key = "overlap"
    else:
        new = ast.Assign([target], statement.value)
        key = "overlap" if isinstance(target, ast.Subscript) else "extra_term"
    ast.fix_missing_locations(ast.copy_location(new, statement))

    def put(node: ast.stmt) -> None:
        home[index] = node

    if (
        isinstance(target, ast.Subscript)
        or isinstance(statement, ast.AugAssign)
        or _assigned_before(definition, statement, target.id)
    ):
        cost = 0.95 if isinstance(target, ast.Subscript) else 1.4
        yield Edit(
            cost, key, statement.lineno, lambda: ast.unparse(home[index]), "", lambda: put(new), lambda: put(statement)
        )
    if isinstance(target, ast.Subscript):
        place = ast.unparse(target.slice)
        place = f"np.s_{ast.unparse(target).removeprefix(ast.unparse(target.value))}" if ":" in place else place
        text = f"np.add.at({ast.unparse(target.value)}, {place}, {ast.unparse(statement.value)})"
        if set(ast.unparse(target.slice)) - set(":, .0123456789"):
            at = ast.fix_missing_locations(ast.copy_location(ast.Expr(parse(text)), statement))
            yield Edit(
                0.9,
                "overlap",
                statement.lineno,
                lambda: ast.unparse(home[index]),
                "",
                lambda: put(at),
                lambda: put(statement),
            )
    if isinstance(target, ast.Subscript) and re.search(r"\bempty", ast.unparse(definition)):
        return  # without the store the array would hold whatever the memory held before
    nothing = ast.copy_location(ast.Pass(), statement)
    mention = names_in(statement.value) | names_in(target)
    key = (
        "mask_twice" if any(MASK.search(n) for n in mention) else "regularisation" if "reg" in mention else "extra_term"
    )
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Mult | ast.Div):
        key = (
            "mask_twice"
            if key == "mask_twice"
            else "factor"
            if isinstance(statement.value, ast.Constant)
            else "extra_factor"
        )
    yield Edit(
        1.6,
        key,
        statement.lineno,
        lambda: ast.unparse(statement),
        ast.unparse(statement.value),
        lambda: put(nothing),
        lambda: put(statement),
        after="",
    )


def _assigned_before(definition: ast.FunctionDef, statement: ast.stmt, name: str) -> bool:
    return any(
        isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id == name and n.lineno < statement.lineno
        for n in ast.walk(definition)
    )


def _order_edits(statement: ast.Return, value: ast.Tuple | ast.List) -> Iterator[Edit]:
    if not 2 <= len(value.elts) <= 5:
        return
    old = list(value.elts)
    for order in itertools.permutations(range(len(old))):
        if list(order) == sorted(order):
            continue
        new = [old[i] for i in order]

        def put(elements: list[ast.expr]) -> None:
            value.elts = elements

        yield Edit(
            1.1,
            "return_order",
            statement.lineno,
            lambda: ast.unparse(value),
            "",
            lambda new=new: put(new),  # type: ignore[misc]
            lambda: put(old),
        )
