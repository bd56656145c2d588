"""Try small edits of suspected lines until the numbers come out right.

An edit that turns a wrong gradient into a right one, and no right one into a wrong one, shows at once which line is at
fault, why, and what to write instead.  The edits are the slips that people make, undone: another constant, sign,
power, axis
or variable, a factor, a sum or a term put in or taken out, `=` for `+=`, a window shifted by one.
"""

from __future__ import annotations

import ast
import itertools
import re
import time
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from backpass.check.instrument import Program

MASK = re.compile(r"(mask|keep_?mask|drop(ped|_mask)?$|active|alive|indicator|^on$|^gate$)", re.I)
GAMMA = re.compile(r"^(gamma|scale|g|gam|weight|ln_w|bn_w)\w*$", re.I)
KEEP = re.compile(r"(keep|^p$|prob|\bp\b|rate|ratio|'p')", re.I)
STRIDE = re.compile(r"(^s$|^st$|stride|step)", re.I)
EPS = re.compile(r"^(eps|epsilon|e|'eps'|.*\['eps(ilon)?'\]|.*\.eps(ilon)?)$", re.I)


def is_mask(text: str, value: Any) -> bool:
    """Whether a value switches others on and off: boolean, or called a mask.

    >>> is_mask("kept", np.array([True, False])), is_mask("mask", np.ones(2)), is_mask("rstd", np.ones(2))
    (True, True, False)
    """
    return bool(MASK.search(text)) or np.asarray(value).dtype.kind == "b"


@dataclass
class Scope:
    """What an inserted expression may mention: text -> value, and which of them are gradients."""

    arrays: dict[str, Any] = field(default_factory=dict)
    scalars: dict[str, Any] = field(default_factory=dict)
    gradients: set[str] = field(default_factory=set)
    indices: set[str] = field(default_factory=set)  # arrays of whole numbers: labels, positions
    sizes: dict[str, int] = field(default_factory=dict)
    problem: dict[str, int] = field(default_factory=dict)  # N, C, N*H*W ...


@dataclass
class Edit:
    """One small change of one line, which can be made and unmade."""

    cost: float
    key: str
    line: int
    show: Callable[[], str]  # the text of what is edited, as it is now
    subject: str  # the name or number that the sentence is about
    apply: Callable[[], None]
    undo: Callable[[], None]
    after: str | None = None  # the text afterwards, where it is not that of what is edited

    @property
    def text(self) -> str:
        """The edit in words."""
        before, after = self.show(), self.after
        if after is None:
            self.apply()
            after = self.show()
            self.undo()
        if not after:
            return f"`{before}` should not be there"
        return f"`{before}` should be `{after}`"


@dataclass
class Slot:
    """A place in the tree that holds an expression."""

    parent: Any
    field_name: str
    index: int | None
    role: str  # root, term, factor, argument, index, other
    line: int

    def get(self) -> ast.expr:
        """Return the expression that is here."""
        value = getattr(self.parent, self.field_name)
        return value if self.index is None else value[self.index]

    def set(self, node: ast.expr) -> None:
        """Put an expression here."""
        if self.index is None:
            setattr(self.parent, self.field_name, node)
        else:
            getattr(self.parent, self.field_name)[self.index] = node


def _slots(parent: Any, name: str, index: int | None, role: str, line: int) -> Iterator[Slot]:
    slot = Slot(parent, name, index, role, line)
    node = slot.get()
    yield slot
    for child, child_index, value in _children(node):
        if isinstance(value, ast.expr):
            yield from _slots(node, child, child_index, _role(node, child, role), line)
        elif isinstance(value, ast.keyword) and value.arg not in ("axis", "keepdims", "dtype", "out"):
            yield from _slots(value, "value", None, "argument", line)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, Any]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            for i, item in enumerate(value):
                yield name, i, item
        elif isinstance(value, ast.AST):
            yield name, None, value


def _role(node: ast.AST, child: str, role: str) -> str:
    if role == "index" or (isinstance(node, ast.Subscript) and child == "slice"):
        return "index"
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Add | ast.Sub):
            return "term"
        if isinstance(node.op, ast.Pow) and child == "right":
            return "exponent"
        return "factor"
    if isinstance(node, ast.Call):
        return "function" if child == "func" else "argument"
    if isinstance(node, ast.Attribute):
        return "argument" if role == "function" else "other"
    if isinstance(node, ast.UnaryOp):
        return role
    return "other"


def parse(text: str) -> ast.expr:
    """Return an expression from text."""
    return ast.parse(text, mode="eval").body


def number(value: float) -> ast.expr:
    """Return a literal."""
    return parse(repr(value))


def binary(left: ast.expr, op: ast.operator, right: ast.expr) -> ast.BinOp:
    """`left op right`."""
    return ast.BinOp(left, op, right)


def statements_at(definition: ast.FunctionDef, lines: set[int]) -> list[ast.stmt]:
    """Return the simple statements that cover any of the lines, and the headers of loops around them."""
    simple: list[ast.stmt] = []
    headers: list[ast.stmt] = []
    for node in ast.walk(definition):
        if not isinstance(node, ast.stmt) or node is definition:
            continue
        covers = any(node.lineno <= line <= (node.end_lineno or node.lineno) for line in lines)
        if not covers:
            continue
        if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Return | ast.Expr):
            simple.append(node)
        elif isinstance(node, ast.For | ast.If):
            headers.append(node)
    return simple + headers


def asides(definition: ast.FunctionDef, statements: list[ast.stmt]) -> list[ast.stmt]:
    """Return assignments, elsewhere in the function, of names that the statements read: masks, sizes, indices ..."""
    wanted = {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)}
    found: list[ast.stmt] = []
    every = [n for n in ast.walk(definition) if isinstance(n, ast.Assign | ast.AugAssign)]
    while True:
        new = [
            s
            for s in every
            if s not in found
            and s not in statements
            and any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store) and n.id in wanted for n in ast.walk(s))
        ]
        if not new:
            return found
        found += new
        wanted |= {n.id for s in new for n in ast.walk(s) if isinstance(n, ast.Name)}


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
        for slot in _slots(statement, "iter", None, "index", line):
            yield from _of_constant_or_index(slot, scope)
        return
    if isinstance(statement, ast.If):
        for slot in _slots(statement, "test", None, "index", line):
            test = slot.get()
            if isinstance(test, ast.Compare) and not isinstance(test.comparators[0], ast.Constant | ast.Name):
                continue
            if isinstance(test, ast.Compare) and (
                not isinstance(c := test.comparators[0], ast.Constant) or type(c.value) in (int, float)
            ):
                yield from _comparison_edits(slot, test)
        return
    if isinstance(statement, ast.AugAssign) and isinstance(statement.op, ast.Add | ast.Sub):
        yield _operator_edit(statement, ast.Sub() if isinstance(statement.op, ast.Add) else ast.Add(), "sign", line)
    yield from _store_edits(definition, statement)
    yield from _followed_by(definition, statement, scope)
    value = getattr(statement, "value", None)
    if value is None:
        return
    yield from _size_edits(statement, scope)
    yield from _strided(definition, statement, scope)
    if isinstance(statement, ast.Assign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        for target in targets:
            if isinstance(target, ast.Subscript):
                for slot in _slots(target, "slice", None, "index", line):
                    yield from _of_constant_or_index(slot, scope)
    roots = (
        [(value, "elts", i) for i in range(len(value.elts))]
        if isinstance(value, ast.Tuple) and isinstance(statement, ast.Assign | ast.Return)
        else [(statement, "value", None)]
    )
    for parent, name, index in roots:
        for slot in _slots(parent, name, index, "root", line):
            if slot.role == "index":
                yield from _of_constant_or_index(slot, scope)
            elif slot.role != "function":
                yield from _of_expression(slot, scope, insert)
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        present = scope.scalars.get(statement.targets[0].id)
        for text, size in scope.problem.items():
            if type(present) is int and size != present:
                edit = _set_edit(1.7, "factor", Slot(statement, "value", None, "root", line), number(size), text)
                edit.after = f"{text} (here {size})"
                yield edit
    if isinstance(statement, ast.Return) and isinstance(value, ast.Tuple):
        yield from _order_edits(statement, value)


def _set_edit(cost: float, key: str, slot: Slot, new: ast.expr, subject: str = "", show: Slot | None = None) -> Edit:
    """Put another expression into a slot; the text shown is that of `show`, of which the slot is a part."""
    old, shown = slot.get(), show or slot

    def put() -> None:
        slot.set(ast.fix_missing_locations(ast.copy_location(new, old)))

    return Edit(cost, key, slot.line, lambda: ast.unparse(shown.get()), subject, put, lambda: slot.set(old))


def _set_all(cost: float, key: str, statement: ast.stmt, slots: list[Slot], make: Callable[[ast.expr], ast.expr]) -> Edit:
    """One edit of several places of a statement at once."""
    old = [slot.get() for slot in slots]
    new = [ast.fix_missing_locations(ast.copy_location(make(node), node)) for node in old]

    def put(nodes: list[ast.expr]) -> None:
        for slot, node in zip(slots, nodes, strict=True):
            slot.set(node)

    return Edit(cost, key, statement.lineno, lambda: ast.unparse(statement), "", lambda: put(new), lambda: put(old))


def _slots_of_statement(statement: ast.stmt) -> list[Slot]:
    """All expressions of a statement, those of its targets' indices included."""
    found = list(_slots(statement, "value", None, "root", statement.lineno)) if getattr(statement, "value", 0) else []
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in targets:
        if isinstance(target, ast.Subscript):
            found += _slots(target, "slice", None, "index", statement.lineno)
    return found


def _size_edits(statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """One size for another throughout the statement: `C` where `H * W` belongs."""
    slots = [s for s in _slots_of_statement(statement) if isinstance(s.get(), ast.Name) and s.role != "index"]
    names = {t: v for t, v in scope.scalars.items() if type(v) is int and v > 1 and t.isidentifier()}
    sizes: dict[int, str] = {v: t for t, v in reversed(names.items())}
    for (a, m), (b, n) in itertools.combinations_with_replacement(names.items(), 2):
        sizes.setdefault(m * n, f"({a} * {b})")
    for (a, m), (b, n), (c, k) in itertools.combinations(list(names.items())[:6], 3):
        sizes.setdefault(m * n * k, f"({a} * {b} * {c})")
    for name in sorted({s.get().id for s in slots} & set(names)):  # type: ignore[attr-defined]
        here = [s for s in slots if s.get().id == name]  # type: ignore[attr-defined]
        for size, text in sizes.items():
            if size != names[name] and (len(here) > 1 or "*" in text):
                yield _set_all(1.75, "factor", statement, here, lambda _, text=text: parse(text))  # type: ignore[misc]


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
        for s in _slots_of_statement(statement)
        if s.role == "index" and isinstance(s.get(), ast.Name) and s.get().id in counters  # type: ignore[attr-defined]
    ]
    bounds = [s for s in inside if not isinstance(s.parent, ast.Tuple)]
    for text, value in scope.scalars.items():
        if type(value) is int and STRIDE.search(text) and len(bounds) > 1:
            yield _set_all(1.8, "window", statement, bounds, lambda n, t=text: binary(n, ast.Mult(), parse(t)))  # type: ignore[misc]


def _home(definition: ast.FunctionDef, statement: ast.stmt) -> tuple[list[ast.stmt], int] | None:
    """Return the block that a statement stands in, and where."""
    for node in ast.walk(definition):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(body, list):
                for index, other in enumerate(body):
                    if other is statement:
                        return body, index
    return None


def _followed_by(definition: ast.FunctionDef, statement: ast.stmt, scope: Scope) -> Iterator[Edit]:
    """After a store into part of an array, a line that scales the whole of it."""
    target = statement.targets[0] if isinstance(statement, ast.Assign) else getattr(statement, "target", None)
    home = _home(definition, statement)
    if not isinstance(target, ast.Subscript) or not isinstance(target.value, ast.Name) or home is None:
        return
    body, index = home
    for text, value in scope.scalars.items():
        if isinstance(value, int | float) and value not in (0, 1) and _is_expression(text):
            for sign in ("/", "*"):
                line = f"{target.value.id} = {target.value.id} {sign} {text}"
                new = ast.fix_missing_locations(ast.copy_location(ast.parse(line).body[0], statement))
                for node in ast.walk(new):
                    ast.copy_location(node, statement)
                key = _key_of_factor(parse(text), scope, False)
                yield Edit(
                    2.05,
                    key,
                    statement.lineno,
                    lambda: ast.unparse(statement),
                    text,
                    lambda new=new: body.insert(index + 1, new),  # type: ignore[misc]
                    lambda: body.pop(index + 1) and None,
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
    found = _home(definition, statement)
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
    mention = _names(statement.value) | _names(target)
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


def _order_edits(statement: ast.Return, value: ast.Tuple) -> Iterator[Edit]:
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


def _of_constant_or_index(slot: Slot, scope: Scope) -> Iterator[Edit]:
    """Edits of an index or of the bounds of a loop: off by one, and one size for another."""
    node = slot.get()
    if isinstance(node, ast.Constant) and type(node.value) is int:
        of_shape = (
            isinstance(slot.parent, ast.Subscript)
            and isinstance(slot.parent.value, ast.Attribute)
            and slot.parent.value.attr == "shape"
        )
        for new in (node.value + 1, node.value - 1):
            yield _set_edit(
                1.2, "factor" if of_shape else "window", slot, number(new), str(node.value), show=_around(slot)
            )
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        for other, value in scope.scalars.items():
            if (
                other != node.id
                and type(value) is int
                and (other.isidentifier() or "stride" in other or "pad" in other)
            ):
                yield _set_edit(1.7, "window", slot, parse(other), node.id)
        if not isinstance(slot.parent, ast.Call):
            for op in (ast.Add(), ast.Sub()):
                yield _set_edit(1.9, "window", slot, binary(node, op, number(1)), node.id)
            for other, value in scope.scalars.items():
                if type(value) is int and ("stride" in other.lower() or other in ("s", "S", "step")):
                    yield _set_edit(2.0, "window", slot, binary(node, ast.Mult(), parse(other)), node.id)
        for other in scope.indices - {node.id} if node.id in scope.indices else ():
            yield _set_edit(1.7, "wrong_variable", slot, parse(other), node.id)
        for other, value in scope.arrays.items():
            if other != node.id and isinstance(value, np.ndarray) and value.dtype.kind == "b" and other.isidentifier():
                yield _set_edit(1.8, "mask", slot, parse(other), node.id)
    elif isinstance(node, ast.Compare):
        yield from _comparison_edits(slot, node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Invert):
        yield _set_edit(1.1, "mask_inverted", slot, node.operand, ast.unparse(node.operand))
    elif isinstance(node, ast.Call):
        for other in scope.indices:
            yield _set_edit(1.8, "wrong_variable", slot, parse(other), ast.unparse(node))
    elif isinstance(node, ast.BinOp):
        yield _set_edit(1.5, "window", slot, node.left)
        if isinstance(node.op, ast.Add | ast.Sub):
            flipped = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            yield _set_edit(1.3, "window", slot, binary(node.left, flipped, node.right))
    elif isinstance(node, ast.Slice):
        for part in ("lower", "upper"):
            bound = getattr(node, part)
            if bound is None or isinstance(bound, ast.Constant):
                continue
            for op in (ast.Add(), ast.Sub()):
                moved_bound = binary(bound, op, number(1))
                lower, upper = (moved_bound, node.upper) if part == "lower" else (node.lower, moved_bound)
                shifted = ast.Slice(lower, upper, node.step)
                yield _set_edit(1.9, "window", slot, shifted, show=slot)
        if node.lower is not None and node.upper is not None:
            for op in (ast.Add(), ast.Sub()):
                shifted = ast.Slice(binary(node.lower, op, number(1)), binary(node.upper, op, number(1)), node.step)
                yield _set_edit(1.6, "window", slot, shifted)
    elif isinstance(node, ast.Tuple):
        yield from _exchanged(slot, node)
        for text, value in scope.scalars.items():
            if type(value) is int and value > 0 and text.isidentifier():
                moved = [
                    ast.Slice(parse(text), binary(parse(text), ast.Add(), e.upper), e.step)
                    if isinstance(e, ast.Slice) and e.lower is None and e.upper is not None
                    else e
                    for e in node.elts
                ]
                if any(a is not b for a, b in zip(moved, node.elts, strict=True)):
                    yield _set_edit(1.7, "window", slot, ast.Tuple(moved, ast.Load()))
    if (
        isinstance(node, ast.Name)
        and isinstance(scope.arrays.get(node.id), np.ndarray)
        and scope.arrays[node.id].dtype.kind == "b"
    ):
        yield _set_edit(1.9, "mask_inverted", slot, ast.UnaryOp(ast.Invert(), node), node.id)


def _exchanged(slot: Slot, node: ast.Tuple) -> Iterator[Edit]:
    """Row and column of a flat index the other way round: `k // w` for `k % w`."""
    found = [n for e in node.elts for n in ast.walk(e) if isinstance(n, ast.BinOp)]
    for a, b in itertools.combinations(found, 2):
        if isinstance(a.op, ast.Mod | ast.FloorDiv) and isinstance(b.op, ast.Mod | ast.FloorDiv):
            if ast.dump(a.left) == ast.dump(b.left) and type(a.op) is not type(b.op):
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


def _comparison_edits(slot: Slot, node: ast.Compare) -> Iterator[Edit]:
    if len(node.ops) != 1:
        return
    alternatives: list[ast.cmpop] = [ast.Gt(), ast.Lt(), ast.GtE(), ast.LtE(), ast.Eq()]
    for op in alternatives:
        if type(op) is not type(node.ops[0]):
            yield _set_edit(1.0, "mask_inverted", slot, ast.Compare(node.left, [op], node.comparators))
    right = node.comparators[0]
    if isinstance(right, ast.Constant) and right.value != 0:
        yield _set_edit(1.0, "mask", slot, ast.Compare(node.left, node.ops, [number(0)]))
    if isinstance(right, ast.Constant) and right.value == 0:
        yield _set_edit(1.1, "mask", slot, ast.Compare(node.left, node.ops, [number(1)]))


def _names(node: ast.AST) -> set[str]:
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def _key_of_factor(node: ast.expr, scope: Scope, present: bool) -> str:
    """Return what kind of slip a factor is that is missing (or, `present`, too many)."""
    names = _names(node)
    text = ast.unparse(node)
    if re.match(r"len\(|.*\.shape\[|.*\.size$", text):
        return "factor"
    if names & scope.gradients:
        return "upstream_twice" if present else "upstream_missing"
    if text in scope.arrays and is_mask(text, scope.arrays[text]):
        return "mask_twice" if present else "mask_missing"
    if any(KEEP.search(n) for n in names - set(scope.arrays)) and not any(MASK.search(n) for n in names):
        return "keep_prob"
    if any(MASK.search(n) for n in names) or isinstance(node, ast.Compare):
        return "mask_twice" if present else "mask_missing"
    if (
        not names
        or text in scope.sizes
        or all(isinstance(scope.scalars.get(n), int) for n in names)
        or ".shape" in text
    ):
        return "factor"
    if any(GAMMA.match(n) for n in names) and not present:
        return "gamma_missing"
    return "extra_factor" if present else "missing_factor"


_REDUCING = {"sum", "mean", "max", "min", "prod", "var", "std"}


def _of_expression(slot: Slot, scope: Scope, insert: bool) -> Iterator[Edit]:
    node = slot.get()
    if isinstance(node, ast.Constant) and type(node.value) in (int, float):
        yield from _number_edits(slot, node)
    elif isinstance(node, ast.BinOp):
        yield from _operation_edits(slot, node, scope)
    elif isinstance(node, ast.UnaryOp):
        if isinstance(node.op, ast.USub) and not isinstance(node.operand, ast.Constant):
            yield _set_edit(1.0, "sign", slot, node.operand)
        elif isinstance(node.op, ast.Invert):
            yield _set_edit(1.1, "mask_inverted", slot, node.operand, ast.unparse(node.operand))
    elif isinstance(node, ast.Call):
        yield from _call_edits(slot, node, scope)
    elif isinstance(node, ast.Compare):
        yield from _comparison_edits(slot, node)
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield _set_edit(1.1, "transposed", slot, node.value)
    elif isinstance(node, ast.Attribute) and node.attr == "size":
        yield _set_edit(1.2, "factor", slot, parse(f"{ast.unparse(node.value)}.shape[0]"))
    elif isinstance(node, ast.Name):
        yield from _name_edits(slot, node, scope)
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
        text = ast.unparse(node)
        for other, value in scope.arrays.items():
            if other != text and text in scope.arrays and np.shape(value) == np.shape(scope.arrays[text]):
                yield _set_edit(1.8, "wrong_variable", slot, parse(other), text)
        yield from _subscript_edits(slot, node)
    if insert and slot.role in ("root", "term", "argument", "factor"):
        yield from _insertions(slot, node, scope)


def _subscript_edits(slot: Slot, node: ast.Subscript) -> Iterator[Edit]:
    """Whatever is turned round left as it is; all elements along an axis where one stands for all."""
    parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    if any(isinstance(p, ast.Slice) and p.step is not None and ast.unparse(p.step) == "-1" for p in parts):
        yield _set_edit(1.1, "transposed", slot, node.value, ast.unparse(node))
    for i, part in enumerate(parts):
        if isinstance(part, ast.Constant) and type(part.value) is int:
            whole: list[ast.expr] = [*parts[:i], ast.Slice(None, None, None), *parts[i + 1 :]]
            text = f"{ast.unparse(node.value)}[{', '.join(ast.unparse(p) for p in whole)}]"
            for suffix in ("", "[:, None, None]", "[:, None]", "[None, :, None, None]"):
                yield _set_edit(1.7, "wrong_variable", slot, parse(text + suffix), ast.unparse(node))


def _number_edits(slot: Slot, node: ast.Constant) -> Iterator[Edit]:
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
        yield _set_edit(1.0 if key == "power" else 1.1, key, slot, number(clean), str(value), show=_around(slot))
    if value:
        yield _set_edit(
            0.9, "power" if slot.role == "exponent" else "sign", slot, number(-value), str(value), show=_around(slot)
        )


def _around(slot: Slot) -> Slot:
    """Return the operation around a literal, which reads better than the literal alone."""
    if isinstance(slot.parent, ast.BinOp | ast.UnaryOp | ast.Subscript):
        holder = ast.Expression(slot.parent)
        return Slot(holder, "body", None, slot.role, slot.line)
    return slot


def _operation_edits(slot: Slot, node: ast.BinOp, scope: Scope) -> Iterator[Edit]:
    left, right = node.left, node.right
    if isinstance(node.op, ast.Add | ast.Sub):
        yield _set_edit(
            1.0, "sign", slot, binary(left, ast.Sub() if isinstance(node.op, ast.Add) else ast.Add(), right)
        )
        yield _set_edit(1.6, "operation", slot, binary(left, ast.Mult(), right))
        if isinstance(node.op, ast.Sub):
            yield _set_edit(0.95, "sign", slot, binary(right, ast.Sub(), left))
        key = (
            "eps"
            if any(EPS.match(n) for n in _names(right))
            else "regularisation"
            if "reg" in _names(right)
            else "extra_term"
        )
        yield _set_edit(1.3, key, slot, left, ast.unparse(right))
        yield _set_edit(
            1.35,
            "extra_term",
            slot,
            right if isinstance(node.op, ast.Add) else ast.UnaryOp(ast.USub(), right),
            ast.unparse(left),
        )
        if isinstance(left, ast.Call) and _called(left) == "sqrt" and left.args:
            new = ast.Call(left.func, [binary(left.args[0], node.op, right)], left.keywords)
            yield _set_edit(0.9, "eps", slot, new, ast.unparse(right))
        if isinstance(left, ast.BinOp) and isinstance(left.op, ast.Pow):
            yield _set_edit(
                0.9, "eps", slot, binary(binary(left.left, node.op, right), ast.Pow(), left.right), ast.unparse(right)
            )
    elif isinstance(node.op, ast.Mult | ast.Div):
        flipped: ast.operator = ast.Div() if isinstance(node.op, ast.Mult) else ast.Mult()
        yield _set_edit(1.05, _key_of_flip(right, scope), slot, binary(left, flipped, right), ast.unparse(right))
        yield _set_edit(1.3, _key_of_factor(right, scope, True), slot, left, ast.unparse(right))
        if isinstance(node.op, ast.Mult):
            yield _set_edit(1.3, _key_of_factor(left, scope, True), slot, right, ast.unparse(left))
            for op in (ast.Add(), ast.Sub()):
                yield _set_edit(2.2, "operation", slot, binary(left, op, right))
        else:
            yield _set_edit(1.3, _key_of_factor(right, scope, True), slot, left, ast.unparse(right))
    elif isinstance(node.op, ast.Pow):
        yield _set_edit(1.3, "power", slot, left, ast.unparse(right))
    elif isinstance(node.op, ast.MatMult):
        yield from _product_edits(slot, left, right, lambda a, b: binary(a, ast.MatMult(), b))


def _key_of_flip(node: ast.expr, scope: Scope) -> str:
    key = _key_of_factor(node, scope, False)
    return key if key in ("factor", "keep_prob", "mask_missing") else "power"


def _product_edits(
    slot: Slot, left: ast.expr, right: ast.expr, make: Callable[[ast.expr, ast.expr], ast.expr]
) -> Iterator[Edit]:
    def turned(e: ast.expr) -> ast.expr:
        return e.value if isinstance(e, ast.Attribute) and e.attr == "T" else ast.Attribute(e, "T", ast.Load())

    yield _set_edit(1.2, "transposed", slot, make(turned(left), right))
    yield _set_edit(1.2, "transposed", slot, make(left, turned(right)))
    yield _set_edit(1.2, "transposed", slot, make(right, left))
    yield _set_edit(1.4, "transposed", slot, make(turned(right), turned(left)))
    yield _set_edit(1.4, "transposed", slot, make(right, turned(left)))
    yield _set_edit(1.4, "transposed", slot, make(turned(right), left))
    yield _set_edit(1.5, "transposed", slot, ast.Attribute(make(left, right), "T", ast.Load()))


def _called(node: ast.Call) -> str:
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )


def _operand(node: ast.Call) -> ast.expr | None:
    """Return the array that a call like `np.sum(a, ...)` or `a.sum(...)` works on."""
    if isinstance(node.func, ast.Attribute) and not (
        isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "numpy", "math")
    ):
        return node.func.value
    return node.args[0] if node.args else None


def _call_edits(slot: Slot, node: ast.Call, scope: Scope) -> Iterator[Edit]:
    name, operand = _called(node), _operand(node)
    if node.args and isinstance(node.args[0], ast.List | ast.Tuple) and 1 < len(node.args[0].elts) <= 6:
        parts = node.args[0].elts
        for i, j in itertools.combinations(range(len(parts)), 2):
            order = list(parts)
            order[i], order[j] = order[j], order[i]
            new: ast.expr = ast.List(order, ast.Load())
            yield _set_edit(1.2, "wrong_variable", slot, ast.Call(node.func, [new, *node.args[1:]], node.keywords))
    for keyword in node.keywords:
        if isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str) and name == "pad":
            kept = [k for k in node.keywords if k is not keyword]
            yield _set_edit(1.2, "function", slot, ast.Call(node.func, node.args, kept), str(keyword.arg))
    method = operand is not None and isinstance(node.func, ast.Attribute) and node.func.value is operand
    if name in _REDUCING and operand is not None:
        axes: list[Any] = [0, 1, None, -1, (0, 1), (0, 2, 3), (1, 2, 3), (2, 3), 2, 3]
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
                yield _set_edit(1.0 if kept is keep else 1.6, "axis", slot, new)
        axis_keyword = [] if old_axis is None else [ast.keyword("axis", old_axis)]
        toggled = [] if keep else [ast.keyword("keepdims", parse("True"))]
        yield _set_edit(
            0.95, "keepdims", slot, ast.Call(node.func, [] if method else [operand], others + axis_keyword + toggled)
        )
        for text, value in scope.arrays.items():
            if text not in _names(node) and np.ndim(value) <= 2:
                yield _set_edit(2.0, "wrong_variable", slot, parse(text), name)
        for other in ("max", "min"):
            if name != other and isinstance(node.func, ast.Attribute):
                yield _set_edit(
                    1.5,
                    "function",
                    slot,
                    ast.Call(ast.Attribute(node.func.value, other, ast.Load()), node.args, node.keywords),
                    name,
                )
        for other in ("sum", "mean"):
            if name != other and isinstance(node.func, ast.Attribute):
                function = ast.Attribute(node.func.value, other, ast.Load())
                yield _set_edit(
                    0.95,
                    "mean_for_sum" if name == "mean" else "factor",
                    slot,
                    ast.Call(function, node.args, node.keywords),
                    name,
                )
        yield _set_edit(1.4, "extra_sum", slot, operand, name)
    elif name in ("dot", "matmul"):
        if method and len(node.args) == 1 and operand is not None:
            yield from _product_edits(
                slot, operand, node.args[0], lambda a, b: ast.Call(ast.Attribute(a, name, ast.Load()), [b], [])
            )
        elif len(node.args) == 2:
            yield from _product_edits(slot, node.args[0], node.args[1], lambda a, b: ast.Call(node.func, [a, b], []))
    elif name == "sqrt" and operand is not None:
        yield _set_edit(1.2, "power", slot, operand, "sqrt")
        for text in [t for t in scope.scalars if EPS.match(t) or "eps" in t]:
            yield _set_edit(1.2, "eps", slot, ast.Call(node.func, [binary(operand, ast.Add(), parse(text))], []), text)
            yield _set_edit(1.4, "eps", slot, binary(node, ast.Add(), parse(text)), text)
        if isinstance(operand, ast.BinOp) and isinstance(operand.op, ast.Add):
            yield _set_edit(1.3, "eps", slot, binary(ast.Call(node.func, [operand.left], []), ast.Add(), operand.right))
    elif (
        name in ("maximum", "exp", "log", "abs", "square", "tanh", "sin", "cos", "sinh", "cosh", "sign")
        and operand is not None
    ):
        yield _set_edit(1.5, "function", slot, operand, name)
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
            yield _set_edit(
                1.3,
                "function",
                slot,
                ast.Call(ast.Attribute(node.func.value, partners[name], ast.Load()), node.args, node.keywords),
                name,
            )
    elif name in ("argmax", "argmin") and isinstance(node.func, ast.Attribute):
        other = "argmin" if name == "argmax" else "argmax"
        yield _set_edit(
            1.0,
            "argmax",
            slot,
            ast.Call(ast.Attribute(node.func.value, other, ast.Load()), node.args, node.keywords),
            name,
        )
    elif name == "where" and len(node.args) == 3:
        test, yes, no = node.args
        yield _set_edit(1.1, "mask_inverted", slot, ast.Call(node.func, [test, no, yes], []))
    elif name in ("reshape", "transpose", "swapaxes", "moveaxis") and operand is not None:
        yield from _layout_edits(slot, node, name, operand)
    elif name in ("flip", "fliplr", "flipud", "rot90") and operand is not None:
        yield _set_edit(1.1, "transposed", slot, operand, name)
    elif name == "einsum" and node.args and isinstance(node.args[0], ast.Constant):
        yield from _einsum_edits(slot, node)
    elif name in ("zeros_like", "ones_like", "empty_like", "zeros"):
        kept_keywords = [k for k in node.keywords if k.arg != "dtype"]
        if len(kept_keywords) < len(node.keywords):
            yield _set_edit(0.9, "dtype", slot, ast.Call(node.func, node.args, kept_keywords))
    elif name == "astype" and operand is not None:
        yield _set_edit(1.0, "dtype", slot, operand)


def _layout_edits(slot: Slot, node: ast.Call, name: str, operand: ast.expr) -> Iterator[Edit]:
    """Axes in another order: of a transpose, and before or after a reshape."""
    method = isinstance(node.func, ast.Attribute) and node.func.value is operand
    given = node.args if method else node.args[1:]

    def again(new: ast.expr) -> ast.Call:
        return ast.Call(ast.Attribute(new, name, ast.Load()), given, [])

    def swapped(inner: ast.expr, a: int, b: int) -> ast.Call:
        return ast.Call(ast.Attribute(inner, "swapaxes", ast.Load()), [number(a), number(b)], [])

    if name != "reshape":
        yield _set_edit(1.5, "transposed", slot, operand, name)
    spread = not (len(given) == 1 and isinstance(given[0], ast.Tuple | ast.List))
    items = list(given if spread else given[0].elts)  # type: ignore[attr-defined]
    if name == "transpose" and len(items) in (3, 4):
        for order in itertools.permutations(range(len(items))):
            elements: list[ast.expr] = [number(i) for i in order]
            arguments: list[ast.expr] = elements if spread else [ast.Tuple(elements, ast.Load())]
            if ast.unparse(ast.Tuple(elements, ast.Load())) != ast.unparse(ast.Tuple(items, ast.Load())):
                yield _set_edit(
                    1.3, "transposed", slot, ast.Call(node.func, arguments if method else [operand, *arguments], [])
                )
    elif name == "swapaxes":
        for a, b in itertools.combinations(range(4), 2):
            yield _set_edit(1.4, "transposed", slot, swapped(operand, a, b))
    elif name == "reshape":
        yield _set_edit(1.6, "transposed", slot, again(ast.Attribute(operand, "T", ast.Load())))
        for a, b in itertools.combinations(range(4), 2):
            yield _set_edit(1.6, "transposed", slot, again(swapped(operand, a, b)))
        for order in itertools.permutations(range(len(items))) if len(items) in (3, 4) else ():
            if list(order) != sorted(order):
                shape: list[ast.expr] = [items[i] for i in order]
                back = ", ".join(str(order.index(i)) for i in range(len(order)))
                turned = ast.Call(ast.Attribute(operand, "reshape", ast.Load()), shape, [])
                call = ast.Call(ast.Attribute(turned, "transpose", ast.Load()), [parse(f"({back})")], [])
                yield _set_edit(1.7, "transposed", slot, call)


def _einsum_edits(slot: Slot, node: ast.Call) -> Iterator[Edit]:
    """Other letters in an einsum: another axis kept, or the same ones in another order."""
    text = node.args[0].value.replace(" ", "")  # type: ignore[attr-defined]
    if "->" not in text or "." in text:
        return
    operands, result = text.split("->")
    terms = operands.split(",")

    def changed(new: str, key: str) -> Edit:
        return _set_edit(1.0, key, slot, ast.Call(node.func, [ast.Constant(new), *node.args[1:]], node.keywords))

    letters = sorted(set(operands) - {","})
    for other in itertools.permutations(letters, len(result)) if len(letters) <= 5 else ():
        if "".join(other) != result:
            key = "transposed" if sorted(other) == sorted(result) else "axis"
            yield changed(f"{operands}->{''.join(other)}", key)
    for i, term in enumerate(terms):
        for order in itertools.permutations(term):
            if "".join(order) != term and len(term) <= 4:
                yield changed(f"{','.join([*terms[:i], ''.join(order), *terms[i + 1 :]])}->{result}", "transposed")


def _name_edits(slot: Slot, node: ast.Name, scope: Scope) -> Iterator[Edit]:
    value = scope.arrays.get(node.id)
    if value is not None:
        for other, candidate in scope.arrays.items():
            if other == node.id or np.shape(candidate) != np.shape(value):
                continue
            mine, theirs = node.id in scope.gradients, other in scope.gradients
            key = "upstream_missing" if theirs and not mine else "wrong_variable"
            if isinstance(slot.parent, ast.Compare):
                key = "mask"
            yield _set_edit(1.8 if mine == theirs else 2.1, key, slot, parse(other), node.id, show=_around(slot))
        for power, cost in ((2, 1.7), (3, 1.8), (-1, 1.9)):
            if slot.role == "factor" and node.id not in scope.gradients:
                yield _set_edit(cost, "power", slot, binary(node, ast.Pow(), number(power)), node.id)
        if np.asarray(value).dtype.kind == "b":
            yield _set_edit(1.5, "mask_inverted", slot, ast.UnaryOp(ast.Invert(), node), node.id)
        elif node.id not in scope.gradients and slot.role in ("factor", "argument"):
            for text, amount in scope.scalars.items():
                if type(amount) is float and amount not in (0.0, 1.0) and _is_expression(text):
                    key = "eps" if EPS.match(text) else "missing_term"
                    yield _set_edit(2.2, key, slot, binary(node, ast.Add(), parse(text)), text)
            yield _set_edit(1.9, "mask", slot, parse(f"({node.id} > 0)"), node.id, show=_around(slot))
        if slot.role in ("factor", "term") and np.ndim(value) == 2:
            yield _set_edit(1.5, "transposed", slot, ast.Attribute(node, "T", ast.Load()), node.id)
    elif node.id in scope.scalars:
        mine = scope.scalars[node.id]
        for other, candidate in scope.scalars.items():
            if slot.role == "root" and type(mine) is int and type(candidate) is int and STRIDE.search(other):
                yield _set_edit(1.3, "window", slot, binary(node, ast.Mult(), parse(other)), node.id)
        for other, candidate in scope.scalars.items():
            if (
                other != node.id
                and candidate != mine
                and type(candidate) in (int, float)
                and type(candidate) is type(mine)
            ):
                yield _set_edit(1.6, "factor", slot, parse(other), node.id, show=_around(slot))
        if isinstance(mine, int):
            for op in (ast.Sub(), ast.Add()):
                yield _set_edit(1.7, "factor", slot, binary(node, op, number(1)), node.id, show=_around(slot))
        elif isinstance(mine, float):
            yield _set_edit(
                1.5,
                "keep_prob" if KEEP.search(node.id) else "factor",
                slot,
                binary(number(1), ast.Sub(), node),
                node.id,
            )


def _insertions(slot: Slot, node: ast.expr, scope: Scope) -> Iterator[Edit]:
    outer = slot.role in ("root", "term")
    if slot.role == "factor" and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        yield _set_edit(1.8, "power", slot, binary(node, ast.Pow(), number(2)))
    step = 0.0 if slot.role == "root" else 0.1 if slot.role == "term" else 0.4
    if isinstance(node, ast.Constant | ast.Tuple):
        return
    if slot.role == "argument" and not isinstance(node, ast.Compare):
        yield _set_edit(1.9, "sign", slot, ast.UnaryOp(ast.USub(), node))
    if outer:
        yield _set_edit(1.5 + step, "sign", slot, ast.UnaryOp(ast.USub(), node))
        for text in ("2", "0.5"):
            yield _set_edit(1.9 + step, "factor", slot, binary(node, ast.Mult(), parse(text)), text)
    if any(EPS.match(n) for n in _names(node)) and isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        yield _set_edit(1.5, "power", slot, ast.Call(parse("np.sqrt"), [node], []), "sqrt")
    if slot.role == "factor" and isinstance(slot.parent, ast.BinOp) and isinstance(slot.parent.op, ast.MatMult):
        yield from _masked(slot, node, scope, 2.1)
    if slot.role == "argument" and isinstance(slot.parent, ast.Call) and _called(slot.parent) in ("dot", "matmul"):
        yield from _masked(slot, node, scope, 2.1)
    if outer or slot.role == "argument":
        for text, value in [
            *scope.scalars.items(),
            *((t, v) for t, v in scope.sizes.items() if t not in scope.scalars),
        ]:
            if not isinstance(value, int | float) or value in (0, 1) or not _is_expression(text):
                continue
            factor = parse(text)
            key = _key_of_factor(factor, scope, False)
            if "reg" in text:
                key = "regularisation"
            elif _is_index(node, scope):
                key = "window"
            yield _set_edit(2.0 + step, key, slot, binary(node, ast.Div(), factor), text)
            yield _set_edit(2.0 + step, key, slot, binary(node, ast.Mult(), factor), text)
        mentioned = _factors(node)
        for text, value in scope.arrays.items():
            factor = parse(text)
            mask = np.asarray(value).dtype.kind == "b"
            again = 0.3 if text in mentioned else 0.0
            key = "power" if text in mentioned and text not in scope.gradients else _key_of_factor(factor, scope, False)
            yield _set_edit(2.0 + step + again, key, slot, binary(node, ast.Mult(), factor), text)
            if not mask and text not in scope.gradients:
                yield _set_edit(
                    2.1 + step + again, "extra_factor" if again else key, slot, binary(node, ast.Div(), factor), text
                )
                if outer:
                    yield _set_edit(
                        2.15 + step, "mask_missing", slot, binary(node, ast.Mult(), parse(f"({text} > 0)")), text
                    )
                    for slope in (f"(1 - {text})", f"(1 - {text}**2)"):
                        yield _set_edit(
                            2.3 + step, "missing_factor", slot, binary(node, ast.Mult(), parse(slope)), text
                        )
        for axis in ("0", "1", "-1", None, "(0, 2, 3)"):
            call = parse(f"x.sum({'' if axis is None else 'axis=' + axis})")
            assert isinstance(call, ast.Call)
            assert isinstance(call.func, ast.Attribute)
            call.func.value = node
            yield _set_edit(2.0 + step, "missing_sum", slot, call, "sum")
            if axis is not None:
                kept = ast.Call(call.func, [], [*call.keywords, ast.keyword("keepdims", parse("True"))])
                yield _set_edit(2.1 + step, "missing_sum", slot, kept, "sum")
        yield _set_edit(1.7 + step, "transposed", slot, ast.Attribute(node, "T", ast.Load()))
    if slot.role == "root":
        plain = [t for t, v in scope.arrays.items() if np.asarray(v).dtype.kind == "f" and t not in scope.gradients]
        for text in scope.arrays:
            if not isinstance(node, ast.Name):
                yield _set_edit(2.3, "wrong_variable", slot, parse(text), text)
        for text, other in itertools.product(scope.gradients & set(scope.arrays), plain):
            yield _set_edit(3.0, "missing_term", slot, binary(node, ast.Add(), parse(f"{text} * {other}")), text)
            yield _set_edit(3.1, "missing_term", slot, binary(node, ast.Sub(), parse(f"{text} * {other}")), text)
            yield _set_edit(3.2, "mask", slot, parse(f"{text} * ({other} > 0)"), other)
        for text, value in scope.arrays.items():
            if text in _names(node) and text in scope.gradients:
                continue
            if np.asarray(value).dtype.kind != "f":
                continue
            for op, cost in ((ast.Add(), 2.5), (ast.Sub(), 2.6)):
                yield _set_edit(cost, "missing_term", slot, binary(node, op, parse(text)), text)
                for size in [s for s, v in scope.scalars.items() if type(v) is int and s.isidentifier() and v > 1][:4]:
                    yield _set_edit(cost + 0.3, "missing_term", slot, binary(node, op, parse(f"{text} / {size}")), text)
                if "reg" in scope.scalars:
                    yield _set_edit(cost - 0.1, "regularisation", slot, binary(node, op, parse(f"reg * {text}")), text)


def _masked(slot: Slot, node: ast.expr, scope: Scope, cost: float) -> Iterator[Edit]:
    """A factor of a matrix product times a mask."""
    shape = np.shape(scope.arrays[node.id]) if isinstance(node, ast.Name) and node.id in scope.arrays else None
    for text, value in scope.arrays.items():
        if text not in scope.gradients and (shape is None or np.shape(value) == shape):
            mask = text if is_mask(text, value) else f"({text} > 0)"
            yield _set_edit(cost, "mask_missing", slot, binary(node, ast.Mult(), parse(mask)), text)


def _factors(node: ast.expr) -> set[str]:
    """Names that stand in a product as factors of their own, or as the base of a power."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return _factors(node.left) | _factors(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return _factors(node.left)
    return {ast.unparse(node)} if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) else set()


def _is_index(node: ast.expr, scope: Scope) -> bool:
    """Whether an expression is made of whole numbers alone."""
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return bool(names) and all(isinstance(scope.scalars.get(n), int) for n in names)


def _is_expression(text: str) -> bool:
    try:
        parse(text)
    except SyntaxError:
        return False
    return "*" not in text and " " not in text


@dataclass
class Repair:
    """An edit that works: which outputs it makes right."""

    edit: Edit
    function: types.FunctionType
    fixes: set[str]
    complete: bool


def search(
    program: Program,
    candidates: list[tuple[types.FunctionType, ast.FunctionDef, Edit]],
    right_outputs: Callable[[], set[str]],
    already_right: set[str],
    wanted: set[str],
    budget_s: float,
) -> list[Repair]:
    """Try edits, cheapest first.

    Those of the first successful cost are returned (complete repairs before partial ones).  The budget is in seconds of
    this thread's work, so that the outcome does not depend on what else the machine does.
    """
    found: list[Repair] = []
    deadline = time.thread_time() + budget_s
    best = np.inf
    for function, definition, edit in sorted(candidates, key=lambda c: (c[2].cost, c[2].line)):
        if time.thread_time() > deadline or edit.cost > best + 0.15:
            break
        edit.apply()
        try:
            code = program.compile_definition(function, definition)
            with program.watched("", {function: code}), np.errstate(all="ignore"):
                right = right_outputs()
                gained = right & wanted
                if gained and already_right <= right:
                    complete = gained == wanted
                    found.append(Repair(edit, function, gained, complete))
                    if complete:
                        best = min(best, edit.cost)
        except Exception:
            continue
        finally:
            edit.undo()
    return sorted(found, key=lambda r: (not r.complete, -len(r.fixes), r.edit.cost, r.edit.line))
