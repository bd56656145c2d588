"""Independent values: every layer and whole nets against PyTorch in float64.

Finite differences agree with a wrong forward just as happily; these do not.  `TWINS` says for each layer, by name, what
PyTorch computes: a layer without an entry fails a test that says what to add.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import backpass as bp
from backpass import native
from backpass.layers.base import Cache
from backpass.optim import Optimizer

from .bound import Bound, bind
from .cases import all_cases, package_layers, paths_of

torch = pytest.importorskip("torch", reason="independent values need PyTorch")
F = torch.nn.functional

TOLERANCE = 1e-10  # relative to the largest element


@pytest.fixture(autouse=True, scope="module")
def _one_torch_thread():
    """PyTorch's threads and ours would take turns on the same cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@dataclass(frozen=True)
class Twin:
    """PyTorch's version of a layer; `p` and `s` are dicts of tensors, `b` the bound layer with our own results.

    Attributes
    ----------
    forward : (layer, x, p, b) -> out
    infer : (layer, x, p, s) -> out
        None where prediction is the forward.
    statistics : (layer, x, s, b) -> dict
        The running statistics after one update.
    """

    forward: Callable[..., Any]
    infer: Callable[..., Any] | None = None
    statistics: Callable[..., Any] | None = None


def batchnorm(layer: Any, x: Any, p: Any, b: Any) -> Any:
    return F.batch_norm(x, None, None, p["gamma"], p["beta"], training=True, eps=layer.eps)


def batchnorm_infer(layer: Any, x: Any, p: Any, s: Any) -> Any:
    return F.batch_norm(x, s["mean"], s["var"], p["gamma"], p["beta"], training=False, eps=layer.eps)


def batchnorm_statistics(layer: Any, x: Any, s: Any, b: Any) -> Any:
    """PyTorch's momentum is 1 - decay, and its batch variance has N - 1 where ours has N."""
    mean, var = s["mean"].clone(), s["var"].clone()
    F.batch_norm(x, mean, var, training=True, momentum=1 - layer.decay)
    count = x.numel() // x.shape[1]
    batch = (var - layer.decay * s["var"]) * (count - 1) / count
    return {"mean": mean, "var": layer.decay * s["var"] + batch}


def layernorm(layer: Any, x: Any, p: Any, b: Any) -> Any:
    shape = x.shape[1:]
    return F.layer_norm(x, shape, p["gamma"].reshape(shape), p["beta"].reshape(shape), layer.eps)


def pair(value: Any) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)


def conv(layer: Any, x: Any, p: Any, b: Any) -> Any:
    same = layer.padding == "same"
    if same:  # PyTorch's own "same" is for stride 1 only; the odd zero goes below and to the right
        (HH, WW), (D, E) = pair(layer.kernel_size), pair(layer.dilation)
        rows, cols = D * (HH - 1), E * (WW - 1)
        x = F.pad(x, (cols // 2, cols - cols // 2, rows // 2, rows - rows // 2))
    padding = 0 if same else pair(layer.padding)
    return F.conv2d(x, p["w"], p.get("b"), layer.stride, padding, layer.dilation, layer.groups)


def maxpool(layer: Any, x: Any, p: Any, b: Any) -> Any:
    return F.max_pool2d(pad(layer, x, -torch.inf), layer.size, layer.stride)


def averagepool(layer: Any, x: Any, p: Any, b: Any) -> Any:
    """The sum of a window over how many of its elements lie inside the image."""
    inside = F.avg_pool2d(pad(layer, torch.ones_like(x), 0.0), layer.size, layer.stride)
    return F.avg_pool2d(pad(layer, x, 0.0), layer.size, layer.stride) / inside


def pad(layer: Any, x: Any, value: float) -> Any:
    """PyTorch's pooling takes no more padding than half a window; ours does."""
    rows, cols = pair(layer.padding)
    return F.pad(x, (cols, cols, rows, rows), value=value)


def dropout(layer: Any, x: Any, p: Any, b: Bound) -> Any:
    """PyTorch draws other numbers, so the mask is read off our output; what it is divided by is checked here."""
    kept = torch.from_numpy((b.out != 0) | (b.x == 0))
    share = float(kept.double().mean())
    spread = 5 * (layer.drop_prob * (1 - layer.drop_prob) / kept.numel()) ** 0.5
    assert abs(share - (1 - layer.drop_prob)) <= spread + 1e-12, f"{layer!r} kept {share:.3f} of {kept.numel()}"
    return x * kept / (1 - layer.drop_prob)


def inside(space: Any, prefix: str) -> Any:
    """The part of a dict of an inner layer, by its own names."""
    return {name.removeprefix(prefix): value for name, value in space.items() if name.startswith(prefix)}


def chains(layer: Any, x: Any, step: Callable[..., Any]) -> Any:
    """Both chains of a residual, each inner layer by `step(inner layer, x, prefix of its names)`, and their sum."""
    ends = []
    for chain in ("main", "shortcut"):
        out = x
        for j, inner in enumerate(getattr(layer, chain)):
            out = step(inner, out, f"{chain}.{j}.")
        ends.append(out)
    return ends[0] + ends[1]


def residual(layer: Any, x: Any, p: Any, b: Any) -> Any:
    def step(inner: Any, x: Any, prefix: str) -> Any:
        if isinstance(inner, bp.Dropout):  # PyTorch draws other numbers
            return x * torch.from_numpy(vars(b.c)[f"{prefix}kept"].astype("f8")) / (1 - inner.drop_prob)
        part = SimpleNamespace(c=Cache(**inside(vars(b.c), prefix))) if b else None
        return run_twin(inner, x, inside(p, prefix), part)

    return chains(layer, x, step)


def residual_infer(layer: Any, x: Any, p: Any, s: Any) -> Any:
    def step(inner: Any, x: Any, prefix: str) -> Any:
        twin = TWINS[type(inner).__name__]
        if twin.infer:
            return twin.infer(inner, x, inside(p, prefix), inside(s, prefix))
        return twin.forward(inner, x, inside(p, prefix), None)

    return chains(layer, x, step)


def residual_statistics(layer: Any, x: Any, s: Any, b: Any) -> Any:
    """The running statistics of the inner norms, of the inputs that PyTorch computes for them."""
    found: dict[str, Any] = {}
    p = tensors(b.p)

    def step(inner: Any, x: Any, prefix: str) -> Any:
        if own := inside(s, prefix):
            updated = TWINS[type(inner).__name__].statistics(inner, x, own, None)
            found.update({prefix + name: value for name, value in updated.items()})
        return run_twin(inner, x, inside(p, prefix), None)

    if s:
        chains(layer, x, step)
    return found


def run_twin(layer: Any, x: Any, p: dict[str, Any], b: Bound) -> Any:
    return TWINS[type(layer).__name__].forward(layer, x, p, b)


def plain(function: Callable[..., Any], **options: Callable[[Any], Any]) -> Twin:
    """A function of x; options are read off the layer."""
    return Twin(lambda layer, x, p, b: function(x, **{name: get(layer) for name, get in options.items()}))


TWINS: dict[str, Twin] = {
    "Affine": Twin(lambda layer, x, p, b: F.linear(x.flatten(1), p["w"].T, p["b"])),
    "ReLU": plain(F.relu),
    "LeakyReLU": plain(F.leaky_relu, negative_slope=lambda layer: layer.slope),
    "ELU": plain(F.elu, alpha=lambda layer: layer.alpha),
    "GELU": plain(F.gelu),
    "Scale": plain(lambda x, factor: x * factor, factor=lambda layer: layer.factor),
    "Sigmoid": plain(torch.sigmoid),
    "Tanh": plain(torch.tanh),
    "Swish": plain(F.silu),
    "Flatten": plain(lambda x: x.flatten(1)),
    "Dropout": Twin(dropout, lambda layer, x, p, s: x),
    "BatchNorm": Twin(batchnorm, batchnorm_infer, batchnorm_statistics),
    "SpatialBatchNorm": Twin(batchnorm, batchnorm_infer, batchnorm_statistics),
    "LayerNorm": Twin(layernorm),
    "GroupNorm": Twin(lambda layer, x, p, b: F.group_norm(x, layer.groups, p["gamma"], p["beta"], layer.eps)),
    "Residual": Twin(residual, residual_infer, residual_statistics),
    "Conv": Twin(conv),
    "MaxPool": Twin(maxpool),
    "AveragePool": Twin(averagepool),
    "GlobalAveragePool": plain(lambda x: x.mean((2, 3))),
}


def tensors(space: Any) -> dict[str, Any]:
    return {name: torch.from_numpy(value.copy()) for name, value in vars(space).items()}


def assert_equal(got: np.ndarray, wanted: Any, what: str, size: float = 0.0) -> None:
    """Equal to 1e-10, relative to the largest element, or to `size` where the result is a difference of larger terms."""
    wanted = wanted.detach().numpy()
    assert got.shape == wanted.shape, f"{what}: shape {got.shape}, PyTorch has {wanted.shape}"
    error = float(np.abs(got - wanted).max(initial=0))
    scale = max(float(np.abs(wanted).max(initial=0)), size)
    assert error <= TOLERANCE * scale, (
        f"{what}: differs from PyTorch by {error:.3g}, relative {error / (scale or 1):.3g}"
    )


def test_every_layer_has_a_twin():
    missing = [cls.__name__ for cls in package_layers() if cls.__name__ not in TWINS]
    assert not missing, (
        f"add to TWINS in {__file__} what PyTorch computes for {missing}: a function (layer, x, p, b) -> out"
    )


@pytest.mark.parametrize(
    ("layer", "x_shape", "path"),
    [
        pytest.param(layer, shape, path, id=f"{name}-{path}")
        for name, layer, shape in all_cases()
        if type(layer).__name__ in TWINS
        for path in paths_of(layer)
    ],
)
def test_layer_equals_pytorch(layer, x_shape, path):
    twin = TWINS[type(layer).__name__]
    b = bind(layer, x_shape, "float64", path)
    before = tensors(b.s)
    b.forward()
    b.backward()
    x = torch.from_numpy(b.x.copy()).requires_grad_()
    p = {name: value.requires_grad_() for name, value in tensors(b.p).items()}
    out = twin.forward(layer, x, p, b)
    assert_equal(b.out, out, "out")
    out.backward(torch.from_numpy(b.dout.copy()))
    rounded = (
        max(float(np.abs(b.dout).max()), 1.0) if any("gamma" in name for name in p) else 0.0
    )  # dx of a norm: terms of dout's size
    assert_equal(b.dx, x.grad, "dx", rounded)
    for name, value in p.items():
        assert_equal(vars(b.g)[name], value.grad, f"d{name}")
    with torch.no_grad():
        predicted = twin.infer(layer, x, p, before) if twin.infer else out
        if type(layer).__name__ != "Dropout" or twin.infer:
            assert_equal(b.infer(), predicted, "infer")
        assert bool(vars(b.s)) <= bool(twin.statistics), f"{layer!r}: its twin must say what the running statistics are"
        if twin.statistics:
            b.update()
            for name, value in twin.statistics(layer, x, before, b).items():
                assert_equal(vars(b.s)[name], value, f"running {name}")


# -- whole nets ------------------------------------------------------------------------------------------------------------


def net_of(depth: int, norm: bp.Layer | None) -> list[bp.Layer]:
    """An affine net with `depth` hidden layers."""
    layers: list[bp.Layer] = []
    for i in range(depth):
        layers += [bp.Affine(9 + 2 * i), *([norm] if norm else []), bp.ReLU()]
    return [*layers, bp.Affine(5)]


def run_net(model: bp.Model, x: Any, params: list[dict[str, Any]]) -> Any:
    for layer, p in zip(model.layers, params, strict=True):
        x = run_twin(layer, x, p, None)
    return x


def torch_params(model: bp.Model) -> list[dict[str, Any]]:
    return [{name: t.requires_grad_() for name, t in tensors(space).items()} for space in model.p]


NORMS = {"no norm": None, "batch norm": bp.BatchNorm()}
if "LayerNorm" in bp.__all__:
    NORMS["layer norm"] = bp.LayerNorm()


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS.keys())
@pytest.mark.parametrize("depth", range(6))
def test_net_equals_pytorch(depth, norm, kernels):
    model = bp.Model(net_of(depth, norm), (4, 3), seed=depth, dtype="float64", kernels=kernels)
    rng = np.random.default_rng(depth)
    model.params[...] += 0.1 * rng.standard_normal(model.params.size)  # biases and betas that are not zero
    x, dscores = rng.standard_normal((17, 4, 3)), rng.standard_normal((17, 5))
    params = torch_params(model)
    images = torch.from_numpy(x.copy()).requires_grad_()
    scores = run_net(model, images, params)
    scores.backward(torch.from_numpy(dscores))
    assert_equal(model.forward(x), scores, "scores")
    assert_equal(model.backward(dscores), images.grad, "dx")
    size = max(float(np.abs(g).max()) for g in model.named_grads().values())
    for name, g in model.named_grads().items():
        i, _, key = name.partition(".")
        # a bias before batch norm has no effect: its gradient is the rounding of larger terms
        assert_equal(g, params[int(i)][key].grad, name, size)


OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "SGD": lambda p, ours: torch.optim.SGD(p, lr=ours.lr),
    "Momentum": lambda p, ours: torch.optim.SGD(p, lr=ours.lr, momentum=ours.momentum),
    "Nesterov": lambda p, ours: torch.optim.SGD(p, lr=ours.lr, momentum=ours.momentum, nesterov=True),
    "AdaGrad": lambda p, ours: torch.optim.Adagrad(p, lr=ours.lr, eps=ours.eps),
    "RMSProp": lambda p, ours: torch.optim.RMSprop(p, lr=ours.lr, alpha=ours.decay, eps=ours.eps),
    "Adam": lambda p, ours: torch.optim.Adam(p, lr=ours.lr, betas=(ours.beta1, ours.beta2), eps=ours.eps),
    "AdamW": lambda p, ours: torch.optim.AdamW(
        [
            {"params": [v for v in p if v.ndim > 1], "weight_decay": ours.weight_decay},
            {"params": [v for v in p if v.ndim == 1], "weight_decay": 0.0},
        ],
        lr=ours.lr,
        betas=(ours.beta1, ours.beta2),
        eps=ours.eps,
    ),
}


def test_every_optimizer_has_a_twin():
    assert set(Optimizer.registry) <= set(OPTIMIZERS), f"add to OPTIMIZERS in {__file__} what PyTorch's is"


@pytest.mark.parametrize("kernels", [True, False], ids=["kernels", "reference"])
@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS.keys())
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_twenty_steps_equal_pytorch(name, norm, kernels):
    if kernels and not native.available:
        pytest.skip("the kernels are switched off")
    ours = Optimizer.registry[name](lr=0.01)
    model = bp.Model(net_of(2, norm), (4, 3), seed=1, dtype="float64", kernels=kernels)
    params = torch_params(model)
    theirs = OPTIMIZERS[name]([value for p in params for value in p.values()], ours)
    rng = np.random.default_rng(2)
    slots = {slot: np.zeros_like(model.params) for slot in ours.slots}
    for step in range(1, 21):
        x, y = rng.standard_normal((16, 4, 3)), rng.integers(0, 5, 16)
        theirs.zero_grad()
        scores = run_net(model, torch.from_numpy(x), params)
        scores.retain_grad()
        F.cross_entropy(scores, torch.from_numpy(y)).backward()
        theirs.step()

        probabilities = torch.softmax(torch.from_numpy(model.forward(x)), dim=1).numpy()
        model.backward((probabilities - np.eye(5)[y]) / len(y))
        control = np.array([ours.lr, step, 1.0, 0.0])
        for group, where in model.groups.items():
            arguments = (
                model.params[where],
                model.grads[where],
                {slot: v[where] for slot, v in slots.items()},
                control,
                ours.options(group),
            )
            ours.kernel(*arguments)() if kernels else ours.reference_step(*arguments)
    size = float(np.abs(model.params).max())
    for key, value in model.named_params().items():
        i, _, parameter = key.partition(".")
        after = model.layers[int(i) + 1 : int(i) + 2]
        if parameter == "b" and after and isinstance(after[0], bp.BatchNorm):
            continue  # batch norm takes it away again: its gradient is rounding noise, which Adam scales up to steps
        assert_equal(value, params[int(i)][parameter], f"{key} after 20 steps", size)
    x = rng.standard_normal((16, 4, 3))
    assert_equal(model.forward(x), run_net(model, torch.from_numpy(x), params), "scores after 20 steps")
