"""A whole training step of the fast CIFAR-10 recipe: forward, loss, backward, Nesterov, lookahead, in float32.

Ours also gathers and augments its batch from uint8 pictures, as every step of a run does; PyTorch's is in memory, ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..layers.base import Array
from .group import Group, Side

MOMENTUM, RATE, DECAY, SHIFT_RATE, SMOOTHING, EVERY, PULL = 0.85, 0.1, 0.0153 / 11.5, 64.0, 0.2, 5, 0.8
CHECKED_RATE = 1e-3  # four steps of a large rate would tell roundings apart, not nets


@dataclass(frozen=True)
class Case:
    """The net's widths and the batch size."""

    widths: tuple[int, ...]
    batch: int

    def weights(self) -> list[Array]:
        """Return the same first weights for every side: whitening w and b, {conv, shift} twice per group, affine w and b."""
        rng = np.random.default_rng(0)

        def drawn(*shape: int) -> Array:
            return (rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]) or 1)).astype(np.float32)

        found, c = [drawn(24, 3, 2, 2), np.zeros(24, np.float32)], 24
        for width in self.widths:
            found += [drawn(width, c, 3, 3), np.zeros(width, np.float32)]
            found += [drawn(width, width, 3, 3), np.zeros(width, np.float32)]
            c = width
        return [*found, drawn(10, c), np.zeros(10, np.float32)]

    def data(self) -> tuple[Array, Array]:
        """Return the same pictures and labels for every side."""
        rng = np.random.default_rng(1)
        return rng.integers(0, 256, (self.batch, 3, 32, 32), dtype=np.uint8), np.arange(self.batch) % 10


CASES = {
    "64-256-256, batch 128": Case((64, 256, 256), 128),
    "64-128-256, batch 128": Case((64, 128, 256), 128),
    "64-256-256, batch 512": Case((64, 256, 256), 512),
}


def backpass(case: Case) -> Side:
    """Train with backpass: the steps of a Trainer."""
    import backpass as bp

    from ..train import _Step

    x, y = case.data()
    split = bp.data.Split(x, y)
    empty = bp.data.Split(x[:0], y[:0])
    data = bp.data.Dataset("noise", split, empty, empty, tuple("0123456789"), max_value=255.0)

    def steps(lr: float, **more: Any) -> Iterator[tuple[float, dict[str, Array]]]:
        optimizer = bp.Nesterov(lr=lr, momentum=MOMENTUM, groups={"beta": {"lr_scale": SHIFT_RATE}})
        settings: dict[str, Any] = {"optimizer": optimizer, "schedule": bp.schedule.Constant(), "epochs": 10**6}
        trainer = bp.recipes.fast(data, widths=case.widths, batch_size=case.batch, **settings, **more)
        names = [name for name in trainer.model.named_params() if not name.endswith("gamma")]
        own = [trainer.model.named_params()[name] for name in names]
        for view, first in zip(own, case.weights(), strict=True):
            view[...] = first.T if first.ndim == 2 else first
        for name, average in trainer.averages.items():
            average[...] = getattr(trainer.model, name)
        step, rows = _Step(trainer, case.batch), np.arange(case.batch)
        while True:
            loss = step.run(rows, trainer.run, measure=False)
            trainer.run.step += 1
            if trainer.run.step % EVERY == 0:
                trainer.average_weight[0] = 1 - PULL
                trainer._move_average.run()
            grads = [trainer.model.named_grads()[name] for name in names]
            yield loss, {str(i): g.T if g.ndim == 2 else g for i, g in enumerate(grads) if i}  # the first is frozen

    timed = steps(RATE, reg=DECAY)
    return Side(lambda: next(timed), partial(_arrays, lambda: steps(CHECKED_RATE, reg=0.0, augment=[])))


def _arrays(begin: Callable[[], Iterator[tuple[float, dict[str, Array]]]]) -> dict[str, Array]:
    """Return the losses of four steps, and the gradients of the first."""
    checked = begin()
    loss, grads = next(checked)
    grads = {name: np.array(value) for name, value in grads.items()}
    return {"losses": np.array([loss, *(next(checked)[0] for _ in range(3))]), **grads}


def torch_net(widths: tuple[int, ...]) -> tuple[Any, list[Any]]:
    """Return the recipe's net in PyTorch, and its norms, whose scales are not trained."""
    from torch import nn

    parts: list[nn.Module] = [nn.Conv2d(3, 24, 2), nn.GELU()]
    c = 24
    for width in widths:
        for first in (True, False):
            parts.append(nn.Conv2d(c, width, 3, padding=1, bias=False))
            parts += [nn.MaxPool2d(2)] if first else []
            parts += [nn.BatchNorm2d(width, eps=1e-12, momentum=0.4), nn.GELU()]
            c = width
    net = nn.Sequential(*parts, nn.MaxPool2d(31 >> len(widths)), nn.Flatten(), nn.Linear(c, 10))
    norms = [part for part in net if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.weight.requires_grad = False
    return net, norms


def torch(case: Case, *, channels_last: bool = False, compiled: bool = False) -> Side:
    """Train with PyTorch, as its users would write the recipe."""
    import torch
    from torch import nn

    from . import torch_twin

    layout: Any = torch.channels_last if channels_last else torch.contiguous_format

    def steps(lr: float, decay: float) -> Iterator[tuple[Any, Any]]:
        net, norms = torch_net(case.widths)
        owners = [part for part in net if any(True for _ in part.parameters())]
        own = [p for part in owners for p in part.parameters() if not (part in norms and p is part.weight)]
        with torch.no_grad():
            for tensor, values in zip(own, case.weights(), strict=True):
                tensor.copy_(torch.from_numpy(values))
        net[0].weight.requires_grad = False
        memory: dict[str, Any] = {"memory_format": layout}
        net = net.to(**memory)
        shifts = [norm.bias for norm in norms]
        others = [p for p in net.parameters() if p.requires_grad and all(p is not shift for shift in shifts)]
        optimizer = torch.optim.SGD(
            [{"params": others, "weight_decay": decay}, {"params": shifts, "lr": lr * SHIFT_RATE}],
            lr=lr,
            momentum=MOMENTUM,
            nesterov=True,
        )
        pixels, labels = case.data()
        mean = pixels.mean(axis=(0, 2, 3), keepdims=True)
        std = pixels.std(axis=(0, 2, 3), keepdims=True)
        x = torch.from_numpy(((pixels - mean) / std).astype(np.float32)).to(memory_format=layout)
        y = torch.from_numpy(labels)
        floats = [value for value in net.state_dict().values() if value.is_floating_point()]
        slow = [value.clone() for value in floats]
        run = torch.compile(net) if compiled else net
        done = 0
        while True:
            optimizer.zero_grad(set_to_none=True)
            loss: Any = nn.functional.cross_entropy(run(x) / 9, y, label_smoothing=SMOOTHING)
            loss.backward()
            optimizer.step()
            done += 1
            if done % EVERY == 0:
                with torch.no_grad():
                    torch._foreach_lerp_(slow, floats, 1 - PULL)
                    torch._foreach_copy_(floats, slow)
            yield loss, own

    def checked() -> Iterator[tuple[float, dict[str, Array]]]:
        for loss, params in steps(CHECKED_RATE, 0.0):
            grads = {str(i): torch_twin.array(p.grad) for i, p in enumerate(params) if i}
            yield float(loss.detach()), grads

    timed = steps(RATE, DECAY)
    return Side(lambda: next(timed), partial(_arrays, checked))


GROUP = Group(
    title="training step of the fast CIFAR-10 recipe: forward, loss, backward, Nesterov with lookahead, float32",
    cases=CASES,
    sides={
        "backpass": backpass,
        "torch eager NCHW": torch,
        "torch eager channels_last": partial(torch, channels_last=True),
        "torch compile NCHW": partial(torch, compiled=True),
        "torch compile channels_last": partial(torch, channels_last=True, compiled=True),
    },
    same=2e-2,
    full=("64-128-256, batch 128", "64-256-256, batch 512"),
    full_sides=(
        "torch eager NCHW@1",
        "torch eager channels_last@1",
        "torch compile NCHW@1",
        "torch compile channels_last@1",
    ),
)
