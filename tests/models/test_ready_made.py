"""The nets of `backpass.models`: sizes, and PyTorch's own versions of them in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import backpass as bp
from backpass.errors import ArgumentError, ShapeError
from backpass.models import convnet, resnet, three_layer_convnet, vgg
from backpass.models.convnet import VGG

torch = pytest.importorskip("torch", reason="independent values need PyTorch")
nn = torch.nn

TOLERANCE = 1e-10  # relative to the largest element


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread():
    """PyTorch's threads and ours would take turns on the same cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    ("layers", "count"),
    [
        (three_layer_convnet(classes=10), 825_046),
        (convnet(classes=10), 391_466),
        (vgg(11, classes=10), 9_228_362),
        (vgg(13, classes=10), 9_413_066),
        (vgg(16, classes=10), 14_724_042),
        (vgg(19, classes=10), 20_035_018),
        (resnet(20, classes=10), 272_474),
        (resnet(32, classes=10), 466_906),
        (resnet(44, classes=10), 661_338),
        (resnet(56, classes=10), 855_770),
        (resnet(110, classes=10), 1_730_714),
        (resnet(18, classes=10), 11_173_962),
        (resnet(34, classes=10), 21_282_122),
    ],
    ids=lambda value: "" if isinstance(value, list) else f"{value:,}",
)
def test_parameter_counts_are_those_of_the_docstrings(layers, count):
    assert bp.Model(layers, (3, 32, 32)).params.size == count


# -- PyTorch's versions ------------------------------------------------------------------------------------------------


class Block(nn.Module):
    """A residual block as PyTorch's users write it."""

    def __init__(self, d: int, m: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(d, m, 3, stride, 1, bias=False), nn.BatchNorm2d(m)
        self.conv2, self.bn2 = nn.Conv2d(m, m, 3, 1, 1, bias=False), nn.BatchNorm2d(m)
        self.shortcut = nn.Sequential()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(d, m, 1, stride, bias=False), nn.BatchNorm2d(m))

    def forward(self, x: Any) -> Any:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(out + self.shortcut(x))


class PreBlock(nn.Module):
    """A pre-activation block; `shared`: its shortcut begins behind the first norm and relu."""

    def __init__(self, d: int, m: int, stride: int, *, shared: bool) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm2d(d), nn.Conv2d(d, m, 3, stride, 1, bias=False)
        self.bn2, self.conv2 = nn.BatchNorm2d(m), nn.Conv2d(m, m, 3, 1, 1, bias=False)
        self.shortcut = nn.Conv2d(d, m, 1, stride, bias=False) if stride > 1 else nn.Sequential()
        self.shared = shared

    def forward(self, x: Any) -> Any:
        before = torch.relu(self.bn1(x))
        out = self.conv2(torch.relu(self.bn2(self.conv1(before))))
        return out + self.shortcut(before if self.shared else x)


def torch_resnet(blocks: tuple[int, ...], width: int, *, pre: bool) -> nn.Module:
    parts: list[nn.Module] = [nn.Conv2d(3, width, 3, 1, 1, bias=False)]
    parts += [] if pre else [nn.BatchNorm2d(width), nn.ReLU()]
    d = width
    for stage, count in enumerate(blocks):
        for block in range(count):
            m, stride = width * 2**stage, 2 if stage and not block else 1
            new = not block
            parts.append(PreBlock(d, m, stride, shared=new) if pre else Block(d, m, stride))
            d = m
    parts += [nn.BatchNorm2d(d), nn.ReLU()] if pre else []
    return nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(d, 10))


def torch_vgg(plan: list[int | str], flat: int) -> nn.Module:
    parts: list[nn.Module] = []
    d = 3
    for m in plan:
        if isinstance(m, str):
            parts.append(nn.MaxPool2d(2))
        else:
            parts += [nn.Conv2d(d, m, 3, 1, 1, bias=False), nn.BatchNorm2d(m), nn.ReLU()]
            d = m
    return nn.Sequential(*parts, nn.Flatten(), nn.Linear(flat, 10))


def torch_three_layers(H: int, W: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(8 * (H // 2) * (W // 2), 20),
        nn.ReLU(),
        nn.Linear(20, 10),
    )


VGG11 = [64, "M", 128, "M", 256, 256, "M", 32, 32, "M", 32, 32, "M"]
NETS = {
    "three layers": (
        three_layer_convnet(classes=10, filters=8, kernel_size=5, hidden=20),
        (7, 3, 10, 9),
        lambda: torch_three_layers(10, 9),
    ),
    "convnet": (
        convnet("6x2-pool-8", classes=10),
        (5, 3, 7, 8),
        lambda: torch_vgg([6, 6, "M", 8], 8 * 3 * 4),
    ),
    "vgg 11": (convnet(VGG[11].replace("512", "32"), classes=10), (2, 3, 32, 33), lambda: torch_vgg(VGG11, 32)),
    "resnet 8": (resnet(8, classes=10, width=8), (3, 3, 9, 11), lambda: torch_resnet((1, 1, 1), 8, pre=False)),
    "resnet 20": (resnet(20, classes=10), (2, 3, 12, 9), lambda: torch_resnet((3, 3, 3), 16, pre=False)),
    "resnet 18": (
        resnet(18, classes=10, width=8),
        (2, 3, 16, 13),
        lambda: torch_resnet((2, 2, 2, 2), 8, pre=False),
    ),
    "resnet 14, pre-activation": (
        resnet(14, classes=10, preactivation=True),
        (3, 3, 8, 9),
        lambda: torch_resnet((2, 2, 2), 16, pre=True),
    ),
}


def ours_as_theirs(model: bp.Model, flat: Any = None) -> list[np.ndarray]:
    """Our parameters (or gradients) in PyTorch's order and layout: affine weights (M, D), all else alike."""
    named = (flat or model.named_params)()
    return [value.T if value.ndim == 2 else value for value in named.values()]


def assert_close(got: np.ndarray, wanted: np.ndarray, what: str, size: float = 0.0) -> None:
    scale = max(float(np.abs(wanted).max()), size)
    error = float(np.abs(got - wanted).max())
    assert error <= TOLERANCE * scale, f"{what}: differs from PyTorch by {error:.3g}, largest {scale:.3g}"


@pytest.mark.parametrize(
    ("name", "kernels"),
    [pytest.param(name, True, id=name) for name in NETS]
    + [pytest.param(name, False, id=f"{name}, reference") for name in ("three layers", "resnet 8")],
)
def test_net_equals_pytorch(name, kernels):
    layers, shape, make = NETS[name]
    model = bp.Model(layers, shape[1:], seed=3, dtype="float64", kernels=kernels)
    rng = np.random.default_rng(7)
    model.params[...] += 0.02 * rng.standard_normal(model.params.size)  # betas and biases that are not zero
    net = make().double()
    theirs = list(net.parameters())
    with torch.no_grad():
        for parameter, value in zip(theirs, ours_as_theirs(model), strict=True):
            parameter.copy_(torch.from_numpy(value.copy()))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)
    velocity = np.zeros_like(model.params)
    for step in range(4):
        x, y = rng.standard_normal(shape), rng.integers(0, 10, shape[0])
        x_theirs = torch.from_numpy(x.copy()).requires_grad_()
        optimizer.zero_grad()
        scores_theirs = net(x_theirs)
        loss = nn.functional.cross_entropy(scores_theirs, torch.from_numpy(y))
        loss.backward()

        scores = model.forward(x)
        assert_close(scores, scores_theirs.detach().numpy(), f"scores, step {step}")
        _, dscores = bp.SoftmaxLoss().reference(scores, y, None)
        assert_close(model.backward(dscores), x_theirs.grad.numpy(), f"dx, step {step}")
        size = float(np.abs(model.grads).max())
        for key, grad, parameter in zip(
            model.named_grads(), ours_as_theirs(model, model.named_grads), theirs, strict=True
        ):
            assert_close(grad, parameter.grad.numpy(), f"d{key}, step {step}", size)
        model.update()
        optimizer.step()
        velocity *= 0.9
        velocity -= 0.01 * model.grads
        model.params += velocity
    for key, value, parameter in zip(model.named_params(), ours_as_theirs(model), theirs, strict=True):
        assert_close(value, parameter.detach().numpy(), f"{key} after 4 steps", 1.0)

    net.eval()
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    statistics = list(model.named_state().values())
    for norm, mean, var in zip(norms, statistics[::2], statistics[1::2], strict=True):
        assert_close(mean, norm.running_mean.numpy(), "running mean", 1.0)
        norm.running_var.copy_(torch.from_numpy(var.copy()))  # PyTorch's is the unbiased one
    with torch.no_grad():
        assert_close(model.infer(x), net(torch.from_numpy(x)).numpy(), "prediction")


# -- batch norm folded into convolutions -----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize(("filters", "shape"), [(5, (3, 9, 8)), (16, (16, 12, 13)), (31, (31, 1, 2))])
def test_folded_norm_predicts_the_same_after_every_change(filters, shape, bias, relu, dtype):
    layers = [bp.Conv(filters, 3, bias=bias), bp.SpatialBatchNorm(), *([bp.ReLU()] if relu else [])]
    model = bp.Model(layers, shape, dtype=dtype)
    slow = bp.Model(layers, shape, dtype="float64", kernels=False)
    rng = np.random.default_rng(4)
    x = rng.standard_normal((6, *shape)).astype(dtype)
    before = None
    for change in ("params", "state", "training"):
        for n in (1, 6):
            model.infer(x[:n])  # planned, and run, before the change
        if change == "params":
            model.params[...] += rng.standard_normal(model.params.size)
        elif change == "state":
            model.state[...] = rng.uniform(0.1, 2, model.state.size)
        else:
            model.forward(x)
            model.update()
        slow.params[...], slow.state[...] = model.params, model.state
        for n in (1, 6):
            got, wanted = model.infer(x[:n]), slow.infer(x[:n].astype("f8"))
            tolerance = 1e-12 if dtype == "float64" else 1e-5
            np.testing.assert_allclose(got, wanted, rtol=0, atol=tolerance * float(np.abs(wanted).max()))
        assert before is None or not np.allclose(before, got)
        before = got


# -- sizes, words and errors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 1, 1, 5), (1, 5, 7, 3), (3, 7, 2, 2), (1, 3, 33, 31)])
@pytest.mark.parametrize("pre", [False, True])
def test_resnet_takes_any_size(shape, pre):
    model = bp.Model(resnet(8, classes=3, width=4, preactivation=pre, norm=bp.GroupNorm(2)), shape[1:], dtype="float64")
    slow = bp.Model(model.layers, shape[1:], dtype="float64", kernels=False)
    x = np.random.default_rng(0).standard_normal(shape)
    for one in (model, slow):
        scores = one.forward(x)
        one.backward(np.cos(scores + np.arange(3)))
    np.testing.assert_allclose(model.grads, slow.grads, atol=1e-10 * float(np.abs(slow.grads).max()))
    np.testing.assert_allclose(model.infer(x), slow.infer(x), atol=1e-10)


def test_spec_words():
    layers = convnet("8x2k5s2-avg-16-drop-fc9-gap", classes=4, norm=None, drop_prob=0.5, activation=bp.GELU())
    conv = bp.Conv(8, 5, stride=2)
    assert layers[:5] == [conv, bp.GELU(), conv, bp.GELU(), bp.AveragePool(2)]
    assert [type(layer).__name__ for layer in layers[5:]] == [
        *("Conv", "GELU", "Dropout", "Affine", "GELU", "GlobalAveragePool", "Dropout", "Affine")
    ]


def test_summary_shows_the_inner_layers():
    lines = bp.Model(resnet(8, classes=10), (3, 32, 32)).summary(8).splitlines()
    at = next(i for i, line in enumerate(lines) if line.startswith("5 Residual"))
    assert "main.0 Conv" in lines[at + 1]
    assert "winograd F(4x4,3x3) stride 2" in lines[at + 1]
    assert "main.2 ReLU" in lines[at + 3]
    assert "fused with the layer above" in lines[at + 3]
    assert "shortcut.1 SpatialBatchNorm" in lines[at + 7]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convnet("8-pol", classes=2), "'pol'"),
        (lambda: convnet("", classes=2), "expected words such as"),
        (lambda: convnet("8", classes=2, norm="batch"), "norm: expected a layer"),
        (lambda: vgg(12, classes=2), "depth: expected one of"),
        (lambda: resnet(21, classes=2), "such as 20, 32, 56"),
        (lambda: resnet(20, classes=2, norm=None), "norm: expected a layer"),
        (lambda: resnet(20, classes=2, width=0.5), "filters: expected a whole number"),
    ],
)
def test_errors_say_what_was_expected(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()


def test_a_net_too_deep_for_its_pictures_says_where():
    with pytest.raises(ShapeError, match=r"MaxPool \(layer \d+, after ReLU\)"):
        bp.Model(vgg(11, classes=10), (3, 8, 8))
