"""A CIFAR-10 run that is killed a hundred times ends like one that never was. Slow: `make campaigns` runs it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

KILLS = int(os.environ.get("BACKPASS_KILLS", "100"))

# Trains, or goes on; prints the digest at the end. Saving often makes sure that kills also hit the writing of a checkpoint.
TRAIN = """
import sys
from pathlib import Path

import backpass as bp
from backpass.train import CHECKPOINT

folder, data_dir, threads = sys.argv[1:]
bp.set_threads(int(threads))
data = bp.data.load("cifar10", data_dir=data_dir)
if (Path(folder) / CHECKPOINT).exists():
    trainer = bp.Trainer.resume(folder, data)
else:
    net = bp.models.fully_connected([64, 64], classes=10, norm=bp.BatchNorm(), drop_prob=0.2)
    model = bp.Model(net, input_shape=data.shape)
    settings = dict(epochs=20, batch_size=100, reg=1e-4, clip_norm=5.0, schedule=bp.schedule.Cosine())
    trainer = bp.Trainer(model, data, out=folder, save_every_steps=50, save_every_s=None, overwrite=True, **settings)
print("ready", flush=True)
run = trainer.fit()
print("digest", run.digest(), run.step, flush=True)
"""


def start(folder: Path, threads: int) -> subprocess.Popen:
    command = [sys.executable, "-c", TRAIN, str(folder), os.environ["BACKPASS_DATA"], str(threads)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
@pytest.mark.skipif("BACKPASS_DATA" not in os.environ, reason="BACKPASS_DATA names no folder with CIFAR-10")
def test_a_hundred_kills_leave_no_trace(tmp_path: Path) -> None:
    whole = start(tmp_path / "whole", threads=2)
    begin = time.perf_counter()
    expected = whole.communicate()[0].splitlines()[-1]
    seconds = time.perf_counter() - begin
    assert expected.startswith("digest")

    chance = random.Random(0)
    kills = 0
    while True:
        process = start(tmp_path / "killed", threads=1 + kills % 2)
        assert process.stdout is not None
        process.stdout.readline()  # "ready": from here on a kill hits the training
        if kills < KILLS:
            time.sleep(chance.uniform(0, 1.6 * seconds / KILLS))
            process.send_signal(signal.SIGKILL)
            kills += 1
        last = process.communicate()[0].splitlines()
        if last and last[-1].startswith("digest") and process.returncode == 0:
            break
    print(f"{kills} kills; undisturbed run {seconds:.0f} s")
    assert kills == KILLS
    assert last[-1] == expected
