"""The slips that people make in indices, bounds and comparisons, undone."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator

import numpy as np

from backpass.check.edits import Edit, Scope, Slot, around, binary, number, parse, set_edit


def of_constant_or_index(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Edits of an index or of the bounds of a loop: off by one, and one size for another."""
    node = slot.get()
    window = "wrong_variable" if slot.role == "position" else "window"  # one element of a list is no window
    if isinstance(node, ast.Constant) and type(node.value) is int:
        of_shape = (
            isinstance(slot.parent, ast.Subscript)
            and isinstance(slot.parent.value, ast.Attribute)
            and slot.parent.value.attr == "shape"
        )
        for new in (node.value + 1, node.value - 1):
            yield set_edit(1.2, "factor" if of_shape else window, slot, number(new), str(node.value), show=around(slot))
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        for other, value in scope.scalars.items():
            if (
                other != node.id
                and type(value) is int
                and (other.isidentifier() or "stride" in other or "pad" in other)
            ):
                yield set_edit(1.7, window, slot, parse(other), node.id)
        if not isinstance(slot.parent, ast.Call):
            for op in (ast.Add(), ast.Sub()):
                yield set_edit(1.9, window, slot, binary(node, op, number(1)), node.id)
            for other, value in scope.scalars.items():
                if type(value) is int and ("stride" in other.lower() or other in ("s", "S", "step")):
                    yield set_edit(2.0, window, slot, binary(node, ast.Mult(), parse(other)), node.id)
        for other in scope.indices - {node.id} if node.id in scope.indices else ():
            yield set_edit(1.7, "wrong_variable", slot, parse(other), node.id)
        for other, value in scope.arrays.items():
            if other != node.id and isinstance(value, np.ndarray) and value.dtype.kind == "b" and other.isidentifier():
                yield set_edit(1.8, "mask", slot, parse(other), node.id)
    elif isinstance(node, ast.Compare):
        yield from comparison_edits(slot, node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        yield set_edit(1.1, "mask_inverted", slot, node.operand, ast.unparse(node.operand))
    elif isinstance(node, ast.Call):
        for other in scope.indices:
            yield set_edit(1.8, "wrong_variable", slot, parse(other), ast.unparse(node))
    elif isinstance(node, ast.BinOp):
        yield set_edit(1.5, window, slot, node.left)
        if isinstance(node.op, ast.Add | ast.Sub):
            flipped = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield set_edit(1.3, window, slot, binary(node.left, flipped, node.right))
    elif isinstance(node, ast.Slice):
        for part in ("lower", "upper"):
            bound = getattr(node, part)
            if bound is None or isinstance(bound, ast.Constant):
                continue
            for op in (ast.Add(), ast.Sub()):
                moved_bound = binary(bound, op, number(1))
                lower, upper = (moved_bound, node.upper) if part == "lower" else (node.lower, moved_bound)
                shifted = ast.Slice(lower, upper, node.step)
                yield set_edit(1.9, window, slot, shifted, show=slot)
        if node.lower is not None and node.upper is not None:
            for op in (ast.Add(), ast.Sub()):
                shifted = ast.Slice(binary(node.lower, op, number(1)), binary(node.upper, op, number(1)), node.step)
                yield set_edit(1.6, window, slot, shifted)
    elif isinstance(node, ast.Tuple):
        yield from _exchanged(slot, node)
        chosen = node.elts[1] if len(node.elts) == 2 else None
        if isinstance(chosen, ast.Name) and chosen.id in scope.indices and ast.unparse(node.elts[0]) == ":":
            one_a_row = [parse(f"np.arange(len({chosen.id}))"), chosen]
            yield set_edit(1.1, "mask", slot, ast.Tuple(one_a_row, ast.Load()))
        for text, value in scope.scalars.items():
            if type(value) is int and value > 0 and text.isidentifier():
                moved = [
                    ast.Slice(parse(text), binary(parse(text), ast.Add(), e.upper), e.step)
                    if isinstance(e, ast.Slice) and e.lower is None and e.upper is not None
                    else e
                    for e in node.elts
                ]
                if any(a is not b for a, b in zip(moved, node.elts, strict=True)):
                    yield set_edit(1.7, window, slot, ast.Tuple(moved, ast.Load()))
    if (
        isinstance(node, ast.Name)
        and isinstance(scope.arrays.get(node.id), np.ndarray)
        and scope.arrays[node.id].dtype.kind == "b"
    ):
        yield set_edit(1.9, "mask_inverted", slot, ast.UnaryOp(ast.Invert(), node), node.id)


def _exchanged(slot: Slot, node: ast.Tuple) -> Iterator[Edit]:
    """Row and column of a flat index the other way round: `k // w` for `k % w`."""
    found = [n for e in node.elts for n in ast.walk(e) if isinstance(n, ast.BinOp)]
    for a, b in itertools.combinations(found, 2):
        both = isinstance(a.op, ast.Mod | ast.FloorDiv) and isinstance(b.op, ast.Mod | ast.FloorDiv)
        if both and ast.dump(a.left) == ast.dump(b.left) and type(a.op) is not type(b.op):
            ops = a.op, b.op

            def put(first: ast.operator, second: ast.operator, a: ast.BinOp = a, b: ast.BinOp = b) -> None:
                a.op, b.op = first, second

            yield Edit(
                1.1,
                "argmax",
                slot.line,
                lambda: ast.unparse(node),
                "",
                lambda put=put, ops=ops: put(ops[1], ops[0]),  # type: ignore[misc]
                lambda put=put, ops=ops: put(*ops),  # type: ignore[misc]
            )


def comparison_edits(slot: Slot, node: ast.Compare) -> Iterator[Edit]:
    """Another comparison, and another bound to compare with."""
    if len(node.ops) != 1:
        return
    alternatives: list[ast.cmpop] = [ast.Gt(), ast.Lt(), ast.GtE(), ast.LtE(), ast.Eq()]
    equal_too = ({ast.Lt, ast.LtE}, {ast.Gt, ast.GtE})
    for op in alternatives:
        if type(op) is not type(node.ops[0]):
            key = "mask" if {type(op), type(node.ops[0])} in equal_too else "mask_inverted"
            yield set_edit(1.0, key, slot, ast.Compare(node.left, [op], node.comparators))
    right = node.comparators[0]
    if isinstance(right, ast.Constant) and right.value != 0:
        yield set_edit(1.0, "mask", slot, ast.Compare(node.left, node.ops, [number(0)]))
    if isinstance(right, ast.Constant) and right.value == 0:
        yield set_edit(1.1, "mask", slot, ast.Compare(node.left, node.ops, [number(1)]))
