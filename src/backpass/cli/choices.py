"""What the words on a command line mean: names and options become layers, optimizers, schedules, losses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..data.augment import from_text
from ..errors import ArgumentError
from .recipes import Recipe

if TYPE_CHECKING:
    from ..average import Average
    from ..data import Dataset
    from ..layers.base import Layer
    from ..losses import Loss
    from ..optim import Optimizer
    from ..train import Trainer

NORMS = {"none": None, "batch": "BatchNorm", "layer": "LayerNorm"}
ACTIVATIONS = {
    "relu": "ReLU",
    "leaky-relu": "LeakyReLU",
    "elu": "ELU",
    "gelu": "GELU",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "swish": "Swish",
}


# Which options belong to which net.
MODELS = {
    "fully-connected": ("hidden", "norm", "activation", "drop_prob"),
    "three-layer-convnet": (),
    "convnet": ("spec", "norm", "activation", "drop_prob"),
    "vgg": ("depth", "norm", "drop_prob"),
    "resnet": ("depth", "width", "norm", "preactivation"),
}
IMAGE_NORMS = {"none": None, "batch": "SpatialBatchNorm", "group": "GroupNorm"}
GROUPS = 8


def layers(chosen: Recipe, classes: int, typed: Mapping[str, Any]) -> list[Layer]:
    """Return the layers of the net that was chosen; `typed` are the options that the user named."""
    from .. import init, models

    belongs = _one_of("model", chosen.model, MODELS)
    for option in ("hidden", "spec", "depth", "width", "preactivation", "norm", "activation", "drop_prob"):
        if option in typed and option not in belongs:
            owners = ", ".join(model for model, options in MODELS.items() if option in options)
            words = option.replace("_", "-")
            raise ArgumentError(f"--{words}: belongs to --model {owners}; got --model {chosen.model}")
    name, options = named(chosen.init)
    more: dict[str, Any] = {"classes": classes, "init": init.by_name(name, **options)}
    if "norm" in belongs:
        norm = _one_of("norm", chosen.norm, NORMS if chosen.model == "fully-connected" else IMAGE_NORMS)
        options = {"groups": GROUPS} if norm == "GroupNorm" else {}
        more["norm"] = _layer(norm, **options) if norm else None
    if "activation" in belongs:
        more["activation"] = _layer(_one_of("activation", chosen.activation.replace("_", "-"), ACTIVATIONS))
    if "drop_prob" in belongs:
        more["drop_prob"] = chosen.drop_prob
    if "depth" in belongs and chosen.depth:
        more["depth"] = chosen.depth
    if chosen.model == "three-layer-convnet":
        return models.three_layer_convnet(**more)
    if chosen.model == "convnet":
        return models.convnet(chosen.spec, **more)
    if chosen.model == "vgg":
        return models.vgg(**more)
    if chosen.model == "resnet":
        return models.resnet(width=chosen.width or None, preactivation=chosen.preactivation, **more)
    return models.fully_connected(widths(chosen.hidden), **more)


# What the options of `backpass train` may change in a whole recipe, and which have nothing to do with it.
IN_RECIPE = ("epochs", "batch_size", "lr", "monitor")
BESIDE_RECIPE = (
    *("data", "recipe", "data_dir", "train_samples", "val", "test", "image_size", "grey", "hidden", "augment"),
    *("seed", "threads", "out", "overwrite", "patience", "save_every_s", "report", "quiet"),
)


def recipe(name: str, data: Dataset, typed: Mapping[str, Any], kept: Mapping[str, Any]) -> Trainer:
    """Return the trainer of a whole recipe, with what the user changed."""
    from .. import recipes

    _one_of("recipe", name, {"fast": 0})
    if other := [option for option in typed if option not in (*IN_RECIPE, *BESIDE_RECIPE)]:
        words = ", ".join("--" + option.replace("_", "-") for option in sorted(other))
        raise ArgumentError(
            f"{words}: --recipe {name} decides it; write your own with bp.Trainer, or leave one of them out"
        )
    changed: dict[str, Any] = {option: typed[option] for option in typed if option in IN_RECIPE}
    if "hidden" in typed:
        changed["widths"] = widths(typed["hidden"])
    if "augment" in typed:
        changed["augment"] = from_text(typed["augment"])
    return recipes.fast(data, **changed, **kept)


def optimizer(chosen: Recipe, typed: Mapping[str, Any], recipe: Recipe) -> Optimizer:
    """Return the optimizer; the recipe's rates go with the recipe's optimizer only."""
    from .. import optim

    name, options = named(chosen.optimizer)
    if "lr" in typed or name == recipe.optimizer:
        options.setdefault("lr", chosen.lr)
    if "weight_decay" in typed or name == "adamw":
        options.setdefault("weight_decay", chosen.weight_decay)
    return optim.by_name(name, **options)


def schedule(chosen: Recipe) -> Any:
    """Return the schedule, after a warm-up if one was asked for."""
    from .. import schedule as schedules

    name, options = named(chosen.schedule)
    made = schedules.by_name(name, **options)
    return schedules.WarmUp(chosen.warmup, then=made) if chosen.warmup else made


def average(chosen: Recipe) -> Average | None:
    """Return the average of the parameters, if one was asked for."""
    from .. import average as averages

    name, options = named(chosen.average)
    if "every" in options:
        options["every"] = int(options["every"])
    return None if name == "none" else averages.by_name(name, **options)


def loss(chosen: Recipe, typed: Mapping[str, Any]) -> Loss:
    """Return the loss."""
    from .. import losses

    _one_of("loss", chosen.loss, {"softmax": 0, "svm": 0, "mse": 0})
    if chosen.loss == "softmax":
        return losses.SoftmaxLoss(label_smoothing=chosen.label_smoothing)
    if "label_smoothing" in typed:
        raise ArgumentError(f"--label-smoothing: belongs to --loss softmax, got --loss {chosen.loss}")
    return losses.MSELoss() if chosen.loss == "mse" else losses.SVMLoss()


def widths(text: str) -> list[int]:
    """Return the widths in "100,100"; none in "none".

    Examples
    --------
    >>> widths("512,256"), widths("none")
    ([512, 256], [])
    """
    if text in ("none", ""):
        return []
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ArgumentError(f"--hidden: expected widths such as 100,100, or none, got {text!r}") from None


def size(value: float | None) -> int | float | None:
    """Return a size of a split: a count as a whole number, a fraction as it is.

    Examples
    --------
    >>> size(1000.0), size(0.1), size(None)
    (1000, 0.1, None)
    """
    return int(value) if value is not None and float(value).is_integer() else value


def pixels(text: str | None) -> tuple[int, int] | None:
    """Return height and width from "32x48".

    Examples
    --------
    >>> pixels("32x48")
    (32, 48)
    """
    if text is None:
        return None
    found = re.fullmatch(r"(\d+)x(\d+)", text)
    if not found:
        raise ArgumentError(f"--image-size: expected height x width such as 32x32, got {text!r}")
    return int(found[1]), int(found[2])


def named(text: str) -> tuple[str, dict[str, Any]]:
    """Return the name and the options in "name:option=number,option=number".

    Examples
    --------
    >>> named("step:every=0.3,gamma=0.1"), named("adam")
    (('step', {'every': 0.3, 'gamma': 0.1}), ('adam', {}))
    """
    name, _, rest = text.partition(":")
    options: dict[str, Any] = {}
    for part in rest.split(",") if rest else []:
        option, _, value = part.partition("=")
        try:
            options[option.strip().replace("-", "_")] = float(value)
        except ValueError:
            raise ArgumentError(f"{text!r}: expected name:option=number,..., got {part!r}") from None
    return name, options


def _layer(name: str, **options: Any) -> Layer:
    from ..layers.base import Layer

    return Layer.registry[name](**options)


def _one_of(option: str, name: str, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise ArgumentError(f"--{option}: expected one of {', '.join(table)}, got {name!r}")
    return table[name]
