"""The fast CIFAR-10 recipe run to its end on the real pictures, by backpass and by PyTorch in turn, each in its own process.

    python -m benchmarks.fast_recipe --data-dir DIR --epochs 1                 # both, one after the other
    python -m benchmarks.fast_recipe --data-dir DIR --epochs 10 --rounds 3
    python -m benchmarks.fast_recipe --data-dir DIR --epochs 1 --side torch --compile

Where `python -m benchmarks cifar_fast` times single steps, this shows what a user waits for (shuffling, augmentation,
training, the running statistics) and what comes out: the share of the 10,000 test pictures that the net then gets right,
on the same files.  PyTorch's program is what its users write: tensors in memory, augmentation by batches, channels_last
unless --contiguous.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import backpass as bp
from backpass.bench.cifar_fast import torch_net
from backpass.bench.group import cores
from backpass.bench.machine import describe

WIDTHS = (64, 256, 256)
LR, MOMENTUM, DECAY = 11.5, 0.85, 0.0153
EVERY, PULL = 5, 0.95**5


def run_backpass(data: bp.data.Dataset, asked: argparse.Namespace) -> dict[str, float]:
    """Train with `bp.recipes.fast`, which also looks at 2,000 pictures after each epoch, as the other side does not."""
    begin = time.perf_counter()
    trainer = bp.recipes.fast(data, epochs=asked.epochs, batch_size=asked.batch_size, seed=asked.seed, inspect=False)
    run = trainer.fit()
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "accuracy": bp.evaluate(run.model, data.test)["accuracy"]}


def run_torch(data: bp.data.Dataset, asked: argparse.Namespace) -> dict[str, float]:
    """Train the same recipe with PyTorch."""
    import torch
    from torch import nn

    torch.manual_seed(asked.seed)
    torch.set_num_threads(len(cores()))
    layout: Any = torch.contiguous_format if asked.contiguous else torch.channels_last
    pictures, y = torch.tensor(data.train.x), torch.tensor(data.train.y)
    begin = time.perf_counter()
    mean = pictures.float().mean((0, 2, 3)).view(1, 3, 1, 1)
    std = pictures.float().std((0, 2, 3)).view(1, 3, 1, 1)

    net, norms = torch_net(WIDTHS)
    with torch.no_grad():
        for conv in [part for part in net[1:] if isinstance(part, nn.Conv2d)]:
            nn.init.dirac_(conv.weight[: conv.in_channels])
        patches = ((pictures[:5000].float() - mean) / std).unfold(2, 2, 1).unfold(3, 2, 1)
        patches = patches.permute(0, 2, 3, 1, 4, 5).reshape(-1, 12)
        variance, axes = torch.linalg.eigh(patches.T @ patches / len(patches))
        filters = (axes / (variance + 5e-4).sqrt()).T.flip(0).reshape(12, 3, 2, 2)
        net[0].weight.copy_(torch.cat([filters, -filters]))
    net[0].weight.requires_grad = False
    net = net.to(memory_format=layout)

    shifts = [norm.bias for norm in norms]
    others = [p for p in net.parameters() if p.requires_grad and all(p is not shift for shift in shifts)]
    lr = LR * asked.batch_size / 1024 / (1 + 1 / (1 - MOMENTUM))
    groups = [{"params": others, "weight_decay": DECAY / LR}, {"params": shifts, "lr": 64 * lr}]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=MOMENTUM, nesterov=True)
    steps = len(y) // asked.batch_size
    total, peak = asked.epochs * steps, 0.23

    def factor(step: int) -> float:
        at = step / total
        return 0.2 + 0.8 * at / peak if at < peak else 1 - 0.93 * (at - peak) / (1 - peak)

    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    floats = [value for value in net.state_dict().values() if value.is_floating_point()]
    slow = [value.clone() for value in floats]
    forward = torch.compile(net) if asked.compile else net
    mirrored = torch.rand(len(y)) < 0.5
    arange, done = torch.arange(32), 0
    for epoch in range(asked.epochs):
        for rows in torch.randperm(len(y)).split(asked.batch_size)[:steps]:
            x = (pictures[rows].float() - mean) / std
            x = torch.where((mirrored[rows] ^ bool(epoch % 2)).view(-1, 1, 1, 1), x.flip(3), x)
            down, right = torch.randint(0, 5, (2, len(rows), 1))
            x = nn.functional.pad(x, (2, 2, 2, 2), "reflect")
            x = x.gather(2, (arange + down).view(-1, 1, 32, 1).expand(-1, 3, -1, 36))
            x = x.gather(3, (arange + right).view(-1, 1, 1, 32).expand(-1, 3, 32, -1)).to(memory_format=layout)
            optimizer.zero_grad(set_to_none=True)
            nn.functional.cross_entropy(forward(x) / 9, y[rows], label_smoothing=0.2).backward()
            optimizer.step()
            schedule.step()
            done += 1
            if done % EVERY == 0:
                with torch.no_grad():
                    torch._foreach_lerp_(slow, floats, 1 - PULL * (done / total) ** 3)
                    torch._foreach_copy_(floats, slow)
            if done % 10 == 0:
                left = (time.perf_counter() - begin) / done * (total - done)
                print(f"torch: step {done}/{total}, {left:.0f} s left", file=sys.stderr, flush=True)
    seconds = time.perf_counter() - begin
    with torch.no_grad():
        torch._foreach_copy_(floats, slow)
    net.eval()
    right = 0
    with torch.inference_mode():
        for some, labels in zip(
            torch.tensor(data.test.x).split(500), torch.tensor(data.test.y).split(500), strict=True
        ):
            x = ((some.float() - mean) / std).to(memory_format=layout)
            right += int((net(x).argmax(1) == labels).sum())
    return {"seconds": seconds, "accuracy": right / len(data.test.y)}


SIDES = {"backpass": run_backpass, "torch": run_torch}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder with CIFAR-10; BACKPASS_DATA without")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=512)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=1, help="how often each side runs, in turn")
    parser.add_argument("--compile", action="store_true", help="PyTorch with torch.compile")
    parser.add_argument("--contiguous", action="store_true", help="PyTorch with NCHW arrays in place of channels_last")
    parser.add_argument("--side", choices=SIDES, help="only this one, in this process")
    asked = parser.parse_args()
    if asked.side:
        data = bp.data.load("cifar10", data_dir=asked.data_dir)
        print(json.dumps(SIDES[asked.side](data, asked)))
        return
    seconds: dict[str, list[float]] = {side: [] for side in SIDES}
    told = {key: value for key, value in describe().items() if key != "jax"}
    print(", ".join(f"{key} {value}" for key, value in told.items()))
    print(f"epochs {asked.epochs}, batch {asked.batch_size}", flush=True)
    for _ in range(asked.rounds):
        for side in SIDES:
            command = [sys.executable, "-m", "benchmarks.fast_recipe", *sys.argv[1:], "--side", side]
            answer = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ, text=True).stdout
            found = json.loads(answer.splitlines()[-1])
            seconds[side].append(found["seconds"])
            did = f"{found['seconds']:.1f} s, {found['accuracy']:.2%} of the test pictures right"
            print(f"{side}: {did}", flush=True)
    ratios = [theirs / ours for ours, theirs in zip(seconds["backpass"], seconds["torch"], strict=True)]
    spread = f" ({min(ratios):.2f} to {max(ratios):.2f})" if len(ratios) > 1 else ""
    print(f"PyTorch takes {statistics.median(ratios):.2f}{spread} times as long")


if __name__ == "__main__":
    main()
