"""Small programs run on the calling thread alone; the bits are those of any number of threads."""

from __future__ import annotations

import time

import numpy as np
import pytest

import backpass as bp
from backpass import native

pytestmark = pytest.mark.skipif(not native.available, reason="no kernels")


@pytest.fixture
def two_threads():
    before = native.threads()
    native.set_threads(2)
    yield
    native.set_threads(before)


def work_of_others(*, alone: bool) -> float:
    """Seconds that threads other than this one were at work, by those of this one."""
    x = np.random.default_rng(0).standard_normal((256, 512)).astype(np.float32)
    out = np.empty((256, 256), np.float32)
    w = np.ones((512, 256), np.float32)
    program = native.Program([native.matrix_product(out, x, w, 0, 0)] * 20, alone=alone)
    time.sleep(0.05)  # workers that were busy before are asleep now
    mine, all_ = time.thread_time(), time.process_time()
    program.run()
    mine = time.thread_time() - mine
    return (time.process_time() - all_ - mine) / mine


@pytest.mark.usefixtures("two_threads")
def test_a_program_alone_leaves_the_other_threads_asleep():
    assert min(work_of_others(alone=True) for _ in range(5)) < 0.1
    assert max(work_of_others(alone=False) for _ in range(5)) > 0.3


@pytest.mark.parametrize(
    ("hidden", "features", "batch", "alone"),
    [([32], 64, 32, True), ([100, 100], 64, 64, True), ([200, 200], 64, 64, False), ([100], 3072, 4, False)],
)
def test_small_steps_run_alone_and_others_do_not(hidden, features, batch, alone):
    """The last one has few products, but more numbers than the cache of one core holds."""
    model = bp.Model(bp.models.fully_connected(hidden, classes=10, norm=bp.BatchNorm()), (features,))
    assert model.plan(batch).alone is alone


@pytest.mark.usefixtures("two_threads")
@pytest.mark.parametrize("hidden", [[100, 100], [300, 300]])
def test_bits_do_not_depend_on_it(hidden):
    model = bp.Model(bp.models.fully_connected(hidden, classes=10, norm=bp.BatchNorm()), (64,))
    plan = model.plan(64)
    plan.x[...] = np.random.default_rng(0).standard_normal(plan.x.shape)
    found = []
    for alone in (True, False):
        for calls in (plan.forward, plan.backward):
            if calls is plan.backward:
                plan.dscores[...] = np.random.default_rng(1).standard_normal(plan.scores.shape)
            native.Program(calls, alone=alone).run()
        found.append(model.grads.tobytes())
    assert found[0] == found[1]
