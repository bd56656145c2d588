"""Try small edits of suspected lines until the numbers come out right.

An edit that turns a wrong gradient into a right one, and no right one into a wrong one, shows at once which line is at
fault, why, and what to write instead.  The edits are the slips that people make, undone: another constant, sign,
power, axis
or variable, a factor, a sum or a term put in or taken out, `=` for `+=`, a window shifted by one.
"""

from __future__ import annotations

import ast
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from backpass.check.edits import Edit
from backpass.check.instrument import Program
from backpass.check.recorder import Allowance

ROOM = 1 << 27  # bytes that the code with an edit may ask for beyond what the process ever had
EDIT_S = 5e-4  # the work of compiling an edit


@contextmanager
def _little_memory() -> Iterator[None]:
    """Let code inside that asks for much more memory fail: with an edited shape it may want all that the machine has."""
    try:
        import resource

        status = Path("/proc/self/status").read_text()
        has = int(status.partition("VmPeak:")[2].split()[0]) * 1024
    except (ImportError, OSError, IndexError):  # only Linux tells and obeys
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = has + ROOM if soft == resource.RLIM_INFINITY else min(soft, has + ROOM)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (most, hard))
    try:
        yield
    finally:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


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
    an ordinary machine, reckoned by what is done, so that the outcome depends neither on the machine nor on what else it does.
    """
    found: list[Repair] = []
    recorder = program.recorder
    allowance = Allowance(recorder, budget_s)
    with program.watched("values"), np.errstate(all="ignore"):
        once = recorder.reckoned(right_outputs)
    best = np.inf
    tried: set[types.CodeType] = set()
    with np.errstate(all="ignore"), _little_memory():
        for function, definition, edit in sorted(candidates, key=lambda c: (c[2].cost, c[2].line)):
            if not allowance.left() or edit.cost > best + 0.15:
                break
            recorder.work += EDIT_S
            edit.apply()
            try:
                code = program.compile_definition(function, definition)
                if code in tried:  # another edit says the same
                    continue
                tried.add(code)
                recorder.work += once / 2  # not watched, and most edits raise or are seen to fail early
                with program.watched("", {function: code}):
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
