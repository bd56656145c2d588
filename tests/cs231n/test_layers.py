"""Every function of the course against finite differences, PyTorch, and the 13 defects that are not repeated."""

from __future__ import annotations

import numpy as np
import pytest

from backpass.cs231n import fast_layers, im2col, layer_utils, layers, optim
from backpass.cs231n.gradient_check import eval_numerical_gradient, eval_numerical_gradient_array, rel_error
from backpass.cs231n.vis_utils import vis_grid, vis_nn, visualize_grid

CONV = {"stride": 2, "pad": 1}
POOL = {"pool_height": 2, "pool_width": 2, "stride": 2}


def randn(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def bn():
    return {"mode": "train"}


W = (randn(4, 3, 3, 3), randn(4))
GROUP = (randn(1, 6, 1, 1), randn(1, 6, 1, 1))
CASES = {
    "affine": (layers.affine_forward, layers.affine_backward, (randn(4, 2, 3), randn(6, 5), randn(5)), ()),
    "relu": (layers.relu_forward, layers.relu_backward, (randn(4, 7),), ()),
    "batchnorm": (
        layers.batchnorm_forward,
        layers.batchnorm_backward,
        (randn(5, 4), randn(4), randn(4, seed=1)),
        (bn,),
    ),
    "batchnorm_alt": (
        layers.batchnorm_forward,
        layers.batchnorm_backward_alt,
        (randn(5, 4), randn(4), randn(4, seed=1)),
        (bn,),
    ),
    "layernorm": (
        layers.layernorm_forward,
        layers.layernorm_backward,
        (randn(5, 4), randn(4), randn(4, seed=1)),
        (dict,),
    ),
    "dropout": (
        layers.dropout_forward,
        layers.dropout_backward,
        (randn(6, 7),),
        (lambda: {"mode": "train", "p": 0.6, "seed": 5},),
    ),
    "conv_naive": (
        layers.conv_forward_naive,
        layers.conv_backward_naive,
        (randn(2, 3, 5, 6), *W),
        (lambda: CONV,),
    ),
    "conv_fast": (
        fast_layers.conv_forward_fast,
        fast_layers.conv_backward_fast,
        (randn(2, 3, 5, 6), *W),
        (lambda: CONV,),
    ),
    "conv_im2col": (
        fast_layers.conv_forward_im2col,
        fast_layers.conv_backward_im2col,
        (randn(2, 3, 5, 6), *W),
        (lambda: CONV,),
    ),
    "conv_strides": (
        fast_layers.conv_forward_strides,
        fast_layers.conv_backward_strides,
        (randn(2, 3, 5, 6), *W),
        (lambda: CONV,),
    ),
    "pool_naive": (
        layers.max_pool_forward_naive,
        layers.max_pool_backward_naive,
        (randn(2, 3, 4, 6),),
        (lambda: POOL,),
    ),
    "pool_fast": (
        fast_layers.max_pool_forward_fast,
        fast_layers.max_pool_backward_fast,
        (randn(2, 3, 4, 6),),
        (lambda: POOL,),
    ),
    "spatial_batchnorm": (
        layers.spatial_batchnorm_forward,
        layers.spatial_batchnorm_backward,
        (randn(2, 3, 4, 5), randn(3), randn(3, seed=1)),
        (bn,),
    ),
    "spatial_groupnorm": (
        layers.spatial_groupnorm_forward,
        layers.spatial_groupnorm_backward,
        (randn(2, 6, 4, 5), *GROUP),
        (lambda: 2, dict),
    ),
    "affine_relu": (
        layer_utils.affine_relu_forward,
        layer_utils.affine_relu_backward,
        (randn(4, 2, 3), randn(6, 5), randn(5)),
        (),
    ),
    "conv_relu": (
        layer_utils.conv_relu_forward,
        layer_utils.conv_relu_backward,
        (randn(2, 3, 6, 6), *W),
        (lambda: CONV,),
    ),
    "conv_bn_relu": (
        layer_utils.conv_bn_relu_forward,
        layer_utils.conv_bn_relu_backward,
        (randn(2, 3, 6, 6), *W, randn(4, seed=2), randn(4, seed=3)),
        (lambda: CONV, bn),
    ),
    "conv_relu_pool": (
        layer_utils.conv_relu_pool_forward,
        layer_utils.conv_relu_pool_backward,
        (randn(2, 3, 8, 8), *W),
        (lambda: CONV, lambda: POOL),
    ),
}


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


@pytest.mark.parametrize("name", CASES)
def test_backward_agrees_with_finite_differences(name):
    forward, backward, arrays, settings = CASES[name]
    arrays = [array.copy() for array in arrays]
    out, cache = forward(*arrays, *(make() for make in settings))
    dout = randn(*out.shape, seed=9)
    gradients = as_tuple(backward(dout, cache))
    again = as_tuple(backward(dout, cache))
    for array, gradient, second in zip(arrays, gradients, again, strict=True):
        numeric = eval_numerical_gradient_array(
            lambda _: forward(*arrays, *(make() for make in settings))[0], array, dout
        )
        assert gradient.shape == array.shape
        np.testing.assert_allclose(gradient, numeric, rtol=1e-6, atol=1e-8)
        np.testing.assert_array_equal(gradient, second)


@pytest.mark.parametrize("name", CASES)
def test_float32_order_in_memory_and_inputs(name):
    forward, backward, arrays, settings = CASES[name]
    plain = [array.astype(np.float32) for array in arrays]
    others = [np.asfortranarray(array) for array in plain]
    before = [array.copy() for array in plain]
    out, cache = forward(*plain, *(make() for make in settings))
    other, other_cache = forward(*others, *(make() for make in settings))
    dout = randn(*out.shape).astype(np.float32)
    gradients = as_tuple(backward(dout, cache))
    assert {out.dtype, *(g.dtype for g in gradients)} == {np.dtype("float32")}
    np.testing.assert_allclose(other, out, rtol=1e-4, atol=1e-5)
    for g, h in zip(gradients, as_tuple(backward(np.asfortranarray(dout), other_cache)), strict=True):
        np.testing.assert_allclose(h, g, rtol=1e-3, atol=1e-4)
    for array, old in zip(plain, before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_losses():
    x, y = 0.01 * randn(20, 10), np.arange(20) % 10
    for loss, near in ((layers.softmax_loss, np.log(10)), (layers.svm_loss, 9.0)):
        value, dx = loss(x, y)
        assert abs(value - near) < 0.1
        np.testing.assert_allclose(
            dx, eval_numerical_gradient(lambda _, f=loss: f(x, y)[0], x, verbose=False), atol=1e-8
        )


def test_conv_and_pool_agree_with_torch():
    torch = pytest.importorskip("torch")
    x, w, b = randn(2, 3, 9, 8), randn(4, 3, 2, 3), randn(4)
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, w, b)]
    for stride, pad in ((1, 1), (2, 0), (3, 2)):
        wanted = torch.nn.functional.conv2d(*leaves, stride=stride, padding=pad)
        dout = randn(*wanted.shape)
        gradients = torch.autograd.grad(wanted, leaves, torch.tensor(dout))
        for kind in ("naive", "fast", "im2col", "strides", "pytorch"):
            module = layers if kind == "naive" else fast_layers
            out, cache = getattr(module, f"conv_forward_{kind}")(x, w, b, {"stride": stride, "pad": pad})
            np.testing.assert_allclose(out, wanted.detach().numpy(), atol=1e-12)
            for mine, theirs in zip(getattr(module, f"conv_backward_{kind}")(dout, cache), gradients, strict=True):
                np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-11)


# -- the 13 defects of the official material -----------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width", "stride"), [(3, 3, 2), (2, 3, 1), (3, 2, 2)])
def test_defect_1_fast_pooling_takes_overlapping_and_oblong_windows(height, width, stride):
    x, settings = randn(2, 3, 7, 9), {"pool_height": height, "pool_width": width, "stride": stride}
    out, cache = fast_layers.max_pool_forward_im2col(x, settings)
    wanted, naive = layers.max_pool_forward_naive(x, settings)
    np.testing.assert_array_equal(out, wanted)
    dout = randn(*out.shape)
    mine, theirs = fast_layers.max_pool_backward_im2col(dout, cache), layers.max_pool_backward_naive(dout, naive)
    np.testing.assert_allclose(mine, theirs)


@pytest.mark.parametrize(("height", "width"), [(2, 3), (3, 2), (1, 4)])
def test_defects_2_and_3_columns_of_oblong_windows(height, width):
    x = randn(2, 3, 6, 5)
    cols = im2col.im2col_indices(x, height, width, padding=1, stride=1)
    k, i, j = im2col.get_im2col_indices(x.shape, height, width, padding=1, stride=1)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    np.testing.assert_array_equal(cols, padded[:, k, i, j].transpose(1, 2, 0).reshape(len(k), -1))
    other = randn(*cols.shape)  # <im2col x, other> = <x, col2im other>
    back = im2col.col2im_indices(other, x.shape, height, width, padding=1, stride=1)
    np.testing.assert_allclose((cols * other).sum(), (x * back).sum())


def test_defect_4_fortran_order():
    x, (w, b) = np.asfortranarray(randn(2, 3, 5, 6)), W
    out, _ = fast_layers.conv_forward_strides(x, w, b, CONV)
    np.testing.assert_allclose(out, layers.conv_forward_naive(x, w, b, CONV)[0])


def test_defect_5_of_values_that_tie_the_first_gets_the_gradient_in_every_version():
    x, dout = np.zeros((1, 1, 2, 2)), np.ones((1, 1, 1, 1))
    wanted = np.array([[[[1.0, 0.0], [0.0, 0.0]]]])
    for module, kind in ((layers, "naive"), (fast_layers, "fast"), (fast_layers, "reshape"), (fast_layers, "im2col")):
        for image in (x, x.astype(int)):
            _, cache = getattr(module, f"max_pool_forward_{kind}")(image, POOL)
            np.testing.assert_array_equal(getattr(module, f"max_pool_backward_{kind}")(dout, cache), wanted)


def test_defect_8_a_constant_image_is_black():
    assert not visualize_grid(np.full((2, 3, 3, 3), 7.0)).any()
    assert np.isfinite(vis_grid(np.full((2, 3, 3, 3), 7.0))).all()
    assert vis_nn([[np.zeros((2, 2, 3)), np.ones((2, 2, 3))]]).shape == (2, 5, 3)


def test_defect_9_a_mask_has_the_dtype_of_x():
    out, cache = layers.dropout_forward(np.ones((3, 4), np.float32), {"p": 0.5, "mode": "train", "seed": 1})
    assert (
        out.dtype == cache[1].dtype == layers.dropout_backward(np.ones((3, 4), np.float32), cache).dtype == np.float32
    )


def test_defect_10_lambdas_that_ignore_their_argument_still_work():
    x, gamma, beta = randn(2, 6, 4, 5), *(a.copy() for a in GROUP)
    out, cache = layers.spatial_groupnorm_forward(x, gamma, beta, 2, {})
    dout = randn(*out.shape, seed=3)
    _, dgamma, dbeta = layers.spatial_groupnorm_backward(dout, cache)
    for array, gradient in ((gamma, dgamma), (beta, dbeta)):
        before = array.copy()
        numeric = eval_numerical_gradient_array(
            lambda a: layers.spatial_groupnorm_forward(x, gamma, beta, 2, {})[0], array, dout
        )
        np.testing.assert_allclose(gradient, numeric, atol=1e-8)
        np.testing.assert_array_equal(array, before)

    def breaks(_):
        raise KeyError

    for function in (eval_numerical_gradient, lambda f, a: eval_numerical_gradient_array(f, a, dout)):
        before = gamma.copy()
        with pytest.raises(KeyError):
            function(breaks, gamma)
        np.testing.assert_array_equal(gamma, before)


def test_defect_13_running_statistics_start_at_zero_as_the_contract_says():
    settings = {"mode": "train"}
    x = randn(200, 3) + 5
    for _ in range(3):
        layers.batchnorm_forward(x, np.ones(3), np.zeros(3), settings)
    np.testing.assert_allclose(settings["running_mean"], (1 - 0.9**3) * x.mean(axis=0))
    np.testing.assert_allclose(settings["running_var"], (1 - 0.9**3) * x.var(axis=0))


# -- settings and modes --------------------------------------------------------------------------------------------


def test_batchnorm_modes_and_running_statistics():
    settings = {"mode": "train", "momentum": np.float64(0.5), "eps": np.float64(1e-5)}
    x = randn(8, 3).astype(np.float32)
    layers.batchnorm_forward(x, np.ones(3, np.float32), np.zeros(3, np.float32), settings)
    assert settings["running_mean"].dtype == np.float32
    settings["mode"] = "test"
    out, cache = layers.batchnorm_forward(x, np.ones(3, np.float32), np.zeros(3, np.float32), settings)
    assert cache is None
    wanted = (x - settings["running_mean"]) / np.sqrt(settings["running_var"] + 1e-5)
    np.testing.assert_allclose(out, wanted, rtol=1e-5)
    for mode in ({}, {"mode": "eval"}):
        with pytest.raises(ValueError, match="'train' or 'test'"):
            layers.batchnorm_forward(x, np.ones(3), np.zeros(3), mode)


def test_groupnorm_takes_both_shapes_of_gamma():
    x, dout = randn(2, 6, 4, 5), randn(2, 6, 4, 5, seed=1)
    out, cache = layers.spatial_groupnorm_forward(x, *GROUP, 2, {})
    flat, flat_cache = layers.spatial_groupnorm_forward(x, GROUP[0].reshape(6), GROUP[1].reshape(6), 2, {})
    np.testing.assert_array_equal(out, flat)
    assert layers.spatial_groupnorm_backward(dout, cache)[1].shape == (1, 6, 1, 1)
    assert layers.spatial_groupnorm_backward(dout, flat_cache)[1].shape == (6,)


@pytest.mark.parametrize("p", [0.25, 0.4, 0.7])
def test_e13_dropout_keeps_the_mean(p):
    x = randn(500, 500) + 10
    out, _ = layers.dropout_forward(x, {"mode": "train", "p": p})
    assert abs(out.mean() - 10) < 0.15
    assert abs((out == 0).mean() - (1 - p)) < 0.01
    np.testing.assert_array_equal(layers.dropout_forward(x, {"mode": "test", "p": p})[0], x)


@pytest.mark.parametrize("rule", ["sgd", "sgd_momentum", "rmsprop", "adam"])
def test_update_rules_agree_with_torch_and_change_nothing_passed(rule):
    torch = pytest.importorskip("torch")
    made = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.01),
        "sgd_momentum": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9),
        "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, alpha=0.99),
        "adam": lambda p: torch.optim.Adam(p, lr=0.001),
    }[rule]
    start = randn(5, 4)
    theirs = torch.tensor(start.copy(), requires_grad=True)
    torch_rule = made([theirs])
    mine, config = start, None
    for step in range(4):
        dw = randn(5, 4, seed=step)
        theirs.grad = torch.tensor(dw)
        torch_rule.step()
        before = mine.copy()
        old_config = {} if config is None else {k: np.copy(v) for k, v in config.items()}
        kept = {} if config is None else dict(config)
        new, config = getattr(optim, rule)(mine, dw, config)
        np.testing.assert_array_equal(mine, before)
        for name, value in old_config.items():
            np.testing.assert_array_equal(kept[name], value)
        mine = new
    np.testing.assert_allclose(mine, theirs.detach().numpy(), rtol=1e-12)
    config = {"learning_rate": np.float64(0.1)}
    assert getattr(optim, rule)(np.ones(3, np.float32), np.ones(3, np.float32), config)[0].dtype == np.float32


def test_rel_error():
    assert rel_error(np.array([1.0, 0.0]), np.array([3.0, 0.0])) == 0.5
