from __future__ import annotations

import pytest

import backpass as bp


@pytest.fixture(scope="session")
def data():
    return bp.data.load("digits")


@pytest.fixture(scope="session")
def run(data, tmp_path_factory):
    """A short run that makes mistakes."""
    net = bp.models.fully_connected([24], classes=10, norm=bp.BatchNorm(), drop_prob=0.2)
    model = bp.Model(net, input_shape=data.shape)
    out = tmp_path_factory.mktemp("runs") / "digits"
    note = {"command": ["backpass", "train", "a b"]}
    return bp.Trainer(model, data, epochs=3, out=out, note=note).fit()
