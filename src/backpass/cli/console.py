"""What the commands print with: colours on a terminal only, JSON without any decoration, errors in one red line."""

from __future__ import annotations

import json
import math
import os
import sys
from typing import Any

DEBUG = "BACKPASS_DEBUG"


def debugging() -> bool:
    """Return whether errors are to be shown with their traceback."""
    return os.environ.get(DEBUG) == "1"


def say(text: str = "", *, style: str = "") -> None:
    """Print a line to standard output; wrapped on a terminal only, and never searched for markup."""
    from rich.console import Console

    console = Console(highlight=False)
    console.print(text, style=style or None, markup=False, soft_wrap=not console.is_terminal)


def print_error(message: str) -> None:
    """Print an error as one line to standard error."""
    from rich.console import Console
    from rich.text import Text

    line = " ".join(message.split())
    Console(stderr=True, highlight=False).print(Text.assemble(("error: ", "bold red"), (line, "red")), soft_wrap=True)


def print_json(value: Any) -> None:
    """Print a value as JSON; what is not a finite number becomes null."""
    sys.stdout.write(json.dumps(_finite(value), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def table(columns: list[str], rows: list[list[str]], *, right: tuple[int, ...] = ()) -> None:
    """Print a table; the columns with the numbers in `right` are set flush right."""
    from rich.console import Console
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=any(columns))
    for i, name in enumerate(columns):
        made.add_column(name, justify="right" if i in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*row)
    width = None if Console().is_terminal else 200  # programs that read it need no line breaks
    Console(highlight=False, width=width).print(made, markup=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
