from __future__ import annotations

import numpy as np
import pytest

from backpass import data
from backpass.data import Preprocess, checks, preprocess
from backpass.errors import ArgumentError, DataError, DTypeError, ShapeError

rng = np.random.default_rng(0)
IMAGES = rng.integers(0, 256, (203, 3, 4, 5), dtype=np.uint8)
FEATURES = (rng.normal(size=(300, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)).astype(np.float64)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Chunks of a few samples, the last one smaller, so that every loop over chunks turns more than once."""
    monkeypatch.setattr(checks, "CHUNK_BYTES", 8000)
    assert len(IMAGES) % checks.chunk_rows(IMAGES) != 0


def flat(x):
    return x.reshape(len(x), -1).astype(np.float64)


@pytest.mark.parametrize("kind", preprocess.KINDS)
@pytest.mark.parametrize("x", [IMAGES, IMAGES.astype(np.float32), IMAGES / 255.0], ids=["uint8", "float32", "float64"])
def test_every_kind(kind, x):
    fitted = Preprocess.fit(kind, x)
    before = x.copy()
    out = fitted.apply(x)
    np.testing.assert_array_equal(x, before)
    assert out.dtype == (np.float64 if x.dtype == np.float64 else np.float32)
    assert out.shape == (len(x), *fitted.output_shape(x.shape[1:]))
    assert fitted.shift.shape == fitted.scale.shape == x.shape[1:]
    assert fitted.shift.dtype == fitted.scale.dtype == np.float32
    assert fitted.shift.flags.c_contiguous
    assert fitted.scale.flags.c_contiguous
    buffer = np.full((len(x), *out.shape[1:]), np.nan, out.dtype)
    assert fitted.apply(x, out=buffer) is buffer
    np.testing.assert_array_equal(buffer, out)
    again = Preprocess.from_arrays({k: v.copy() for k, v in fitted.to_arrays().items()})
    np.testing.assert_array_equal(again.apply(x), out)
    assert str(again) == str(fitted)
    assert str(fitted).startswith(kind)
    # The same fit twice has the same bits
    for name, array in Preprocess.fit(kind, x).to_arrays().items():
        np.testing.assert_array_equal(array, fitted.to_arrays()[name])


def test_elementwise_kinds_against_numpy():
    x = IMAGES.astype(np.float64)
    wanted = {
        "none": x,
        "scale": x / 255,
        "mean-image": x - x.mean(axis=0),
        "per-channel": (x - x.mean(axis=(0, 2, 3), keepdims=True)) / x.std(axis=(0, 2, 3), keepdims=True),
        "standardise": (x - x.mean(axis=0)) / x.std(axis=0),
    }
    for kind, value in wanted.items():
        np.testing.assert_allclose(
            Preprocess.fit(kind, IMAGES).apply(IMAGES), value, rtol=3e-6, atol=3e-5, err_msg=kind
        )


def test_the_formula_to_the_bit():
    """What a kernel has to do: (x - shift) * scale, each step rounded to float32."""
    fitted = Preprocess.fit("standardise", IMAGES)
    wanted = (IMAGES.astype(np.float32) - fitted.shift) * fitted.scale
    np.testing.assert_array_equal(fitted.apply(IMAGES), wanted)


def test_fit_uses_train_alone_and_scale_knows_its_range():
    digits = data.load("digits")
    scaled = digits.fit_preprocess("scale").apply(digits.test.x)
    np.testing.assert_array_equal(scaled, digits.test.x / np.float32(16))
    floats = np.array([[-2.0, 0.0], [2.0, 1.0]])
    np.testing.assert_array_equal(Preprocess.fit("scale", floats).apply(floats), [[0, 0.5], [1, 0.75]])
    assert Preprocess.fit("scale", floats, max_value=4.0).apply(floats).max() == 0.5
    assert Preprocess.fit("scale", np.full((2, 2), 3.0)).apply(np.full((1, 2), 3.0)).tolist() == [[0.0, 0.0]]


def test_constant_features_are_only_shifted():
    x = np.array([[0.1, 7, 1e30], [0.1, 7, 1e30], [0.1, 8, 1e30]] * 1000)
    fitted = Preprocess.fit("standardise", x)
    assert fitted.scale[[0, 2]].tolist() == [1, 1]  # 0.1 has no exact mean: its deviation is rounding, not zero
    assert fitted.scale[1] == pytest.approx(1 / x[:, 1].std())
    black = np.zeros((5, 3, 2, 2), np.uint8)
    for kind in ("scale", "per-channel", "standardise", "mean-image"):
        assert not Preprocess.fit(kind, black).apply(black).any()


def test_variance_does_not_cancel():
    x = 1e6 + rng.normal(size=(1000, 1))  # mean of squares minus squared mean loses 12 digits here
    assert Preprocess.fit("standardise", x).scale[0] == pytest.approx(1 / x.std(), rel=1e-6)


def whitened_by_svd(x, n_components, eps, kind):
    centred = flat(x) - flat(x).mean(axis=0)
    _, s, vt = np.linalg.svd(centred, full_matrices=False)
    variance = s**2 / len(x)
    eps = eps * variance.sum() / centred.shape[1]
    white = (centred @ vt[:n_components].T) / np.sqrt(variance[:n_components] + eps)
    return white if kind == "pca" else white @ vt[:n_components]


@pytest.mark.parametrize("kind", ["pca", "zca"])
@pytest.mark.parametrize("n_components", [None, 3])
@pytest.mark.parametrize("x", [FEATURES, IMAGES], ids=["features", "images"])
def test_whitening_against_svd(kind, n_components, x):
    out = Preprocess.fit(kind, x, n_components=n_components, eps=1e-3).apply(x.astype(np.float64))
    wanted = whitened_by_svd(x, n_components, 1e-3, kind)
    out = flat(out)
    if kind == "pca":  # an axis has no sign
        out, wanted = np.abs(out), np.abs(wanted)
    np.testing.assert_allclose(out, wanted, atol=2e-5)


def test_whitened_data_are_white():
    for kind in ("pca", "zca"):
        white = Preprocess.fit(kind, FEATURES, eps=1e-9).apply(FEATURES)
        np.testing.assert_allclose(np.cov(white.T, bias=True), np.eye(6), atol=1e-4)
    # An axis has no sign; the largest entry is positive, so that two machines agree
    axes = Preprocess.fit("pca", FEATURES).matrix
    assert (axes[np.abs(axes).argmax(axis=0), np.arange(6)] > 0).all()
    # zca stays as close to the data as white data can be: its matrix is symmetric
    matrix = Preprocess.fit("zca", FEATURES).matrix
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-6)
    assert Preprocess.fit("zca", IMAGES).apply(IMAGES).shape == IMAGES.shape
    assert Preprocess.fit("pca", IMAGES, n_components=7).output_shape((3, 4, 5)) == (7,)


def test_whitening_of_fewer_samples_than_features_and_constant_features():
    few = IMAGES[:10]
    assert np.isfinite(Preprocess.fit("zca", few).apply(IMAGES)).all()
    with pytest.raises(ArgumentError, match="at most 10"):
        Preprocess.fit("pca", few, n_components=11)
    with pytest.raises(DataError, match="nothing to whiten"):
        Preprocess.fit("pca", np.ones((5, 3)))


def test_whitening_means_the_same_at_every_scale():
    a = Preprocess.fit("zca", IMAGES).apply(IMAGES)
    b = Preprocess.fit("zca", IMAGES / 255.0).apply(IMAGES / 255.0)
    np.testing.assert_allclose(a, b, atol=1e-4)


def test_a_batch_of_one_none_and_strided():
    for kind in preprocess.KINDS:
        fitted = Preprocess.fit(kind, IMAGES)
        whole = fitted.apply(IMAGES)
        # BLAS may round a product of one row otherwise than the same row among many
        np.testing.assert_allclose(fitted.apply(IMAGES[:1]), whole[:1], rtol=1e-5, atol=1e-4)
        assert fitted.apply(IMAGES[:0]).shape == (0, *whole.shape[1:])
        np.testing.assert_allclose(fitted.apply(IMAGES[::-2]), whole[::-2], rtol=1e-5, atol=1e-4)


BAD_FITS = {
    "kind": (("whiten", IMAGES), {}, ArgumentError, "zca, got 'whiten'"),
    "no samples": (("scale", IMAGES[:0]), {}, ShapeError, "at least 1"),
    "flat": (("scale", IMAGES[:, 0, 0, 0]), {}, ShapeError, r"\(N, \*shape\)"),
    "objects": (("scale", IMAGES.astype(object)), {}, DTypeError, "object"),
    "NaN": (("scale", np.array([[1.0], [np.nan]])), {}, DataError, "sample 1"),
    "channels of features": (("per-channel", FEATURES), {}, ShapeError, "use standardise"),
    "components of scale": (("scale", IMAGES), {"n_components": 3}, ArgumentError, "only pca"),
    "too many components": (("pca", FEATURES), {"n_components": 7}, ArgumentError, "at most 6"),
    "no components": (("pca", FEATURES), {"n_components": 0}, ArgumentError, "at least 1"),
    "eps 0": (("pca", FEATURES), {"eps": 0.0}, ArgumentError, "eps"),
    "eps NaN": (("zca", FEATURES), {"eps": float("nan")}, ArgumentError, "eps"),
    "max_value 0": (("scale", IMAGES), {"max_value": 0}, ArgumentError, "max_value"),
    "too large for float32": (("mean-image", np.full((2, 2), 1e300)), {}, DataError, "float32"),
}


@pytest.mark.parametrize("what", BAD_FITS)
def test_bad_fits(what):
    arguments, options, error, message = BAD_FITS[what]
    with pytest.raises(error, match=message):
        Preprocess.fit(*arguments, **options)


def test_bad_apply():
    fitted = Preprocess.fit("mean-image", IMAGES)
    out = np.zeros(IMAGES.shape, np.float32)
    for x, target, error in (
        (IMAGES.transpose(0, 2, 3, 1), None, ShapeError),
        (IMAGES[0], None, ShapeError),
        (IMAGES.astype(str), None, DTypeError),
        (IMAGES, out[1:], ShapeError),
        (IMAGES, out.astype(np.float16), DTypeError),
        (IMAGES, np.zeros(IMAGES.shape, np.uint8), DTypeError),
    ):
        with pytest.raises(error):
            fitted.apply(x, out=target)
    assert not out.any()


def test_bad_arrays():
    good = Preprocess.fit("pca", FEATURES, n_components=3).to_arrays()
    assert all(v.dtype in (np.uint8, np.float32) for v in good.values())
    nan = good["shift"].copy()
    nan[0] = np.nan
    for change in (
        {"kind": np.frombuffer(b"magic", np.uint8)},
        {"kind": np.frombuffer(b"scale", np.uint8)},  # scale has no matrix
        {"shift": good["shift"][:5]},
        {"shift": nan},
        {"scale": good["scale"].astype(np.float64)},
        {"matrix": good["matrix"][:5]},
        {"matrix": good["matrix"][0]},
        {"extra": good["shift"]},
    ):
        with pytest.raises(DataError, match="preprocess"):
            Preprocess.from_arrays({**good, **change})
    for missing in good:
        with pytest.raises(DataError, match="preprocess"):
            Preprocess.from_arrays({k: v for k, v in good.items() if k != missing})
