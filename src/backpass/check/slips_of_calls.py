"""The slips that people make in calls, undone: sums over another axis, products turned round, axes mixed up."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from backpass.check.edits import EPS, Edit, Scope, Slot, binary, called, names_in, number, operand_of, parse, set_edit

REDUCING = {"sum", "mean", "max", "min", "prod", "var", "std"}


def product_edits(
    slot: Slot, left: ast.expr, right: ast.expr, make: Callable[[ast.expr, ast.expr], ast.expr]
) -> Iterator[Edit]:
    """Turn the operands of a matrix product round, and exchange them."""

    def turned(e: ast.expr) -> ast.expr:
        return e.value if isinstance(e, ast.Attribute) and e.attr == "T" else ast.Attribute(e, "T", ast.Load())

    yield set_edit(1.2, "transposed", slot, make(turned(left), right))
    yield set_edit(1.2, "transposed", slot, make(left, turned(right)))
    yield set_edit(1.2, "transposed", slot, make(right, left))
    yield set_edit(1.4, "transposed", slot, make(turned(right), turned(left)))
    yield set_edit(1.4, "transposed", slot, make(right, turned(left)))
    yield set_edit(1.4, "transposed", slot, make(turned(right), left))
    yield set_edit(1.5, "transposed", slot, ast.Attribute(make(left, right), "T", ast.Load()))
    swapped = [ast.Call(ast.Attribute(e, "swapaxes", ast.Load()), [number(-1), number(-2)], []) for e in (left, right)]
    yield set_edit(1.6, "transposed", slot, make(swapped[0], right))
    yield set_edit(1.6, "transposed", slot, make(left, swapped[1]))


def call_edits(slot: Slot, node: ast.Call, scope: Scope) -> Iterator[Edit]:
    """All edits of a call, by the function that is called."""
    name, operand = called(node), operand_of(node)
    if node.args and isinstance(node.args[0], ast.List | ast.Tuple) and 1 < len(node.args[0].elts) <= 6:
        parts = node.args[0].elts
        for i, j in itertools.combinations(range(len(parts)), 2):
            order = list(parts)
            order[i], order[j] = order[j], order[i]
            new: ast.expr = ast.List(order, ast.Load())
            yield set_edit(1.2, "wrong_variable", slot, ast.Call(node.func, [new, *node.args[1:]], node.keywords))
    for keyword in node.keywords:
        if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str) and name == "pad":
            kept = [k for k in node.keywords if k is not keyword]
            yield set_edit(1.2, "function", slot, ast.Call(node.func, node.args, kept), str(keyword.arg))
    method = operand is not None and isinstance(node.func, ast.Attribute) and node.func.value is operand
    if name in REDUCING and operand is not None:
        axes: list[Any] = [
            0,
            1,
            None,
            -1,
            (0, 1),
            (0, 2, 3),
            (1, 2, 3),
            (2, 3),
            2,
            3,
            (1, 2),
            (3, 4),
            (2, 3, 4),
            (0, 2, 3, 4),
        ]
        positional = node.args[0 if method else 1 :]
        old_axis = next((k.value for k in node.keywords if k.arg == "axis"), positional[0] if positional else None)
        keep = [k for k in node.keywords if k.arg == "keepdims"]
        others = [k for k in node.keywords if k.arg not in ("axis", "keepdims")]
        for axis in axes:
            if old_axis is not None and ast.unparse(old_axis) == repr(axis):
                continue
            for kept in (keep, [ast.keyword("keepdims", parse("True"))] if not keep else []):
                keywords = others + ([] if axis is None else [ast.keyword("axis", parse(repr(axis)))]) + kept
                if axis is None and old_axis is None:
                    continue
                if kept is not keep and not kept and not keep:
                    continue
                new = ast.Call(node.func, [] if method else [operand], keywords)
                yield set_edit(1.0 if kept is keep else 1.6, "axis", slot, new)
        axis_keyword = [] if old_axis is None else [ast.keyword("axis", old_axis)]
        toggled = [] if keep else [ast.keyword("keepdims", parse("True"))]
        yield set_edit(
            0.95, "keepdims", slot, ast.Call(node.func, [] if method else [operand], others + axis_keyword + toggled)
        )
        for text, value in scope.arrays.items():
            if text not in names_in(node) and np.ndim(value) <= 2:
                yield set_edit(2.0, "wrong_variable", slot, parse(text), name)
        for other in ("max", "min"):
            if name != other and isinstance(node.func, ast.Attribute):
                yield set_edit(
                    1.5,
                    "function",
                    slot,
                    ast.Call(ast.Attribute(node.func.value, other, ast.Load()), node.args, node.keywords),
                    name,
                )
        for other in ("sum", "mean"):
            if name != other and isinstance(node.func, ast.Attribute):
                function = ast.Attribute(node.func.value, other, ast.Load())
                yield set_edit(
                    0.95,
                    "mean_for_sum" if name == "mean" else "factor",
                    slot,
                    ast.Call(function, node.args, node.keywords),
                    name,
                )
        yield set_edit(1.4, "extra_sum", slot, operand, name)
    elif name in ("dot", "matmul"):
        if method and len(node.args) == 1 and operand is not None:
            yield from product_edits(
                slot, operand, node.args[0], lambda a, b: ast.Call(ast.Attribute(a, name, ast.Load()), [b], [])
            )
        elif len(node.args) == 2:
            yield from product_edits(slot, node.args[0], node.args[1], lambda a, b: ast.Call(node.func, [a, b], []))
    elif name == "sqrt" and operand is not None:
        yield set_edit(1.2, "power", slot, operand, "sqrt")
        for text in [t for t in scope.scalars if EPS.match(t) or "eps" in t]:
            yield set_edit(1.2, "eps", slot, ast.Call(node.func, [binary(operand, ast.Add(), parse(text))], []), text)
            yield set_edit(1.4, "eps", slot, binary(node, ast.Add(), parse(text)), text)
        if isinstance(operand, ast.BinOp) and isinstance(operand.op, ast.Add):
            yield set_edit(1.3, "eps", slot, binary(ast.Call(node.func, [operand.left], []), ast.Add(), operand.right))
    elif (
        name in ("maximum", "exp", "log", "abs", "square", "tanh", "sin", "cos", "sinh", "cosh", "sign")
        and operand is not None
    ):
        yield set_edit(1.5, "function", slot, operand, name)
        partners = {
            "sin": "cos",
            "cos": "sin",
            "tanh": "cosh",
            "exp": "log",
            "log": "exp",
            "maximum": "minimum",
            "abs": "sign",
        }
        if name in partners and isinstance(node.func, ast.Attribute):
            yield set_edit(
                1.3,
                "function",
                slot,
                ast.Call(ast.Attribute(node.func.value, partners[name], ast.Load()), node.args, node.keywords),
                name,
            )
    elif name in ("argmax", "argmin") and isinstance(node.func, ast.Attribute):
        other = "argmin" if name == "argmax" else "argmax"
        yield set_edit(
            1.0,
            "argmax",
            slot,
            ast.Call(ast.Attribute(node.func.value, other, ast.Load()), node.args, node.keywords),
            name,
        )
    elif name == "where" and len(node.args) == 3:
        test, yes, no = node.args
        yield set_edit(1.1, "mask_inverted", slot, ast.Call(node.func, [test, no, yes], []))
    elif name in ("divmod", "unravel_index") and len(node.args) == 2:
        for text, value in scope.scalars.items():
            if type(value) is int and text != ast.unparse(node.args[1]) and name == "divmod":
                yield set_edit(1.5, "argmax", slot, ast.Call(node.func, [node.args[0], parse(text)], []))
    elif name in ("reshape", "transpose", "swapaxes", "moveaxis") and operand is not None:
        yield from _layout_edits(slot, node, name, operand)
    elif name in ("flip", "fliplr", "flipud", "rot90") and operand is not None:
        yield set_edit(1.1, "transposed", slot, operand, name)
    elif name == "einsum" and node.args and isinstance(node.args[0], ast.Constant):
        yield from _einsum_edits(slot, node)
        yield from _flips(slot, node, scope)
    elif name == "tensordot":
        yield from _flips(slot, node, scope)
    elif name in ("zeros_like", "ones_like", "empty_like", "zeros"):
        kept_keywords = [k for k in node.keywords if k.arg != "dtype"]
        if len(kept_keywords) < len(node.keywords):
            yield set_edit(0.9, "dtype", slot, ast.Call(node.func, node.args, kept_keywords))
    elif name == "astype" and operand is not None:
        yield set_edit(1.0, "dtype", slot, operand)
    elif len(node.args) == 1 and not node.keywords:
        yield set_edit(1.6, "function", slot, node.args[0], name)  # a function too many


def _flips(slot: Slot, node: ast.Call, scope: Scope) -> Iterator[Edit]:
    """Turn a kernel the other way round: a correlation in the forward is a convolution in the backward."""
    for i, operand in enumerate(node.args):
        value = scope.arrays.get(ast.unparse(operand))
        if value is None or ast.unparse(operand) in scope.gradients:
            continue
        for axes in (":, :, ::-1, ::-1", ":, ::-1, ::-1", "::-1, ::-1", ":, :, ::-1", ":, ::-1", "::-1"):
            if axes.count(":,") + axes.count("-1") <= np.ndim(value):
                flipped = parse(f"{ast.unparse(operand)}[{axes}]")
                arguments = [*node.args[:i], flipped, *node.args[i + 1 :]]
                yield set_edit(1.6, "transposed", slot, ast.Call(node.func, arguments, node.keywords))


def _layout_edits(slot: Slot, node: ast.Call, name: str, operand: ast.expr) -> Iterator[Edit]:
    """Axes in another order: of a transpose, and before or after a reshape."""
    method = isinstance(node.func, ast.Attribute) and node.func.value is operand
    given = node.args if method else node.args[1:]

    def again(new: ast.expr) -> ast.Call:
        return ast.Call(ast.Attribute(new, name, ast.Load()), given, [])

    def swapped(inner: ast.expr, a: int, b: int) -> ast.Call:
        return ast.Call(ast.Attribute(inner, "swapaxes", ast.Load()), [number(a), number(b)], [])

    if name != "reshape":
        yield set_edit(1.5, "transposed", slot, operand, name)
    spread = not (len(given) == 1 and isinstance(given[0], ast.Tuple | ast.List))
    items = list(given if spread else given[0].elts)  # type: ignore[attr-defined]
    if name == "transpose" and len(items) in (3, 4):
        for order in itertools.permutations(range(len(items))):
            elements: list[ast.expr] = [number(i) for i in order]
            arguments: list[ast.expr] = elements if spread else [ast.Tuple(elements, ast.Load())]
            if ast.unparse(ast.Tuple(elements, ast.Load())) != ast.unparse(ast.Tuple(items, ast.Load())):
                yield set_edit(
                    1.3, "transposed", slot, ast.Call(node.func, arguments if method else [operand, *arguments], [])
                )
    elif name == "swapaxes":
        for a, b in itertools.combinations(range(4), 2):
            yield set_edit(1.4, "transposed", slot, swapped(operand, a, b))
    elif name == "reshape":
        yield set_edit(1.6, "transposed", slot, again(ast.Attribute(operand, "T", ast.Load())))
        for a, b in itertools.combinations(range(4), 2):
            yield set_edit(1.6, "transposed", slot, again(swapped(operand, a, b)))
        for order in itertools.permutations(range(len(items))) if len(items) in (3, 4) else ():
            if list(order) != sorted(order):
                shape: list[ast.expr] = [items[i] for i in order]
                back = ", ".join(str(order.index(i)) for i in range(len(order)))
                turned = ast.Call(ast.Attribute(operand, "reshape", ast.Load()), shape, [])
                call = ast.Call(ast.Attribute(turned, "transpose", ast.Load()), [parse(f"({back})")], [])
                yield set_edit(1.7, "transposed", slot, call)


def _einsum_edits(slot: Slot, node: ast.Call) -> Iterator[Edit]:
    """Other letters in an einsum: another axis kept, or the same ones in another order."""
    text = node.args[0].value.replace(" ", "")  # type: ignore[attr-defined]
    if "->" not in text or "." in text:
        return
    operands, result = text.split("->")
    terms = operands.split(",")

    def changed(new: str, key: str) -> Edit:
        return set_edit(1.0, key, slot, ast.Call(node.func, [ast.Constant(new), *node.args[1:]], node.keywords))

    letters = sorted(set(operands) - {","})
    for other in itertools.permutations(letters, len(result)) if len(letters) <= 5 else ():
        if "".join(other) != result:
            key = "transposed" if sorted(other) == sorted(result) else "axis"
            yield changed(f"{operands}->{''.join(other)}", key)
    for i, term in enumerate(terms):
        for order in itertools.permutations(term):
            if "".join(order) != term and len(term) <= 4:
                yield changed(f"{','.join([*terms[:i], ''.join(order), *terms[i + 1 :]])}->{result}", "transposed")
