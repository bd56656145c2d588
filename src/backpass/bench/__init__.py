"""Benchmarks: how fast backpass is on a machine, beside PyTorch, JAX, scikit-learn and plain NumPy.

    backpass bench --quick
    backpass bench conv --only winograd
    backpass bench --out new.json --compare old.json

`run` measures cases by the protocol of `backpass.bench.protocol` and returns what the file holds; every benchmark is a module
of this package with a `GROUP`.  Nothing here is imported by `import backpass`.
"""

from __future__ import annotations

from .group import GROUPS, Group, Side, Unsuitable, load_group, select
from .protocol import BenchmarkError, Settings
from .results import compare, load, save
from .run import run

__all__ = [
    "GROUPS",
    "BenchmarkError",
    "Group",
    "Settings",
    "Side",
    "Unsuitable",
    "compare",
    "load",
    "load_group",
    "run",
    "save",
    "select",
]
