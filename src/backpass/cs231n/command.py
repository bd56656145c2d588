"""`backpass cs231n link`, `unlink` and `grade`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from ..cli.console import print_json, say, table

app = typer.Typer(
    no_args_is_help=True, help="CS231n's assignment 2: point notebooks at backpass, grade a learner's files."
)


@app.command()
def link(
    folder: Annotated[Path, typer.Argument(help="Where the notebook lies.")],
    keep: Annotated[bool, typer.Option("--keep", help="Leave files that are there, write the others.")] = False,
) -> None:
    """Write a small package cs231n of imports beside a notebook; never over a file of yours."""
    from .links import link

    say(f"{folder / 'cs231n'}: {len(link(folder, keep=keep))} files written; backpass cs231n unlink removes them")


@app.command()
def unlink(folder: Annotated[Path, typer.Argument(help="Where the notebook lies.")]) -> None:
    """Remove what link wrote, and nothing else."""
    from .links import unlink

    say(f"{folder / 'cs231n'}: {len(unlink(folder))} files removed")


@app.command()
def grade(
    target: Annotated[Path, typer.Argument(help="layers.py, optim.py, fc_net.py or cnn.py, or a folder with them.")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for each function.")] = 20.0,
    memory: Annotated[int, typer.Option(min=512, help="Megabytes for the process.")] = 4096,
) -> None:
    """Say of each function of a learner's whether it is right, and if not, what differs; exit 0 only if all passed."""
    from .grade import grade

    grades = grade(target, timeout_s=timeout, memory_mb=memory)
    passed = sum(g.status == "passed" for g in grades)
    if json:
        print_json({"passed": passed, "of": len(grades), "functions": [asdict(g) for g in grades]})
    else:
        table(["file", "function", "", ""], [[g.file, g.function, g.status, g.sentence] for g in grades])
        say(f"{passed} of {len(grades)} passed", style="bold green" if passed == len(grades) else "bold red")
    raise typer.Exit(0 if passed == len(grades) else 1)
