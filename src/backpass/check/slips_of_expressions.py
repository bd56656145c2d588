"""The slips that people make in expressions, undone: another number, sign, power, variable; a factor or term put in or out."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from backpass.check.edits import (
    EPS,
    KEEP,
    MASK,
    STRIDE,
    Edit,
    Scope,
    Slot,
    around,
    binary,
    called,
    factors,
    is_expression,
    is_index,
    is_mask,
    key_of_factor,
    names_in,
    number,
    operand_of,
    parse,
    set_edit,
)
from backpass.check.slips_of_calls import REDUCING, call_edits, product_edits
from backpass.check.slips_of_indices import comparison_edits


def of_expression(slot: Slot, scope: Scope, insert: bool) -> Iterator[Edit]:
    """All edits of one place in an expression."""
    node = slot.get()
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        if not (isinstance(slot.parent, ast.Call) and called(slot.parent) in REDUCING):  # an axis: see call_edits
            yield from _number_edits(slot, node, scope)
    elif isinstance(node, ast.BinOp):
        yield from _operation_edits(slot, node, scope)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            yield set_edit(1.0, "sign", slot, node.operand)
        elif isinstance(node.op, ast.Invert):
            yield set_edit(1.1, "mask_inverted", slot, node.operand, ast.unparse(node.operand))
    elif isinstance(node, ast.Call):
        yield from call_edits(slot, node, scope)
    elif isinstance(node, ast.Compare):
        yield from comparison_edits(slot, node)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield set_edit(1.1, "transposed", slot, node.value)
    elif isinstance(node, ast.Attribute) and node.attr == "size":
        yield set_edit(1.2, "factor", slot, parse(f"{ast.unparse(node.value)}.shape[0]"))
    elif isinstance(node, ast.Name):
        yield from _name_edits(slot, node, scope)
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        text = ast.unparse(node)
        for other, value in scope.arrays.items():
            if other != text and text in scope.arrays and np.shape(value) == np.shape(scope.arrays[text]):
                yield set_edit(1.8, "wrong_variable", slot, parse(other), text)
        if text in scope.scalars:
            yield from _other_numbers(slot, text, scope)
        yield from _subscript_edits(slot, node)
        yield from _first_steps(slot, node, scope)
        here = _value_here(slot, node, scope)
        if here is not None and any(isinstance(n, ast.Slice) for n in ast.walk(node.slice)):
            base = ast.unparse(node.value)
            for other, value in scope.arrays.items():
                if np.shape(value) == np.shape(here) or other == base:
                    yield set_edit(1.8, "window" if other == base else "wrong_variable", slot, parse(other), text)
    if insert and slot.role in ("root", "term", "argument", "factor"):
        yield from _insertions(slot, node, scope)


def _subscript_edits(slot: Slot, node: ast.Subscript) -> Iterator[Edit]:
    """Whatever is turned round left as it is; all elements along an axis where one stands for all."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if any(isinstance(p, ast.Slice) and p.step is not None and ast.unparse(p.step) == "-1" for p in parts):
        yield set_edit(1.1, "transposed", slot, node.value, ast.unparse(node))
    for i, part in enumerate(parts):
        if isinstance(part, ast.Constant) and type(part.value) is int:
            whole: list[ast.expr] = [*parts[:i], ast.Slice(None, None, None), *parts[i + 1 :]]
            text = f"{ast.unparse(node.value)}[{', '.join(ast.unparse(p) for p in whole)}]"
            for suffix in ("", "[:, None, None]", "[:, None]", "[None, :, None, None]"):
                yield set_edit(1.7, "wrong_variable", slot, parse(text + suffix), ast.unparse(node))


def _first_steps(slot: Slot, node: ast.Subscript, scope: Scope) -> Iterator[Edit]:
    """Another array where `h[:, t - 1]` would begin from behind: the first step has none before it."""
    here = _value_here(slot, node, scope)
    for part in ast.walk(node.slice):
        back = isinstance(part, ast.BinOp) and isinstance(part.op, ast.Sub) and isinstance(part.left, ast.Name)
        if back and here is not None and ast.unparse(part.right) == "1":  # type: ignore[attr-defined]
            for other, value in scope.arrays.items():
                if np.shape(value) == np.shape(here) and other not in scope.gradients:
                    either = parse(f"{ast.unparse(node)} if {part.left.id} > 0 else {other}")  # type: ignore[attr-defined]
                    yield set_edit(1.9, "wrong_variable", slot, either, ast.unparse(node))


def _number_edits(slot: Slot, node: ast.Constant, scope: Scope) -> Iterator[Edit]:
    value = node.value
    assert isinstance(value, int | float)
    key = "power" if slot.role == "exponent" else "factor"
    if slot.role == "exponent" and isinstance(slot.parent, ast.BinOp) and MASK.search(ast.unparse(slot.parent.left)):
        key = "mask_twice"
    candidates: set[float] = {
        value + 1,
        value - 1,
        value * 2,
        value / 2,
        value + 2,
        value - 0.5,
        value + 0.5,
        1,
        0.5,
        2,
        3,
    }
    for new in sorted(candidates - {value}, key=lambda v: (abs(v - value), v)):
        if new == 0 and slot.role not in ("term", "argument"):
            continue
        clean = int(new) if float(new).is_integer() and isinstance(value, int) else new
        named = "extra_term" if new == 0 and slot.role == "term" else key
        yield set_edit(1.0 if key == "power" else 1.1, named, slot, number(clean), str(value), show=around(slot))
    for text, other in scope.scalars.items():
        if type(other) is float and other != value and is_expression(text) and slot.role != "exponent":
            named = "wrong_variable" if slot.role == "term" else "factor"
            yield set_edit(1.7, named, slot, parse(text), str(value), show=around(slot))
    if value:
        yield set_edit(
            0.9, "power" if slot.role == "exponent" else "sign", slot, number(-value), str(value), show=around(slot)
        )


def _operation_edits(slot: Slot, node: ast.BinOp, scope: Scope) -> Iterator[Edit]:
    left, right = node.left, node.right
    if isinstance(node.op, ast.Add | ast.Sub):
        yield set_edit(1.0, "sign", slot, binary(left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), right))
        yield set_edit(1.6, "operation", slot, binary(left, ast.Mult(), right))
        if isinstance(node.op, ast.Sub):
            yield set_edit(0.95, "sign", slot, binary(right, ast.Sub(), left))
        key = (
            "eps"
            if any(EPS.match(n) for n in names_in(right)) or _is_tiny(right)
            else "regularisation"
            if "reg" in names_in(right)
            else "extra_term"
        )
        yield set_edit(1.3, key, slot, left, ast.unparse(right))
        yield set_edit(
            1.35,
            "extra_term",
            slot,
            right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), right),
            ast.unparse(left),
        )
        if isinstance(left, ast.Call) and called(left) == "sqrt" and left.args:
            new = ast.Call(left.func, [binary(left.args[0], node.op, right)], left.keywords)
            yield set_edit(0.9, "eps", slot, new, ast.unparse(right))
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Pow):
            yield set_edit(
                0.9, "eps", slot, binary(binary(left.left, node.op, right), ast.Pow(), left.right), ast.unparse(right)
            )
    elif isinstance(node.op, ast.Mult | ast.Div):
        flipped: ast.operator = ast.Div() if isinstance(node.op, ast.Mult) else ast.Mult()
        yield set_edit(1.05, _key_of_flip(right, scope), slot, binary(left, flipped, right), ast.unparse(right))
        yield set_edit(1.3, key_of_factor(right, scope, True), slot, left, ast.unparse(right))
        if isinstance(node.op, ast.Mult):
            yield set_edit(1.3, key_of_factor(left, scope, True), slot, right, ast.unparse(left))
            for op in (ast.Add(), ast.Sub()):
                yield set_edit(2.2, "operation", slot, binary(left, op, right))
        else:
            yield set_edit(1.3, key_of_factor(right, scope, True), slot, left, ast.unparse(right))
    elif isinstance(node.op, ast.Pow):
        inner = operand_of(left) if isinstance(left, ast.Call) and called(left) in REDUCING else None
        if isinstance(left, ast.Call) and inner is not None:  # the power of a sum for the sum of powers
            powers = binary(inner, ast.Pow(), right)
            moved = left.func is not inner and isinstance(left.func, ast.Attribute) and left.func.value is inner
            function = ast.Attribute(powers, called(left), ast.Load()) if moved else left.func
            arguments = left.args if moved else [powers, *left.args[1:]]
            yield set_edit(1.2, "operation", slot, ast.Call(function, arguments, left.keywords))
        yield set_edit(1.3, "power", slot, left, ast.unparse(right))
        if isinstance(right, ast.Constant) and type(right.value) is int and slot.role != "function":
            lost = number(right.value + 1)  # the derivative of x^3 is 3 x^2
            yield set_edit(1.25, "factor", slot, binary(lost, ast.Mult(), node), str(right.value + 1))
    elif isinstance(node.op, ast.MatMult):
        yield from product_edits(slot, left, right, lambda a, b: binary(a, ast.MatMult(), b))


def _is_tiny(node: ast.expr) -> bool:
    """Whether an expression is a literal as small as an epsilon."""
    return isinstance(node, ast.Constant) and isinstance(node.value, float) and 0 < node.value < 0.05


def _key_of_flip(node: ast.expr, scope: Scope) -> str:
    key = key_of_factor(node, scope, False)
    return key if key in ("factor", "keep_prob", "mask_missing") else "power"


def _name_edits(slot: Slot, node: ast.Name, scope: Scope) -> Iterator[Edit]:
    value = scope.arrays.get(node.id)
    if value is not None:
        for other, candidate in scope.arrays.items():
            if other == node.id or np.shape(candidate) != np.shape(value):
                continue
            mine, theirs = node.id in scope.gradients, other in scope.gradients
            key = "upstream_missing" if other in scope.upstream and not scope.linear else "wrong_variable"
            if isinstance(slot.parent, ast.Compare):
                key = "mask"
            yield set_edit(1.8 if mine == theirs else 2.1, key, slot, parse(other), node.id, show=around(slot))
        for power, cost in ((2, 1.7), (3, 1.8), (-1, 1.9)):
            if slot.role == "factor" and node.id not in scope.gradients:
                yield set_edit(cost, "power", slot, binary(node, ast.Pow(), number(power)), node.id)
        if slot.role == "factor" and node.id not in scope.gradients:  # the cell of an LSTM shows itself through one
            yield set_edit(2.2, "function", slot, parse(f"np.tanh({node.id})"), node.id)
        if np.asarray(value).dtype.kind == "b":
            yield set_edit(1.5, "mask_inverted", slot, ast.UnaryOp(ast.Invert(), node), node.id)
        elif node.id not in scope.gradients and slot.role in ("factor", "argument"):
            for text, amount in scope.scalars.items():
                if type(amount) is float and amount not in (0.0, 1.0) and is_expression(text):
                    key = "eps" if EPS.match(text) else "missing_term"
                    yield set_edit(2.2, key, slot, binary(node, ast.Add(), parse(text)), text)
            yield set_edit(1.9, "mask", slot, parse(f"({node.id} > 0)"), node.id, show=around(slot))
        if slot.role in ("factor", "term") and np.ndim(value) == 2:
            yield set_edit(1.5, "transposed", slot, ast.Attribute(node, "T", ast.Load()), node.id)
    elif node.id in scope.scalars:
        mine = scope.scalars[node.id]
        for other, candidate in scope.scalars.items():
            if slot.role == "root" and type(mine) is int and type(candidate) is int and STRIDE.search(other):
                yield set_edit(1.3, "window", slot, binary(node, ast.Mult(), parse(other)), node.id)
        yield from _other_numbers(slot, node.id, scope)
        if type(mine) is float and slot.role in ("root", "factor"):
            yield set_edit(1.7, "extra_factor", slot, number(1), node.id, show=around(slot))
        if isinstance(mine, int):
            for op in (ast.Sub(), ast.Add()):
                yield set_edit(1.7, "factor", slot, binary(node, op, number(1)), node.id, show=around(slot))
        elif isinstance(mine, float):
            yield set_edit(
                1.5,
                "keep_prob" if KEEP.search(node.id) else "factor",
                slot,
                binary(number(1), ast.Sub(), node),
                node.id,
            )


def _other_numbers(slot: Slot, text: str, scope: Scope) -> Iterator[Edit]:
    """Another size or setting in the place of one."""
    mine = scope.scalars[text]
    for other, candidate in scope.scalars.items():
        if candidate != mine and type(candidate) is type(mine):
            yield set_edit(1.6, "factor", slot, parse(other), text, show=around(slot))


def _insertions(slot: Slot, node: ast.expr, scope: Scope) -> Iterator[Edit]:
    outer = slot.role in ("root", "term")
    if slot.role == "factor" and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield set_edit(1.8, "power", slot, binary(node, ast.Pow(), number(2)))
    step = 0.0 if slot.role == "root" else 0.1 if slot.role == "term" else 0.4
    if isinstance(node, ast.Constant | ast.Tuple) or (isinstance(node, ast.Attribute) and node.attr == "shape"):
        return
    if slot.role == "argument" and not isinstance(node, ast.Compare):
        yield set_edit(1.9, "sign", slot, ast.UnaryOp(ast.USub(), node))
        if isinstance(slot.parent, ast.Call) and called(slot.parent) == "where":
            for text in [t for t, v in scope.arrays.items() if np.asarray(v).dtype.kind == "f"]:
                yield set_edit(2.0, "sign", slot, binary(node, ast.Mult(), parse(f"np.sign({text})")), text)
    if outer:
        yield set_edit(1.5 + step, "sign", slot, ast.UnaryOp(ast.USub(), node))
        for text in ("2", "0.5"):
            yield set_edit(1.9 + step, "factor", slot, binary(node, ast.Mult(), parse(text)), text)
    if any(EPS.match(n) for n in names_in(node)) and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield set_edit(1.5, "power", slot, ast.Call(parse("np.sqrt"), [node], []), "sqrt")
    if slot.role == "factor" and isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.MatMult):
        yield from _masked(slot, node, scope, 2.1)
    if slot.role == "argument" and isinstance(slot.parent, ast.Call) and called(slot.parent) in ("dot", "matmul"):
        yield from _masked(slot, node, scope, 2.1)
    if outer and not scope.linear:
        for text in sorted(scope.parts):
            yield set_edit(2.0 + step, "upstream_missing", slot, binary(node, ast.Mult(), parse(text)), text)
    if outer or slot.role == "argument":
        for text, value in [
            *scope.scalars.items(),
            *((t, v) for t, v in scope.sizes.items() if t not in scope.scalars),
        ]:
            if not isinstance(value, int | float) or value in (0, 1) or not is_expression(text):
                continue
            factor = parse(text)
            key = key_of_factor(factor, scope, False)
            if "reg" in text:
                key = "regularisation"
            elif is_index(node, scope):
                key = "window"
            yield set_edit(2.0 + step, key, slot, binary(node, ast.Div(), factor), text)
            yield set_edit(2.0 + step, key, slot, binary(node, ast.Mult(), factor), text)
        mentioned = factors(node)
        here = _value_here(slot, node, scope)
        for text, value in scope.arrays.items():
            if not _fits(slot, here, value):
                continue
            factor = parse(text)
            mask = np.asarray(value).dtype.kind == "b"
            again = 0.3 if text in mentioned else 0.0
            key = "power" if text in mentioned and text not in scope.gradients else key_of_factor(factor, scope, False)
            if text in scope.upstream and outer and not names_in(node) & scope.gradients:
                key = "upstream_missing"  # of this term, whatever the others mention
            yield set_edit(2.0 + step + again, key, slot, binary(node, ast.Mult(), factor), text)
            if not mask and text not in scope.gradients:
                yield set_edit(
                    2.1 + step + again, "extra_factor" if again else key, slot, binary(node, ast.Div(), factor), text
                )
                both = 0 < np.count_nonzero(np.asarray(value) > 0) < np.size(value)  # else it masks nothing, or all
                for mask_of in (f"({text} > 0)", f"({text} <= 0)") if both else ():
                    yield set_edit(2.15 + step, "mask_missing", slot, binary(node, ast.Mult(), parse(mask_of)), text)
                if outer:
                    for slope in (f"(1 - {text})", f"(1 - {text}**2)"):
                        yield set_edit(2.3 + step, "missing_factor", slot, binary(node, ast.Mult(), parse(slope)), text)
        for axis in ("0", "1", "-1", None, "(0, 2, 3)"):
            call = parse(f"x.sum({'' if axis is None else 'axis=' + axis})")
            assert isinstance(call, ast.Call)
            assert isinstance(call.func, ast.Attribute)
            call.func.value = node
            yield set_edit(2.0 + step, "missing_sum", slot, call, "sum")
            if axis is not None:
                kept = ast.Call(call.func, [], [*call.keywords, ast.keyword("keepdims", parse("True"))])
                yield set_edit(2.1 + step, "missing_sum", slot, kept, "sum")
        yield set_edit(1.7 + step, "transposed", slot, ast.Attribute(node, "T", ast.Load()))
    if slot.role == "factor":
        yield from _joined(slot, node, scope)
        if isinstance(node, ast.Name) and node.id in scope.gradients and np.ndim(scope.arrays.get(node.id, 0)) > 1:
            for summed in (1, 0, -1):
                total = parse(f"{node.id}.sum(axis={summed}, keepdims=True)")
                yield set_edit(2.2, "missing_sum", slot, total, node.id)
    if slot.role == "root":
        plain = [t for t, v in scope.arrays.items() if np.asarray(v).dtype.kind == "f" and t not in scope.gradients]
        for text in scope.arrays:
            if not isinstance(node, ast.Name):
                yield set_edit(2.3, "wrong_variable", slot, parse(text), text)
        here = _value_here(slot, node, scope)
        for text, other in itertools.product(scope.gradients & set(scope.arrays), plain):
            if not (_fits(slot, here, scope.arrays[text]) and _fits(slot, here, scope.arrays[other])):
                continue
            yield set_edit(3.0, "missing_term", slot, binary(node, ast.Add(), parse(f"{text} * {other}")), text)
            yield set_edit(3.1, "missing_term", slot, binary(node, ast.Sub(), parse(f"{text} * {other}")), text)
            yield set_edit(3.2, "mask", slot, parse(f"{text} * ({other} > 0)"), other)
        for text, value in scope.arrays.items():
            if text in names_in(node) and text in scope.gradients:
                continue
            if np.asarray(value).dtype.kind != "f" or not _fits(slot, here, value):
                continue
            for op, cost in ((ast.Add(), 2.5), (ast.Sub(), 2.6)):
                yield set_edit(cost, "missing_term", slot, binary(node, op, parse(text)), text)
                for size in [s for s, v in scope.scalars.items() if type(v) is int and s.isidentifier() and v > 1][:4]:
                    yield set_edit(cost + 0.3, "missing_term", slot, binary(node, op, parse(f"{text} / {size}")), text)
                if "reg" in scope.scalars:
                    yield set_edit(cost - 0.1, "regularisation", slot, binary(node, op, parse(f"reg * {text}")), text)


def _value_here(slot: Slot, node: ast.expr, scope: Scope) -> Any:
    """Return the value that an expression had, or None where it is not known."""
    if slot.role == "root" and isinstance(slot.parent, ast.Assign):
        node = slot.parent.targets[0]
    return scope.values.get(getattr(node, "_key", 0))


def _fits(slot: Slot, here: Any, value: Any) -> bool:
    """Whether a product or sum with a value is possible, and keeps the shape of a whole statement (if that is known)."""
    if here is None:
        return True
    try:
        together = np.broadcast_shapes(np.shape(here), np.shape(value))
    except ValueError:
        return False
    return slot.role != "root" or together == np.shape(here)


def _joined(slot: Slot, node: ast.expr, scope: Scope) -> Iterator[Edit]:
    """Add another gradient of the same shape to a gradient, within a product: what flows in by another way."""
    here = _value_here(slot, node, scope)
    if here is None or not names_in(node) & scope.gradients:
        return
    for text in scope.gradients - names_in(node):
        if text in scope.arrays and np.shape(scope.arrays[text]) == np.shape(here):
            yield set_edit(2.4, "missing_term", slot, binary(node, ast.Add(), parse(text)), text)


def _masked(slot: Slot, node: ast.expr, scope: Scope, cost: float) -> Iterator[Edit]:
    """Multiply a factor of a matrix product by a mask."""
    shape = np.shape(scope.arrays[node.id]) if isinstance(node, ast.Name) and node.id in scope.arrays else None
    for text, value in scope.arrays.items():
        if text not in scope.gradients and (shape is None or np.shape(value) == shape):
            mask = text if is_mask(text, value) else f"({text} > 0)"
            yield set_edit(cost, "mask_missing", slot, binary(node, ast.Mult(), parse(mask)), text)
