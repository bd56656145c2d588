"""An epoch as a user runs it: from arrays in memory, preprocessing fitted, samples shuffled, validation accuracy at the end."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from ..layers import BatchNorm
from ..layers.base import Array, Layer
from ..models import fully_connected, three_layer_convnet
from .group import Group, Side, Unsuitable

LR = 1e-3
ENOUGH = 0.5  # validation accuracy: chance is a tenth


@dataclass(frozen=True)
class EpochCase:
    """A net on so many samples; the shape (8, 8) stands for the embedded digits."""

    make: Callable[[], list[Layer]]
    samples: int
    batch: int
    shape: tuple[int, ...] = (3, 32, 32)

    def arrays(self) -> tuple[Array, Array, Array, Array]:
        """Return training samples, their labels, validation samples, their labels: something that can be learned."""
        if self.shape == (8, 8):
            from ..data import load

            digits = load("digits")
            return digits.train.x, digits.train.y, digits.val.x, digits.val.y
        rng = np.random.default_rng(0)
        y = rng.integers(0, 10, self.samples)
        x = (rng.integers(0, 120, (self.samples, *self.shape)) + 13 * y[:, None, None, None]).astype(np.uint8)
        cut = self.samples // 10
        return x[cut:], y[cut:], x[:cut], y[:cut]


def _side(fit: Callable[[int], float]) -> Side:
    """Return the side whose `fit(epochs)` returns the validation accuracy; it must have learned something in five."""
    return Side(lambda: fit(1), lambda: {"learned": np.array([float(fit(5) > ENOUGH)])})


def backpass(case: EpochCase) -> Side:
    """Train with `Trainer.fit`."""
    from ..data import load
    from ..model import Model
    from ..optim import Adam
    from ..train import Trainer

    x, y, x_val, y_val = case.arrays()
    data = load({"X_train": x, "y_train": y, "X_val": x_val, "y_val": y_val})

    def fit(epochs: int) -> float:
        model = Model(case.make(), data.shape)
        options: dict[str, Any] = {"epochs": epochs, "batch_size": case.batch, "inspect": False, "evaluate_train": 1}
        run = Trainer(model, data, optimizer=Adam(lr=LR), **options).fit()
        return float(run.history["val_accuracy"][-1])

    side = _side(fit)
    return Side(side.step, side.arrays, lambda: {"learned": np.ones(1)})


def torch(case: EpochCase) -> Side:
    """Train with a loop over shuffled slices, the fastest way for data in memory."""
    import torch
    from torch import nn

    from ..model import Model
    from . import torch_twin

    images: Any
    images_val: Any
    images, y, images_val, y_val = (torch.from_numpy(array) for array in case.arrays())
    fresh = torch_twin.twin(Model(case.make(), images.shape[1:], kernels=False)).net  # making it is not PyTorch's time

    def fit(epochs: int) -> float:
        mean, std = images.float().mean(0), images.float().std(0) + 1e-5
        net = deepcopy(fresh)
        optimizer = torch.optim.Adam(net.parameters(), LR, fused=True)
        for _ in range(epochs):
            for rows in torch.split(torch.randperm(len(images)), case.batch):
                optimizer.zero_grad(set_to_none=True)
                loss: Any = nn.functional.cross_entropy(net((images[rows].float() - mean) / std), y[rows])
                loss.backward()
                optimizer.step()
        net.eval()
        with torch.inference_mode():
            scores = torch.cat([net((some.float() - mean) / std) for some in images_val.split(256)])
        return float((scores.argmax(1) == y_val).float().mean())

    return _side(fit)


def sklearn(case: EpochCase) -> Side:
    """Train with a pipeline of StandardScaler and MLPClassifier."""
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    layers = case.make()
    if {type(layer).__name__ for layer in layers} - {"Affine", "ReLU"}:
        raise Unsuitable("scikit-learn's MLPClassifier has affine layers and ReLU only")
    x, y, x_val, y_val = case.arrays()
    flat, flat_val = x.reshape(len(x), -1).astype(np.float32), x_val.reshape(len(x_val), -1).astype(np.float32)
    hidden = [layer.width for layer in layers[:-1] if hasattr(layer, "width")]

    def fit(epochs: int) -> float:
        import warnings

        mlp = MLPClassifier(hidden, alpha=0.0, batch_size=case.batch, learning_rate_init=LR, max_iter=epochs)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it has not converged
            return float(make_pipeline(StandardScaler(), mlp).fit(flat, y).score(flat_val, y_val))

    return _side(fit)


NETS: dict[str, EpochCase] = {
    "digits, 64-[100,100]-10, batch 64": EpochCase(partial(fully_connected, [100, 100], classes=10), 0, 64, (8, 8)),
    "digits, 64-[100,100]-10, batch norm, batch 64": EpochCase(
        partial(fully_connected, [100, 100], classes=10, norm=BatchNorm()), 0, 64, (8, 8)
    ),
    "5,000 pictures, 3072-[100]x5-10, batch norm, batch 100": EpochCase(
        partial(fully_connected, [100] * 5, classes=10, norm=BatchNorm()), 5000, 100
    ),
    "2,000 pictures, three-layer convnet, batch 64": EpochCase(partial(three_layer_convnet, classes=10), 2000, 64),
}

GROUP = Group(
    title="one epoch: preprocessing fitted, samples shuffled, trained with Adam, validation accuracy",
    cases=NETS,
    sides={"backpass": backpass, "torch eager": torch, "sklearn": sklearn},
    quick=("digits, 64-[100,100]-10, batch 64",),
)
