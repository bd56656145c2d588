"""What kernels say about their arguments: everything that the package binds fits, and what does not fit is refused."""

from __future__ import annotations

import importlib
import re
from collections import defaultdict

import numpy as np
import pytest
from contract.cases import all_cases

import backpass as bp
from backpass import native
from backpass.losses.base import Loss

pytestmark = pytest.mark.skipif(not native.available, reason="the kernels are switched off")

PARAMETER = re.compile(r"(\w+)(\??)(\([^)]*\))?")
ALONE = {  # kernels that no layer, loss or optimizer binds
    "limit_copy": (np.zeros(4), np.ones(4)),
    "limit_multiply_add": (np.zeros(2), np.zeros(1), 3),
    "move_average": (np.zeros(4), np.ones(4), np.ones(1), 0),
    **{name: (np.zeros(4), np.ones(4)) for name in native._kernels if name.startswith("vector_")},
}


def parameters(kernel):
    """[(name, may be None, sizes or None)] of a kernel's signature."""
    found = PARAMETER.findall(native._kernels[kernel].split("|")[0])
    return [(name, bool(optional), sizes[1:-1].split(", ") if sizes else None) for name, optional, sizes in found]


def bind_everything():
    """Make nets, losses and optimizers bind whatever they have kernels for."""
    for _, layer, shape in all_cases():
        for layers in ([layer], [layer, bp.ReLU()]):
            model = bp.Model(layers, shape[1:])
            model.plan(max(2, shape[0]))
            model.infer(np.zeros(shape))
    pictures = bp.Model(bp.models.three_layer_convnet(classes=2), (3, 12, 10))
    pictures.plan(2, input_gradient=False)
    pictures.infer(np.zeros((2, 3, 12, 10)))
    for cls in Loss.registry.values():
        for loss, shape in getattr(importlib.import_module(cls.__module__), "CASES", []):
            y = np.zeros(shape) if cls is bp.MSELoss else np.zeros(shape[0], np.int64)
            scores = np.zeros(shape, np.float32)
            y = loss.check(shape, y)
            for weights in (None, np.ones(shape[0], np.float32)):
                loss.kernel(np.zeros(1), scores.copy(), scores, y, weights)
    data = bp.data.load("digits").subset(train=64, val=10)
    for name in ("SGD", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam", "AdamW"):
        for kind in ("standardise", "pca"):
            model = bp.Model([bp.Affine(10)], (64,) if kind == "pca" else data.shape)
            optimizer = getattr(bp, name)(lr=0.1)
            bp.Trainer(model, data, optimizer=optimizer, preprocess=kind, epochs=1, reg=1e-3, clip_norm=1.0).fit()
    reals = bp.data.load((data.train.x.astype(np.float32), data.train.y))
    for source in (data, reals):
        for augment in ((), (bp.data.Flip(),)):
            bp.Trainer(bp.Model([bp.Affine(10)], data.shape), source, epochs=1, augment=augment).fit()


@pytest.fixture(scope="module")
def bound():
    """The arguments of every binding, by kernel."""
    calls = defaultdict(list, {name: [arguments] for name, arguments in ALONE.items()})
    with pytest.MonkeyPatch.context() as patch:
        for name in native._kernels:
            real = getattr(native, name)

            def record(*arguments, name=name, real=real):
                if len(calls[name]) < 20:
                    calls[name].append(arguments)
                return real(*arguments)

            patch.setattr(native, name, record)
        bind_everything()
    return calls


def test_every_kernel_says_what_it_takes_and_something_binds_it(bound):
    assert [name for name, text in native._kernels.items() if not text] == []
    assert sorted(set(native._kernels) - set(bound)) == []


def refused(kernel, arguments, i, other):
    try:
        getattr(native, kernel)(*arguments[:i], other, *arguments[i + 1 :])
    except TypeError as error:
        text = str(error)
        return text.startswith(f"{kernel}: ") and "expected" in text
    return False


@pytest.mark.parametrize("kernel", sorted(native._kernels))
def test_missing_arrays_and_wrong_sizes_are_refused(kernel, bound):
    passed = []
    for i, (name, optional, sizes) in enumerate(parameters(kernel)):
        calls = [a for a in bound[kernel] if (a[i] is not None if sizes else True)]
        if not sizes:
            if not all(refused(kernel, a, i, other) for a in calls[:1] for other in (None, np.zeros(3))):
                passed.append(f"{name}: None or an array")
            continue
        if not optional and not all(refused(kernel, a, i, None) for a in calls):
            passed.append(f"{name}: None")
        if not all(refused(kernel, a, i, 3.0) for a in calls):
            passed.append(f"{name}: a number")
        for axis, size in enumerate(sizes):
            there = [a for a in calls if axis < a[i].ndim]
            # What stands in one place only may be larger.  Three more than there should be: the rules for windows leave
            # room for one that lies in the padding.
            alone = [size in [n, *(z or ())] for n, _, z in parameters(kernel)].count(True) == 1
            if (
                there
                and not alone
                and size != "_"
                and not any(refused(kernel, a, i, larger(a[i], axis)) for a in there)
            ):
                passed.append(f"{name}: {size} + 3")
            if not alone and not all(refused(kernel, a, i, smaller(a[i], axis)) for a in there):
                passed.append(f"{name}: {size} = 0")
        if not sizes[-1].endswith("..") and not all(refused(kernel, a, i, a[i][None]) for a in calls):
            passed.append(f"{name}: one dimension more")
    assert passed == []


def larger(array, axis):
    return np.concatenate([array, *(array.take([0], axis) for _ in range(3))], axis)


def smaller(array, axis):
    return array.take([], axis)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda a: native.affine_forward(a((8, 5)), a((8, 3)), a((4, 5)), a(5), 0),
            "affine_forward: argument 3 (w): expected shape (D, M) with D = 3, M = 5, got (4, 5)",
        ),
        (
            lambda a: native.relu_forward(a((2, 3)), a(5)),
            "relu_forward: argument 2 (x): expected shape (n..) with n = 6, got (5,)",
        ),
        (
            lambda a: native.adam(a(9), a(9), None, a(9), a(4), 1.0, 0.9, 0.99, 1e-8, 0.0),
            "adam: argument 3 (v): expected an array, got None",
        ),
        (
            lambda a: native.groupnorm_forward(a((1, 6, 2, 2)), None, None, a((1, 6, 2, 2)), a(6), a(6), 4, 1e-5, 0),
            "groupnorm_forward: expected C to be a multiple of groups, got 6 and 4",
        ),
        (
            lambda a: native.maxpool_forward(a((1, 1, 3, 2)), None, a((1, 1, 4, 4)), 2, 2, 2, 2, 0, 0),
            "maxpool_forward: expected OH*stride_y + HH <= H + 2*top + stride_y, got 8 and 6",
        ),
    ],
)
def test_messages_name_kernel_argument_expected_and_got(call, words):
    with pytest.raises(TypeError) as raised:
        call(np.ones)
    assert str(raised.value) == words
