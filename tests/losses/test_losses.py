"""Every loss: staged, simplified, kernel, finite differences and PyTorch agree; bad targets are refused."""

from __future__ import annotations

import doctest
import importlib
import importlib.util
import math
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import backpass as bp
from backpass import native
from backpass.errors import ArgumentError, DTypeError, ShapeError
from backpass.losses import base, mse, softmax, svm

CASES = [*softmax.CASES, *svm.CASES, *mse.CASES]
IDS = [f"{loss!r}-{shape}" for loss, shape in CASES]
PARTS = {
    bp.SoftmaxLoss: (softmax.softmax_forward, softmax.softmax_backward_staged, softmax.softmax_backward),
    bp.SVMLoss: (svm.svm_forward, svm.svm_backward_staged, svm.svm_backward),
    bp.MSELoss: (mse.mse_forward, mse.mse_backward_staged, mse.mse_backward),
}
needs_kernels = pytest.mark.skipif(not native.available, reason="no kernels")


def batch(loss, shape, *, seed=0, dtype=np.float64, scale=3.0):
    """Random scores, targets as `check` returns them, and weights."""
    rng = np.random.default_rng(seed)
    scores = (scale * rng.standard_normal(shape)).astype(dtype)
    regression = isinstance(loss, bp.MSELoss)
    y = scale * rng.standard_normal(shape) if regression else rng.integers(0, shape[1], shape[0])
    weights = rng.uniform(0.1, 2, shape[0]).astype(dtype)
    return scores, loss.check(shape, y, weights), weights


def run_kernel(loss, scores, y, weights=None):
    value, dscores = np.full(1, np.nan), np.full_like(scores, np.nan)
    loss.kernel(value, dscores, scores, y, weights)()
    return float(value[0]), dscores


# -- against PyTorch ----------------------------------------------------------------------------------------------------


def torchs(scores, function):
    x = torch.tensor(scores, requires_grad=True)
    loss = function(x)
    loss.backward()
    return loss.item(), x.grad.numpy()


def agree(ours, theirs):
    assert ours[0] == pytest.approx(theirs[0], rel=1e-12)
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-11, atol=1e-15)


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("shape", [(1, 2), (17, 10), (64, 33)])
def test_softmax_is_pytorchs(shape, smoothing):
    scores, y, weights = batch(bp.SoftmaxLoss(), shape)
    labels = torch.tensor(y)
    agree(
        bp.softmax_loss(scores, y, label_smoothing=smoothing),
        torchs(scores, lambda x: F.cross_entropy(x, labels, label_smoothing=smoothing)),
    )
    agree(
        bp.softmax_loss(scores, y, label_smoothing=smoothing, sample_weights=weights),
        torchs(
            scores,
            lambda x: (
                (torch.tensor(weights) * F.cross_entropy(x, labels, label_smoothing=smoothing, reduction="none")).sum()
                / weights.sum()
            ),
        ),
    )


@pytest.mark.parametrize("shape", [(17, 10), (64, 33)])
def test_class_weights_are_pytorchs(shape):
    scores, y, weights = batch(bp.SoftmaxLoss(), shape)
    classes = np.random.default_rng(5).uniform(0, 2, shape[1])
    agree(
        bp.softmax_loss(scores, y, class_weights=classes),
        torchs(scores, lambda x: F.cross_entropy(x, torch.tensor(y), weight=torch.tensor(classes))),
    )
    # Together with sample weights, and with smoothing, where PyTorch means something else: the mean by hand.
    v = classes[y] * weights
    for smoothing in (0.0, 0.3):
        each = F.cross_entropy(
            torch.tensor(scores), torch.tensor(y), label_smoothing=smoothing, reduction="none"
        ).numpy()
        ours, _ = bp.softmax_loss(scores, y, label_smoothing=smoothing, class_weights=classes, sample_weights=weights)
        assert ours == pytest.approx((v * each).sum() / v.sum(), rel=1e-12)


@pytest.mark.parametrize("margin", [1.0, 0.3])
@pytest.mark.parametrize("shape", [(1, 2), (17, 10), (64, 33)])
def test_svm_is_c_times_pytorchs(shape, margin):
    scores, y, weights = batch(bp.SVMLoss(), shape)
    C, labels = shape[1], torch.tensor(y)
    agree(
        bp.svm_loss(scores, y, margin=margin),
        torchs(scores, lambda x: C * F.multi_margin_loss(x, labels, margin=margin)),
    )
    agree(
        bp.svm_loss(scores, y, margin=margin, sample_weights=weights),
        torchs(
            scores,
            lambda x: (
                (torch.tensor(weights) * C * F.multi_margin_loss(x, labels, margin=margin, reduction="none")).sum()
                / weights.sum()
            ),
        ),
    )


@pytest.mark.parametrize("shape", [(1, 1), (17, 10), (5, 2, 3, 4)])
def test_mse_is_pytorchs(shape):
    scores, y, weights = batch(bp.MSELoss(), shape)
    agree(bp.mse_loss(scores, y), torchs(scores, lambda x: F.mse_loss(x, torch.tensor(y))))
    rows = torch.tensor(weights).reshape(-1, *[1] * (len(shape) - 1))
    agree(
        bp.mse_loss(scores, y, sample_weights=weights),
        torchs(
            scores,
            lambda x: (rows * (x - torch.tensor(y)) ** 2).sum() / (weights.sum() * math.prod(shape[1:])),
        ),
    )


# -- by hand --------------------------------------------------------------------------------------------------------------


def test_softmax_by_hand():
    """p = (1/4, 3/4); label 1 once, label 0 with three times the weight."""
    scores = np.log([[1.0, 3.0], [1.0, 3.0]])
    loss, dscores = bp.softmax_loss(scores, [1, 0], sample_weights=[1, 3])
    assert loss == pytest.approx((math.log(4 / 3) + 3 * math.log(4)) / 4)
    np.testing.assert_allclose(dscores, [[1 / 16, -1 / 16], [-9 / 16, 9 / 16]])


def test_fresh_scores_have_the_loss_of_a_guess():
    for C in (2, 10, 1000):
        assert bp.softmax_loss(np.zeros((3, C)), [0, 1, 1])[0] == pytest.approx(math.log(C))
        assert bp.svm_loss(np.zeros((3, C)), [0, 1, 1])[0] == C - 1


@pytest.mark.parametrize("kernels", [pytest.param(True, marks=needs_kernels), False])
def test_svm_at_the_kink(kernels):
    """Class 0 is exactly a margin behind: no loss and, by convention, no gradient; class 2 is a hair inside."""
    scores, y = np.array([[1.0, 2.0, np.nextafter(1.0, 2)]]), np.array([1])
    loss = bp.SVMLoss()
    value, dscores = run_kernel(loss, scores, y) if kernels else loss.reference(scores, y)
    assert 0 < value < 1e-15
    np.testing.assert_array_equal(dscores, [[0.0, -1.0, 1.0]])


@pytest.mark.parametrize("kernels", [pytest.param(True, marks=needs_kernels), False])
@pytest.mark.parametrize("loss", [bp.SoftmaxLoss(class_weights=(0.0, 1.0)), bp.SVMLoss(class_weights=(0.0, 1.0))])
def test_a_batch_in_which_nothing_counts(loss, kernels):
    scores, y = np.array([[1.0, 2.0], [3.0, 1.0]]), np.array([0, 0])
    value, dscores = run_kernel(loss, scores, y) if kernels else loss.reference(scores, y)
    assert value == 0
    np.testing.assert_array_equal(dscores, np.zeros((2, 2)))


# -- derivatives ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("loss", "shape"), CASES, ids=IDS)
def test_finite_differences(loss, shape, weighted):
    scores, y, weights = batch(loss, shape, seed=3)
    if not weighted:
        weights = None
    direction = np.random.default_rng(9).standard_normal(shape)
    h = 1e-6

    def along(t):
        return loss.reference(scores + t * direction, y, weights)[0]

    numeric = (along(h) - along(-h)) / (2 * h)
    _, dscores = loss.reference(scores, y, weights)
    assert numeric == pytest.approx((dscores * direction).sum(), rel=1e-7, abs=1e-9)


@pytest.mark.parametrize(("loss", "shape"), CASES, ids=IDS)
def test_staged_is_simplified(loss, shape):
    scores, y, weights = batch(loss, shape)
    forward, staged, simplified = PARTS[type(loss)]
    hyper = {name: value for name, value in vars(loss).items() if name != "class_weights"}
    normalised = base.mean_weights(np.zeros(len(scores), int), np.float64, None, weights)
    _, cache = forward(scores, y, normalised, **hyper)
    np.testing.assert_allclose(staged(cache), simplified(cache), rtol=0, atol=1e-15)


# -- kernel against reference ---------------------------------------------------------------------------------------------

SHAPES = [(1, 2), (15, 10), (16, 16), (17, 15), (33, 17), (31, 32), (3, 100), (700, 33), (256, 10), (2, 3000)]


@needs_kernels
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("loss", "shape"),
    [*CASES, *((loss, s) for loss in (bp.SoftmaxLoss(0.1), bp.SVMLoss(0.7), bp.MSELoss()) for s in SHAPES)],
)
def test_the_kernel_is_the_references_twin(loss, shape, weighted, dtype):
    """Inside a larger buffer of NaN and guards: nothing else is read into the result, nothing else written."""
    scores, y, weights = batch(loss, shape, dtype=dtype)
    size, weights = scores.size, weights if weighted else None
    around = np.full(size + 40, np.nan, dtype)
    around[7 : 7 + size] = scores.reshape(-1)
    into = np.full(size + 40, 77, dtype)
    dscores, value = into[5 : 5 + size].reshape(shape), np.zeros(1)
    loss.kernel(value, dscores, around[7 : 7 + size].reshape(shape), y, weights)()
    expected, dexpected = loss.reference(scores, y, weights)
    eps = float(np.finfo(dtype).eps)
    assert value[0] == pytest.approx(expected, rel=30 * eps)
    np.testing.assert_allclose(dscores, dexpected, rtol=0, atol=8 * eps * np.abs(dexpected).max())
    assert (into[:5] == 77).all()
    assert (into[5 + size :] == 77).all()
    np.testing.assert_array_equal(around[7 : 7 + size].reshape(shape), scores)


@needs_kernels
@pytest.mark.parametrize("loss", [bp.SoftmaxLoss(0.1), bp.SVMLoss(), bp.MSELoss()], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_do_not_change_a_bit(loss, dtype):
    results = []
    for threads in (1, 2, 3):
        bp.set_threads(threads)
        scores, y, weights = batch(loss, (3001, 19), dtype=dtype)
        value, dscores = run_kernel(loss, scores, y, weights)
        results.append((value, dscores.tobytes()))
    assert results[0] == results[1] == results[2]


@pytest.mark.parametrize("kernels", [pytest.param(True, marks=needs_kernels), False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e4, 1e30])
@pytest.mark.parametrize("loss", [bp.SoftmaxLoss(), bp.SoftmaxLoss(0.1), bp.SVMLoss(), bp.MSELoss()], ids=repr)
def test_extreme_scores(loss, scale, dtype, kernels):
    scores, y, _ = batch(loss, (40, 10), dtype=dtype, scale=scale)
    value, dscores = run_kernel(loss, scores, y) if kernels else loss.reference(scores, y)
    assert math.isfinite(value)
    assert value > 0
    assert np.isfinite(dscores).all()
    assert dscores.dtype == dtype
    exact, _ = loss.reference(scores.astype(np.longdouble), y)
    assert value == pytest.approx(float(exact), rel=1e-5 if dtype == np.float32 else 1e-13)


def test_softmax_does_not_feel_a_shift():
    scores, y, _ = batch(bp.SoftmaxLoss(), (20, 5))
    near, far = bp.softmax_loss(scores, y), bp.softmax_loss(scores + 1e4, y)
    assert near[0] == pytest.approx(far[0], rel=1e-11)
    np.testing.assert_allclose(near[1], far[1], rtol=0, atol=1e-13)


@needs_kernels
@pytest.mark.parametrize("loss", [bp.SoftmaxLoss(), bp.SVMLoss(), bp.MSELoss()], ids=repr)
@pytest.mark.parametrize("place", [(0, 0), (0, 3), (30, 9)])
def test_nan_in_the_scores_shows_in_the_loss(loss, place):
    for column in range(2):  # the label's own score and another one
        scores, y, _ = batch(loss, (31, 10))
        if not isinstance(loss, bp.MSELoss):
            y[place[0]] = place[1] if column == 0 else (place[1] + 1) % 10
        scores[place] = np.nan
        assert math.isnan(run_kernel(loss, scores, y)[0])


def test_lists_and_whole_numbers_will_do():
    loss, dscores = bp.softmax_loss([[1, 2], [3, 4]], [True, False])
    assert dscores.dtype == np.float64
    assert bp.softmax_loss(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 0.0]))[0] == loss
    assert bp.svm_loss(np.ones((2, 3), np.float32), np.array([1, 2], np.uint8))[1].dtype == np.float32
    assert bp.mse_loss(np.ones((2, 1), np.float32), [[1], [2]])[1].dtype == np.float32


def test_a_loss_without_a_kernel_runs_its_reference():
    class Perceptron(bp.Loss):
        def check(self, scores_shape, y, sample_weights=None):
            return np.asarray(y)

        def reference(self, scores, y, sample_weights=None):
            return float(np.maximum(-y * scores[:, 0], 0).sum()), np.where(y[:, None] * scores < 0, -y[:, None], 0.0)

    try:
        value, dscores = run_kernel(Perceptron(), np.array([[2.0], [-1.0]]), np.array([1.0, 1.0]))
        assert value == 1
        np.testing.assert_array_equal(dscores, [[0.0], [-1.0]])
    finally:
        del bp.Loss.registry["Perceptron"]


# -- the objects, and what is refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [loss for loss, _ in CASES], ids=repr)
def test_objects_survive_pickle_and_repr(loss):
    assert pickle.loads(pickle.dumps(loss)) == loss
    assert eval(repr(loss), vars(bp)) == loss
    assert hash(loss) == hash(pickle.loads(pickle.dumps(loss)))


X = np.zeros((3, 4))


@pytest.mark.parametrize("function", [bp.softmax_loss, bp.svm_loss])
@pytest.mark.parametrize(
    ("scores", "y", "options", "error", "message"),
    [
        (X, [0, 1, 4], {}, ArgumentError, "y: expected whole numbers from 0 to 3, got 4 at sample 2"),
        (X, [0, -1, 2], {}, ArgumentError, "got -1 at sample 1"),
        (X, [0, 0.5, 2], {}, ArgumentError, "got 0.5 at sample 1"),
        (X, [0, np.nan, 2], {}, ArgumentError, "got nan at sample 1"),
        (X, [0, np.inf, 2], {}, ArgumentError, "got inf at sample 1"),
        (X, np.array([0, 2**63, 1], np.uint64), {}, ArgumentError, "got 9223372036854775808 at sample 1"),
        (X, np.eye(4)[:3], {}, ShapeError, r"shape \(3,\), got \(3, 4\); .*argmax"),
        (X, [[0], [1], [2]], {}, ShapeError, r"got \(3, 1\); y.reshape\(-1\)"),
        (X, [0, 1], {}, ShapeError, r"shape \(3,\), got \(2,\)"),
        (X, 1, {}, ShapeError, r"got \(\)"),
        (X, ["a", "b", "c"], {}, DTypeError, "expected labels as whole numbers"),
        (X, [None, 1, 2], {}, DTypeError, "got dtype object"),
        (np.zeros((0, 4)), [], {}, ShapeError, r"at least one sample .*got \(0, 4\)"),
        (np.zeros((3, 1)), [0, 0, 0], {}, ShapeError, "two classes"),
        (np.zeros(3), [0, 0, 0], {}, ShapeError, r"scores of shape \(N, C\)"),
        (np.zeros((3, 2, 2)), [0, 0, 0], {}, ShapeError, r"scores of shape \(N, C\)"),
        (
            np.where(np.eye(3, 4), np.nan, 0),
            [0, 1, 2],
            {},
            ArgumentError,
            r"expected finite numbers, got nan at \(0, 0\)",
        ),
        (X + np.inf, [0, 1, 2], {}, ArgumentError, "got inf"),
        (X.astype(complex), [0, 1, 2], {}, DTypeError, "got complex128"),
        (X.astype(np.float16), [0, 1, 2], {}, DTypeError, "got float16"),
        (X, [0, 1, 2], {"sample_weights": [1, -1, 1]}, ArgumentError, "sample_weights: .*>= 0, got -1 at index 1"),
        (X, [0, 1, 2], {"sample_weights": [1, np.nan, 1]}, ArgumentError, "got nan at index 1"),
        (X, [0, 1, 2], {"sample_weights": [1, np.inf, 1]}, ArgumentError, "got inf at index 1"),
        (X, [0, 1, 2], {"sample_weights": [0, 0, 0]}, ArgumentError, "at least one above zero"),
        (X, [0, 1, 2], {"sample_weights": [1, 1]}, ShapeError, r"shape \(3,\), got \(2,\)"),
        (X, [0, 1, 2], {"sample_weights": 1.0}, ShapeError, "sample_weights"),
        (X, [0, 1, 2], {"class_weights": [1, 1, 1]}, ShapeError, "each of the 4 classes, got 3"),
        (X, [0, 1, 2], {"class_weights": [1, 1, 1, -2]}, ArgumentError, "class_weights: .*got -2 at index 3"),
        (X, [0, 1, 2], {"class_weights": [0, 0, 0, 0]}, ArgumentError, "at least one above zero"),
        (X, [0, 1, 2], {"class_weights": "abcd"}, DTypeError, "class_weights: expected a list of numbers"),
    ],
)
def test_bad_batches(function, scores, y, options, error, message):
    with pytest.raises(error, match=message):
        function(scores, y, **options)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: bp.SoftmaxLoss(label_smoothing=1.0), r"label_smoothing: expected a number in \[0, 1\), got 1.0"),
        (lambda: bp.SoftmaxLoss(label_smoothing=-0.1), "label_smoothing"),
        (lambda: bp.SoftmaxLoss(label_smoothing=float("nan")), "label_smoothing"),
        (lambda: bp.SVMLoss(margin=0), "SVMLoss: margin: expected a finite number > 0, got 0"),
        (lambda: bp.SVMLoss(margin=float("inf")), "margin"),
        (lambda: bp.mse_loss(np.zeros((3, 1)), np.zeros(3)), r"shape \(3, 1\), got \(3,\); y.reshape\(scores.shape\)"),
        (lambda: bp.mse_loss(np.zeros((3, 1)), np.zeros((2, 1))), r"got \(2, 1\)$"),
        (lambda: bp.mse_loss(np.zeros((2, 1)), [[1], [np.nan]]), r"expected finite targets, got nan at \(1, 0\)"),
        (lambda: bp.mse_loss(np.zeros(3), np.zeros(3)), r"expected scores of shape \(N, C\)"),
        (lambda: bp.mse_loss(np.zeros((0, 2)), np.zeros((0, 2))), r"got \(0, 2\)"),
        (lambda: bp.mse_loss(np.zeros((1, 1)), [["a"]]), "MSELoss: y: expected numbers"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises((ArgumentError, ShapeError, DTypeError), match=message):
        make()


@pytest.mark.parametrize("module", [softmax, svm, mse, base], ids=lambda m: m.__name__)
def test_the_examples_run(module):
    failed, tried = doctest.testmod(importlib.import_module(module.__name__))
    assert failed == 0
    assert tried > 0


READ_AT_THE_END = """
import ctypes, mmap
import numpy as np
import backpass as bp
PAGE = mmap.PAGESIZE
memory = mmap.mmap(-1, 2 * PAGE)
start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
assert ctypes.CDLL(None).mprotect(ctypes.c_void_p(start + PAGE), PAGE, 0) == 0
for dtype in (np.float32, np.float64):
    for shape in ((1, 2), (3, 5), (16, 10), (17, 10), (5, 33)):
        size = shape[0] * shape[1] * np.dtype(dtype).itemsize
        scores = np.frombuffer(memory, dtype, shape[0] * shape[1], PAGE - size).reshape(shape)
        for loss, y in ((bp.SoftmaxLoss(), np.zeros(shape[0], np.int64)), (bp.SVMLoss(), np.zeros(shape[0], np.int64)),
                        (bp.MSELoss(), np.zeros(shape))):
            value = np.zeros(1)
            loss.kernel(value, np.empty_like(scores), scores, y)()
            assert np.isfinite(value[0])
print("fine", flush=True)
import os
os._exit(0)  # the memory cannot be released while arrays point into it
"""


@needs_kernels
@pytest.mark.skipif(sys.platform == "win32", reason="mprotect is POSIX")
def test_nothing_is_read_past_the_end():
    """The scores end where a page begins that must not be touched: reading on would end the process."""
    result = subprocess.run([sys.executable, "-c", READ_AT_THE_END], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "fine\n"), result.stderr


AT_ANOTHER_LEVEL = """
import numpy as np
import backpass as bp
for dtype, most in ((np.float32, 1e-5), (np.float64, 1e-14)):
    for loss in (bp.SoftmaxLoss(0.1), bp.SVMLoss(), bp.MSELoss()):
        rng = np.random.default_rng(0)
        scores, y = rng.standard_normal((37, 10)).astype(dtype), rng.integers(0, 10, 37)
        if isinstance(loss, bp.MSELoss):
            y = rng.standard_normal((37, 10))
        value, dscores = np.zeros(1), np.empty_like(scores)
        loss.kernel(value, dscores, scores, y)()
        exact, dexact = loss.reference(scores.astype(np.longdouble), y)
        assert abs(value[0] - exact) < most * exact, (loss, dtype, value[0], exact)
        assert abs(dscores - dexact).max() < most * abs(dexact).max()
print("fine")
"""


@needs_kernels
@pytest.mark.parametrize("level", ["v2", "v3", "v4", "base"])
def test_every_instruction_set(level):
    """Also that kernels leave the processor fit for long double: MMX instructions, which compilers may choose, do not."""
    if importlib.util.find_spec(f"backpass.native._{level}") is None:
        pytest.skip("not built")
    if level not in importlib.import_module("backpass.native._cpu").instruction_sets():
        pytest.skip("not of this processor")
    environment = {**os.environ, "BACKPASS_ISA": level}
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", AT_ANOTHER_LEVEL],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert (result.returncode, result.stdout) == (0, "fine\n"), result.stderr
