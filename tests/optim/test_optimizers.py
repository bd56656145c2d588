"""Every optimizer: reference and kernel against PyTorch, against each other, at all scales, sizes and thread counts."""

from __future__ import annotations

import doctest
import importlib
import pickle

import numpy as np
import pytest
import torch

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError
from backpass.optim import by_name
from backpass.optim.base import BAD, FACTOR, LR, T

MODULES = ["sgd", "momentum", "nesterov", "adagrad", "rmsprop", "adam", "adamw"]
CASES = [case for name in MODULES for case in importlib.import_module(f"backpass.optim.{name}").CASES]
KINDS = [pytest.param(True, id="kernel", marks=pytest.mark.skipif(not native.available, reason="no kernels")), False]


def stepper(optimizer, w, dw, slots, control, *, kernels, group="weight"):
    """A function that makes one step, by the kernel or by the reference."""
    options = optimizer.options(group)
    if kernels:
        return optimizer.kernel(w, dw, slots, control, options)
    return lambda: optimizer.reference_step(w, dw, slots, control, options)


def train(optimizer, w, gradients, *, kernels, lrs=None, group="weight", factor=1.0):
    """Make a step for each gradient; return control and slots. w changes in place."""
    dw = np.zeros_like(w)
    slots = {name: np.zeros_like(w) for name in optimizer.slots}
    control = np.array([0.0, 0.0, factor, 0.0])
    step = stepper(optimizer, w, dw, slots, control, kernels=kernels, group=group)
    for t, gradient in enumerate(gradients, 1):
        dw[...] = gradient
        control[LR], control[T] = (lrs[t - 1] if lrs else optimizer.lr), t
        step()
    return control, slots


def random_gradients(steps, n, seed=0, dtype=np.float64):
    """Gradients of every scale from 1e-12 to 1e12, an element keeping its scale from step to step."""
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.uniform(-12, 12, n)
    return [(scale * rng.standard_normal(n)).astype(dtype) for _ in range(steps)]


# -- against PyTorch --------------------------------------------------------------------------------------------------

PEERS = {
    "sgd": (bp.SGD(lr=0.03), lambda p: torch.optim.SGD(p, lr=0.03)),
    "momentum": (bp.Momentum(lr=0.03, momentum=0.8), lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.8)),
    "nesterov": (
        bp.Nesterov(lr=0.03, momentum=0.8),
        lambda p: torch.optim.SGD(p, lr=0.03, momentum=0.8, nesterov=True),
    ),
    "adagrad": (bp.AdaGrad(lr=0.03, eps=1e-6), lambda p: torch.optim.Adagrad(p, lr=0.03, eps=1e-6)),
    "rmsprop": (
        bp.RMSProp(lr=0.03, decay=0.8, eps=1e-6),
        lambda p: torch.optim.RMSprop(p, lr=0.03, alpha=0.8, eps=1e-6),
    ),
    "adam": (
        bp.Adam(lr=0.03, beta1=0.8, beta2=0.99, eps=1e-6),
        lambda p: torch.optim.Adam(p, lr=0.03, betas=(0.8, 0.99), eps=1e-6),
    ),
    "adamw": (
        bp.AdamW(lr=0.03, beta1=0.8, beta2=0.99, eps=1e-6, weight_decay=0.2),
        lambda p: torch.optim.AdamW(p, lr=0.03, betas=(0.8, 0.99), eps=1e-6, weight_decay=0.2),
    ),
}


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("name", PEERS)
@pytest.mark.parametrize("start", [0.0, 1.0])
def test_twenty_five_steps_are_pytorchs(name, kernels, start):
    optimizer, make_peer = PEERS[name]
    gradients = random_gradients(25, 300)
    w = start * np.random.default_rng(1).standard_normal(300)
    peer = torch.tensor(w.copy(), requires_grad=True)
    peers_optimizer = make_peer([peer])
    for gradient in gradients:
        peer.grad = torch.tensor(gradient)
        peers_optimizer.step()
    train(optimizer, w, gradients, kernels=kernels)
    # Relative element by element: with start 0 that is the displacement, to its last digits, at every scale.
    difference = np.abs(w - peer.detach().numpy()) / np.abs(w)
    assert difference.max() < 1e-10


# -- against calculations by hand: where conventions differ, and what a learning rate that changes does ---------------


@pytest.mark.parametrize("kernels", KINDS)
def test_momentum_keeps_the_learning_rate_inside_the_velocity(kernels):
    w = np.array([0.0])
    train(bp.Momentum(momentum=0.5), w, [[1.0], [1.0]], kernels=kernels, lrs=[0.1, 0.01])
    # v1 = -0.1; v2 = -0.05 - 0.01; PyTorch would have 0.01 (0.5 + 1) in the second step
    np.testing.assert_allclose(w, [-0.1 - 0.06], rtol=1e-14)


@pytest.mark.parametrize("kernels", KINDS)
def test_nesterov_keeps_the_learning_rate_inside_the_velocity(kernels):
    w = np.array([0.0])
    train(bp.Nesterov(momentum=0.5), w, [[1.0], [1.0]], kernels=kernels, lrs=[0.1, 0.01])
    # v1 = -0.1, w1 = -0.05 - 0.1; v2 = -0.06, w2 = w1 - 0.03 - 0.01
    np.testing.assert_allclose(w, [-0.15 - 0.04], rtol=1e-14)


def test_nesterov_is_momentum_with_the_gradient_taken_ahead():
    """The two forms of the derivation, on a quadratic: w of ours is θ + momentum v of Nesterov's."""
    curvature, lr, momentum = np.array([1.0, 10.0]), 0.05, 0.9
    theta, v = np.array([1.0, 1.0]), np.zeros(2)
    w, ours_v = theta.copy(), np.zeros(2)
    for _ in range(30):
        v = momentum * v - lr * curvature * (theta + momentum * v)
        theta = theta + v
        bp.Nesterov(lr=lr, momentum=momentum).reference_step(
            w, curvature * w, {"v": ours_v}, np.array([lr, 1, 1, 0.0]), {"lr_scale": 1.0, "weight_decay": 0.0}
        )
        np.testing.assert_allclose(w, theta + momentum * v, rtol=1e-12)


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("t", [1, 2, 100])
def test_adam_adds_eps_to_the_corrected_root(kernels, t):
    """Tiny gradients tell where eps is: |dw| = eps makes the first step lr/2, not lr/(1 + 1/sqrt(1 - beta2))."""
    optimizer = bp.Adam(lr=0.1, eps=1e-8)
    w = np.zeros(1)
    train(optimizer, w, [[1e-8]] * t, kernels=kernels)
    np.testing.assert_allclose(w, [-0.1 * t / 2], rtol=1e-9)


@pytest.mark.parametrize("kernels", KINDS)
def test_adamw_decays_by_the_learning_rate_and_outside_the_division(kernels):
    w = np.array([2.0, -4.0])
    train(bp.AdamW(lr=0.1, weight_decay=0.5), w, [[3e5, 7e-5]], kernels=kernels)
    np.testing.assert_allclose(w, [2 - 0.1 * (1 + 1.0), -4 - 0.1 * (1 / (1 + 1e-8 / 7e-5) - 2.0)], rtol=1e-12)


# -- kernel against reference -----------------------------------------------------------------------------------------

needs_kernels = pytest.mark.skipif(not native.available, reason="no kernels")


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [0, 1, 15, 17, 1000, 100_003])
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_the_kernel_is_the_references_twin(optimizer, n, dtype):
    """On a slice that starts off every alignment, between guards that must not change."""
    rng = np.random.default_rng(n)
    fresh = [rng.standard_normal(n + 8).astype(dtype) for _ in range(4)]
    arrays = {
        kind: {"w": fresh[0].copy(), **{name: np.zeros(n + 8, dtype) for name in optimizer.slots}} for kind in "kr"
    }
    dw, inside = np.zeros(n + 8, dtype), slice(3, 3 + n)
    controls = {kind: np.array([optimizer.lr, 0, 0.5, 0]) for kind in "kr"}
    steps = {
        kind: stepper(
            optimizer,
            arrays[kind]["w"][inside],
            dw[inside],
            {name: arrays[kind][name][inside] for name in optimizer.slots},
            controls[kind],
            kernels=kind == "k",
        )
        for kind in "kr"
    }
    for t in (1, 2, 3):
        dw[...] = fresh[t]
        for kind in "kr":
            controls[kind][T] = t
            steps[kind]()
    np.testing.assert_array_equal(dw, fresh[3], "the gradient is only read")
    eps = float(np.finfo(dtype).eps)
    for name, value in arrays["k"].items():
        twin = arrays["r"][name]
        np.testing.assert_allclose(value[inside], twin[inside], rtol=0, atol=8 * eps * max(1, np.abs(twin).max()))
        start = fresh[0] if name == "w" else np.zeros(n + 8)
        np.testing.assert_array_equal(value[:3], start[:3])
        np.testing.assert_array_equal(value[3 + n :], start[3 + n :])
    np.testing.assert_array_equal(controls["k"], controls["r"])


@needs_kernels
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_float32_is_right_at_every_scale(optimizer):
    """Displacements from zero, element by element, against the float64 reference."""
    gradients = random_gradients(10, 500, dtype=np.float32)
    exact, single = np.zeros(500), np.zeros(500, np.float32)
    train(optimizer, exact, gradients, kernels=False)
    control, _ = train(optimizer, single, gradients, kernels=True)
    assert control[BAD] == 0
    # Steps of opposite signs cancel: the yardstick is the longest way, some steps of lr (or of lr times the gradient).
    scale = np.abs(gradients).max(axis=0) if isinstance(optimizer, (bp.SGD, bp.Momentum, bp.Nesterov)) else 1
    assert (np.abs(single - exact) / np.maximum(np.abs(exact), 0.1 * optimizer.lr * scale)).max() < 1e-4


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("optimizer", [CASES[0], *(c for c in CASES if c == type(c)())], ids=repr)
def test_threads_do_not_change_a_bit(optimizer, dtype):
    n, results = 100_003, []
    rng = np.random.default_rng(0)
    start = rng.standard_normal(n).astype(dtype)
    gradients = [rng.standard_normal(n).astype(dtype) for _ in range(3)]
    for threads in (1, 2, 3):
        bp.set_threads(threads)
        w = start.copy()
        _, slots = train(optimizer, w, gradients, kernels=True)
        results.append((w, *slots.values()))
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


# -- control ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_the_factor_multiplies_the_gradient_before_anything_else(optimizer, kernels):
    gradients = [np.array([0.5, -2.0]), np.array([1.5, 4.0])]
    clipped, plain = np.ones(2), np.ones(2)
    train(optimizer, clipped, gradients, kernels=kernels, factor=0.25)
    train(optimizer, plain, [0.25 * g for g in gradients], kernels=kernels)
    np.testing.assert_array_equal(clipped, plain)


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_lr_scale_multiplies_the_learning_rate(optimizer, kernels):
    scaled_optimizer = type(optimizer)(**{**vars(optimizer), "groups": {"weight": {"lr_scale": 4.0}}})
    scaled, plain = np.ones(3), np.ones(3)
    gradients = [np.array([0.5, -2.0, 3.0])] * 3
    train(scaled_optimizer, scaled, gradients, kernels=kernels, lrs=[0.01] * 3)
    train(optimizer, plain, gradients, kernels=kernels, lrs=[0.04] * 3)
    np.testing.assert_allclose(scaled, plain, rtol=1e-14)
    assert not np.allclose(plain, 1)


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["w", "dw"])
@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_what_is_not_finite_is_reported(optimizer, value, where, kernels):
    for n, place in ((1, 0), (40, 37), (50_000, 49_999)):
        w, dw = np.ones(n, np.float32), np.ones(n, np.float32)
        control, _ = train(optimizer, w, [dw], kernels=kernels)
        assert control[BAD] == 0
        w = np.ones(n, np.float32)
        (w if where == "w" else dw)[place] = value
        control, _ = train(optimizer, w, [dw], kernels=kernels)
        assert control[BAD] == 1


@pytest.mark.parametrize("kernels", KINDS)
@pytest.mark.parametrize("optimizer", [bp.AdaGrad(), bp.RMSProp(), bp.Adam(), bp.AdamW()], ids=repr)
def test_a_square_that_overflows_is_reported(optimizer, kernels):
    """dw = 1e30 is finite, its square is not in float32: the parameter would stand still for ever, and look healthy."""
    w = np.ones(3, np.float32)
    control, _ = train(optimizer, w, [np.array([1, 1e30, 1], np.float32)], kernels=kernels)
    assert np.isfinite(w).all()
    assert control[BAD] == 1


@pytest.mark.parametrize("kernels", KINDS)
def test_a_flag_that_is_set_stays_set(kernels):
    control = np.array([0.1, 1, 1, 1.0])
    stepper(bp.SGD(), np.ones(3), np.ones(3), {}, control, kernels=kernels)()
    assert control[BAD] == 1
    assert control[FACTOR] == 1


@pytest.mark.parametrize("kernels", KINDS)
def test_squares_that_fade_away_do_no_harm(kernels):
    """Gradients that stop leave m and v to decay through the denormal numbers to zero; nothing divides 0 by 0."""
    w = np.ones(4, np.float32)
    control, _ = train(bp.Adam(beta2=0.5), w, [np.ones(4)] + [np.zeros(4)] * 400, kernels=kernels)
    assert control[BAD] == 0
    assert np.isfinite(w).all()


def test_an_optimizer_without_a_kernel_runs_its_reference():
    class Lion(bp.Optimizer):
        slots = ("m",)
        lr, groups = 0.1, None

        def update(self, w, dw, m, *, lr, t, options):
            return w - lr * np.sign(m + dw), m + dw

    try:
        w, dw, m = np.array([1.0, 2.0]), np.array([1.0, -1.0]), np.zeros(2)
        options = {"lr_scale": 1.0, "weight_decay": 0.0}
        call = Lion().kernel(w, dw, {"m": m}, np.array([0.1, 1, 1, 0.0]), options)
        native.Program([call]).run()
        np.testing.assert_allclose(w, [0.9, 2.1])
    finally:
        del bp.Optimizer.registry["Lion"]


# -- the objects ------------------------------------------------------------------------------------------------------


def test_options_go_by_group():
    optimizer = bp.AdamW(weight_decay=0.1, groups={"bias": {"lr_scale": 64.0}, "gamma": {"weight_decay": 0.3}})
    assert optimizer.options("weight") == {"lr_scale": 1.0, "weight_decay": 0.1}
    assert optimizer.options("bias") == {"lr_scale": 64.0, "weight_decay": 0.0}
    assert optimizer.options("gamma") == {"lr_scale": 1.0, "weight_decay": 0.3}
    assert optimizer.options("beta") == {"lr_scale": 1.0, "weight_decay": 0.0}
    assert bp.SGD().options("weight") == {"lr_scale": 1.0, "weight_decay": 0.0}
    with pytest.raises(ArgumentError, match="group: expected one of weight, bias, gamma, beta, got 'weights'"):
        optimizer.options("weights")


@pytest.mark.parametrize("kernels", KINDS)
def test_decay_of_a_group_reaches_its_parameters(kernels):
    optimizer = bp.AdamW(lr=0.1, weight_decay=0.5)
    for group, expected in (("weight", 2 - 0.1), ("bias", 2.0)):
        w = np.array([2.0])
        train(optimizer, w, [[0.0]], kernels=kernels, group=group)
        np.testing.assert_allclose(w, [expected])


@pytest.mark.parametrize("optimizer", CASES, ids=repr)
def test_objects_survive_pickle_and_repr(optimizer):
    groups = {"bias": {"lr_scale": 2.0}, "beta": {"lr_scale": 0.5}}
    for one in (optimizer, type(optimizer)(groups=groups)):
        assert pickle.loads(pickle.dumps(one)) == one
        assert eval(repr(one), vars(bp)) == one
        assert hash(one) == hash(pickle.loads(pickle.dumps(one)))
    turned = dict(reversed(groups.items()))
    assert type(optimizer)(groups=groups) == type(optimizer)(groups=turned)
    with pytest.raises(AttributeError):
        optimizer.lr = 1.0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bp.SGD(lr=0), r"SGD: lr: expected a learning rate in \(0, 1000\], got 0"),
        (lambda: bp.Adam(lr=-1e-3), "Adam: lr: .* got -0.001"),
        (lambda: bp.Adam(lr=float("nan")), "got nan"),
        (lambda: bp.Adam(lr=float("inf")), "got inf"),
        (lambda: bp.Adam(lr=1e10), "got 10000000000.0"),
        (lambda: bp.Adam(lr="0.1"), "got '0.1'"),
        (lambda: bp.Adam(lr=True), "got True"),
        (lambda: bp.Adam(beta1=1.0), r"Adam: beta1: expected a number in \[0, 1\), got 1.0"),
        (lambda: bp.AdamW(beta2=-0.1), "AdamW: beta2"),
        (lambda: bp.Adam(eps=0), "Adam: eps: expected a finite number > 0, got 0"),
        (lambda: bp.AdamW(weight_decay=-1), "AdamW: weight_decay"),
        (lambda: bp.Momentum(momentum=1), "Momentum: momentum"),
        (lambda: bp.Nesterov(momentum=float("nan")), "Nesterov: momentum"),
        (lambda: bp.RMSProp(decay=1.5), "RMSProp: decay"),
        (lambda: bp.AdaGrad(eps=-1), "AdaGrad: eps"),
        (lambda: bp.SGD(groups={"biases": {}}), "SGD: groups: .* got 'biases'"),
        (lambda: bp.AdamW(groups={"bias": {"lr": 1}}), r"AdamW: groups\['bias'\]: .*lr_scale, weight_decay.* got 'lr'"),
        (lambda: bp.SGD(groups={"weight": {"weight_decay": 0.1}}), "lr_scale; AdamW decays weights"),
        (lambda: bp.SGD(groups={"bias": {"lr_scale": -1}}), r"in \[0, 1e6\], got -1"),
        (lambda: bp.SGD(groups={"bias": 3}), "SGD: groups: expected a dict"),
        (lambda: bp.SGD(groups=[1, 2]), "SGD: groups: expected a dict"),
        (lambda: by_name("adamm"), "optimizer: expected one of adagrad, adam, adamw, .*, got 'adamm'"),
        (lambda: by_name("adam", momentum=0.9), "optimizer adam: expected options among lr, beta1, .* got 'momentum'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_names():
    assert by_name("adamw", lr=0.5, weight_decay=0.1) == bp.AdamW(lr=0.5, weight_decay=0.1)
    assert {type(by_name(name)).__name__ for name in MODULES} == set(bp.Optimizer.registry)


@pytest.mark.parametrize("name", [*MODULES, "base", "gradients"])
def test_the_examples_run(name):
    module = importlib.import_module(f"backpass.optim.{name}")
    failed, tried = doctest.testmod(module)
    assert failed == 0
    assert tried > 0
