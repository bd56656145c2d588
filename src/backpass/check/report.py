"""What the doctor found, as plain data, and as a coloured page for the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WORDS = {"wrong": "WRONG", "warning": "warning", "note": "note"}
COLOURS = {"wrong": "bold red", "warning": "yellow", "note": "cyan", "right": "green"}


@dataclass
class Finding:
    """One thing found: how bad, what, where, why, and what to write instead.

    Examples
    --------
    >>> Finding("wrong", "sign", "dx has the wrong sign", line=7).severity
    'wrong'
    """

    severity: str  # wrong, warning, note
    cause: str  # a key of backpass.check.causes.CAUSES
    message: str
    function: str = ""
    path: str = ""
    line: int = 0
    code: str = ""
    quantity: str = ""
    fix: str = ""
    details: list[str] = field(default_factory=list)
    other_lines: list[int] = field(default_factory=list)  # lines that may be at fault as well, for all that is known


@dataclass
class GradientRow:
    """The comparison of one gradient with the numerical one.

    Examples
    --------
    >>> GradientRow("x", "right", 2e-11, elements=12).error < 1e-6
    True
    """

    name: str
    status: str  # right, wrong, excluded
    error: float
    elements: int
    kinks: int = 0
    note: str = ""


@dataclass
class LineMark:
    """What is known of one line of source.

    Examples
    --------
    >>> LineMark("layers.py", 41, "fault", "dvar", "should be rstd times larger").status
    'fault'
    """

    path: str
    line: int
    status: str  # right, fault, follows, open, forward
    quantity: str
    text: str


@dataclass
class Report:
    """The result of one check; truthy where everything is right.

    `ok` is False as soon as one finding is of severity "wrong"; warnings and notes leave it True.

    Examples
    --------
    >>> report = Report("relu_backward", [Finding("wrong", "mask", "the mask is not applied")])
    >>> report.ok, report.first.cause
    (False, 'mask')
    >>> Report.from_dict(report.to_dict()) == report
    True
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    gradients: list[GradientRow] = field(default_factory=list)
    lines: list[LineMark] = field(default_factory=list)
    sources: dict[str, dict[str, Any]] = field(
        default_factory=dict
    )  # path -> {"first": line, "text": [...]} per function
    checked: list[str] = field(default_factory=list)  # what was tried, in words
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether nothing wrong was found."""
        return not any(f.severity == "wrong" for f in self.findings)

    def __bool__(self) -> bool:
        return self.ok

    @property
    def first(self) -> Finding | None:
        """The finding to read first, or None."""
        return self.findings[0] if self.findings else None

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain data."""
        return {"ok": self.ok, **asdict(self)}

    def to_json(self, indent: int | None = 2) -> str:
        """Everything as JSON; numbers that JSON lacks (NaN, infinity) become text."""
        return json.dumps(_plain(self.to_dict()), indent=indent, allow_nan=False)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Report:
        """Return the inverse of `to_dict` (and of `to_json`, parsed)."""
        return cls(
            name=data["name"],
            findings=[Finding(**f) for f in data["findings"]],
            gradients=[GradientRow(**{**g, "error": float(g["error"])}) for g in data["gradients"]],
            lines=[LineMark(**m) for m in data["lines"]],
            sources=data["sources"],
            checked=list(data["checked"]),
            seconds=float(data["seconds"]),
        )

    def to_html(self) -> str:
        """Return a self-contained page: findings, and the source with each line marked."""
        from backpass.check.html import page

        return page([self])

    def __str__(self) -> str:
        console = Console(width=110, no_color=True, highlight=False, force_terminal=False)
        with console.capture() as capture:
            console.print(self)
        return capture.get().rstrip("\n")

    def __rich__(self) -> RenderableType:
        return Group(*self._blocks())

    def _blocks(self) -> list[RenderableType]:
        blocks: list[RenderableType] = []
        head = Text.assemble((self.name, "bold"), "  ")
        if self.ok:
            head.append(
                "right" if self.gradients or self.checked else "not checked",
                style="bold green" if self.gradients else "yellow",
            )
            telling = (g for g in self.gradients if g.status == "right" and "so small" not in g.note)
            worst = max((g.error for g in telling), default=None)
            if worst is not None:
                head.append(f"  largest relative error {worst:.1e}", style="dim")
        else:
            head.append("WRONG", style="bold red")
        head.append(f"  {self.seconds:.2f} s", style="dim")
        blocks.append(head)
        for number, finding in enumerate(self.findings):
            blocks.append(Padding(_finding(finding, first=number == 0), (0, 0, 0, 2)))
        if self.gradients:
            blocks.append(Padding(_gradient_line(self.gradients), (0, 0, 0, 2)))
        return blocks


def _finding(finding: Finding, first: bool) -> RenderableType:
    colour = COLOURS[finding.severity]
    text = Text()
    if finding.line:
        wrong = "first wrong line" if first else "wrong as well, line"
        lead = wrong if finding.severity == "wrong" else f"{WORDS[finding.severity]}, line"
        text.append(f"{lead} {finding.line}", style=colour)
        if finding.path:
            text.append(f" ({finding.path}, {finding.function})", style="dim")
        text.append(f":  {finding.code}\n", style="bold")
    else:
        text.append(f"{WORDS[finding.severity]}: ", style=colour)
    text.append(("  " if finding.line else "") + finding.message)
    if finding.fix:
        text.append(f"\n  try: {finding.fix}", style="green")
    for detail in finding.details:
        text.append(f"\n  {detail}", style="dim")
    return text


def _gradient_line(rows: list[GradientRow]) -> RenderableType:
    table = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
    for row in rows:
        colour = COLOURS.get(row.status, "yellow")
        kinks = f"{row.kinks} at kinks left out" if row.kinks else ""
        error = "" if row.error != row.error else f"error {row.error:.1e}"
        table.add_row(
            Text(f"d{row.name}" if not row.name.startswith("d") else row.name),
            Text(row.status, style=colour),
            error,
            escape(kinks),
            escape(row.note if row.note != row.status else ""),
        )
    return table


def _plain(value: Any) -> Any:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
