"""The pages about the course say what is so: every trap has a test, and the table of experiments is the recorded one."""

from __future__ import annotations

import ast
import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # benchmarks lie beside tests, outside the package

from benchmarks import cs231n_experiments as course  # noqa: E402

TRAPS = re.findall(r"^\| (\d+) \|", (ROOT / "docs/traps.md").read_text(encoding="utf-8"), re.MULTILINE)


def numbered() -> dict[int, list[ast.FunctionDef]]:
    """The tests that have the number of a trap in their name."""
    found: dict[int, list[ast.FunctionDef]] = {}
    for file in sorted(Path(__file__).parent.glob("test_*.py")):
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and (
                named := re.match(r"test_defects?_(\d+(?:_and_\d+)*)_", node.name)
            ):
                for number in named[1].split("_and_"):
                    found.setdefault(int(number), []).append(node)
    return found


def test_each_trap_has_a_test_and_each_such_test_a_trap():
    assert list(map(int, TRAPS)) == list(range(1, 14)) == sorted(numbered())


@pytest.mark.parametrize("number", range(1, 14))
def test_the_tests_of_a_trap_check_something(number):
    for test in numbered()[number]:
        nodes = list(ast.walk(test))
        called = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        assert any(isinstance(n, ast.Assert) for n in nodes) or any(a.startswith("assert_") for a in called), test.name


def test_the_table_of_experiments_is_the_recorded_one():
    kept = json.loads(course.KEPT.read_text(encoding="utf-8"))
    page = course.PAGE.read_text(encoding="utf-8")
    assert f"{course.BEGIN}\n\n{course.table(kept)}\n\n{course.END}" in page
    assert list(kept) == [f"E{n}" for n in range(1, 25)] == list(course.EXPERIMENTS)


def test_the_recorded_experiments_meet_the_bars_of_the_course():
    kept = json.loads(course.KEPT.read_text(encoding="utf-8"))
    assert [name for name, result in kept.items() if not result["met"]] == []
    best = {name: {k: max(row[1].get(k, 0) for row in kept[name]["rows"]) for k in ("train", "val")} for name in kept}
    assert best["E7"]["val"] >= 0.55  # "over 55 % possible"
    assert best["E2"]["val"] >= 0.5
    assert best["E3"]["train"] == best["E4"]["train"] == 1.0
    assert best["E22"]["train"] > 0.4
