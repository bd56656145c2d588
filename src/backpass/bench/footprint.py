"""What backpass costs besides time: import, installed size, and the peak memory of training.

Each figure is of a fresh process.  Memory is measured on random pictures: its amount does not depend on what they show.
"""

from __future__ import annotations

import compileall
import functools
import os
import statistics
import subprocess
import sys
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

ENOUGH_S = 1.0  # of imports in a round

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
print(model.params.size)
"""

# PyTorch's own programs: backpass is not even imported beside them.
TORCH_MLP = """
import torch
from torch import nn
sizes, layers = [3072, {hidden}], [nn.Flatten()]
for before, after in zip(sizes, sizes[1:]):
    layers += [nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()]
net = nn.Sequential(*layers, nn.Linear(sizes[-1], 10))
"""

TORCH_RESNET = """
import torch
from torch import nn
def conv_norm(before, after, size, stride=1):
    return [nn.Conv2d(before, after, size, stride, size // 2, bias=False), nn.BatchNorm2d(after)]
class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.main = nn.Sequential(*conv_norm(before, after, 3, stride), nn.ReLU(inplace=True), *conv_norm(after, after, 3))
        self.shortcut = nn.Sequential(*conv_norm(before, after, 1, stride)) if stride > 1 else nn.Identity()
    def forward(self, x):
        return torch.relu_(self.main(x) + self.shortcut(x))
layers, width = [*conv_norm(3, 16, 3), nn.ReLU(inplace=True)], 16
for after in (16, 32, 64):
    for block in range(3):
        layers.append(Block(width, after, 1 + (after > width)))
        width = after
net = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))
"""

TORCH_EPOCH = """
optimizer = torch.optim.Adam(net.parameters(), fused=True)
x, y = torch.from_numpy(x), torch.from_numpy(y)
for rows in torch.randperm(len(x)).split({batch}):
    optimizer.zero_grad(set_to_none=True)
    torch.nn.functional.cross_entropy(net((x[rows].float() - 120) / 64), y[rows]).backward()
    optimizer.step()
print(sum(p.numel() for p in net.parameters()))
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
    _compile(module)
    differences: list[float] = []
    begin = time.perf_counter()
    while not differences or time.perf_counter() - begin < ENOUGH_S:
        differences.append(1e3 * (_import_s(module) - _import_s("numpy")))
    return statistics.median(differences)


@functools.cache
def _compile(module: str) -> None:
    """Import a module once, so that its bytecode is there; without, every import would compile it."""
    _import_s(module)


@functools.cache
def _compile_all() -> None:
    """Write the bytecode of all of backpass, as an installer does for every package; to compile takes memory, too."""
    import backpass

    compileall.compile_dir(Path(backpass.__file__).parent, quiet=1)


def _import_s(module: str) -> float:
    start = time.perf_counter()
    _program(f"import {module}", PYTHONDONTWRITEBYTECODE="")  # an empty value counts as none
    return time.perf_counter() - start


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


@dataclass(frozen=True)
class Epoch:
    """An epoch of training of one net on `samples` random pictures: its programs in backpass and in PyTorch."""

    ours: str
    torch: str
    samples: int
    batch: int

    def parameters_and_peak(self, peer: str) -> tuple[int, float]:
        """Return how many parameters a peer's net has and the peak of its process's memory in MiB.

        Raises
        ------
        LookupError
            If the peer is not installed.
        """
        if util.find_spec(peer) is None:
            raise LookupError(peer)
        if peer == "backpass":
            _compile_all()
        data, epoch = DATA.format(samples=self.samples), TORCH_EPOCH.format(batch=self.batch)
        ours = OURS.format(net=self.ours, batch=self.batch)
        parameters, peak = _program(data + (ours if peer == "backpass" else self.torch + epoch) + PEAK).split()[-2:]
        return int(parameters), float(peak)

    def peak(self, peer: str) -> float:
        """Return the peak of a peer's memory in MiB."""
        return self.parameters_and_peak(peer)[1]


def _perceptron(*hidden: int) -> Epoch:
    net = f"bp.models.fully_connected({list(hidden)}, classes=10, norm=bp.BatchNorm())"
    return Epoch(net, TORCH_MLP.format(hidden=", ".join(map(str, hidden))), 50_000, 256)


EPOCHS = {
    "CIFAR-10's size, 3072-[512,256,128]-10, batch norm, batch 256": _perceptron(512, 256, 128),
    "CIFAR-10's size, 3072-[1024]x3-10, batch norm, batch 256": _perceptron(1024, 1024, 1024),
    "ResNet-20, batch 128": Epoch("bp.models.resnet(20, classes=10)", TORCH_RESNET, 512, 128),
}
CASES = {
    "import, over that of NumPy": Cost("ms", None, import_ms),
    "installed size, without NumPy": Cost("MB", 1, installed_MB),
    **{f"peak memory, {name}": Cost("MiB", 2, epoch.peak, ("backpass", "torch")) for name, epoch in EPOCHS.items()},
}

GROUP = Group(
    title="what it costs besides time",
    cases=CASES,
    run=run,
    quick=("installed size, without NumPy",),
)
