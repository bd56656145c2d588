"""The optimizers, one file each: formula, source, reference, kernel; and what happens to gradients before them."""

from __future__ import annotations

from typing import Any

from ..names import build
from .adagrad import AdaGrad
from .adam import Adam
from .adamw import AdamW
from .base import Optimizer
from .momentum import Momentum
from .nesterov import Nesterov
from .rmsprop import RMSProp
from .sgd import SGD

__all__ = ["SGD", "AdaGrad", "Adam", "AdamW", "Momentum", "Nesterov", "Optimizer", "RMSProp"]


def by_name(name: str, **options: Any) -> Optimizer:
    """Return the optimizer of a name, such as a command line gives it.

    Parameters
    ----------
    name : str
        A class name in lower case: adagrad, adam, adamw, momentum, nesterov, rmsprop, sgd.
    **options
        Its hyperparameters.

    Raises
    ------
    ArgumentError
        If there is no such optimizer or option; the message lists what there is.

    Examples
    --------
    >>> by_name("adam", lr=1e-4).lr
    0.0001
    """
    return build("optimizer", {key.lower(): cls for key, cls in Optimizer.registry.items()}, name, options)
