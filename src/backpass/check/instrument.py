"""Watch somebody's functions at work: record every value with its line, and nudge any of them.

The source of a function is parsed and each assignment, expression and argument `v` is wrapped as
`__backpass__.value(site, v)`.  The *recorder* behind that name can write the value down, add a nudge to it
(which is how the true derivative of any intermediate is measured), or put another value in its place.
The rewritten code replaces the `__code__` of the function object for as long as a `with` block lasts, so that helpers,
methods, closures and functions imported elsewhere are all seen, and everything is as before afterwards.
"""

from __future__ import annotations

import ast
import functools
import inspect
import linecache
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HOOK = "__backpass__"  # the global through which rewritten code reaches the recorder

# Calls whose derivative jumps: name -> how the branch taken is read from the arguments.
KINKED = {
    "maximum",
    "minimum",
    "max",
    "min",
    "amax",
    "amin",
    "argmax",
    "argmin",
    "abs",
    "absolute",
    "fabs",
    "sign",
    "clip",
}

# Attributes that say something about an array without passing its values on.
_ABOUT = {"shape", "dtype", "ndim", "size", "strides", "flags"}


# Number types too short to measure derivatives with; in the modes that measure, they are read as float64.
_SHORT = {"float32", "float16", "single", "half"}


@dataclass(frozen=True)
class Site:
    """One place in the source at which values pass: what is named there, and where it is."""

    key: int
    kind: str  # argument, assign, part (of an accumulation), after (a store or loop), use, expression, return, item
    name: str  # the variable, or "" for a nameless expression
    path: str
    line: int
    function: str
    in_loop: bool
    position: int = 0  # which element of a returned tuple

    @property
    def defines(self) -> bool:
        """Whether a value gets its name here (rather than being read)."""
        return self.kind in ("assign", "after", "part", "return", "item")


@dataclass
class Event:
    """One value that passed one site: the `occurrence`-th there, the `order`-th of all."""

    site: Site
    occurrence: int
    order: int
    value: Any
    caller: tuple[str, int, str] | None = None  # of an argument: path, line and function of the call

    @property
    def key(self) -> tuple[int, int]:
        """The address of this value: site and occurrence."""
        return self.site.key, self.occurrence


def is_real(value: Any) -> bool:
    """Whether a value is a floating-point array or scalar, something that has a derivative.

    >>> is_real(np.zeros(3)), is_real(2.5), is_real(np.arange(3)), is_real(True)
    (True, True, False, False)
    """
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and value.size > 0
    return isinstance(value, float | np.floating)


def snapshot(value: Any) -> Any:
    """Copy of a value as it is now; containers are copied one level deep, foreign objects become None."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, int | float | np.generic | str) or value is None:
        return value
    if isinstance(value, dict):
        return {k: snapshot(v) for k, v in value.items() if not isinstance(v, dict | list | tuple)}
    return None


class Recorder:
    """What rewritten code talks to; one per program."""

    def __init__(self) -> None:
        self.reset()

    def reset(
        self,
        *,
        record: bool = False,
        nudge: tuple[int, int | None, Callable[[Any], Any]] | None = None,
        overrides: dict[tuple[int, int], Any] | None = None,
        watch: list[np.ndarray] | None = None,
        limit: int = 30_000,
    ) -> None:
        """Begin a run: `nudge` is (site, occurrence or None for all, function of the value)."""
        self.events: list[Event] | None = [] if record else None
        nothing: tuple[int, int | None, Callable[[Any], Any]] = (-1, None, lambda value: value)
        self.nudge_site, self.nudge_occurrence, self.nudge = nudge or nothing
        self.overrides = overrides or {}
        self.counts: dict[int, int] = {}
        self.branches = 0
        self.limit = limit
        self.sites: dict[int, Site] = getattr(self, "sites", {})
        self.watched = [(array, array.copy()) for array in watch or []]
        self.changed: list[tuple[int, str, int]] = []  # (index of the watched array, path, line)

    def value(self, site: int, value: Any) -> Any:
        """Let a value pass its site."""
        n = self.counts.get(site, 0)
        self.counts[site] = n + 1
        if site == self.nudge_site and (self.nudge_occurrence is None or n == self.nudge_occurrence) and is_real(value):
            value = self.nudge(value)
        if self.overrides and (site, n) in self.overrides:
            value = self.overrides[site, n]
        if self.events is not None and len(self.events) < self.limit:
            place = self.sites[site]
            event = Event(place, n, len(self.events), snapshot(value))
            if place.kind == "argument":
                frame = sys._getframe(2)
                event.caller = (frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)
            self.events.append(event)
        return value

    def entry(self, site: int, container: Any, index: Any) -> None:
        """Let an entry pass its site, if the container is a dict."""
        if isinstance(container, dict) and index in container:
            self.value(site, container[index])

    def branch(self, value: Any) -> Any:
        """Let the result of a comparison pass, and remember which way it went."""
        self.branches = hash((self.branches, value.tobytes() if isinstance(value, np.ndarray) else bool(value)))
        return value

    def kinked(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call a function with a kink (max, abs ...) and remember on which side of it each element was."""
        result = function(*args, **kwargs)
        owner = getattr(function, "__self__", None)
        operands = (owner, *args) if isinstance(owner, np.ndarray) else args
        try:
            side = _side_of_kink(name, operands, kwargs)
        except (TypeError, ValueError, IndexError):
            return result
        self.branches = hash((self.branches, np.asarray(side).tobytes()))
        return result

    def tick(self, path: str, line: int) -> None:
        """Look, after a statement, whether it has changed a watched array."""
        for index, (array, before) in enumerate(self.watched):
            if not np.array_equal(array, before, equal_nan=True):
                self.changed.append((index, path, line))
                self.watched[index] = (array, array.copy())


def _side_of_kink(name: str, operands: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    if name in ("maximum", "minimum") or (name in ("max", "min") and len(operands) > 1 and np.ndim(operands[0]) == 0):
        return np.greater(operands[0], operands[1])
    if name in ("abs", "absolute", "fabs", "sign"):
        return np.sign(operands[0])
    if name == "clip":
        low = operands[1] if len(operands) > 1 else kwargs.get("a_min", kwargs.get("min"))
        high = operands[2] if len(operands) > 2 else kwargs.get("a_max", kwargs.get("max"))
        return [
            np.less(operands[0], -np.inf if low is None else low),
            np.greater(operands[0], np.inf if high is None else high),
        ]
    array = np.asarray(operands[0])
    axis = operands[1] if len(operands) > 1 else kwargs.get("axis")
    extreme = array.max(axis=axis, keepdims=True) if "max" in name else array.min(axis=axis, keepdims=True)
    return array == extreme


# ---------------------------------------------------------------------------------------------------------------
# Rewriting


class _Rewriter(ast.NodeTransformer):
    """Wraps the values of one file.

    The mode is "values" (everything), "exact" (the same, with float32 read as float64, to measure derivatives with),
    "branches" (kinks only, float32 read as float64) or "ticks" (watch arrays).
    """

    def __init__(self, path: str, mode: str, sites: dict[int, Site]) -> None:
        self.path, self.mode, self.sites = path, mode, sites
        self.functions: list[str] = []
        self.locals: list[set[str]] = []
        self.bound: set[str] = set()
        self.loops = 0

    # -- helpers ------------------------------------------------------------------------------------------------

    def _wrap(self, node: ast.expr, key_node: ast.AST, kind: str, name: str = "", position: int = 0) -> ast.expr:
        key = getattr(key_node, "_key", None)
        if key is None or self.mode not in ("values", "exact"):
            return node
        self.sites[key] = Site(
            key,
            kind,
            name,
            self.path,
            getattr(key_node, "lineno", 0),
            ".".join(self.functions),
            self.loops > 0,
            position,
        )
        return self._call("value", [ast.Constant(key), node], node)

    def _call(
        self, method: str, args: list[ast.expr], at: ast.AST, keywords: list[ast.keyword] | None = None
    ) -> ast.Call:
        hook = ast.Attribute(ast.Name(HOOK, ast.Load()), method, ast.Load())
        return ast.fix_missing_locations(ast.copy_location(ast.Call(hook, args, keywords or []), at))

    def _rebind(self, name_node: ast.Name | ast.arg, key_node: ast.AST, kind: str, at: ast.AST) -> list[ast.stmt]:
        name = name_node.id if isinstance(name_node, ast.Name) else name_node.arg
        wrapped = self._wrap(ast.copy_location(ast.Name(name, ast.Load()), at), key_node, kind, name)
        if not isinstance(wrapped, ast.Call):
            return []
        return [ast.fix_missing_locations(ast.copy_location(ast.Assign([ast.Name(name, ast.Store())], wrapped), at))]

    # -- functions ----------------------------------------------------------------------------------------------

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.functions.append(node.name)
        self.locals.append(_local_names(node))
        loops, self.loops = self.loops, 0
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        entry: list[ast.stmt] = []
        for argument in arguments:
            if argument.arg not in ("self", "cls"):
                entry += self._rebind(argument, argument, "argument", node.body[0])
        has_docstring = isinstance(node.body[0], ast.Expr) and isinstance(node.body[0].value, ast.Constant)
        body = self._block(node.body[1:] if has_docstring else node.body, {a.arg for a in arguments})
        node.body = (node.body[:1] if has_docstring else []) + entry + body or [ast.copy_location(ast.Pass(), node)]
        self.loops = loops
        self.locals.pop()
        self.functions.pop()
        return node

    def visit_Lambda(self, node: ast.Lambda) -> ast.AST:
        self.functions.append("<lambda>")
        self.locals.append(
            {a.arg for a in (*node.args.posonlyargs, *node.args.args)} | (self.locals[-1] if self.locals else set())
        )
        node.body = self.visit(node.body)
        self.locals.pop()
        self.functions.pop()
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        self.functions.append(node.name)
        node.body = [self.visit(s) if isinstance(s, ast.FunctionDef | ast.ClassDef) else s for s in node.body]
        self.functions.pop()
        return node

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [
            self.visit(s) if isinstance(s, ast.FunctionDef | ast.ClassDef | ast.Assign) else s for s in node.body
        ]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        return node

    # -- blocks and statements ----------------------------------------------------------------------------------

    def _block(self, statements: list[ast.stmt], bound: set[str] | None = None) -> list[ast.stmt]:
        bound = set(bound or ())  # names that have a value before the next statement
        result: list[ast.stmt] = []
        for statement in statements:
            self.bound = bound
            stored = _stored_in_place(statement) if isinstance(statement, ast.For | ast.While) else {}
            result += self._statement(statement)
            for name, node in stored.items():
                if name in bound:
                    result += self._rebind(ast.Name(name, ast.Load()), node, "after", node)
            if self.mode == "ticks" and not isinstance(
                statement, ast.Return | ast.FunctionDef | ast.ClassDef | ast.Break | ast.Continue
            ):
                tick = self._call("tick", [ast.Constant(self.path), ast.Constant(statement.lineno)], statement)
                result.append(ast.copy_location(ast.Expr(tick), statement))
            bound |= _bound_by(statement)
        return result

    def _statement(self, node: ast.stmt) -> list[ast.stmt]:
        if not self.functions:  # a statement of the module
            return [node]
        method = getattr(self, "_statement_" + type(node).__name__, None)
        if method is not None:
            return list(method(node))
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            return [self.visit(node)]
        if isinstance(
            node, ast.Assert | ast.Raise | ast.Import | ast.ImportFrom | ast.Global | ast.Nonlocal | ast.Delete
        ):
            return [node]
        return [self.generic_visit(node)]  # type: ignore[list-item]

    def _statement_If(self, node: ast.If) -> list[ast.stmt]:
        node.test = self.visit(node.test)
        bound = self.bound
        node.body, node.orelse = self._block(node.body, bound), self._block(node.orelse, bound)
        return [node]

    def _statement_With(self, node: ast.With) -> list[ast.stmt]:
        node.body = self._block(node.body, self.bound)
        return [node]

    def _statement_Try(self, node: ast.Try) -> list[ast.stmt]:
        bound = self.bound
        node.body, node.orelse, node.finalbody = (
            self._block(b, bound) for b in (node.body, node.orelse, node.finalbody)
        )
        for handler in node.handlers:
            handler.body = self._block(handler.body, bound)
        return [node]

    def _statement_For(self, node: ast.For) -> list[ast.stmt]:
        node.iter = self.visit(node.iter)
        self.loops += 1
        targets = [t for t in ast.walk(node.target) if isinstance(t, ast.Name)]
        entry = [s for t in targets for s in self._rebind(t, t, "item", node.body[0])]
        node.body = entry + self._block(node.body, {t.id for t in targets})
        self.loops -= 1
        node.orelse = self._block(node.orelse)
        return [node]

    def _statement_While(self, node: ast.While) -> list[ast.stmt]:
        node.test = self.visit(node.test)
        self.loops += 1
        node.body = self._block(node.body)
        self.loops -= 1
        return [node]

    def _statement_Assign(self, node: ast.Assign) -> list[ast.stmt]:
        after: list[ast.stmt] = []
        pairs = _pairs(node)
        if pairs is not None:  # a, b = e1, e2: each element is an assignment of its own
            assert isinstance(node.value, ast.Tuple | ast.List)
            node.value.elts = [self._assigned(t, e) for t, e in pairs]
        elif len(node.targets) == 1 and isinstance(node.targets[0], ast.Tuple | ast.List):
            node.value = self.visit(node.value)
            for target in ast.walk(node.targets[0]):
                if isinstance(target, ast.Name):
                    after += self._rebind(target, target, "assign", node)
        else:
            node.value = self._assigned(node.targets[0], node.value)
        for target in node.targets:
            for part in [target, *(target.elts if isinstance(target, ast.Tuple | ast.List) else [])]:
                alone = part is target and _is_dictionary_store(part)  # its value was wrapped already
                if isinstance(part, ast.Subscript | ast.Attribute) and not alone:
                    after += self._after_store(part)
        return [node, *after]

    def _assigned(self, target: ast.expr, value: ast.expr) -> ast.expr:
        inner = self._inside(value)
        if isinstance(target, ast.Name):
            return self._wrap(inner, target, "assign", target.id)
        if isinstance(target, ast.Subscript | ast.Attribute):
            key = target if _is_dictionary_store(target) or isinstance(target, ast.Attribute) else value
            return self._wrap(inner, key, "assign" if key is target else "part", _name_of_store(target))
        return inner

    def _after_store(self, target: ast.Subscript | ast.Attribute) -> list[ast.stmt]:
        """Look at what a store has changed: outside a loop the whole of `a` after `a[i] = ...`, and entries of dicts."""
        base = target.value
        if _is_dictionary_store(target):
            return self._look(target)
        if not isinstance(target, ast.Subscript) or not isinstance(base, ast.Name):
            return []
        entry: list[ast.stmt] = []
        if self.mode == "values" and isinstance(target.slice, ast.Name):
            entry = self._look_into_dictionary(base, target.slice, target)
        return entry if self.loops else [*entry, *self._rebind(base, base, "after", target)]

    def _look_into_dictionary(self, base: ast.Name, index: ast.Name, target: ast.Subscript) -> list[ast.stmt]:
        """After `grads[name] += ...` look at the entry, if `grads` turns out to be a dict."""
        key = getattr(target, "_key", None)
        if key is None:
            return []
        site = Site(key, "after", base.id, self.path, target.lineno, ".".join(self.functions), self.loops > 0)
        self.sites[key] = site
        names = [ast.copy_location(ast.Name(n.id, ast.Load()), target) for n in (base, index)]
        call = self._call("entry", [ast.copy_location(ast.Constant(key), target), *names], target)
        return [ast.copy_location(ast.Expr(call), target)]

    def _look(self, target: ast.expr) -> list[ast.stmt]:
        """Read back an entry of a dict that has just been stored, so that its value is recorded."""
        load = ast.parse(ast.unparse(target), mode="eval").body
        seen = self._wrap(load, target, "after", _name_of_store(target))
        if seen is load:
            return []
        return [ast.fix_missing_locations(ast.copy_location(ast.Expr(seen), target))]

    def _statement_AnnAssign(self, node: ast.AnnAssign) -> list[ast.stmt]:
        if node.value is not None:
            node.value = self._assigned(node.target, node.value)
        return [node]

    def _statement_AugAssign(self, node: ast.AugAssign) -> list[ast.stmt]:
        node.value = self._wrap(self._inside(node.value), node.value, "part", _name_of_store(node.target))
        if isinstance(node.target, ast.Name) and not self.loops:
            return [node, *self._rebind(node.target, node.target, "after", node)]
        if isinstance(node.target, ast.Subscript):
            return [node, *self._after_store(node.target)]
        if isinstance(node.target, ast.Attribute):
            return [node, *self._look(node.target)]
        return [node]

    def _statement_Expr(self, node: ast.Expr) -> list[ast.stmt]:
        if not isinstance(node.value, ast.Call):
            return [node]
        # np.add.at(dx, index, values) and a.fill(0) change an array by a call.
        call = node.value
        changed = call.args[0] if call.args else None
        call.args = [*call.args[:1], *(self.visit(a) for a in call.args[1:])]
        if isinstance(changed, ast.Name) and self.locals and changed.id in self.locals[-1] and not self.loops:
            return [node, *self._rebind(changed, changed, "after", node)]
        return [node]

    def _statement_Return(self, node: ast.Return) -> list[ast.stmt]:
        if isinstance(node.value, ast.Tuple):
            node.value.elts = [
                self._wrap(self._inside(e), e, "return", e.id if isinstance(e, ast.Name) else "", i)
                for i, e in enumerate(node.value.elts)
            ]
        elif node.value is not None:
            name = node.value.id if isinstance(node.value, ast.Name) else ""
            node.value = self._wrap(self._inside(node.value), node.value, "return", name)
        return [node]

    # -- expressions --------------------------------------------------------------------------------------------

    def _inside(self, node: ast.expr) -> ast.expr:
        """Visit an expression whose own value is wrapped by the caller."""
        visited = self._plain(node)
        return visited if isinstance(visited, ast.expr) else node

    def _plain(self, node: ast.expr) -> ast.AST:
        if isinstance(node, ast.Name | ast.Constant):
            return node
        if isinstance(node, ast.Call):
            return self._visit_call(node)
        if isinstance(node, ast.Subscript):
            node.value = self.visit(node.value)
            return node
        if isinstance(node, ast.Compare):
            return self.visit_Compare(node)
        return self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        return self._wrap(self._inside(node), node, "expression")

    def visit_Call(self, node: ast.Call) -> ast.AST:
        return self._wrap(self._visit_call(node), node, "expression")

    def _visit_call(self, node: ast.Call) -> ast.expr:
        function = node.func
        name = (
            function.attr
            if isinstance(function, ast.Attribute)
            else function.id
            if isinstance(function, ast.Name)
            else ""
        )
        if name in (
            "range",
            "len",
            "isinstance",
            "print",
            "enumerate",
            "zip",
            "super",
            "zeros_like",
            "ones_like",
            "empty_like",
        ):
            if name in ("enumerate", "zip"):
                node.args = [self.visit(a) for a in node.args]
            return node
        if isinstance(function, ast.Attribute):
            function.value = self.visit(function.value)
        if name == "astype" and node.args:
            node.args[0] = self._measuring_type(node.args[0])
        else:
            node.args = [self.visit(a) for a in node.args]
        for keyword in node.keywords:
            if keyword.arg == "dtype":
                keyword.value = self._measuring_type(keyword.value)
            elif keyword.arg not in ("axis", "keepdims", "out", "shape", "stride", "pad", "padding"):
                keyword.value = self.visit(keyword.value)
        if name in KINKED:
            return self._call("kinked", [ast.Constant(name), function, *node.args], node, node.keywords)
        return node

    def _measuring_type(self, node: ast.expr) -> ast.expr:
        if isinstance(node, ast.Attribute):
            visited = self.visit_Attribute(node)
            return visited if isinstance(visited, ast.expr) else node
        if isinstance(node, ast.Constant) and node.value in _SHORT and self.mode in ("exact", "branches"):
            return ast.copy_location(ast.Constant("float64"), node)
        return node

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        if not isinstance(node.ctx, ast.Load) or _only_about(node.value):
            return node
        node.value = self.visit(node.value)  # the index is left alone: it has no derivative
        return self._wrap(node, node, "expression")

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        if node.attr in _SHORT and isinstance(node.value, ast.Name) and self.mode in ("exact", "branches"):
            node.attr = "float64"
            return node
        if node.attr in _ABOUT or not isinstance(node.ctx, ast.Load):
            return node
        node.value = self.visit(node.value)
        return self._wrap(node, node, "expression") if node.attr == "T" or isinstance(node.value, ast.Name) else node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if self.mode == "ticks":
            return node
        return self._call("branch", [self.generic_visit(node)], node)  # type: ignore[list-item]

    def visit_Name(self, node: ast.Name) -> ast.AST:
        if isinstance(node.ctx, ast.Load) and self.locals and node.id in self.locals[-1]:
            return self._wrap(node, node, "use", node.id)
        return node

    def visit_NamedExpr(self, node: ast.NamedExpr) -> ast.AST:
        node.value = self._assigned(node.target, node.value)
        return node

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node

    def visit_keyword(self, node: ast.keyword) -> ast.AST:
        node.value = self.visit(node.value)
        return node


def _only_about(node: ast.expr) -> bool:
    return isinstance(node, ast.Attribute) and node.attr in _ABOUT


def _pairs(node: ast.Assign) -> list[tuple[ast.expr, ast.expr]] | None:
    target = node.targets[0]
    if (
        len(node.targets) != 1
        or not isinstance(target, ast.Tuple | ast.List)
        or not isinstance(node.value, ast.Tuple | ast.List)
    ):
        return None
    if len(target.elts) != len(node.value.elts) or any(
        isinstance(e, ast.Starred) for e in (*target.elts, *node.value.elts)
    ):
        return None
    return list(zip(target.elts, node.value.elts, strict=True))


def _is_dictionary_store(target: ast.expr) -> bool:
    """`grads["W1"]`, `grads[f"W{i}"]`, `grads["W" + str(i)]`: the index is text."""
    if not isinstance(target, ast.Subscript):
        return False
    index = target.slice
    if isinstance(index, ast.BinOp):
        index = index.left
    if isinstance(index, ast.Constant):
        return isinstance(index.value, str)
    return isinstance(index, ast.JoinedStr)


def _name_of_store(target: ast.expr) -> str:
    if isinstance(target, ast.Name):
        return target.id
    if isinstance(target, ast.Attribute):
        return target.attr
    if isinstance(target, ast.Subscript):
        if isinstance(target.slice, ast.Constant) and isinstance(target.slice.value, str):
            return target.slice.value
        return _name_of_store(target.value)
    return ""


def _local_names(node: ast.FunctionDef) -> set[str]:
    names = {a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)}
    return names | {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _bound_by(statement: ast.stmt) -> set[str]:
    return {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}


def _stored_in_place(loop: ast.For | ast.While) -> dict[str, ast.AST]:
    """Names that a loop changes in place, each with the (last) node that does."""
    stored: dict[str, ast.AST] = {}
    for node in ast.walk(loop):
        targets = (
            [node.target] if isinstance(node, ast.AugAssign) else node.targets if isinstance(node, ast.Assign) else []
        )
        for target in targets:
            base = target
            while isinstance(base, ast.Subscript):
                base = base.value
            if (
                isinstance(base, ast.Name)
                and not _is_dictionary_store(target)
                and (base is not target or isinstance(node, ast.AugAssign))
            ):
                stored[base.id] = base
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Call)
            and node.value.args
            and isinstance(node.value.args[0], ast.Name)
        ):
            stored.setdefault(node.value.args[0].id, node.value.args[0])
    return stored


# ---------------------------------------------------------------------------------------------------------------
# Programs: function objects and their files


class SourceFile:
    """A parsed file whose nodes carry keys that survive copying and editing."""

    _count = 0

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines = [line.rstrip("\n") for line in linecache.getlines(path)]
        self.tree = ast.parse("\n".join(self.lines))
        for node in ast.walk(self.tree):
            if isinstance(node, ast.expr | ast.stmt | ast.arg):
                SourceFile._count += 1
                node._key = SourceFile._count  # type: ignore[union-attr]
        self.codes: dict[str, dict[tuple[str, int], types.CodeType]] = {}

    def code(self, mode: str, function: types.FunctionType, sites: dict[int, Site]) -> types.CodeType | None:
        """Return the rewritten code of one function, or None where the file does not hold it (or holds it twice)."""
        if mode not in self.codes:
            tree = ast.fix_missing_locations(_Rewriter(self.path, mode, sites).visit(_copy(self.tree)))
            self.codes[mode] = _codes_in(compile(tree, self.path, "exec"))
        own = function.__code__
        code = self.codes[mode].get((own.co_qualname.rpartition("<locals>.")[2], own.co_firstlineno))
        return code if code is not None and code.co_freevars == own.co_freevars else None

    def definition(self, function: types.FunctionType) -> ast.FunctionDef | None:
        """Return the node of a `def`, the original, not a copy."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef) and node.name == function.__code__.co_name:
                first = min([node.lineno, *(d.lineno for d in node.decorator_list)])
                if first == function.__code__.co_firstlineno:
                    return node
        return None


def _copy(node: Any) -> Any:
    """Copy a syntax tree with its keys (copy.deepcopy is five times slower)."""
    if isinstance(node, ast.AST):
        new = type(node)()
        for field, value in ast.iter_fields(node):
            setattr(new, field, _copy(value))
        for attribute in ("lineno", "col_offset", "end_lineno", "end_col_offset", "_key"):
            if hasattr(node, attribute):
                setattr(new, attribute, getattr(node, attribute))
        return new
    if isinstance(node, list):
        return [_copy(item) for item in node]
    return node


def _codes_in(code: types.CodeType) -> dict[tuple[str, int], types.CodeType]:
    found: dict[tuple[str, int], types.CodeType] = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            key = (constant.co_qualname.rpartition("<locals>.")[2], constant.co_firstlineno)
            found[key] = constant
            found.update(_codes_in(constant))
    return found


def unwrap(function: Any) -> types.FunctionType | None:
    """Return the plain Python function inside a method, partial or decorator; None for compiled ones."""
    while isinstance(function, functools.partial):
        function = function.func
    function = getattr(function, "__func__", function)
    function = inspect.unwrap(function) if callable(function) else function
    return function if isinstance(function, types.FunctionType) else None


_LIBRARY = tuple({sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_library(path: str) -> bool:
    return path.startswith(_LIBRARY) or path.startswith("<frozen")


def reachable(roots: Iterable[Any]) -> list[types.FunctionType]:
    """Return the functions that `roots` may call, as far as names tell, those of installed libraries left out."""
    found: dict[int, types.FunctionType] = {}
    todo: list[Any] = list(roots)
    seen: set[int] = set()
    first = {id(r) for r in todo} | {id(unwrap(r)) for r in todo}
    while todo:
        item = todo.pop()
        if id(item) in seen:
            continue
        seen.add(id(item))
        if isinstance(item, type):
            todo += [m for c in item.__mro__ for m in vars(c).values() if unwrap(unwrap_descriptor(m)) is not None]
            continue
        function = unwrap(unwrap_descriptor(item))
        if function is None or id(function) in found:
            continue
        if _is_library(function.__code__.co_filename) and id(item) not in first and id(function) not in first:
            continue
        found[id(function)] = function
        names = _names_used(function.__code__)
        todo += [v for n in names if callable(v := function.__globals__.get(n))]
        modules = [v for n in names if isinstance(v := function.__globals__.get(n), types.ModuleType)]
        for module in modules:
            if not _is_library(getattr(module, "__file__", None) or "<frozen"):
                todo += [v for n in names if callable(v := vars(module).get(n))]
        for cell in function.__closure__ or ():
            try:
                content = cell.cell_contents
            except ValueError:
                continue
            if callable(content):
                todo.append(content)
    return list(found.values())


def unwrap_descriptor(item: Any) -> Any:
    """Return the function behind staticmethod, classmethod and property."""
    if isinstance(item, staticmethod | classmethod):
        return item.__func__
    return item.fget if isinstance(item, property) else item


def _names_used(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _names_used(constant)
    return names


class Program:
    """Somebody's functions, and the means to run them watched or changed."""

    def __init__(self, roots: Iterable[Any]) -> None:
        self.recorder = Recorder()
        self.files: dict[str, SourceFile] = {}
        self.functions: list[types.FunctionType] = []
        for function in reachable(roots):
            if (function.__module__ or "").startswith("backpass.check."):  # an adapter of ours around the user's code
                continue
            path = function.__code__.co_filename
            if path not in self.files:
                try:
                    self.files[path] = SourceFile(path)
                except SyntaxError:
                    continue
            if self.files[path].lines:
                self.functions.append(function)

    @contextmanager
    def watched(
        self, mode: str, replaced: dict[types.FunctionType, types.CodeType] | None = None
    ) -> Iterator[Recorder]:
        """Run with rewritten code (mode "values", "branches".

        "ticks" or "" for the functions' own) inside the block.
        """
        saved = [(f, f.__code__) for f in self.functions]
        hooked: list[dict[str, Any]] = []
        try:
            for function, _ in saved:
                code = None
                if replaced and function in replaced:
                    code = replaced[function]
                elif mode:
                    code = self.files[function.__code__.co_filename].code(mode, function, self.recorder.sites)
                if code is not None:
                    function.__code__ = code
                if HOOK not in function.__globals__:
                    function.__globals__[HOOK] = self.recorder
                    hooked.append(function.__globals__)
            yield self.recorder
        finally:
            for function, code in saved:
                function.__code__ = code
            for namespace in hooked:
                namespace.pop(HOOK, None)

    def has_source(self, function: Any) -> bool:
        """Whether the source of a function is at hand, so that its lines can be judged."""
        return self.source(function) is not None

    def source(self, function: Any) -> tuple[SourceFile, ast.FunctionDef, types.FunctionType] | None:
        """Return the file, the `def` node and the plain function, or None."""
        plain = unwrap(function)
        if plain is None or plain not in self.functions:
            return None
        file = self.files[plain.__code__.co_filename]
        node = file.definition(plain)
        return None if node is None else (file, node, plain)

    def function_at(self, path: str, line: int) -> types.FunctionType | None:
        """Return the innermost known function whose text holds a line."""
        best: tuple[int, types.FunctionType] | None = None
        for function in self.functions:
            if function.__code__.co_filename != path:
                continue
            node = self.files[path].definition(function)
            if node is not None and node.lineno <= line <= (node.end_lineno or line):
                span = (node.end_lineno or line) - node.lineno
                if best is None or span < best[0]:
                    best = (span, function)
        return best[1] if best else None

    def compile_definition(self, function: types.FunctionType, node: ast.FunctionDef) -> types.CodeType:
        """Code for an edited `def`, with the same free variables as the original."""
        free = function.__code__.co_freevars
        definition = ast.FunctionDef(
            **{**{k: getattr(node, k) for k in node._fields if hasattr(node, k)}, "decorator_list": []}
        )
        ast.copy_location(definition, node)
        body: ast.stmt = definition
        if free:
            outer = ast.parse(f"def outer({', '.join(free)}):\n    pass").body[0]
            assert isinstance(outer, ast.FunctionDef)
            outer.body = [definition]
            body = outer
        module = compile(ast.Module([body], []), function.__code__.co_filename, "exec")
        code = next(c for c in module.co_consts if isinstance(c, types.CodeType))
        if free:
            code = next(c for c in code.co_consts if isinstance(c, types.CodeType) and c.co_name == node.name)
        return code


def relative_path(path: str) -> str:
    """Return a path as a reader would write it: relative to the working directory where it lies below it."""
    try:
        return str(Path(path).relative_to(Path.cwd()))
    except ValueError:
        return path


def line_with(program: Program, function: Any, marks: tuple[str, ...], last: bool = False) -> tuple[int, str, str, str]:
    """Return the first (or last) line of a function that contains one of the marks, the earlier marks preferred."""
    source = program.source(function)
    if source is None:
        return 0, "", "", ""
    file, node, _ = source
    body = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
    for mark in marks:
        for line in reversed(body) if last else body:
            text = file.lines[line - 1].split("#")[0]
            if re.search(mark, text):
                return line, text.strip(), relative_path(file.path), node.name
    return 0, "", "", ""
