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
import sysconfig
import types
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from backpass.check.recorder import HOOK, Recorder, Site
from backpass.check.rewrite import Rewriter


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
        self.codes: dict[str, dict[tuple[str, int], types.CodeType | None]] = {}

    def code(self, mode: str, function: types.FunctionType, sites: dict[int, Site]) -> types.CodeType | None:
        """Return the rewritten code of one function, or None where the file does not hold it (or holds it twice)."""
        if mode not in self.codes:
            tree = ast.fix_missing_locations(Rewriter(self.path, mode, sites).visit(_copy(self.tree)))
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


def _codes_in(code: types.CodeType) -> dict[tuple[str, int], types.CodeType | None]:
    """Return the code of every function by name and line; None where two share both, as lambdas in one line do."""
    found: dict[tuple[str, int], types.CodeType | None] = {}
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            key = (constant.co_qualname.rpartition("<locals>.")[2], constant.co_firstlineno)
            for name, inner in {key: constant, **_codes_in(constant)}.items():
                found[name] = None if name in found else inner
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
            todo += [c for c in (content if isinstance(content, tuple) else (content,)) if callable(c)]
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
        saved = [(f, f.__code__) for f in (self.functions if mode else replaced or ())]
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

    def code_at(self, path: str, line: int) -> str:
        """Return a line of a file of the user's."""
        return self.files[path].lines[line - 1].strip()

    def place(self, site: Site) -> tuple[str, str, int, str]:
        """Return function, path, line and code of a site, as a finding has them."""
        return site.function.rpartition(".")[2], relative_path(site.path), site.line, self.code_at(site.path, site.line)

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
