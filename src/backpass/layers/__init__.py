"""The layers, one file each: formula, derivation, reference, staged and simplified backward, kernel."""

from __future__ import annotations

from .affine import Affine
from .base import Layer
from .batchnorm import BatchNorm
from .relu import ReLU

__all__ = ["Affine", "BatchNorm", "Layer", "ReLU"]
