"""The keeper of the zoo: reads the animals, shows each to the doctor, and keeps the books.

A zoo file is a Python file cut into animals by lines that begin with `#: `.  What stands before the first animal is the
prelude of all of them (imports, forwards).  `#: right: name` is a correct animal, `#: name` a broken one; its first
wrong line ends
in `# BUG cause` (several acceptable causes: `# BUG factor|power`; a slip that is worth a warning only: `# BUG dtype
warning`).
Where code is missing rather than wrong, other lines
may rightly be blamed as well: they end in `# OR`.  Each animal is a module of its own, with the line numbers of the
file.
"""

from __future__ import annotations

import itertools
import linecache
import re
import sys
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from backpass.check import Finding, Report, check
from backpass.check.examine import check_layer_class
from backpass.check.models import check_model_class
from backpass.check.pairs import find
from backpass.errors import ArgumentError

HERE = Path(__file__).parent
BUG = re.compile(r"#\s*BUG\s+(?P<causes>[\w|]+)(?:\s+(?P<severity>warning))?")


@dataclass
class Animal:
    """One function, broken or right."""

    file: Path
    name: str
    right: bool
    source: str
    line: int = 0
    others: tuple[int, ...] = ()  # lines that may rightly be blamed as well
    causes: tuple[str, ...] = ()
    severity: str = "wrong"

    @property
    def id(self) -> str:
        return f"{self.file.stem}: {self.name}"


@dataclass
class Visit:
    """What the doctor said about an animal."""

    animal: Animal
    reports: list[Report]
    seconds: float
    found: bool = False
    line: bool = False
    cause: bool = False
    said: list[str] = field(default_factory=list)


def animals(folder: str) -> Iterator[Animal]:
    """All animals of a folder of the zoo."""
    for file in sorted((HERE / folder).glob("*.py")):
        lines = file.read_text().splitlines()
        starts = [i for i, line in enumerate(lines) if line.startswith("#: ")] + [len(lines)]
        prelude = lines[: starts[0]]
        for start, end in itertools.pairwise(starts):
            title = lines[start][3:].strip()
            right = title.startswith("right:")
            body = prelude + [""] * (start - len(prelude)) + lines[start:end]
            animal = Animal(file, title.removeprefix("right:").strip(), right, "\n".join(body) + "\n")
            for number, line in enumerate(body, 1):
                if match := BUG.search(line):
                    animal.line, animal.causes = number, tuple(match["causes"].split("|"))
                    animal.severity = match["severity"] or "wrong"
                    break
            animal.others = tuple(n for n, line in enumerate(body, 1) if line.rstrip().endswith("# OR"))
            assert right == (animal.line == 0), f"{animal.id}: a broken animal needs one # BUG line, a right one none"
            yield animal


def show(animal: Animal) -> Visit:
    """Let the doctor examine one animal."""
    path = f"<zoo {animal.id}>"
    linecache.cache[path] = (len(animal.source), None, animal.source.splitlines(keepends=True), path)
    module = types.ModuleType(f"zoo_{abs(hash(animal.id))}")
    sys.modules[module.__name__] = module  # dataclasses look it up
    exec(compile(animal.source, path, "exec", dont_inherit=True), module.__dict__)
    targets = find(vars(module), module.__name__)
    last = _names_after_marker(animal)
    chosen = [t for t in targets if t.name in last or getattr(t.first, "__name__", "") in last] or targets
    started = time.perf_counter()
    try:
        reports = [_examine(t, module) for t in chosen]
    except Exception as error:  # a doctor who breaks down has found nothing, and has not called a right one right
        visit = Visit(animal, [], time.perf_counter() - started, found=animal.right)
        visit.said = [f"the doctor broke down: {error!r}"]
        return visit
    visit = Visit(animal, reports, time.perf_counter() - started)
    _judge(visit)
    return visit


def _names_after_marker(animal: Animal) -> set[str]:
    """Names defined by the animal itself, not by the prelude."""
    text = animal.source[animal.source.rindex("#: ") :]
    return set(re.findall(r"^(?:def|class) (\w+)", text, flags=re.M))


def _examine(target: Any, module: types.ModuleType) -> Report:
    inputs = getattr(module, "inputs", None)
    try:
        if target.kind == "model":
            return check_model_class(target.first, inputs)
        if target.kind == "layer":
            return check_layer_class(target.first, inputs)
        if target.kind == "pair":
            return check(target.first, target.second, inputs)
        return check(target.first, None, inputs)
    except ArgumentError as error:  # as at the command line: a helper that cannot be checked alone is not
        return Report(target.name, [Finding("note", "not_checked", str(error))])


def _judge(visit: Visit) -> None:
    animal = visit.animal
    findings = [f for r in visit.reports for f in r.findings]
    visit.said = [f"{f.severity} {f.line} {f.cause}: {f.message}" for f in findings]
    blamed = [f for f in findings if f.severity == "wrong"]
    if animal.right:
        visit.found = bool(blamed)
        return
    if animal.severity == "warning":
        blamed = blamed or [f for f in findings if f.severity == "warning"]
    visit.found = bool(blamed)
    if blamed:
        visit.line = blamed[0].line in (animal.line, *animal.others)
        visit.cause = blamed[0].cause in animal.causes
