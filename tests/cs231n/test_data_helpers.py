"""TinyImageNet, the 25 ImageNet pictures, saved nets, the TensorFlow notebook's data, and the picture helpers."""

# ruff: noqa: NPY002 (the course draws from NumPy's global random state)

from __future__ import annotations

import pickle

import numpy as np
import pytest

from backpass.cs231n import data_utils, image_utils
from backpass.cs231n.classifiers.cnn import ThreeLayerConvNet
from backpass.cs231n.classifiers.fc_net import FullyConnectedNet, TwoLayerNet
from backpass.cs231n.fast_layers import conv_backward_strides, conv_forward_strides
from backpass.cs231n.im2col_cython import col2im_6d_cython, col2im_cython, im2col_cython
from backpass.cs231n.solver import Solver
from backpass.errors import CheckpointError, DataError, DataNotFoundError


@pytest.fixture
def tiny(tmp_path):
    """A TinyImageNet of two classes: three training pictures, two of validation, one of test."""
    image = pytest.importorskip("PIL.Image")
    (tmp_path / "wnids.txt").write_text("n02\nn01\n")
    (tmp_path / "words.txt").write_text("n01\tgoldfish, Carassius auratus\nn02\ttench\nn03\tshark\n")

    def picture(folder, name, shade, mode="RGB"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        colour = (shade, 0, 0) if mode == "RGB" else shade
        image.new(mode, (64, 64), colour).save(tmp_path / folder / name, quality=100)

    picture("train/n01/images", "n01_0.JPEG", 10)
    picture("train/n02/images", "n02_0.JPEG", 50)
    picture("train/n02/images", "n02_1.JPEG", 90, "L")
    picture("val/images", "val_0.JPEG", 10)
    picture("val/images", "val_1.JPEG", 50)
    (tmp_path / "val/val_annotations.txt").write_text("val_1.JPEG\tn02\t0\t0\t1\t1\nval_0.JPEG\tn01\t0\t0\t1\t1\n")
    picture("test/images", "test_0.JPEG", 70)
    return tmp_path


def test_tiny_imagenet(tiny):
    data = data_utils.load_tiny_imagenet(tiny, subtract_mean=False)
    assert data["class_names"] == [["tench"], ["goldfish", "Carassius auratus"]]
    assert data["y_train"].tolist() == [0, 0, 1]
    assert data["y_val"].tolist() == [0, 1]
    assert data["y_test"] is None
    assert data["X_train"].shape == (3, 3, 64, 64)
    assert data["X_train"].dtype == np.float32
    reds = data["X_train"][:, :, 5, 5]
    np.testing.assert_allclose(reds, [[50, 0, 0], [90, 90, 90], [10, 0, 0]], atol=3)
    np.testing.assert_allclose(data["X_val"][:, 0, 5, 5], [50, 10], atol=3)
    centred = data_utils.load_tiny_imagenet(tiny, dtype=np.float64)
    np.testing.assert_allclose(centred["X_train"].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(centred["X_test"] + centred["mean_image"], data["X_test"], atol=1e-4)


def test_tiny_imagenet_says_what_is_wrong(tiny, tmp_path):
    with pytest.raises(DataNotFoundError, match="unpack"):
        data_utils.load_tiny_imagenet(tmp_path / "nowhere")
    (tiny / "val/val_annotations.txt").write_text("../../secret\tn02\n")
    with pytest.raises(DataError, match="val_annotations"):
        data_utils.load_tiny_imagenet(tiny)


@pytest.mark.parametrize("protocol", [2, 4])
def test_imagenet_val_reads_the_label_map_without_unpickling(tmp_path, monkeypatch, protocol):
    names = {0: "tench", 281: "tabby, tabby cat"}
    X, y = np.arange(25 * 224 * 224 * 3, dtype=np.uint8).reshape(25, 224, 224, 3), np.arange(25)
    real = pickle.dump
    monkeypatch.setattr(pickle, "dump", lambda thing, file, protocol=protocol, **more: real(thing, file, protocol))
    np.savez(tmp_path / "imagenet_val_25.npz", X=X, y=y, label_map=np.array(names, dtype=object))
    monkeypatch.undo()
    monkeypatch.setattr(pickle, "load", None)
    monkeypatch.setattr(pickle, "loads", None)
    got, labels, found = data_utils.load_imagenet_val(num=5, root=tmp_path)
    np.testing.assert_array_equal(got, X[:5])
    assert labels.tolist() == [0, 1, 2, 3, 4]
    assert found == names
    assert len(data_utils.load_imagenet_val(root=tmp_path / "imagenet_val_25.npz")[0]) == 25


class Evil:
    def __reduce__(self):
        return print, ("ran",)


def test_imagenet_val_refuses_what_is_no_label_map(tmp_path, capsys):
    with pytest.raises(DataNotFoundError, match="get_datasets"):
        data_utils.load_imagenet_val(root=tmp_path)
    for wrong in (np.array(Evil(), dtype=object), np.array({0: [1]}, dtype=object), np.array("x")):
        np.savez(tmp_path / "imagenet_val_25.npz", X=np.zeros((1, 2, 2, 3)), y=np.zeros(1), label_map=wrong)
        with pytest.raises(DataError, match="imagenet_val_25"):
            data_utils.load_imagenet_val(root=tmp_path)
    assert capsys.readouterr().out == ""


def test_load_models_gives_back_the_nets_of_checkpoints(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = np.random.default_rng(0).standard_normal((40, 3, 8, 8)), np.arange(40) % 3
    data = {"X_train": X, "y_train": y, "X_val": X, "y_val": y}
    nets = {
        "two": TwoLayerNet(192, 5, 3, reg=0.1),
        "fc": FullyConnectedNet([6, 5], 192, 3, 0.5, "batchnorm", dtype=np.float64, seed=3),
        "layer": FullyConnectedNet([6], 192, 3, normalization="layernorm"),
        "conv": ThreeLayerConvNet((3, 8, 8), 2, 3, 4, 3),
    }
    for name, net in nets.items():
        Solver(net, data, num_epochs=1, batch_size=40, verbose=False, checkpoint_name=name).train()
    (tmp_path / "README.txt").write_text("no net")
    (tmp_path / "old_epoch_1.pkl").write_bytes(pickle.dumps(Evil()))
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    state = np.random.get_state()[1].copy()
    models = data_utils.load_models(tmp_path)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert sorted(models) == [f"{name}_epoch_1.npz" for name in sorted(nets)]
    for name, net in nets.items():
        found = models[f"{name}_epoch_1.npz"]
        assert type(found) is type(net)
        assert found.settings() == net.settings()
        np.testing.assert_array_equal(found.loss(X), net.loss(X))
    (tmp_path / "two_epoch_1.npz").write_bytes((tmp_path / "two_epoch_1.npz").read_bytes()[:900])
    with pytest.raises(CheckpointError, match="two_epoch_1"):
        data_utils.load_models(tmp_path)


def test_tensorflow_notebook_data(data_dir):
    X_train, y_train, X_val, y_val, X_test, y_test = data_utils.load_cifar10(500, 100, 50, root=data_dir)
    assert X_train.shape == (500, 32, 32, 3)
    assert X_train.dtype == np.float32
    assert y_train.dtype == y_val.dtype == y_test.dtype == np.int32
    assert (len(X_val), len(X_test)) == (100, 50)
    np.testing.assert_allclose(X_train.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    np.testing.assert_allclose(X_train.std(axis=(0, 1, 2), dtype=np.float64), 1, atol=1e-4)
    with pytest.raises(ValueError, match="load_cifar10: expected at most"):
        data_utils.load_cifar10(50_000, 1, root=data_dir)


@pytest.mark.parametrize(("height", "width"), [(3, 3), (2, 3), (3, 2)])
def test_names_of_the_compiled_columns(height, width):
    rng = np.random.default_rng(0)
    x, w, b = rng.standard_normal((2, 3, 6, 7)), rng.standard_normal((4, 3, height, width)), np.zeros(4)
    settings = {"stride": 2, "pad": 1}
    out, cache = conv_forward_strides(x, w, b, settings)
    cols = im2col_cython(x, height, width, 1, 2)
    mine = (w.reshape(4, -1) @ cols).reshape(4, *out.shape[2:], 2).transpose(3, 0, 1, 2)
    np.testing.assert_allclose(mine, out)
    dout = rng.standard_normal(out.shape)
    dx, _, _ = conv_backward_strides(dout, cache)
    dcols = w.reshape(4, -1).T @ dout.transpose(1, 2, 3, 0).reshape(4, -1)
    np.testing.assert_allclose(col2im_cython(dcols, 2, 3, 6, 7, height, width, 1, 2), dx)
    six = dcols.reshape(3, height, width, *out.shape[2:], 2).transpose(0, 1, 2, 5, 3, 4)
    np.testing.assert_allclose(col2im_6d_cython(six, 2, 3, 6, 7, height, width, 1, 2), dx)
    with pytest.raises(ValueError, match="columns that begin with"):
        col2im_6d_cython(six[:1], 2, 3, 6, 7, height, width, 1, 2)


def test_picture_helpers(tmp_path):
    image = pytest.importorskip("PIL.Image")
    image.new("RGB", (40, 20), (200, 100, 50)).save(tmp_path / "a.png")
    picture = image_utils.load_image(tmp_path / "a.png")
    assert picture.shape == (20, 40, 3)
    assert picture[3, 4].tolist() == [200, 100, 50]
    assert image_utils.load_image(tmp_path / "a.png", size=10).shape == (10, 20, 3)
    np.testing.assert_array_equal(image_utils.deprocess_image(image_utils.preprocess_image(picture)), picture)
    stretched = image_utils.deprocess_image(image_utils.preprocess_image(picture), rescale=True)
    assert (stretched.min(), stretched.max()) == (0, 255)
    flat = np.full((1, 3, 5, 6), 3.0)
    np.testing.assert_allclose(image_utils.blur_image(flat)[:, :, 1:-1, 1:-1], 3.0)
    point = np.zeros((1, 3, 3, 3))
    point[0, 1, 1, 1] = 1
    np.testing.assert_allclose(image_utils.blur_image(point)[0, :, 1, 1], [0, 0.94, 0])
    for wrong in ("file:///etc/passwd", "/etc/passwd"):
        with pytest.raises(ValueError, match="http"):
            image_utils.image_from_url(wrong)


def test_image_from_url(tmp_path):
    image = pytest.importorskip("PIL.Image")
    import functools
    import http.server
    import threading

    image.new("RGB", (4, 3), "red").save(tmp_path / "a.png")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        assert image_utils.image_from_url(f"{address}/a.png")[0, 0].tolist() == [255, 0, 0]
        with pytest.raises(OSError, match="cannot be fetched"):
            image_utils.image_from_url(f"{address}/none.png")
        server.shutdown()
