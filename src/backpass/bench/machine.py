"""What the figures were measured on, and whether somebody else was at work meanwhile."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from .group import cores

PEERS = {"numpy": "numpy", "torch": "torch", "sklearn": "scikit-learn", "jax": "jax"}


def describe() -> dict[str, Any]:
    """Return the machine, the instruction set and the versions, as JSON data.

    Examples
    --------
    >>> describe()["cores"] >= 1
    True
    """
    from .. import __version__, native

    versions = {}
    for package in PEERS.values():
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "missing"
    return {
        "processor": _processor(),
        "cores": len(cores()),
        "system": f"{platform.system()} {platform.machine()}",
        "instruction_set": native.isa,
        "python": platform.python_version(),
        "backpass": __version__,
        **versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


class Watch:
    """Counts what others do with the processor between its start and `load` (Linux; elsewhere it sees nothing).

    Parameters
    ----------
    own : iterable of int
        The processes whose work is ours.

    Examples
    --------
    >>> watch = Watch([os.getpid()])
    >>> sorted(watch.load() or {"others": 0.0, "steal": 0.0})
    ['others', 'steal']
    """

    def __init__(self, own: Iterable[int]) -> None:
        self.own = tuple(own)
        self.before = self._read()
        self.started = time.perf_counter()

    def load(self) -> dict[str, float] | None:
        """Return how many cores other processes, and other machines on this host (steal), kept busy; None if unknown."""
        now, seconds = self._read(), time.perf_counter() - self.started
        if now is None or self.before is None or seconds < 0.2:  # the kernel counts in hundredths of a second
            return None
        busy, steal, own = (b - a for a, b in zip(self.before, now, strict=True))
        return {"others": max(0.0, (busy - own) / seconds), "steal": steal / seconds}

    def _read(self) -> tuple[float, float, float] | None:
        """Seconds since boot: all processes at work, stolen by the host, our processes at work."""
        try:
            tick = os.sysconf("SC_CLK_TCK")
            total = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
            own = 0
            for process in self.own:
                fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
                own += int(fields[11]) + int(fields[12])
        except (OSError, ValueError, AttributeError):
            return None
        user, nice, system, _idle, _iowait, irq, softirq, steal = total
        return (user + nice + system + irq + softirq) / tick, steal / tick, own / tick
