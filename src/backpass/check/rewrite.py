"""Rewrite functions so that every value passes the recorder."""

# ruff: noqa: D102 - visit_X is the interface of ast.NodeTransformer

from __future__ import annotations

import ast

from backpass.check.recorder import HOOK, KINKED, Site

# Attributes that say something about an array without passing its values on.
_ABOUT = {"shape", "dtype", "ndim", "size", "strides", "flags"}


# Number types too short to measure derivatives with; in the modes that measure, they are read as float64.
_SHORT = {"float32", "float16", "single", "half"}


class Rewriter(ast.NodeTransformer):
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

    def _wrap(
        self,
        node: ast.expr,
        key_node: ast.AST,
        kind: str,
        name: str = "",
        position: int = 0,
        entry: ast.expr | None = None,
    ) -> ast.expr:
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
        named = [] if entry is None else [ast.copy_location(ast.parse(ast.unparse(entry), mode="eval").body, node)]
        return self._call("value", [ast.Constant(key), node, *named], node)

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
            kind = "assign" if key is target else "part"
            return self._wrap(inner, key, kind, _name_of_store(target), entry=_entry(target))
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
        seen = self._wrap(load, target, "after", _name_of_store(target), entry=_entry(target))
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
        if isinstance(node.value, ast.Tuple | ast.List):
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
        if isinstance(node, ast.Dict):
            return self.visit_Dict(node)
        return self.generic_visit(node)

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """Visit `{"W1": x.T @ dh, ...}`: each entry is an assignment of its own."""
        node.values = [
            self._wrap(self._inside(v), v, "assign", k.value)
            if isinstance(k, ast.Constant) and isinstance(k.value, str) and not isinstance(v, ast.Name)
            else self.visit(v)
            for k, v in zip(node.keys, node.values, strict=True)
        ]
        return node

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


def _entry(target: ast.expr) -> ast.expr | None:
    """Return the index of `grads[f"W{i}"]`, whose text is known only when the code runs."""
    computed = _is_dictionary_store(target) and not isinstance(target.slice, ast.Constant)  # type: ignore[attr-defined]
    return target.slice if computed else None  # type: ignore[attr-defined]


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
