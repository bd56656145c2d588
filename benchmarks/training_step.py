"""A whole training step (forward, softmax loss, backward, Adam) of fully connected nets, in float32."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

TITLE = "training step: forward, loss, backward, Adam, float32; one batch that is already in memory"
SAME = 2e-3  # losses of five steps in float32, added in different orders
Side = tuple[Callable[[], Any], Callable[[], Any]]
LR = 1e-3


@dataclass(frozen=True)
class Case:
    """A net: widths from input to scores, batch size, batch norm, dropout."""

    widths: tuple[int, ...]
    batch: int
    norm: bool = False
    drop_prob: float = 0.0

    def weights(self) -> list[np.ndarray]:
        """The same first weights for every side."""
        rng = np.random.default_rng(0)
        pairs = zip(self.widths, self.widths[1:], strict=False)
        return [(rng.standard_normal((d, m)) * np.sqrt(2 / d)).astype(np.float32) for d, m in pairs]

    def data(self) -> tuple[np.ndarray, np.ndarray]:
        """The same batch for every side."""
        rng = np.random.default_rng(1)
        x = rng.standard_normal((self.batch, self.widths[0])).astype(np.float32)
        return x, rng.integers(0, self.widths[-1], self.batch)


CASES = {
    "A 64-[32]-10, batch 32": Case((64, 32, 10), 32),
    "B 64-[100,100]-10, batch norm, batch 64": Case((64, 100, 100, 10), 64, norm=True),
    "C 3072-[100]x5-10, batch norm, dropout, batch 100": Case((3072, *[100] * 5, 10), 100, norm=True, drop_prob=0.25),
    "D 3072-[1024]x3-10, batch norm, batch 256": Case((3072, *[1024] * 3, 10), 256, norm=True),
    "a A without norm": Case((64, 32, 10), 32),
    "b B without norm": Case((64, 100, 100, 10), 64),
    "c C without norm and dropout": Case((3072, *[100] * 5, 10), 100),
}


def backpass(case: Case) -> Side:
    """Train with backpass: the programs that a Trainer runs."""
    import backpass as bp
    from backpass import native

    def steps(drop_prob: float) -> Iterator[np.ndarray]:
        norm = bp.BatchNorm() if case.norm else None
        layers = bp.models.fully_connected(
            list(case.widths[1:-1]), classes=case.widths[-1], norm=norm, drop_prob=drop_prob
        )
        model = bp.Model(layers, input_shape=(case.widths[0],))
        affine = [p.w for p in model.p if hasattr(p, "w")]
        for w, first in zip(affine, case.weights(), strict=True):
            w[...] = first
        plan = model.plan(case.batch, input_gradient=False)
        plan_x, y = case.data()
        optimizer, loss = bp.Adam(lr=LR), np.zeros(1)
        slots = optimizer.new_slots(model.params)
        control = np.array([LR, 0.0, 1.0, 0.0])
        program = native.Program(
            [
                *plan.forward,
                bp.SoftmaxLoss().kernel(loss, plan.dscores, plan.scores, y, None),
                *plan.backward,
                optimizer.kernel(model.params, model.grads, slots, control, optimizer.options("weight")),
                *plan.update,
            ]
        )
        while True:
            plan.x[...] = plan_x  # a batch has to come from somewhere: one copy
            model.step += 1
            control[1] += 1
            program.run()
            yield loss

    timed, checked = steps(case.drop_prob), steps(0.0)
    return lambda: next(timed), lambda: [float(next(checked)[0]) for _ in range(5)]


def torch(case: Case, *, compiled: bool) -> Side:
    """Train with PyTorch, fused Adam, as its users would write it."""
    import torch
    from torch import nn

    def steps(drop_prob: float) -> Iterator[Any]:
        parts: list[nn.Module] = []
        for d, m in zip(case.widths[:-2], case.widths[1:-1], strict=True):
            norm = [nn.BatchNorm1d(m)] if case.norm else []
            drop = [nn.Dropout(drop_prob)] if drop_prob else []
            parts += [nn.Linear(d, m), *norm, nn.ReLU(), *drop]
        net = nn.Sequential(*parts, nn.Linear(*case.widths[-2:]))
        with torch.no_grad():
            for layer, first in zip([p for p in net if isinstance(p, nn.Linear)], case.weights(), strict=True):
                layer.weight.copy_(torch.from_numpy(first.T))
                layer.bias.zero_()
        optimizer = torch.optim.Adam(net.parameters(), lr=LR, fused=True)
        x, y = (torch.from_numpy(a) for a in case.data())
        forward = torch.compile(net) if compiled else net
        cross_entropy = nn.functional.cross_entropy
        while True:
            optimizer.zero_grad(set_to_none=True)
            loss = cross_entropy(forward(x), y)
            loss.backward()
            optimizer.step()
            yield loss

    timed, checked = steps(case.drop_prob), steps(0.0)
    return lambda: next(timed), lambda: [float(next(checked).detach()) for _ in range(5)]


def sklearn(case: Case) -> Side:
    """Train with scikit-learn's MLPClassifier: one partial_fit of one batch (it has no norm and no dropout)."""
    if case.norm:
        raise ImportError("scikit-learn's MLPClassifier has no batch norm")
    from sklearn.neural_network import MLPClassifier

    x, y = case.data()

    def net() -> MLPClassifier:
        mlp = MLPClassifier(case.widths[1:-1], alpha=0.0, batch_size=case.batch, learning_rate_init=LR, shuffle=False)
        mlp.partial_fit(x, y, classes=np.arange(case.widths[-1]))
        for w, first in zip(mlp.coefs_, case.weights(), strict=True):
            w[...] = first
        for b in mlp.intercepts_:
            b[...] = 0
        for moment in (*mlp._optimizer.ms, *mlp._optimizer.vs):
            moment[...] = 0
        mlp._optimizer.t = 0
        return mlp

    timed, checked = net(), net()

    def check() -> list[float]:
        return [checked.partial_fit(x, y).loss_ for _ in range(5)]

    return lambda: timed.partial_fit(x, y), check


SIDES = {
    "backpass@1": backpass,
    "backpass@2": backpass,
    "torch eager@1": lambda case: torch(case, compiled=False),
    "torch eager@2": lambda case: torch(case, compiled=False),
    "torch compile@1": lambda case: torch(case, compiled=True),
    "torch compile@2": lambda case: torch(case, compiled=True),
    "sklearn@1": sklearn,
    "sklearn@2": sklearn,
}
