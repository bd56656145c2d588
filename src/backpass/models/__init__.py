"""Nets as functions that return a list of layers: print it, change it, hand it to `Model`."""

from __future__ import annotations

from .cifar_fast import cifar_fast, whiten
from .convnet import convnet, three_layer_convnet, vgg
from .fully_connected import fully_connected
from .resnet import resnet

__all__ = ["cifar_fast", "convnet", "fully_connected", "resnet", "three_layer_convnet", "vgg", "whiten"]
