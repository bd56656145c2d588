"""What backpass costs besides time: import, installed size, and the peak memory of training on CIFAR-10.

python -m benchmarks.footprint [--data-dir DIR]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

import backpass

OURS = """
import backpass as bp
data = bp.data.load("cifar10", data_dir={data_dir!r})
model = bp.Model(bp.models.fully_connected({hidden}, classes=10, norm=bp.BatchNorm()), data.shape)
bp.Trainer(model, data, epochs=1, batch_size=256, save_every_s=None).fit()
"""

# The same in PyTorch, as sparing: pictures stay uint8 and are read file by file, a batch is standardised when it is drawn.
TORCH = """
import numpy as np, torch
from torch import nn
files = [*("data_batch_%d.bin" % i for i in range(1, 6)), "test_batch.bin"]
x, y = np.empty((60000, 3072), np.uint8), np.empty(60000, np.int64)
for i, name in enumerate(files):
    rows = np.fromfile({data_dir!r} + "/cifar-10-batches-bin/" + name, np.uint8).reshape(-1, 3073)
    y[i * 10000 : (i + 1) * 10000], x[i * 10000 : (i + 1) * 10000] = rows[:, 0], rows[:, 1:]
del rows
x, y = torch.from_numpy(x), torch.from_numpy(y)
sizes, parts = [3072, *{hidden}], []
for d, m in zip(sizes, sizes[1:]):
    parts += [nn.Linear(d, m), nn.BatchNorm1d(m), nn.ReLU()]
net = nn.Sequential(*parts, nn.Linear(sizes[-1], 10))
optimizer = torch.optim.Adam(net.parameters(), fused=True)
for rows in torch.randperm(49000).split(256):
    optimizer.zero_grad(set_to_none=True)
    nn.functional.cross_entropy(net((x[rows].float() - 120) / 64), y[rows]).backward()
    optimizer.step()
"""

PEAK = "\nprint(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"


def import_ms(rounds: int = 15) -> tuple[float, float]:
    """Median milliseconds of a process that imports numpy, and of one that imports backpass, in turn."""
    times: dict[str, list[float]] = {"numpy": [], "backpass": []}
    for _ in range(rounds):
        for name, seconds in times.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", f"import {name}"], check=True)
            seconds.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times["numpy"]), statistics.median(times["backpass"])


def installed_MB() -> float:
    """Megabytes of the package's files: Python, data, and the kernels of all instruction sets."""
    kernels = Path(str(backpass.native._module.__file__)).parent if backpass.native.available else Path()
    files = {
        *(
            f
            for f in Path(backpass.__file__).parent.rglob("*")
            if f.suffix not in (".cpp", ".hpp", ".c", ".so", ".pyc")
        ),
        *kernels.glob("*.so"),
    }
    return sum(f.stat().st_size for f in files if f.is_file()) / 1e6


def peak_MiB(program: str, data_dir: str, hidden: list[int]) -> float:
    """Peak resident memory of a program in MiB."""
    code = program.format(data_dir=data_dir, hidden=hidden) + PEAK
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return int(done.stdout.split()[-1]) / 1024


def main() -> None:
    """Print the three figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data-dir", default=os.environ.get("BACKPASS_DATA"), help="folder with CIFAR-10 (binary layout)"
    )
    data_dir = parser.parse_args().data_dir
    numpy, ours = import_ms()
    print(
        f"import backpass: {ours - numpy:.0f} ms over import numpy ({ours:.0f} against {numpy:.0f}, medians of 15 in turn)"
    )
    print(f"installed: {installed_MB():.1f} MB without NumPy")
    if data_dir is None:
        print("peak memory: skipped, neither --data-dir nor BACKPASS_DATA names a folder with CIFAR-10")
        return
    print("peak memory of an epoch on CIFAR-10, batch 256, batch norm:")
    for hidden in ([100] * 5, [512, 256, 128], [1024] * 3):
        ours = peak_MiB(OURS, data_dir, hidden)
        try:
            import torch  # noqa: F401
        except ImportError:
            print(f"  3072-{hidden}-10: {ours:.0f} MiB (PyTorch: not installed, skipped)")
            continue
        peer = peak_MiB(TORCH, data_dir, hidden)
        print(f"  3072-{hidden}-10: {ours:.0f} MiB, PyTorch {peer:.0f} MiB, ratio {ours / peer:.2f}")


if __name__ == "__main__":
    main()
