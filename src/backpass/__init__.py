"""Neural networks whose every backward pass is written out, derived, checked, and fast.

import backpass as bp
data = bp.data.load("digits")
net = bp.models.fully_connected([100, 100], classes=10, norm=bp.BatchNorm(), drop_prob=0.25)
model = bp.Model(net, input_shape=data.shape, seed=0)
run = bp.Trainer(model, data, optimizer=bp.Adam(lr=1e-3), epochs=20).fit()
model.predict(data.test.x)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from . import errors, init
from .layers import *  # noqa: F403 (the layers' own __all__)
from .layers import __all__ as _layers
from .losses import *  # noqa: F403
from .losses import __all__ as _losses
from .model import Model
from .native import set_threads, threads
from .optim import *  # noqa: F403
from .optim import __all__ as _optimizers

if TYPE_CHECKING:
    from . import check, data, models, recipes, report, schedule, testing
    from .average import EMA, Lookahead
    from .callbacks import Callback
    from .history import History
    from .progress import Progress
    from .train import Run, Trainer, evaluate, load_model, save_model

__version__ = "0.1.0"

__all__ = [
    *_layers,
    *_losses,
    *_optimizers,
    "EMA",
    "Callback",
    "History",
    "Lookahead",
    "Model",
    "Progress",
    "Run",
    "Trainer",
    "check",
    "data",
    "errors",
    "evaluate",
    "init",
    "load_model",
    "models",
    "recipes",
    "report",
    "save_model",
    "schedule",
    "set_threads",
    "testing",
    "threads",
]


# What trains, reads, draws or tests, and ready-made nets, are imported when first asked for: `import backpass` stays quick.
_MODULES = ("check", "data", "models", "recipes", "report", "schedule", "testing")
_LATER = {
    "EMA": "average",
    "Lookahead": "average",
    "Callback": "callbacks",
    "History": "history",
    "Progress": "progress",
    "Run": "train",
    "Trainer": "train",
    "evaluate": "train",
    "load_model": "train",
    "save_model": "train",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name in _LATER:
        globals()[name] = found = getattr(import_module(f".{_LATER[name]}", __name__), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
