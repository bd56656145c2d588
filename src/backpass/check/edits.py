"""The pieces of a repair: places in a syntax tree, what may stand there, and one change that can be made and unmade."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MASK = re.compile(r"(mask|keep_?mask|drop(ped|_mask)?$|active|alive|indicator|^on$|^gate$)", re.I)


GAMMA = re.compile(r"^(gamma|scale|g|gam|weight|ln_w|bn_w)\w*$", re.I)


KEEP = re.compile(r"(keep|^p$|prob|\bp\b|rate|ratio|'p')", re.I)


JOINING = {"concatenate", "hstack", "vstack", "dstack", "stack", "column_stack"}


STRIDE = re.compile(r"(^s$|^st$|stride|step)", re.I)


EPS = re.compile(r"^(eps|epsilon|e|'eps'|.*\['eps(ilon)?'\]|.*\.eps(ilon)?)$", re.I)


def is_mask(text: str, value: Any) -> bool:
    """Whether a value switches others on and off: boolean, called a mask, or zero here and one other number there.

    >>> is_mask("kept", np.array([True, False])), is_mask("mask", np.ones(2)), is_mask("rstd", np.ones(2))
    (True, True, False)
    >>> is_mask("route", np.array([0.0, 2.0, 2.0, 0.0]))
    True
    """
    array = np.asarray(value)
    if MASK.search(text) or array.dtype.kind == "b":
        return True
    numbers = np.unique(array) if array.dtype.kind == "f" and array.size > 3 else array[:0] if array.ndim else ()
    return len(numbers) == 2 and 0 in numbers


@dataclass
class Scope:
    """What an inserted expression may mention: text -> value, and which of them are gradients."""

    arrays: dict[str, Any] = field(default_factory=dict)
    scalars: dict[str, Any] = field(default_factory=dict)
    gradients: set[str] = field(default_factory=set)
    indices: set[str] = field(default_factory=set)  # arrays of whole numbers: labels, positions
    upstream: set[str] = field(default_factory=set)  # the names of the upstream gradients
    parts: set[str] = field(default_factory=set)  # elements of these, as they are read in loops: `dout[n, f, i, j]`
    linear: bool = True  # whether the statement at hand mentions a gradient already
    values: dict[int, Any] = field(default_factory=dict)  # the value of each expression, by its node's key
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


def slots_of(parent: Any, name: str, index: int | None, role: str, line: int) -> Iterator[Slot]:
    """All places in an expression, the expression itself first."""
    slot = Slot(parent, name, index, role, line)
    node = slot.get()
    yield slot
    for child, child_index, value in _children(node):
        if isinstance(value, ast.expr):
            at = value.lineno if isinstance(node, ast.Dict) else line  # an entry of a dict has a line of its own
            yield from slots_of(node, child, child_index, _role(node, child, role), at)
        elif isinstance(value, ast.keyword) and value.arg not in ("axis", "keepdims", "dtype", "out"):
            yield from slots_of(value, "value", None, "argument", line)


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, Any]]:
    for name, value in ast.iter_fields(node):
        if isinstance(value, list):
            for i, item in enumerate(value):
                yield name, i, item
        elif isinstance(value, ast.AST):
            yield name, None, value


def _role(node: ast.AST, child: str, role: str) -> str:
    if role in ("index", "position"):
        return role
    if isinstance(node, ast.Subscript) and child == "slice":
        pieces = any(isinstance(n, ast.Slice | ast.Tuple) for n in ast.walk(node.slice))
        return "index" if pieces else "position"
    if isinstance(node, ast.BinOp):
        if isinstance(node.op, ast.Add | ast.Sub):
            return "term"
        if isinstance(node.op, ast.Pow) and child == "right":
            return "exponent"
        return "factor"
    if isinstance(node, ast.Call) and child == "args" and called(node) in JOINING:
        return "parts"
    if isinstance(node, ast.Call) or (isinstance(node, ast.List | ast.Tuple) and role == "parts"):
        return "function" if child == "func" else "argument"
    if isinstance(node, ast.Attribute):
        return "argument" if role == "function" else "other"
    if isinstance(node, ast.UnaryOp):
        return role
    if isinstance(node, ast.Dict | ast.ListComp | ast.GeneratorExp) and child in ("values", "elt"):
        return "root"
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


def stored_names(statement: ast.stmt, arrays: Container[str]) -> set[str]:
    """Names that a statement binds, and those of the arrays into which it stores."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    bases = {_base(t) for t in targets if isinstance(t, ast.Subscript)}
    bound = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return bound | {b.id for b in bases if isinstance(b, ast.Name) and b.id in arrays}


def _base(node: ast.expr) -> ast.expr:
    while isinstance(node, ast.Subscript):
        node = node.value
    return node


def asides(definition: ast.FunctionDef, statements: list[ast.stmt], arrays: Container[str] = ()) -> list[ast.stmt]:
    """Return assignments, elsewhere in the function, of names that the statements read: masks, sizes, indices ...

    Stores into parts of the arrays named are among them.
    """
    wanted = {n.id for s in statements for n in ast.walk(s) if isinstance(n, ast.Name)}
    found: list[ast.stmt] = []
    every = [n for n in ast.walk(definition) if isinstance(n, ast.Assign | ast.AugAssign)]
    while True:
        new = [s for s in every if s not in found and s not in statements and stored_names(s, arrays) & wanted]
        if not new:
            return found
        found += new
        wanted |= {n.id for s in new for n in ast.walk(s) if isinstance(n, ast.Name)}


def set_edit(cost: float, key: str, slot: Slot, new: ast.expr, subject: str = "", show: Slot | None = None) -> Edit:
    """Put another expression into a slot; the text shown is that of `show`, of which the slot is a part."""
    old, shown = slot.get(), show or slot

    def put() -> None:
        slot.set(_placed(ast.copy_location(new, old)))

    return Edit(cost, key, slot.line, lambda: ast.unparse(shown.get()), subject, put, lambda: slot.set(old))


def _placed(node: Any) -> Any:
    """Give an expression's new parts its place in the source; its old parts, which need no visit, have theirs."""
    for child in ast.iter_child_nodes(node):
        if "lineno" in child._attributes and not hasattr(child, "lineno"):
            _placed(ast.copy_location(child, node))
    return node


def set_all(
    cost: float, key: str, statement: ast.stmt, slots: list[Slot], make: Callable[[ast.expr], ast.expr]
) -> Edit:
    """One edit of several places of a statement at once."""
    old = [slot.get() for slot in slots]
    new = [ast.fix_missing_locations(ast.copy_location(make(node), node)) for node in old]

    def put(nodes: list[ast.expr]) -> None:
        for slot, node in zip(slots, nodes, strict=True):
            slot.set(node)

    return Edit(cost, key, statement.lineno, lambda: ast.unparse(statement), "", lambda: put(new), lambda: put(old))


def slots_of_statement(statement: ast.stmt) -> list[Slot]:
    """All expressions of a statement, those of its targets' indices included."""
    found = list(slots_of(statement, "value", None, "root", statement.lineno)) if getattr(statement, "value", 0) else []
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    for target in targets:
        if isinstance(target, ast.Subscript):
            found += slots_of(target, "slice", None, "index", statement.lineno)
    return found


def block_of(definition: ast.FunctionDef, statement: ast.stmt) -> tuple[list[ast.stmt], int] | None:
    """Return the block that a statement stands in, and where."""
    for node in ast.walk(definition):
        for body in (getattr(node, "body", None), getattr(node, "orelse", None)):
            if isinstance(body, list):
                for index, other in enumerate(body):
                    if other is statement:
                        return body, index
    return None


def names_in(node: ast.AST) -> set[str]:
    """Names and texts in an expression."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)} | {
        str(n.value) for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    }


def key_of_factor(node: ast.expr, scope: Scope, present: bool) -> str:
    """Return what kind of slip a factor is that is missing (or, `present`, too many)."""
    names = names_in(node)
    text = ast.unparse(node)
    if re.match(r"len\(|.*\.shape\[|.*\.size$", text):
        return "factor"
    if text in scope.arrays and is_mask(text, scope.arrays[text]):
        return "mask_twice" if present else "mask_missing"
    if names & scope.gradients:
        if present:
            return "upstream_twice"
        return "missing_factor" if scope.linear else "upstream_missing"
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
    if any(GAMMA.match(n) and n not in scope.scalars for n in names) and not present:
        return "gamma_missing"
    return "extra_factor" if present else "missing_factor"


def around(slot: Slot) -> Slot:
    """Return the operation around a literal, which reads better than the literal alone."""
    if isinstance(slot.parent, ast.BinOp | ast.UnaryOp | ast.Subscript):
        holder = ast.Expression(slot.parent)
        return Slot(holder, "body", None, slot.role, slot.line)
    return slot


def called(node: ast.Call) -> str:
    """Return the name of the function that is called, without its module or object."""
    return (
        node.func.attr
        if isinstance(node.func, ast.Attribute)
        else node.func.id
        if isinstance(node.func, ast.Name)
        else ""
    )


def operand_of(node: ast.Call) -> ast.expr | None:
    """Return the array that a call like `np.sum(a, ...)` or `a.sum(...)` works on."""
    if isinstance(node.func, ast.Attribute) and not (
        isinstance(node.func.value, ast.Name) and node.func.value.id in ("np", "numpy", "math")
    ):
        return node.func.value
    return node.args[0] if node.args else None


def factors(node: ast.expr) -> set[str]:
    """Names that stand in a product as factors of their own, or as the base of a power."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return factors(node.left) | factors(node.right)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Pow):
        return factors(node.left)
    return {ast.unparse(node)} if isinstance(node, ast.Name | ast.Attribute | ast.Subscript) else set()


def is_index(node: ast.expr, scope: Scope) -> bool:
    """Whether an expression is made of whole numbers alone."""
    names = [n.id for n in ast.walk(node) if isinstance(n, ast.Name)]
    return bool(names) and all(isinstance(scope.scalars.get(n), int) for n in names)


def is_expression(text: str) -> bool:
    """Whether a text can stand in an expression as it is, without parentheses."""
    try:
        parse(text)
    except SyntaxError:
        return False
    return "*" not in text and " " not in text
