"""A whole training step (forward, softmax loss, backward, optimizer) of nets for images of CIFAR-10's size, in float32."""

from __future__ import annotations

from functools import partial

from ..models import cifar_fast, convnet, resnet, three_layer_convnet
from ..optim import Adam, Nesterov
from . import net_case
from .group import Group
from .net_case import NetCase

IMAGE = (3, 32, 32)
VGG_LIKE = "64x2-pool-128x2-pool-256x2-gap"
SGD = Nesterov(lr=0.1, momentum=0.9)

CASES = {
    "three-layer convnet, batch 64": NetCase(partial(three_layer_convnet, classes=10), IMAGE, 64, Adam(lr=1e-3)),
    f"VGG-like {VGG_LIKE}, batch 64": NetCase(partial(convnet, VGG_LIKE, classes=10), IMAGE, 64, SGD),
    "ResNet-20, batch 128": NetCase(partial(resnet, 20, classes=10), IMAGE, 128, SGD),
    "cifar_fast, batch 128": NetCase(partial(cifar_fast, classes=10), IMAGE, 128, SGD),
}

GROUP = Group(
    title="training step of image nets: forward, loss, backward, optimizer, float32; one batch that is already in memory",
    cases=CASES,
    sides={name: side for name, side in net_case.SIDES.items() if name != "sklearn"},
    # A ReLU near 0 may fall on either side: ResNet-20's gradients are 0.1 to 0.5 % from those in float64 here and in PyTorch,
    # 1 % in its channels_last.
    same=2e-2,
    work=net_case.work,
    quick=("three-layer convnet, batch 64",),
    full_sides=("torch compile NCHW@1", "torch compile channels_last@1", "numpy@1", "numpy@all"),
)
