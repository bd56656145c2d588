"""The losses, one file each: formula, source, derivation, reference, kernel."""

from __future__ import annotations

from .base import Loss
from .mse import MSELoss, mse_loss
from .softmax import SoftmaxLoss, softmax_loss
from .svm import SVMLoss, svm_loss

__all__ = ["Loss", "MSELoss", "SVMLoss", "SoftmaxLoss", "mse_loss", "softmax_loss", "svm_loss"]
