"""The layers, one file each: formula, derivation, reference, staged and simplified backward, kernel."""

from __future__ import annotations

from .affine import Affine
from .base import Layer
from .batchnorm import BatchNorm
from .dropout import Dropout
from .elu import ELU
from .flatten import Flatten
from .gelu import GELU
from .layernorm import LayerNorm
from .leaky_relu import LeakyReLU
from .relu import ReLU
from .sigmoid import Sigmoid
from .swish import Swish
from .tanh import Tanh

__all__ = [
    "ELU",
    "GELU",
    "Affine",
    "BatchNorm",
    "Dropout",
    "Flatten",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "ReLU",
    "Sigmoid",
    "Swish",
    "Tanh",
]
