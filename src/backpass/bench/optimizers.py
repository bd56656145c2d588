"""Each optimizer of the registry: one step over 10^4, 10^6 and 10^7 parameters, in float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..layers.base import Array
from ..optim import Optimizer
from .group import Group, Side
from .limits import copying
from .results import COPY


@dataclass(frozen=True)
class OptimizerCase:
    """An optimizer on so many parameters."""

    optimizer: Any
    size: int

    def vectors(self) -> tuple[Array, Array]:
        """Return the same parameters and gradient for every side."""
        rng = np.random.default_rng(0)
        return rng.standard_normal(self.size, np.float32), rng.standard_normal(self.size, np.float32)


def work(case: OptimizerCase) -> tuple[float, float]:
    """Return no operations to speak of, and bytes: w and the slots read and written, dw read."""
    return 0.0, 4.0 * case.size * (3 + 2 * len(case.optimizer.slots))


def backpass(case: OptimizerCase) -> Side:
    """Run our kernel on one flat vector as a model has it."""
    return _ours(case, kernel=True)


def numpy(case: OptimizerCase) -> Side:
    """Run the update rule in NumPy, as in the course."""
    return _ours(case, kernel=False)


def _ours(case: OptimizerCase, *, kernel: bool) -> Side:
    from .. import native

    optimizer = case.optimizer
    first, dw = case.vectors()
    w, slots = first.copy(), optimizer.new_slots(first)
    control = np.array([optimizer.lr, 1.0, 1.0, 0.0])
    arguments = (w, dw, slots, control, optimizer.options("weight"))
    if kernel:
        step = native.Program([optimizer.kernel(*arguments)]).run
    else:
        state = [w, *slots.values()]

        def step() -> None:  # new arrays from old ones, as a course's update rule
            state[:] = optimizer.update(state[0], dw, *state[1:], lr=optimizer.lr, t=1.0, options=arguments[4])

    def arrays() -> dict[str, Array]:
        w[...] = first
        for slot in slots.values():
            slot[...] = 0
        if kernel:
            step()
        else:
            optimizer.reference_step(*arguments)
        return {"change": w - first}

    reference = None if not kernel else lambda: numpy(case).arrays()
    return Side(step, arrays, reference)


def torch(case: OptimizerCase) -> Side:
    """Run PyTorch's optimizer, fused where it has that."""
    import torch

    from . import torch_twin

    first, dw = (torch.from_numpy(array) for array in case.vectors())
    w = torch.nn.Parameter(first.clone())
    w.grad = dw
    timed = torch_twin.optimizer(case.optimizer, [w])

    def arrays() -> dict[str, Array]:
        with torch.no_grad():
            w.copy_(first)
        torch_twin.optimizer(case.optimizer, [w]).step()
        return {"change": (w.detach() - first).numpy()}

    return Side(timed.step, arrays)


SIZES = {"10^4": 10_000, "10^6": 1_000_000, "10^7": 10_000_000}
CASES = {
    f"{name} {size}": OptimizerCase(cls(), n)
    for name, cls in sorted(Optimizer.registry.items())
    if cls.__module__.startswith("backpass.")
    for size, n in SIZES.items()
}

GROUP = Group(
    title="one step of an optimizer over so many parameters, float32",
    cases=CASES,
    sides={"backpass": backpass, "torch": torch, "numpy": numpy, COPY: copying(work)},
    same=1e-3,  # w - first in float32: the change is a thousandth of w
    work=work,
    quick=("Adam 10^6",),
    full_sides=(f"{COPY}@1",),
    full=tuple(name for name in CASES if name.endswith("10^7") and name not in ("Adam 10^7", "SGD 10^7")),
)
