"""The course's experiments on real CIFAR-10 meet their bars. Slow: `make campaigns` runs them (`-s` shows the figures)."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # benchmarks lie beside tests, outside the package

from benchmarks import cs231n_experiments as course

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", course.EXPERIMENTS)
def test_experiment_meets_its_bar(name, data_dir):
    result = course.run(name)
    for setting, found in result["rows"]:
        print(f"{name}, {setting}: {course.described(found)}")
    assert result["met"], f"{name}: expected {course.EXPERIMENTS[name].bar}, got {result['rows']}"
