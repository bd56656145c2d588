"""What the figures are to reach, said beside them as reached or missed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Value = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True)
class Target:
    """At least (or, for costs, at most) so much of a peer's time, or of a limit.

    Attributes
    ----------
    case : str
        "group/" and the beginning of the names of the cases it is for.
    peer : str
        "torch", "sklearn" ...: the ratio that is meant; "value" for the figure itself, "share" for the share of the limit.
    bound : float
    most : bool
        The figure is to be at most the bound, not at least.
    """

    case: str
    peer: str
    bound: float
    most: bool = False

    def met(self, figure: float) -> bool:
        """Whether a figure is good enough."""
        return figure <= self.bound if self.most else figure >= self.bound

    def words(self) -> str:
        """Return the target in words.

        Examples
        --------
        >>> Target("training_step/A", "torch", 25).words(), Target("footprint/import", "value", 60, most=True).words()
        ('at least 25 x torch', 'at most 60')
        """
        side = "at most" if self.most else "at least"
        if self.peer == "share":
            return f"{side} {100 * self.bound:.0f} % of the limit"
        return f"{side} {self.bound:g}" + ("" if self.peer == "value" else f" x {self.peer}")


TARGETS = (
    Target("training_step/A", "torch", 25),
    Target("training_step/B", "torch", 8),
    Target("training_step/C", "torch", 3),
    Target("training_step/D", "torch", 1.25),
    Target("training_step/a", "sklearn", 10),
    Target("training_step/b", "sklearn", 6),
    Target("training_step/c", "sklearn", 3),
    *(Target(f"matrix_product/{n} square", "numpy", 1) for n in (256, 512, 1024, 2048)),
    *(Target(f"matrix_product/{net}", "numpy", 1) for net in "ABCD"),
    Target("conv/winograd", "torch", 2.5),
    Target("conv/other", "torch", 1.3),
    Target("conv/norm batch norm + relu", "torch", 2),
    Target("conv/norm group norm", "torch", 2),
    Target("conv/pool max 2x2", "torch", 2),
    Target("conv/pool global average", "torch", 2),
    *(Target(f"image_nets/{net}", "torch", 2.5) for net in ("three-layer", "VGG", "ResNet-20", "cifar_fast")),
    *(Target(f"prediction/{net}", "torch", 2) for net in ("three-layer", "VGG", "ResNet-20", "cifar_fast")),
    Target("cifar_fast/64-256-256, batch 128", "torch", 2.5),
    Target("footprint/import", "value", 60, most=True),
    Target("footprint/installed", "value", 15, most=True),
    Target("footprint/peak memory, CIFAR-10", "torch", 2),
    Target("footprint/peak memory, ResNet-20", "torch", 1 / 0.7),
    Target("cs231n/conv", "steps", 200),
    Target("cs231n/conv", "numpy", 3),
    Target("cs231n/batch norm", "numpy", 5),
    Target("cs231n/simplified batch norm", "steps", 2),
    Target("matrix_product/1024 square", "share", 0.8),
    Target("matrix_product/2048 square", "share", 0.8),
    Target("roofline/", "share", 0.7),
    Target("optimizers/", "share", 0.7),
    Target("data/", "share", 0.7),
)
PRODUCTS = ("Affine", "Conv")  # their share of the limit is to be higher
PRODUCT_SHARE = 0.8
LARGE = ("10^7", "4096 pictures")  # in the names of cases that are beyond the caches


def targets_of(name: str) -> list[Target]:
    """Return the targets of a case, by its full name "group/case".

    Examples
    --------
    >>> [target.words() for target in targets_of("training_step/A 64-[32]-10, batch 32")]
    ['at least 25 x torch']
    >>> targets_of("roofline/Conv forward")[0].bound, targets_of("optimizers/Adam 10^4")
    (0.8, [])
    """
    found = [target for target in TARGETS if name.startswith(target.case)]
    if name.startswith("roofline/") and name.split("/")[1].startswith(PRODUCTS):
        return [Target("roofline/", "share", PRODUCT_SHARE)]
    if name.startswith(("optimizers/", "data/")) and not any(size in name for size in LARGE):
        return []  # only what lies beyond the caches moves at the rate of copying
    return found


def figure_of(target: Target, result: Mapping[str, Any]) -> float | None:
    """Return the figure of a result that a target is about; None where the peer was missing."""
    if target.peer == "value":
        return float(result["median"][result["ours"]])
    if target.peer == "share":
        return result.get("share")
    ratio = result["ratio"].get(target.peer)
    return None if ratio is None else float(ratio["median"])


def verdict(name: str, result: Mapping[str, Any], *, brief: bool = False) -> str:
    """Return in words what a case was to reach and whether it did; "" without a target.

    Examples
    --------
    >>> verdict("training_step/A 64", {"ratio": {"torch": {"median": 30.0}}})
    'reached: at least 25 x torch'
    >>> verdict("training_step/A 64", {"ratio": {}})
    'not measured: at least 25 x torch'
    >>> verdict("training_step/A 64", {"ratio": {"torch": {"median": 20.0}}}, brief=True)
    'MISSED'
    """
    targets = targets_of(name)
    words = []
    for target in targets:
        figure = figure_of(target, result)
        words.append("not measured" if figure is None else "reached" if target.met(figure) else "MISSED")
    if brief:
        return next((word for word in ("MISSED", "not measured", "reached") if word in words), "")
    return "; ".join(f"{word}: {target.words()}" for word, target in zip(words, targets, strict=True))
