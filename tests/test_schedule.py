"""Schedules: exact at their ends, pure, PyTorch's where PyTorch has them, and clear about bad arguments."""

from __future__ import annotations

import doctest
import pickle

import numpy as np
import pytest
import torch

from backpass import schedule
from backpass.errors import ArgumentError
from backpass.schedule import Constant, Cosine, Exponential, OneCycle, Step, Triangular, WarmUp, by_name

ALL = [
    Constant(),
    Step(every=7, gamma=0.5),
    Step(every=0.3),
    Exponential(gamma=0.9),
    Exponential(gamma=0.1, every=0.5),
    Cosine(),
    Cosine(floor=0.1),
    WarmUp(5, then=Constant()),
    WarmUp(0.1),
    WarmUp(1),
    WarmUp(0.2, then=Step(every=3, gamma=0.5)),
    Triangular(),
    Triangular(peak=0.5, start=0.0, end=0.1),
    OneCycle(),
    OneCycle(peak=0.25, start=0.04, end=0.01),
]


@pytest.mark.parametrize("one", ALL, ids=repr)
@pytest.mark.parametrize("total", [1, 2, 10, 97])
def test_a_pure_function_between_0_and_1(one, total):
    forwards = [one(step, total) for step in range(total + 1)]
    backwards = [one(step, total) for step in reversed(range(total + 1))][::-1]
    assert forwards == backwards
    assert all(type(value) is float and 0 <= value <= 1 for value in forwards)
    assert pickle.loads(pickle.dumps(one)) == one
    assert eval(repr(one), vars(schedule)) == one
    assert hash(one) == hash(pickle.loads(pickle.dumps(one)))


@pytest.mark.parametrize("total", [2, 3, 10, 97, 12_345])
def test_ends_are_exact(total):
    assert Cosine()(0, total) == 1
    assert Cosine()(total, total) == 0
    assert Cosine(floor=0.1)(total, total) == 0.1
    assert WarmUp(1, then=Cosine(floor=0.3))(total, total) == 0.3
    assert Exponential(gamma=0.25, every=total)(total, total) == 0.25
    for shape in (Triangular, OneCycle):
        assert shape(start=0.04, end=0.01)(0, total) == 0.04
        assert shape(start=0.04, end=0.01)(total, total) == 0.01
    for shape in (Triangular(peak=0.5), OneCycle(peak=0.5)):
        assert shape(2 * total // 2, 2 * total) == 1


def torchs(make, steps):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    peer, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        peer.step()
    return rates


@pytest.mark.parametrize(
    ("ours", "make"),
    [
        (Step(every=4, gamma=0.3), lambda o: torch.optim.lr_scheduler.StepLR(o, 4, 0.3)),
        (Exponential(gamma=0.9), lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9)),
        (Cosine(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20)),
        (Cosine(floor=0.2), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 20, eta_min=0.2)),
        (
            WarmUp(5, then=Constant()),
            lambda o: torch.optim.lr_scheduler.LinearLR(o, start_factor=0.2, end_factor=1.0, total_iters=4),
        ),
    ],
)
def test_the_same_as_pytorch(ours, make):
    np.testing.assert_allclose([ours(step, 20) for step in range(20)], torchs(make, 20), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("shape", "anneal"), [(Triangular, "linear"), (OneCycle, "cos")])
def test_one_cycle_has_pytorchs_curves(shape, anneal):
    """PyTorch puts the peak at pct_start·total - 1 and the end at total - 1; with 41 steps those are our 12 and 40 of 40."""
    peer = torchs(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o,
            1.0,
            total_steps=41,
            pct_start=13 / 41,
            anneal_strategy=anneal,
            div_factor=10,
            final_div_factor=5,
            cycle_momentum=False,
        ),
        40,
    )
    ours = [shape(peak=0.3, start=0.1, end=0.02)(step, 40) for step in range(40)]
    np.testing.assert_allclose(ours, peer, rtol=1e-10)


def test_the_courses_decay_per_epoch():
    """lr_decay multiplies the rate at the end of every epoch."""
    steps_per_epoch, lr_decay, rate = 7, 0.95, 1.0
    for step in range(30):
        assert Step(every=steps_per_epoch, gamma=lr_decay)(step, 30) == pytest.approx(rate, rel=1e-14)
        if (step + 1) % steps_per_epoch == 0:
            rate *= lr_decay


def test_fractions_follow_the_run():
    assert [Step(every=0.5, gamma=0.1)(step, 4) for step in range(4)] == [1.0, 1.0, 0.1, 0.1]
    assert WarmUp(0.1)(9, 100) == 1.0
    assert WarmUp(0.1)(8, 100) == 0.9
    assert WarmUp(0.1)(10, 100) == 1.0  # the first step of what follows
    assert WarmUp(0.1)(100, 100) == 0.0
    assert WarmUp(0.001)(0, 10) == 1.0  # less than a step is one


def test_curves_rise_and_fall():
    for shape in (Triangular(peak=0.25), OneCycle(peak=0.25)):
        values = [shape(step, 40) for step in range(41)]
        assert values.index(max(values)) == 10
        assert np.all(np.diff(values[:11]) > 0)
        assert np.all(np.diff(values[10:]) < 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Step(every=0), "Step: every: expected a whole number of steps >= 1, or a fraction .* got 0"),
        (lambda: Step(every=2.5), "got 2.5"),
        (lambda: Step(every=-1), "got -1"),
        (lambda: Step(every=3, gamma=0), r"gamma: expected a number in \(0, 1\], got 0"),
        (lambda: Step(every=3, gamma=1.5), "gamma"),
        (lambda: Exponential(gamma=float("nan")), "gamma"),
        (lambda: Exponential(gamma=0.5, every="epoch"), "every"),
        (lambda: Cosine(floor=-0.1), r"Cosine: floor: expected a number in \[0, 1\], got -0.1"),
        (lambda: WarmUp(0), "WarmUp: steps"),
        (lambda: WarmUp(3, then=1), "then: expected a schedule"),
        (lambda: Triangular(peak=0), "Triangular: peak"),
        (lambda: OneCycle(peak=1), "OneCycle: peak"),
        (lambda: OneCycle(start=2), "start"),
        (lambda: OneCycle(end=float("inf")), "end"),
        (lambda: Cosine()(-1, 10), "step: expected a whole number from 0 to 10, got -1"),
        (lambda: Cosine()(11, 10), "got 11"),
        (lambda: Cosine()(0, 0), "total_steps: expected a whole number >= 1, got 0"),
        (lambda: Cosine()(0.5, 10), "whole number"),
        (lambda: by_name("cos"), "schedule: expected one of constant, cosine, exponential, .* got 'cos'"),
        (lambda: by_name("step"), "schedule step: missing 1 required positional argument: 'every'"),
        (lambda: by_name("cosine", gamma=1), "schedule cosine: expected options among floor, got 'gamma'"),
    ],
)
def test_bad_arguments(make, message):
    with pytest.raises(ArgumentError, match=message):
        make()


def test_names():
    assert by_name("warm-up", steps=10) == WarmUp(10)
    assert {type(one) for one in ALL} == set(schedule.BY_NAME.values())


def test_the_examples_run():
    failed, tried = doctest.testmod(schedule)
    assert failed == 0
    assert tried > 0
