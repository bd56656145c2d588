"""`backpass check TARGET`: the doctor at the command line."""

from __future__ import annotations

import json as json_module
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn

from backpass.check.html import page
from backpass.check.report import Report
from backpass.check.sandbox import examine
from backpass.errors import ArgumentError


def check(
    target: Annotated[
        str,
        typer.Argument(help="my_layers.py, my_layers.py:batchnorm, or a dotted name such as backpass.layers.BatchNorm"),
    ],
    inputs: Annotated[
        Path | None, typer.Option(help="inputs to use: a .npz of arrays by argument name, or a .py with inputs(rng)")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="print the reports as JSON")] = False,
    html: Annotated[Path | None, typer.Option(help="write an HTML report to this file")] = None,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="seconds for each function, after which it counts as hanging")
    ] = 60.0,
    memory: Annotated[int, typer.Option(min=256, help="megabytes for the process that runs the file")] = 4096,
    budget: Annotated[
        float, typer.Option(min=0.1, help="about how many seconds to look for the cause of each fault")
    ] = 3.0,
) -> None:
    """Say whether hand-written gradients are right, and if not, where and why.

    The exit status is 0 if everything is right, 1 if something is wrong, 2 if nothing could be checked.
    """
    console = Console(stderr=json)
    try:
        with Progress(
            SpinnerColumn(), TextColumn("checking {task.description}"), console=console, transient=True
        ) as progress:
            task = progress.add_task(target)
            reports = examine(
                target,
                inputs=str(inputs) if inputs else "",
                timeout_s=timeout,
                memory_mb=memory,
                budget_s=budget,
                on_start=lambda name: progress.update(task, description=name),
            )
    except ArgumentError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {error}", highlight=False)
        raise typer.Exit(2) from None
    if html is not None:
        html.write_text(page(reports), encoding="utf-8")
    if json:
        print(json_module.dumps([json_module.loads(r.to_json()) for r in reports], indent=2))
    else:
        _show(reports, console, html)
    raise typer.Exit(0 if all(r.ok for r in reports) else 1)


def _show(reports: list[Report], console: Console, html: Path | None) -> None:
    for report in reports:
        console.print(report)
        console.print()
    wrong = sum(not r.ok for r in reports)
    unchecked = sum(r.ok and not r.gradients and not r.checked for r in reports)
    right = len(reports) - wrong - unchecked
    parts = [f"[green]{right} right[/]", f"[bold red]{wrong} wrong[/]" if wrong else "0 wrong"]
    if unchecked:
        parts.append(f"[yellow]{unchecked} not checked[/]")
    console.print(", ".join(parts) + (f"; report in {html}" if html else ""), highlight=False)
