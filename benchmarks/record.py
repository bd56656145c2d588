"""RESULTS.md from the recorded files: the newest day in full, and what the targets were on every day."""

from __future__ import annotations

from pathlib import Path

from backpass.bench.results import load
from backpass.bench.tables import markdown
from backpass.bench.targets import figure_of, targets_of

HEAD = """# Measured

Written by `python -m benchmarks --record` (`make bench`); do not edit. Raw times are in `results/`: a file for each day, and
`DAY-before` for what was measured before that day's changes.
"""


def write_page(folder: Path) -> str:
    """Write RESULTS.md beside the folder of results and say so."""
    files = sorted(folder.glob("*.json"))
    if not files:
        return f"{folder} holds no results yet"
    days = {file.stem: load(file) for file in files}
    page = folder.parent / "RESULTS.md"
    newest = list(days)[-1]
    lines = [HEAD, f"## {newest}", "", markdown(days[newest]).replace("\n## ", "\n### ")]
    pictures = {picture.stem.removeprefix(f"{newest}-"): picture for picture in folder.glob(f"{newest}-*.png")}
    lines += [f"![{name}](results/{pictures[name].name})" for name in sorted(pictures)]
    lines += [
        "",
        "## The targets, day by day",
        "",
        f"| case | target | {' | '.join(days)} |",
        "|---" * (2 + len(days)) + "|",
    ]
    names = dict.fromkeys(name for day in days.values() for name in day["cases"])
    for name in sorted(names):
        for target in targets_of(name):
            cells = []
            for day in days.values():
                figure = figure_of(target, day["cases"][name]) if name in day["cases"] else None
                cells.append("" if figure is None else f"{figure:.3g}{'' if target.met(figure) else ' MISSED'}")
            lines.append(f"| {name} | {target.words()} | {' | '.join(cells)} |")
    page.write_text("\n".join(lines) + "\n")
    return f"wrote {page}"
