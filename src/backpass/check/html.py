"""The report as one HTML page: findings on top, the source below, each line marked, the numbers on hover."""

from __future__ import annotations

from html import escape

from backpass.check.report import Finding, Report

STYLE = """
:root { --paper: #fbfaf7; --ink: #1d2328; --dim: #6b737b; --rule: #e2dfd8; --right: #1f8a4c; --fault: #c8312b;
--follows: #d98324;
  --open: #8a929a; --right-bg: #e9f5ee; --fault-bg: #fbe4e2; --follows-bg: #fdf1e2; --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --paper: #14181c; --ink: #dfe4e8; --dim: #8f99a3; --rule: #2b3239;
--right: #55c386; --fault: #ff7a72;
  --follows: #f0ae5c; --open: #7c868f; --right-bg: #16291f; --fault-bg: #3a1c1b; --follows-bg: #33281a; --card:
  #1b2025; } }
* { box-sizing: border-box; }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width:
68rem; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2.5rem 0 .5rem; display: flex; gap: .75rem; align-items: baseline; flex-wrap: wrap; }
code, pre, .source { font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .84rem; }
.summary { color: var(--dim); margin: 0 0 1rem; }
.badge { font-size: .75rem; font-weight: 700; letter-spacing: .04em; border-radius: 1rem; padding: .1rem .6rem;
text-transform: uppercase; }
.badge.right { color: var(--right); background: var(--right-bg); } .badge.wrong { color: var(--fault); background:
var(--fault-bg); }
.badge.unchecked { color: var(--open); border: 1px solid var(--rule); }
.time { color: var(--dim); font-size: .8rem; font-weight: 400; }
.finding { background: var(--card); border: 1px solid var(--rule); border-left: 4px solid var(--open); border-radius:
6px; padding: .7rem 1rem; margin: .6rem 0; }
.finding.wrong { border-left-color: var(--fault); } .finding.warning { border-left-color: var(--follows); }
.finding p { margin: .25rem 0; } .finding .place { color: var(--dim); font-size: .85rem; } .finding .details { color:
var(--dim); font-size: .9rem; }
.finding .try { color: var(--right); }
table.gradients { border-collapse: collapse; margin: .6rem 0; font-variant-numeric: tabular-nums; font-size: .9rem; }
table.gradients th, table.gradients td { text-align: left; padding: .15rem 1.25rem .15rem 0; border-bottom: 1px solid
var(--rule); }
table.gradients th { color: var(--dim); font-weight: 500; }
.right { color: var(--right); } .wrong { color: var(--fault); } .excluded { color: var(--follows); }
.source { background: var(--card); border: 1px solid var(--rule); border-radius: 6px; overflow-x: auto; padding: .4rem
0; margin: .4rem 0 1rem; }
.row { display: grid; grid-template-columns: 3.5rem 5.5rem 1fr; white-space: pre; min-width: max-content;
padding-right: 1rem; }
.row .number { color: var(--dim); text-align: right; padding-right: .9rem; user-select: none; }
.row .mark { font-family: system-ui, sans-serif; font-size: .74rem; align-self: center; color: var(--open);
user-select: none; }
.row.right-line { background: var(--right-bg); } .row.right-line .mark { color: var(--right); }
.row.fault { background: var(--fault-bg); font-weight: 700; } .row.fault .mark { color: var(--fault); }
.row.follows { background: var(--follows-bg); } .row.follows .mark { color: var(--follows); }
.row[title] { cursor: help; } .row[title]:hover { outline: 1px solid var(--dim); outline-offset: -1px; }
.legend { color: var(--dim); font-size: .85rem; }
"""

MARKS = {
    "right": ("right-line", "right"),
    "fault": ("fault", "WRONG"),
    "follows": ("follows", "follows"),
    "open": ("open", "not judged"),
}


def page(reports: list[Report]) -> str:
    """Return a page of its own, with no script and nothing to fetch."""
    wrong = sum(not r.ok for r in reports)
    title = "gradient check: " + (
        f"{wrong} of {len(reports)} wrong" if wrong else f"{len(reports)} checked, nothing wrong"
    )
    body = "\n".join(_report(r) for r in reports)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,
initial-scale=1"><title>{escape(title)}</title><style>{STYLE}</style></head>
<body>
<h1>{escape(title[0].upper() + title[1:])}</h1>
<p class="summary">Each line that computes a gradient is compared with the true derivative of the forward. Rest the
pointer on a line for the numbers.</p>
{body}
<p class="legend">right: the value is a true derivative of the forward &middot; wrong: the first line at which it is
not &middot; follows: wrong because an earlier line is &middot;
not judged: no value of the forward corresponds to it &middot; unmarked: computes no gradient, or was not looked
into.</p>
</body>
</html>
"""


def _report(report: Report) -> str:
    checked = bool(report.gradients or report.checked)
    badge = ("right" if checked else "unchecked") if report.ok else "wrong"
    words = {"right": "right", "wrong": "wrong", "unchecked": "not checked"}[badge]
    parts = [
        f'<h2><code>{escape(report.name)}</code> <span class="badge {badge}">{words}</span><span '
        f'class="time">{report.seconds:.2f} s</span></h2>'
    ]
    parts += [_finding(f) for f in report.findings]
    if report.gradients:
        rows = "".join(
            f"<tr><td><code>{escape(_with_d(g.name))}</code></td>"
            f'<td class="{g.status}">{g.status}</td>'
            f"<td>{'' if g.error != g.error else f'{g.error:.1e}'}</td>"
            f"<td>{g.elements}</td><td>{g.kinks or ''}</td><td>{escape(g.note if g.note != g.status else '')}</td></tr>"
            for g in report.gradients
        )
        parts.append(
            '<table class="gradients"><tr><th>gradient</th><th></th><th>relative '
            "error</th><th>elements</th><th>at kinks</th><th></th></tr>" + rows + "</table>"
        )
    if report.checked:
        parts.append(f'<p class="legend">tried: {escape(", ".join(dict.fromkeys(report.checked)))}</p>')
    marks = {(m.path, m.line): m for m in report.lines}
    for finding in report.findings:
        if finding.line and finding.severity == "wrong" and (finding.path, finding.line) not in marks:
            from backpass.check.report import LineMark

            marks[finding.path, finding.line] = LineMark(
                finding.path, finding.line, "fault", finding.quantity, finding.message
            )
    for source in report.sources.values():
        lines = range(source["first"], source["first"] + len(source["text"]))
        if len(report.sources) > 2 and not any((source["path"], n) in marks for n in lines):
            continue
        rows = ""
        for number, text in zip(lines, source["text"], strict=True):
            mark = marks.get((source["path"], number))
            css, label = MARKS.get(mark.status, ("", "")) if mark else ("", "")
            hover = f' title="{escape(mark.text, quote=True)}"' if mark else ""
            rows += (
                f'<div class="row {css}"{hover}><span class="number">{number}</span>'
                f'<span class="mark">{label}</span><span>{escape(text) or " "}</span></div>'
            )
        parts.append(f'<div class="source">{rows}</div>')
    return "\n".join(parts)


def _finding(finding: Finding) -> str:
    lead = {"wrong": "First wrong line" if finding.line else "Wrong", "warning": "Warning", "note": "Note"}[
        finding.severity
    ]
    place = f"{lead} {finding.line}: <code>{escape(finding.code)}</code>" if finding.line else lead
    where = f'<p class="place">{escape(finding.path)}, {escape(finding.function)}</p>' if finding.line else ""
    fix = f'<p class="try">Try: {_ticks(finding.fix)}</p>' if finding.fix else ""
    details = "".join(f'<p class="details">{escape(d)}</p>' for d in finding.details)
    return (
        f'<div class="finding {finding.severity}"><p><strong>{place}</strong></p>{where}'
        f"<p>{_ticks(finding.message)}</p>{fix}{details}</div>"
    )


def _with_d(name: str) -> str:
    return name if name.startswith("d") else "d" + name


def _ticks(text: str) -> str:
    """Escape, with `code` between backticks, and arrows drawn."""
    pieces = escape(text).replace("  -&gt;  ", " &rarr; ").split("`")
    return "".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(pieces))
