"""The layers, one file each: formula, derivation, reference, staged and simplified backward, kernel."""

from __future__ import annotations

from .affine import Affine
from .averagepool import AveragePool
from .base import Layer
from .batchnorm import BatchNorm
from .combine import Residual
from .conv import Conv
from .dropout import Dropout
from .elu import ELU
from .flatten import Flatten
from .gelu import GELU
from .global_averagepool import GlobalAveragePool
from .groupnorm import GroupNorm
from .layernorm import LayerNorm
from .leaky_relu import LeakyReLU
from .maxpool import MaxPool
from .relu import ReLU
from .scale import Scale
from .sigmoid import Sigmoid
from .spatial_batchnorm import SpatialBatchNorm
from .swish import Swish
from .tanh import Tanh

__all__ = [
    "ELU",
    "GELU",
    "Affine",
    "AveragePool",
    "BatchNorm",
    "Conv",
    "Dropout",
    "Flatten",
    "GlobalAveragePool",
    "GroupNorm",
    "Layer",
    "LayerNorm",
    "LeakyReLU",
    "MaxPool",
    "ReLU",
    "Residual",
    "Scale",
    "Sigmoid",
    "SpatialBatchNorm",
    "Swish",
    "Tanh",
]
