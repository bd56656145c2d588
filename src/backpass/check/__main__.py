"""`python -m backpass.check my_layers.py`."""

from __future__ import annotations

import typer

from backpass.check.command import check

if __name__ == "__main__":
    typer.run(check)
