"""What backpass costs besides time: import, installed size, and the peak memory of training.

Each figure is of a fresh process.  Memory is measured on random pictures: its amount does not depend on what they show.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib import util
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from .group import Group
from .machine import PEERS
from .protocol import BenchmarkError, ratios_of

PEAK = """
import resource, sys
try:
    lines = open("/proc/self/status").read().splitlines()
    print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024)
except OSError:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 * (1024 if sys.platform == "darwin" else 1)))
"""

DATA = """
import numpy as np
rng = np.random.default_rng(0)
x = np.empty(({samples}, 3, 32, 32), np.uint8)
for rows in x:
    rows[...] = rng.integers(0, 256, rows.shape, np.uint8)
y = rng.integers(0, 10, {samples})
"""

OURS = """
import backpass as bp
data = bp.data.load({{"X_train": x, "y_train": y, "X_val": x[:100], "y_val": y[:100]}})
model = bp.Model({net}, data.shape)
options = dict(epochs=1, batch_size={batch}, inspect=False, save_every_s=None)
bp.Trainer(model, data, preprocess="per-channel", **options).fit()
"""

TORCH = """
import torch
import backpass as bp
from backpass.bench import torch_twin
net = torch_twin.twin(bp.Model({net}, (3, 32, 32), kernels=False)).net
optimizer = torch.optim.Adam(net.parameters(), fused=True)
x, y = torch.from_numpy(x), torch.from_numpy(y)
for rows in torch.randperm(len(x)).split({batch}):
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(net((x[rows].float() - 120) / 64), y[rows]).backward()
    optimizer.step()
"""


@dataclass(frozen=True)
class Cost:
    """A figure: its unit, how often it is taken, and the function (peer) -> figure; LookupError where a peer is missing."""

    unit: str
    rounds: int | None
    of: Callable[[str], float]
    peers: tuple[str, ...] = ("backpass", "torch", "sklearn", "jax")


def run(case: Cost, rounds: int) -> dict[str, Any]:
    """Take the figures in turn."""
    values: dict[str, list[float]] = {}
    skipped: dict[str, str] = {}
    for _ in range(case.rounds or rounds):
        for peer in case.peers:
            if peer in skipped:
                continue
            try:
                values.setdefault(peer, []).append(case.of(peer))
            except LookupError:
                values.pop(peer, None)
                skipped[peer] = f"{PEERS[peer]} is not installed"
    return {
        "sides": {peer: {"rounds": taken} for peer, taken in values.items()},
        "ours": "backpass",
        "unit": case.unit,
        "median": {peer: statistics.median(taken) for peer, taken in values.items()},
        "ratio": ratios_of(values, "backpass"),
        "skipped": skipped,
        "noise": "",
        "attempts": 1,
    }


def _program(code: str, **variables: str) -> str:
    """Run a program in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | variables, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError(f"footprint: a program failed:\n{done.stderr}")
    return done.stdout


def import_ms(peer: str) -> float:
    """Return the milliseconds that importing a package adds to importing NumPy, from bytecode as an installed one has it.

    Raises
    ------
    LookupError
        If it is not installed.
    """
    if util.find_spec(peer) is None:
        raise LookupError(peer)

    module = "sklearn.neural_network" if peer == "sklearn" else peer
    with tempfile.TemporaryDirectory() as folder:
        # An empty value counts as none: whoever forbids bytecode would have every module compiled at each import.
        bytecode = {"PYTHONPYCACHEPREFIX": folder, "PYTHONDONTWRITEBYTECODE": ""}

        def milliseconds(module: str) -> float:
            start = time.perf_counter()
            _program(f"import {module}", **bytecode)
            return 1e3 * (time.perf_counter() - start)

        milliseconds(module)  # compiles
        return statistics.median([milliseconds(module) - milliseconds("numpy") for _ in range(3)])


def installed_MB(peer: str) -> float:
    """Return the megabytes of a package's files, and of those that only it brings along, without NumPy.

    Raises
    ------
    LookupError
        If it is not installed.

    Examples
    --------
    >>> 0.5 < installed_MB("backpass") < 30
    True
    """
    if peer == "backpass":
        import backpass

        folder = Path(backpass.__file__).parent
        sources = (".cpp", ".hpp", ".c", ".pyc")  # of a source checkout; what is installed has none
        return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and f.suffix not in sources) / 1e6
    brought = {"torch": ["torch"], "sklearn": ["scikit-learn", "scipy", "joblib"], "jax": ["jax", "jaxlib", "scipy"]}
    total = 0.0
    for package in brought[peer]:
        try:
            files = distribution(package).files or []
        except PackageNotFoundError:
            raise LookupError(package) from None
        total += sum(path.locate().stat().st_size for path in files if path.locate().is_file())  # type: ignore[attr-defined]
    return total / 1e6


def peak_memory(net: str, samples: int, batch: int) -> Callable[[str], float]:
    """Return the function of a peer that trains a net for an epoch and returns the peak of its memory in MiB."""

    def peak(peer: str) -> float:
        if util.find_spec(peer) is None:
            raise LookupError(peer)
        code = DATA + (OURS if peer == "backpass" else TORCH)
        variables = {} if peer == "backpass" else {"BACKPASS_NATIVE": "0"}
        return float(_program(code.format(net=net, samples=samples, batch=batch) + PEAK, **variables).split()[-1])

    return peak


HIDDEN = "bp.models.fully_connected([512, 256, 128], classes=10, norm=bp.BatchNorm())"
CASES = {
    "import, over that of NumPy": Cost("ms", None, import_ms),
    "installed size, without NumPy": Cost("MB", 1, installed_MB),
    "peak memory, CIFAR-10's size, 3072-[512,256,128]-10, batch norm, batch 256": Cost(
        "MiB", 2, peak_memory(HIDDEN, 50_000, 256), ("backpass", "torch")
    ),
    "peak memory, ResNet-20, batch 128": Cost(
        "MiB", 2, peak_memory("bp.models.resnet(20, classes=10)", 512, 128), ("backpass", "torch")
    ),
}

GROUP = Group(
    title="what it costs besides time",
    cases=CASES,
    run=run,
    quick=("import, over that of NumPy", "installed size, without NumPy"),
)
