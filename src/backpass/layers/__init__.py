"""The layers, one file each: formula, derivation, reference, staged and simplified backward, kernel."""

from __future__ import annotations

from .affine import Affine
from .averagepool import AveragePool
from .base import Layer
from .batchnorm import BatchNorm
from .conv import Conv
from .global_averagepool import GlobalAveragePool
from .groupnorm import GroupNorm
from .maxpool import MaxPool
from .relu import ReLU
from .spatial_batchnorm import SpatialBatchNorm

__all__ = [
    "Affine",
    "AveragePool",
    "BatchNorm",
    "Conv",
    "GlobalAveragePool",
    "GroupNorm",
    "Layer",
    "MaxPool",
    "ReLU",
    "SpatialBatchNorm",
]
