"""Scripts that do what every cell of the course's NumPy notebooks does, through a linked package `cs231n`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import backpass
from backpass.cs231n import link

SCRIPTS = sorted((Path(__file__).parent / "notebooks").glob("*.py"))
SOURCE = Path(backpass.__file__).resolve().parents[1]


def run(script: Path, folder: Path, *words: str, **environment: str) -> str:
    """Run a script beside a linked package, warnings being errors, and return what it printed."""
    pytest.importorskip("matplotlib")
    link(folder)
    env = os.environ | {"PYTHONPATH": str(SOURCE), "MPLBACKEND": "agg", "MPLCONFIGDIR": str(folder)} | environment
    code = f"import runpy, sys; sys.path.insert(0, ''); sys.argv[1:] = {list(words)}; runpy.run_path({str(script)!r})"
    shown = "ignore:.*non-interactive, and thus cannot be shown:UserWarning"
    command = [sys.executable, "-W", "error", "-W", shown.replace(".*", ""), "-c", code]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_cell_runs(script, tmp_path):
    assert run(script, tmp_path, "made-up").endswith("all cells ran\n")


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_cell_runs_on_cifar(script, tmp_path, data_dir):
    assert run(script, tmp_path, BACKPASS_DATA=str(data_dir)).endswith("all cells ran\n")
