"""Small programs find out whether one thread is quicker than all; the bits are the same."""

from __future__ import annotations

import time

import numpy as np
import pytest

import backpass as bp
from backpass import native

pytestmark = pytest.mark.skipif(not native.available, reason="no kernels")

TRIES = 4  # of each way


@pytest.fixture(autouse=True)
def two_threads():
    native.set_threads(2)


@pytest.mark.parametrize("quicker", [1, 2])
def test_a_small_program_tries_both_ways_and_stays_with_the_quicker(quicker):
    seen = []

    def step() -> None:
        seen.append(native.threads())
        time.sleep(0.0005 if seen[-1] == quicker else 0.005)

    program = native.Program([step], small=True)
    for _ in range(2 * TRIES + 3):
        program.run()
    assert seen == [1] * TRIES + [2] * TRIES + [quicker] * 3


def test_a_program_that_is_not_small_uses_all_threads():
    seen = []
    program = native.Program([lambda: seen.append(native.threads())])
    program.run()
    assert seen == [2]


def test_a_thread_alone_leaves_the_others_asleep():
    x = np.random.default_rng(0).standard_normal((256, 512)).astype(np.float32)
    out, w = np.empty((256, 256), np.float32), np.ones((512, 256), np.float32)
    program = native.Program([native.matrix_product(out, x, w, 0, 0)] * 20, small=True)
    others = []  # seconds that other threads were at work, by those of this one
    for _ in range(2 * TRIES):
        mine, both = time.thread_time(), time.process_time()
        program.run()
        mine, both = time.thread_time() - mine, time.process_time() - both
        others.append((both - mine) / mine)
    assert min(others[:TRIES]) < 0.1
    assert max(others[TRIES:]) > 0.3


@pytest.mark.parametrize(
    ("hidden", "features", "batch", "small"),
    [([32], 64, 32, True), ([200, 200], 64, 64, True), ([400, 400], 64, 64, False), ([200], 3072, 4, False)],
)
def test_which_steps_are_small(hidden, features, batch, small):
    """The last one has few products, but more numbers than the cache of one core holds."""
    model = bp.Model(bp.models.fully_connected(hidden, classes=10, norm=bp.BatchNorm()), (features,))
    assert model.plan(batch).small is small


@pytest.mark.parametrize("hidden", [[100, 100], [300, 300]])
def test_bits_do_not_depend_on_it(hidden):
    model = bp.Model(bp.models.fully_connected(hidden, classes=10, norm=bp.BatchNorm()), (64,))
    plan = model.plan(64)
    rng = np.random.default_rng(0)
    x, dscores = rng.standard_normal(plan.x.shape), rng.standard_normal(plan.scores.shape)

    def load(array, values) -> None:
        array[...] = values

    calls = [lambda: load(plan.x, x), *plan.forward, lambda: load(plan.dscores, dscores), *plan.backward]
    program = native.Program(calls, small=True)
    found = set()
    for _ in range(2 * TRIES):
        program.run()
        found.add(model.grads.tobytes())
    assert len(found) == 1
