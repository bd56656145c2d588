from __future__ import annotations

import numpy as np
import pytest

from backpass import data
from backpass.data.folder import read_picture
from backpass.errors import ArgumentError, DataError, MissingExtraError

Image = pytest.importorskip("PIL.Image", reason="Pillow is not installed (the extra `images`)")


def picture(path, value, size=(6, 4), mode="RGB", **options):
    """Write a picture of (width, height) `size` in one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path, **options)


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "pets"
    for i in range(10):
        picture(root / "cat" / f"{i}.png", (i, 100, 200))
        picture(root / "dog" / f"{i}.png", (i, 10, 20))
    (root / "cat" / "notes.txt").write_text("no picture")
    (root / ".hidden").mkdir()
    return root


def test_one_folder_for_each_class(folder):
    dataset = data.load(folder)
    assert str(dataset) == "pets: 2 classes, samples (3, 4, 6) uint8; train 14, val 2, test 4"
    assert dataset.classes == ("cat", "dog")
    assert dataset.max_value == 255
    for split in dataset.splits.values():
        np.testing.assert_array_equal(split.x[:, 1, 0, 0], np.where(split.y == 0, 100, 10))
        np.testing.assert_array_equal(
            split.x[:, 2], np.where(split.y == 0, 200, 20)[:, None, None].repeat(4, 1).repeat(6, 2)
        )
    assert data.load(str(folder), seed=1).fingerprint() != dataset.fingerprint() == data.load(folder).fingerprint()


def test_pixels_are_where_they_were(tmp_path):
    pixels = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_picture(tmp_path / "a.png"), pixels.transpose(2, 0, 1))
    grey = read_picture(tmp_path / "a.png", channels=1)
    assert grey.shape == (1, 4, 6)
    assert np.abs(grey[0] - pixels @ [0.299, 0.587, 0.114]).max() <= 1
    assert read_picture(tmp_path / "a.png", image_size=(2, 3)).shape == (3, 2, 3)


def test_split_folders(tmp_path):
    for split, count in (("train", 10), ("validation", 3), ("test", 2)):
        for i in range(count):
            for name, value in (("a", 0), ("b", 255)):
                picture(tmp_path / split / name / f"{i}.jpg", value, mode="L")
    dataset = data.load(tmp_path, channels=1)
    assert dataset.shape == (1, 4, 6)
    assert [len(s) for s in dataset.splits.values()] == [20, 6, 4]
    np.testing.assert_array_equal(dataset.test.x[:, 0, 0, 0], dataset.test.y * 255)
    picture(tmp_path / "test" / "c" / "0.jpg", 0)
    with pytest.raises(DataError, match="none of the classes"):
        data.load(tmp_path)
    (tmp_path / "val").mkdir()
    with pytest.raises(DataError, match="keep one"):
        data.load(tmp_path)


def test_validation_is_cut_from_training_where_it_is_missing(tmp_path):
    for i in range(10):
        picture(tmp_path / "train" / "a" / f"{i}.png", 0)
        picture(tmp_path / "train" / "b" / f"{i}.png", 255)
    dataset = data.load(tmp_path)
    assert [np.bincount(s.y, minlength=2).tolist() for s in dataset.splits.values()] == [[9, 9], [1, 1], [0, 0]]


def test_sizes(folder):
    picture(folder / "cat" / "odd.png", 0, size=(8, 8))
    with pytest.raises(DataError, match=r"odd.png: expected 6 x 4 pixels .* got 8 x 8; give image_size"):
        data.load(folder)
    assert data.load(folder, image_size=(5, 7)).shape == (3, 5, 7)


def test_a_rotated_photo_stands_upright(tmp_path):
    pixels = np.zeros((4, 6), np.uint8)
    pixels[0] = 255
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    Image.fromarray(pixels).save(tmp_path / "a.png", exif=exif)
    assert read_picture(tmp_path / "a.png", channels=1)[0, -1].tolist() == [255] * 6


def test_bad_pictures(folder, monkeypatch):
    good = (folder / "cat" / "0.png").read_bytes()
    for content in (b"", b"no picture", good[:40], good[:-25]):
        (folder / "dog" / "bad.png").write_bytes(content)
        with pytest.raises(DataError, match=r"bad.png: cannot be read"):
            data.load(folder)
    Image.fromarray(np.full((4, 6), 40_000, np.uint16)).save(folder / "dog" / "bad.png")
    with pytest.raises(DataError, match="8 bits"):
        data.load(folder)
    picture(folder / "dog" / "bad.png", 0, size=(60, 50))
    for limit in (2000, 1000):  # Pillow warns above its limit, and raises above twice that
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(DataError, match=r"bad.png: cannot be read"):
            data.load(folder)


def test_bad_folders(tmp_path, folder):
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="found no folders"):
        data.load(empty)
    (folder / "eel").mkdir()
    with pytest.raises(DataError, match="eel: no pictures"):
        data.load(folder)
    (folder / "eel").rmdir()
    for wrong in ({"image_size": (0, 5)}, {"image_size": (5,)}, {"channels": 2}, {"classes": ["a"]}, {"data_dir": "x"}):
        with pytest.raises(ArgumentError):
            data.load(folder, **wrong)


def test_without_pillow(folder, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(MissingExtraError, match=r"backpass\[images\]"):
        data.load(folder)
