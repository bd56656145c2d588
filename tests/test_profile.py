"""Profiles: which rows there are, what they count, and that measuring leaves the model as it was."""

from __future__ import annotations

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError
from backpass.models import resnet


def net() -> bp.Model:
    return bp.Model([*resnet(8, classes=5, width=4)[:5], bp.Dropout(0.5), bp.Flatten(), bp.Affine(5)], (3, 6, 4))


def test_rows_count_products_and_bytes():
    model = net()
    rows = {row.name: row for row in model.profile(3, rounds=1).rows}
    fused = native.available
    expected = ["0 Conv", *(["1 SpatialBatchNorm + ReLU", "3 Residual + ReLU"] if fused else ["3 Residual"])]
    expected += [
        "3.main.0 Conv",
        "3.main.3 Conv",
        "3.main.4 SpatialBatchNorm",
        "3.sum",
        "5 Dropout",
        "6 Flatten",
        "7 Affine",
    ]
    assert [name for name in rows if name in expected] == expected
    conv = rows["0 Conv"]
    assert conv.forward_flops == conv.backward_flops == 2 * 3 * (4 * 6 * 4) * 3 * 9  # the first layer: no dx
    assert conv.forward_bytes == 4 * (3 * 3 * 6 * 4 + 3 * 4 * 6 * 4 + 4 * 3 * 9)
    inner = rows["3.main.0 Conv"]
    assert (inner.forward_flops, inner.backward_flops) == (2 * 3 * 96 * 4 * 9, 4 * 3 * 96 * 4 * 9)
    assert inner.forward_bytes == 4 * (2 * 3 * 96 + 4 * 4 * 9)
    block = rows["3 Residual + ReLU" if fused else "3 Residual"]
    assert block.forward_flops == 2 * inner.forward_flops
    assert rows["6 Flatten"].forward_bytes == 0
    assert rows["7 Affine"].forward_flops == 2 * 3 * 96 * 5


def test_outputs_that_no_pool_reads_do_not_count():
    layers = [bp.Conv(16, 3, padding=1), bp.MaxPool(2), bp.Flatten(), bp.Affine(5)]
    model = bp.Model(layers, (8, 15, 13))
    side = (14, 12) if model.kernels else (15, 13)
    conv, pool = model.profile(3, rounds=1).rows[:2]
    assert conv.forward_flops == 2 * 3 * 16 * side[0] * side[1] * 8 * 9
    assert conv.forward_bytes == 4 * (3 * 8 * 15 * 13 + 3 * 16 * side[0] * side[1] + 16 * 8 * 9 + 16)
    assert pool.forward_bytes == 4 * 3 * 16 * (side[0] * side[1] + 7 * 6) + 3 * 16 * 7 * 6


@pytest.mark.parametrize("kernels", [True, False])
def test_times_of_inner_layers_add_up_to_their_block(kernels):
    model = net()
    model = bp.Model(model.layers, model.input_shape, kernels=kernels)
    profile = model.profile(4, rounds=2)
    assert all(row.forward_s > 0 for row in profile.rows if row.depth == 0 and "Flatten" not in row.name)
    if model.kernels:
        block = next(row for row in profile.rows if row.name.startswith("3 "))
        inner = [row for row in profile.rows if row.depth == 1]
        for way in ("forward_s", "backward_s"):
            assert sum(getattr(row, way) for row in inner) == pytest.approx(getattr(block, way))
    last = profile.cells()[-1]
    assert last[0] == "all"
    assert float(last[2].removesuffix(" ms")) == pytest.approx(1e3 * profile.forward_s, abs=1e-3)


def test_sorted_cells_are_the_slowest_first_without_what_is_made_of_others():
    cells = net().profile(4, rounds=1).cells(by_time=True)[:-1]
    shares = [float(row[-1].removesuffix("%")) for row in cells]
    assert shares == sorted(shares, reverse=True)
    if native.available:
        assert not any(row[0].startswith("3 ") for row in cells)
        assert any(row[0].startswith("3.main.0") for row in cells)


def test_profiling_changes_neither_parameters_nor_statistics_nor_the_step():
    model, other = net(), net()
    x = np.random.default_rng(1).standard_normal((4, 3, 6, 4))
    model.profile(4, rounds=1)
    for name in ("params", "state"):
        assert getattr(model, name).tobytes() == getattr(other, name).tobytes()
    assert model.step == 0
    model.forward(x)
    other.forward(x)
    model.profile(4, rounds=1)
    with pytest.raises(ArgumentError, match="expected a forward"):
        model.backward(np.zeros((4, 5)))
    assert model.forward(x).tobytes() == other.forward(x).tobytes()


@pytest.mark.parametrize("options", [{"batch": 0}, {"batch": 2.5}, {"rounds": 0}])
def test_sizes_are_checked(options):
    with pytest.raises(ArgumentError, match=f"{next(iter(options))}: expected a whole number"):
        net().profile(**options)
