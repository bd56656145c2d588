"""Mark the lines of the source: right, wrong because of another, at fault, or not judged."""

from __future__ import annotations

import numpy as np

from backpass.check.instrument import relative_path
from backpass.check.locate import Truth, Verdict, backward_events, judge
from backpass.check.measure import Measured, quiet
from backpass.check.report import Finding, LineMark, Report
from backpass.check.subject import Subject


def mark(report: Report, verdicts: list[Verdict], finding: Finding, fault: Verdict | None) -> None:
    """Mark the lines of the source, and say which quantities are right and which follow."""
    marks = {(m.path, m.line): m for m in _marks(verdicts, report.lines)}
    old = marks.get((finding.path, finding.line))
    text = finding.message + (f"; try: {finding.fix}" if finding.fix else "")
    text = (old.text + ". " if old else "") + text
    marks[finding.path, finding.line] = LineMark(finding.path, finding.line, "fault", finding.quantity, text)
    report.lines = sorted(marks.values(), key=lambda m: (m.path, m.line))
    leaves = {row.name for row in report.gradients}

    def word(verdict: Verdict) -> str:
        """`grads["W1"]` is called dW1, as in the table of gradients."""
        return f"d{verdict.site.name}" if verdict.site.name in leaves else verdict.site.name

    named = [v for v in verdicts if v.site.name]
    follows = sorted({word(v) for v in named if v.follows and (fault is None or v.site.name != fault.site.name)})
    # A name that is right in one call of a helper and wrong in another is not called right.
    right = sorted({word(v) for v in named if v.status == "right"} - set(follows) - {finding.quantity})
    if right or follows:
        parts = []
        if right:
            parts.append(f"{', '.join(right)} {'are' if len(right) > 1 else 'is'} right")
        if follows:
            parts.append(f"{', '.join(follows)} {'are' if len(follows) > 1 else 'is'} wrong because of it")
        finding.details.append("; ".join(parts))


def _marks(verdicts: list[Verdict], before: list[LineMark]) -> list[LineMark]:
    """One mark per line: the worst of what is known of it."""
    marks: dict[tuple[str, int], LineMark] = {(m.path, m.line): m for m in before}
    rank = {"fault": 4, "follows": 3, "open": 2, "right": 1}
    for verdict in verdicts:
        site = verdict.site
        status = {"right": "right", "wrong": "follows", "open": "open"}[verdict.status]
        value = np.asarray(verdict.events[-1].value)
        what = site.name or "value"
        if verdict.node is not None and verdict.status == "right":
            owner = verdict.node.name or "an expression"
            text = f"{what} {value.shape}: equals the derivative of {owner} (line {verdict.node.line})"
        elif verdict.status == "right":
            text = f"{what} {value.shape}: equals the numerical gradient"
        elif verdict.status == "wrong":
            text = f"{what} {value.shape}: differs from the true derivative"
            text += f" of {verdict.node.name}" if verdict.node else ""
        else:
            text = f"{what} {value.shape}: no value of the forward has this derivative; not judged"
        if value.size <= 6:
            text += f"; value {np.array2string(value, precision=4)}"
        mark = LineMark(relative_path(site.path), site.line, status, what, text)
        old = marks.get((mark.path, mark.line))
        if old is None or rank[status] > rank.get(old.status, 0):
            marks[mark.path, mark.line] = mark
    return sorted(marks.values(), key=lambda m: (m.path, m.line))


def mark_right(subject: Subject, measured: Measured, report: Report, budget_s: float = 0.3) -> None:
    """Mark the lines of a backward whose outputs are right, for whoever wants to see how each line is."""
    with quiet():
        truth = Truth(subject, budget_s=budget_s)
        events, moving = backward_events(subject, truth, {})
        verdicts = judge(
            subject, truth, events, moving, {k: (measured.yours[k], measured.true[k]) for k in measured.true}
        )
    for verdict in verdicts:
        if verdict.status == "wrong":
            verdict.status = "open"  # a name that means something else than it seems to: the outputs are right
    report.lines = [m for m in _marks(verdicts, []) if m.status in ("right", "open")]
