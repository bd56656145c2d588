from __future__ import annotations

import gzip
import tarfile

import numpy as np
import pytest
from cifar_files import (
    ROWS,
    binary_files,
    python2_pickle,
    python3_dump,
    python_files,
    write_files,
    write_tar,
)

from backpass import data
from backpass.data import cifar10
from backpass.errors import ArgumentError, DataError, DataNotFoundError


def check(dataset, x, y):
    images = x.reshape(-1, 3, 32, 32)
    assert dataset.train.x.dtype == np.uint8
    assert dataset.train.y.dtype == np.int64
    np.testing.assert_array_equal(np.concatenate([s.x for s in dataset.splits.values()]), images)
    np.testing.assert_array_equal(np.concatenate([s.y for s in dataset.splits.values()]), y)
    assert dataset.classes[0] == "airplane"
    assert dataset.max_value == 255.0


def test_binary_folder(small_cifar, tmp_path):
    write_files(tmp_path, binary_files(*small_cifar))
    dataset = data.load("cifar10", data_dir=tmp_path)
    check(dataset, *small_cifar)
    # 49,000 / 1,000 / 10,000 of 50,000 + 10,000; validation is the end of the 50,000
    assert [len(s) for s in dataset.splits.values()] == [98, 2, 20]


@pytest.mark.parametrize(
    "dump",
    [
        python2_pickle,
        *(python3_dump(p) for p in (2, 3, 4, 5)),
        python3_dump(2, keys=bytes),
        python3_dump(4, fortran=True),
    ],
    ids=["py2", "p2", "p3", "p4", "p5", "p2-bytes", "fortran"],
)
def test_python_folder(small_cifar, tmp_path, dump):
    write_files(tmp_path, python_files(*small_cifar, dump=dump))
    check(data.load("cifar10", data_dir=tmp_path), *small_cifar)


def test_the_emulated_python2_pickle_is_a_pickle(small_cifar):
    import pickle

    x, y = small_cifar
    batch = pickle.loads(python2_pickle(x, y), encoding="bytes")
    np.testing.assert_array_equal(batch[b"data"], x)
    assert batch[b"labels"] == y.tolist()


@pytest.mark.parametrize("layout", ["binary", "python"])
def test_archive_is_streamed_and_never_extracted(small_cifar, tmp_path, layout):
    files = binary_files(*small_cifar) if layout == "binary" else python_files(*small_cifar)
    entries = [(f"{cifar10.FOLDERS[layout]}/readme.html", b"hello"), *files.items()]
    path = tmp_path / cifar10.ARCHIVES[layout]
    write_tar(path, entries)
    check(data.load("cifar10", data_dir=tmp_path), *small_cifar)
    check(data.load(path), *small_cifar)
    assert list(tmp_path.iterdir()) == [path]


def test_places(small_cifar, tmp_path, monkeypatch):
    cache = data.cache_dir() / "cifar10"
    write_files(cache, binary_files(*small_cifar))
    check(data.load("cifar10"), *small_cifar)
    other = tmp_path / "other"
    monkeypatch.setenv("BACKPASS_DATA", str(other))
    check(data.load("cifar10"), *small_cifar)  # falls through to the cache
    write_files(other, binary_files(255 - small_cifar[0], small_cifar[1]))
    check(data.load("cifar10"), 255 - small_cifar[0], small_cifar[1])
    check(data.load(other / "cifar-10-batches-bin"), 255 - small_cifar[0], small_cifar[1])
    found = {a.name: a for a in data.available()}["cifar10"]
    assert found.location == other / "cifar-10-batches-bin"
    with pytest.raises(DataNotFoundError, match="backpass data get cifar10"):
        data.load("cifar10", data_dir=tmp_path / "nowhere")  # a folder that is named is the only one


def test_the_binary_layout_is_preferred(small_cifar, tmp_path):
    x, y = small_cifar
    write_files(tmp_path, python_files(255 - x, y))
    check(data.load("cifar10", data_dir=tmp_path), 255 - x, y)
    write_files(tmp_path, binary_files(x, y))
    check(data.load("cifar10", data_dir=tmp_path), x, y)


def test_other_splits(small_cifar, tmp_path):
    write_files(tmp_path, binary_files(*small_cifar))
    x = small_cifar[0].reshape(-1, 3, 32, 32)
    dataset = data.load("cifar10", data_dir=tmp_path, train=50, val=10, test=5)
    # The course takes validation right after training, and the first of the test pictures.
    np.testing.assert_array_equal(dataset.train.x, x[:50])
    np.testing.assert_array_equal(dataset.val.x, x[50:60])
    np.testing.assert_array_equal(dataset.test.x, x[100:105])
    assert len(data.load("cifar10", data_dir=tmp_path, train=0.5, val=0.25).train) == 50
    for wrong in ({"train": 95, "val": 10}, {"test": 21}, {"val": 100}, {"val": 1.5}, {"train": 0}, {"val": True}):
        with pytest.raises(ArgumentError):
            data.load("cifar10", data_dir=tmp_path, **wrong)


def test_memory_is_one_array(small_cifar, tmp_path):
    write_files(tmp_path, binary_files(*small_cifar))
    dataset = data.load("cifar10", data_dir=tmp_path)
    # train, val and test are views into one buffer that lie behind one another
    starts = [s.x.__array_interface__["data"][0] for s in dataset.splits.values()]
    assert starts[1] == starts[0] + dataset.train.x.nbytes
    assert starts[2] == starts[1] + dataset.val.x.nbytes


def damaged_binary(files, kind):
    name = "cifar-10-batches-bin/data_batch_3.bin"
    if kind == "missing":
        del files[name]
    elif kind == "short":
        files[name] = files[name][:-1]
    elif kind == "long":
        files[name] += b"\0"
    elif kind == "label":
        files[name] = files[name][:3073] + b"\x0a" + files[name][3074:]
    return files


@pytest.mark.parametrize(
    ("kind", "message"),
    [("missing", "missing"), ("short", "bytes"), ("long", "bytes"), ("label", "picture 1 has label 10")],
)
def test_damaged_binary(small_cifar, tmp_path, kind, message):
    files = damaged_binary(binary_files(*small_cifar), kind)
    write_files(tmp_path / "folder", files)
    with pytest.raises(DataError, match=message):
        data.load("cifar10", data_dir=tmp_path / "folder")
    write_tar(tmp_path / "cifar-10-binary.tar.gz", files.items())
    with pytest.raises(DataError, match=message):
        data.load("cifar10", data_dir=tmp_path)


def link(name, kind, target="elsewhere"):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def bad_archives(files):
    name = "cifar-10-batches-bin/test_batch.bin"
    rest = {k: v for k, v in files.items() if k != name}
    yield "symlink", [*rest.items(), (link(name, tarfile.SYMTYPE), b"")], "link"
    yield "hard link", [*files.items(), (link("x", tarfile.LNKTYPE, name), b"")], "link"
    yield "device", [(link("x", tarfile.CHRTYPE), b""), *files.items()], "special"
    yield "traversal", [("../../evil", b"x"), *files.items()], "leaves"
    yield "inner traversal", [("cifar-10-batches-bin/../../evil", b"x"), *files.items()], "leaves"
    yield "absolute", [("/etc/evil", b"x"), *files.items()], "leaves"
    yield "duplicate", [*files.items(), (name, files[name])], "twice"
    yield "folder", [*rest.items(), (link(name, tarfile.DIRTYPE), b"")], "folder"
    yield "empty", [], "missing"
    yield "oversize member", [*rest.items(), (name, files[name] + bytes(3073))], "expected"
    yield "bomb", [("big", bytes(8 << 20)), *files.items()], "unpacks to more"
    python = {k.replace("-bin", "-py").replace(".bin", ""): python2_pickle(np.zeros((ROWS, 3072), np.uint8), [0] * ROWS)
              for k in [name]}  # fmt: skip
    yield "mixed", [*rest.items(), *python.items()], "some of the python"


def test_bad_archives(small_cifar, tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    for _what, entries, message in bad_archives(binary_files(*small_cifar)):
        write_tar(path, entries)
        with pytest.raises(DataError, match=message):
            data.load(path)
    assert list(tmp_path.iterdir()) == [path]


def test_damaged_archives(small_cifar, tmp_path):
    path = tmp_path / "cifar-10-binary.tar.gz"
    write_tar(path, binary_files(*small_cifar).items())
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    for content in (b"", b"not gzip", good[: len(good) // 2], good[:5000], bytes(flipped), gzip.compress(b"not a tar")):
        path.write_bytes(content)
        with pytest.raises(DataError):
            data.load(path)


def test_a_pax_header_bomb_ends_at_the_limit(small_cifar, tmp_path):
    # tarfile reads an extended header as a whole: 1 GB of zeros packs into 1 MB
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 30
    path = tmp_path / "cifar-10-binary.tar.gz"
    with gzip.open(path, "wb", compresslevel=1) as out:
        out.write(info.tobuf(tarfile.USTAR_FORMAT))
        for _ in range(24):
            out.write(bytes(1 << 20))
    with pytest.raises(DataError, match="unpacks to more"):
        data.load(path)


def test_python_labels_and_shapes_are_checked(small_cifar, tmp_path):
    x, y = small_cifar
    wrong = {
        "label 10": (x, np.where(y == y[0], 10, y)),
        "too few": (x[:-1], y),
        "float": (x.astype(np.float32)[:, :768].copy(), y),
        "signed": (x.view(np.int8), y),
        "negative label": (x, -y - 1),
    }
    for what, (xx, yy) in wrong.items():
        files = python_files(x, y)
        files["cifar-10-batches-py/data_batch_2"] = python3_dump(3)(xx[: 19 if what == "too few" else ROWS], yy[:ROWS])
        write_files(tmp_path, files)
        with pytest.raises(DataError, match="data_batch_2"):
            data.load("cifar10", data_dir=tmp_path)


def test_unreadable_stream_is_a_data_error(small_cifar, tmp_path, monkeypatch):
    write_files(tmp_path, binary_files(*small_cifar))

    def fail(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.open", fail)
    with pytest.raises(DataError, match="Permission denied"):
        data.load("cifar10", data_dir=tmp_path)
