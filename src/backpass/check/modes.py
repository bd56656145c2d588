"""Whole models in test mode: `loss(X)` without labels returns scores, which depend on nothing but the row they belong to."""

from __future__ import annotations

import ast
import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.check.causes import CAUSES
from backpass.check.edits import Edit, set_edit, slots_of, statements_at
from backpass.check.instrument import Program, line_with, relative_path
from backpass.check.repair import Repair, search
from backpass.check.report import Finding, Report
from backpass.check.subject import Randomness

Array = NDArray[np.float64]


def examine_scores(model: Any, x: Any, y: Any, program: Program, report: Report, budget_s: float) -> None:
    """Look whether the scores of a row depend on the other rows, or on random numbers.

    A model whose code knows no running statistics may well normalise by its batch at any time; one without labels by
    default has no test mode to speak of.
    """
    labels = list(inspect.signature(model.loss).parameters.values())[1:2]
    if not labels or labels[0].default is labels[0].empty:
        return
    text = "\n".join(ast.unparse(s[1]) for f in program.functions if (s := program.source(f)) is not None)
    first = _scores(model, x, program)
    if first is None:
        return
    fault = _fault(model, x, program, keeps_statistics="running" in text or "moving" in text)
    if not fault:
        report.checked.append("scores in test mode")
        return

    def right() -> set[str]:
        fine = not _fault(model, x, program, keeps_statistics=True) and _trains(model, x, y)
        return {"scores"} if fine else set()

    repairs = search(program, list(_candidates(program, labels[0].name)), right, set(), {"scores"}, budget_s)
    message = f"loss(X) without labels should be test mode, but {fault}  ->  {CAUSES['test_mode']}"
    report.findings.append(_finding(program, type(model).loss, message, repairs[0] if repairs else None))


def _scores(model: Any, x: Any, program: Program, seed: int = 0) -> Array | None:
    """Return the scores of a copy of the model, as an array, or None where it returns something else."""
    tested = copy.deepcopy(model)
    Randomness.around(program, (tested,)).rewind(seed)
    try:
        result = tested.loss(np.array(x))
    except Exception:
        return None
    return result if isinstance(result, np.ndarray) and len(result) == len(x) else None


def _fault(model: Any, x: Any, program: Program, keeps_statistics: bool) -> str:
    """Say what the scores depend on that they should not; nothing if all is well."""
    first, again = _scores(model, x, program), _scores(model, x, program, seed=1)
    if first is None or again is None:
        return "it does not return scores"
    before = np.random.get_state()[1].copy()  # type: ignore[index] # noqa: NPY002
    tested = copy.deepcopy(model)
    tested.loss(np.array(x))
    drew = not np.array_equal(before, np.random.get_state()[1])  # type: ignore[index] # noqa: NPY002
    if drew or not np.array_equal(first, again):
        return "random numbers are drawn"
    others = np.array(x)
    others[1:] = others[1:] * 1.5 + 0.25
    mixed = _scores(model, others, program)
    if keeps_statistics and mixed is not None and not np.allclose(first[0], mixed[0], rtol=1e-9, atol=1e-12):
        return "the scores of a row depend on the other rows of the batch"
    return ""


def _trains(model: Any, x: Any, y: Any) -> bool:
    """Whether training still works, with an edit made."""
    loss, grads = copy.deepcopy(model).loss(np.array(x), y)
    return bool(np.isfinite(loss)) and len(grads) > 0


def _candidates(program: Program, labels: str) -> Iterator[tuple[Any, ast.FunctionDef, Edit]]:
    """Other modes where the code names one: "train" for "test", a question the other way round."""
    for function in program.functions:
        source = program.source(function)
        if source is None:
            continue
        _, definition, plain = source
        every = range(definition.lineno, (definition.end_lineno or definition.lineno) + 1)
        for statement in statements_at(definition, set(every)):
            for field in ("value", "test", "iter"):
                if isinstance(getattr(statement, field, None), ast.expr):
                    for edit in _mode_edits(statement, field, labels if _knows(definition, labels) else ""):
                        yield plain, definition, edit


def _knows(definition: ast.FunctionDef, name: str) -> bool:
    return any(a.arg == name for a in definition.args.args)


def _mode_edits(statement: ast.stmt, field: str, labels: str) -> Iterator[Edit]:
    for slot in slots_of(statement, field, None, "root", statement.lineno):
        node = slot.get()
        if isinstance(node, ast.IfExp):
            yield set_edit(1.0, "test_mode", slot, ast.IfExp(node.test, node.orelse, node.body))
        elif isinstance(node, ast.Constant) and node.value in ("train", "test"):
            if isinstance(slot.parent, ast.Compare | ast.IfExp):
                other = "test" if node.value == "train" else "train"
                yield set_edit(1.1, "test_mode", slot, ast.Constant(other))
            elif labels:
                either = ast.parse(f"'test' if {labels} is None else 'train'", mode="eval").body
                yield set_edit(1.0, "test_mode", slot, either)
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool) and labels:
            yield set_edit(1.2, "test_mode", slot, ast.parse(f"{labels} is not None", mode="eval").body)
            yield set_edit(1.2, "test_mode", slot, ast.parse(f"{labels} is None", mode="eval").body)
        elif isinstance(node, ast.Compare) and isinstance(node.ops[0], ast.Is | ast.IsNot | ast.Eq | ast.NotEq):
            turned = {ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq}[type(node.ops[0])]
            yield set_edit(1.2, "test_mode", slot, ast.Compare(node.left, [turned()], node.comparators))
        elif slot.role == "root" and field == "test" and isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            yield set_edit(1.15, "test_mode", slot, node.operand)
        elif slot.role == "root" and field == "test" and isinstance(node, ast.Name | ast.Attribute):
            yield set_edit(1.15, "test_mode", slot, ast.UnaryOp(ast.Not(), node))
        elif labels and slot.role == "root" and field == "test":
            both = ast.parse(f"({ast.unparse(node)}) and {labels} is not None", mode="eval").body
            yield set_edit(1.3, "test_mode", slot, both)


def _finding(program: Program, loss: Any, message: str, repair: Repair | None) -> Finding:
    if repair is None:
        line, code, path, function = line_with(program, loss, (r"mode.*=", r"batch_?norm|bn", r"drop", "def "))
        return Finding("wrong", "test_mode", message, function, path, line, code)
    path = repair.function.__code__.co_filename
    code = program.code_at(path, repair.edit.line)
    name = repair.function.__code__.co_name
    return Finding(
        "wrong", "test_mode", message, name, relative_path(path), repair.edit.line, code, fix=repair.edit.text
    )
