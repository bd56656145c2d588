"""What every test shares: where data lies, how many threads run, and no warning unseen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import backpass as bp


@pytest.fixture
def data_dir() -> Path:
    """The folder with real data sets; a test that needs one is skipped where BACKPASS_DATA does not name it."""
    folder = os.environ.get("BACKPASS_DATA")
    if not folder:
        pytest.skip("BACKPASS_DATA does not name a folder with data sets")
    return Path(folder)


@pytest.fixture(autouse=True)
def _same_threads_afterwards():
    """A test that changes the number of threads does not change it for the next one."""
    before = bp.threads()
    yield
    if bp.threads() != before:
        bp.set_threads(before)
