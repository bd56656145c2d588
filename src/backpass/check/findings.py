"""Findings that need no diagnosis: exceptions of the user's code."""

from __future__ import annotations

import traceback

from backpass.check.instrument import Program, relative_path
from backpass.check.report import Finding, Report


def user_line(error: BaseException, program: Program | None = None) -> tuple[str, int, str, str]:
    """Path, line, function and code of the innermost frame that is the user's; for code that cannot be read, of its fault."""
    if isinstance(error, SyntaxError) and error.filename:
        return relative_path(error.filename), error.lineno or 0, "<module>", (error.text or "").strip()
    frames = traceback.extract_tb(error.__traceback__)
    own = "backpass" + "/check/"
    chosen = None
    for frame in frames:
        known = program is not None and frame.filename in program.files
        if known or (
            program is None and own not in frame.filename.replace("\\", "/") and "numpy" not in frame.filename
        ):
            chosen = frame
    if chosen is None:
        return "", 0, "", ""
    return relative_path(chosen.filename), chosen.lineno or 0, chosen.name, chosen.line or ""


def exception_finding(error: BaseException, program: Program | None, when: str) -> Finding:
    """Return an exception of the user's code, as a finding."""
    path, line, function, code = user_line(error, program)
    return Finding("wrong", "exception", f"{when}: {type(error).__name__}: {error}", function, path, line, code)


def has_wrong(report: Report) -> bool:
    """Whether something wrong has been found so far."""
    return any(f.severity == "wrong" for f in report.findings)
