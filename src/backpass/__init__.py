"""Neural networks whose every backward pass is written out, derived, checked, and fast."""

from __future__ import annotations

from .layers import *  # noqa: F403 (the layers' own __all__)
from .layers import __all__ as _layer_names
from .losses import *  # noqa: F403
from .losses import __all__ as _loss_names
from .model import Model
from .native import set_threads, threads
from .optim import *  # noqa: F403
from .optim import __all__ as _optimizer_names

__version__ = "0.1.0"

__all__ = [*_layer_names, *_loss_names, *_optimizer_names, "Model", "set_threads", "threads"]
