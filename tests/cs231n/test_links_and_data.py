"""Pointing notebooks at backpass, and the course's data functions."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import backpass.cs231n
from backpass.cs231n import data_utils, links
from backpass.cs231n.vis_utils import plot_training_history
from backpass.errors import DataNotFoundError

SOURCE = Path(backpass.__file__).resolve().parents[1]
ENVIRONMENT = os.environ | {"PYTHONPATH": os.pathsep.join([str(SOURCE), os.environ.get("PYTHONPATH", "")])}


def test_install_is_reversible_and_leaves_others_alone(monkeypatch):
    assert "cs231n" not in sys.modules
    backpass.cs231n.install()
    backpass.cs231n.install()
    namespace = {}
    exec(
        "from cs231n.layers import *\nfrom cs231n.classifiers.cnn import *\nfrom cs231n.solver import Solver", namespace
    )
    assert namespace["conv_forward_naive"].__module__ == "backpass.cs231n.layers"
    backpass.cs231n.uninstall()
    assert not [name for name in sys.modules if name.split(".")[0] == "cs231n"]
    monkeypatch.setitem(sys.modules, "cs231n", os)
    with pytest.raises(ValueError, match="imported already"):
        backpass.cs231n.install()
    backpass.cs231n.uninstall()
    assert sys.modules["cs231n"] is os


def test_linked_package_runs_and_is_removed(tmp_path):
    written = links.link(tmp_path)
    code = "from cs231n.layers import *; from cs231n.classifiers.fc_net import *; print(FullyConnectedNet.__module__)"
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "backpass.cs231n.classifiers.fc_net"
    assert links.link(tmp_path) == written  # its own files may be written again
    assert links.unlink(tmp_path) == written
    assert not (tmp_path / "cs231n").exists()


def test_link_does_not_overwrite(tmp_path):
    own = tmp_path / "cs231n" / "layers.py"
    own.parent.mkdir()
    own.write_text("mine = 1\n")
    with pytest.raises(ValueError, match="nothing is overwritten"):
        links.link(tmp_path)
    assert list(own.parent.iterdir()) == [own]
    links.link(tmp_path, keep=True)
    links.unlink(tmp_path)
    assert own.read_text() == "mine = 1\n"
    assert list(own.parent.iterdir()) == [own]


def test_defect_12_batches_of_any_length_are_read_without_unpickling(data_dir, tmp_path):
    folder = next((p for p in (data_dir, *data_dir.iterdir()) if (p / "data_batch_1").is_file()), None)
    if folder is None:
        pytest.skip("no python batches")
    X, y = data_utils.load_CIFAR_batch(folder / "test_batch")
    assert X.shape == (10000, 32, 32, 3)
    assert X.dtype == np.float64
    assert y.shape == (10000,)


def test_defect_12_numpy_is_left_as_it_is_and_nothing_old_is_needed():
    code = "import numpy, sys, importlib; before = numpy.load\nfrom backpass.cs231n.links import MODULES\n"
    code += "for name in MODULES: importlib.import_module('backpass.cs231n.' + name)\n"
    code += "assert numpy.load is before; print(sorted({'future', 'past', 'six', 'torch'} & set(sys.modules)))"
    run = subprocess.run([sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_get_cifar10_data(data_dir):
    data = data_utils.get_CIFAR10_data(500, 100, 50, root=data_dir)
    assert data["X_train"].shape == (500, 3, 32, 32)
    assert data["X_test"].shape == (50, 3, 32, 32)
    np.testing.assert_allclose(data["X_train"].mean(axis=0), 0, atol=1e-10)


def test_missing_data_says_what_to_type(tmp_path):
    with pytest.raises(DataNotFoundError, match="data get"):
        data_utils.get_CIFAR10_data(root=tmp_path)


def test_evil_pickle_is_not_run(tmp_path):
    evil = tmp_path / "batch"
    evil.write_bytes(b"cos\nsystem\n(S'touch ran'\ntR.")
    with pytest.raises(ValueError, match="batch"):
        data_utils.load_CIFAR_batch(evil)
    assert not Path("ran").exists()


def test_plot_training_history():
    plt = pytest.importorskip("matplotlib.pyplot")
    plot_training_history("title", "epoch", [1, 2], [[2, 3], [3, 4]], list, labels=["a", "b"])
    assert len(plt.gca().get_lines()) == 3
    plt.close("all")
