"""Preprocessing as a recorded object: fitted to the training samples once, applied to every batch and prediction.

Every kind is ``out = (x - shift) * scale`` elementwise, and whitening then multiplies by a matrix.  One formula
for all of them means one kernel, one thing to store in a checkpoint, and nothing that prediction could forget.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backpass.data.checks import check_positive_int, chunk_rows, first_nonfinite
from backpass.errors import ArgumentError, DataError, DTypeError, ShapeError

KINDS = ("none", "scale", "mean-image", "per-channel", "standardise", "pca", "zca")

# A feature whose standard deviation is below this part of its mean is constant: what is left is rounding.
CONSTANT = 1e-10


@dataclass(frozen=True, eq=False)
class Preprocess:
    """What is done to a sample before the first layer; made by `Preprocess.fit`.

    Attributes
    ----------
    kind : str
        One of ``none``, ``scale``, ``mean-image``, ``per-channel``, ``standardise``, ``pca``, ``zca``.
    shift, scale : ndarray (*shape), float32
        Subtracted from and multiplied with a sample of shape `shape`.
    matrix : ndarray (D, K), float32, or None
        The whitening matrix for a flattened sample of D = prod(shape) values.

    Examples
    --------
    >>> x = np.array([[0, 10], [4, 30]], np.uint8)
    >>> standardise = Preprocess.fit("standardise", x)
    >>> standardise.apply(x)
    array([[-1., -1.],
           [ 1.,  1.]], dtype=float32)
    """

    kind: str
    shift: NDArray[np.float32]
    scale: NDArray[np.float32]
    matrix: NDArray[np.float32] | None = None

    @staticmethod
    def fit(
        kind: str,
        x_train: NDArray[Any],
        *,
        max_value: float | None = None,
        n_components: int | None = None,
        eps: float = 1e-2,
    ) -> Preprocess:
        """Fit to the training samples, in one or two passes over chunks of a few megabytes.

        Parameters
        ----------
        kind : str
            - ``none``: the values as they are.
            - ``scale``: to [0, 1]: divide by `max_value` (255 for uint8); floats without a `max_value` are
              mapped from the range seen in training.
            - ``mean-image``: subtract the mean sample (what the course does).
            - ``per-channel``: subtract the mean and divide by the standard deviation of each channel.
            - ``standardise``: the same for each feature; a constant feature is only shifted.
            - ``pca``: subtract the mean sample, rotate to the principal axes (largest variance first), divide
              each by its standard deviation; the output is (N, n_components).
            - ``zca``: as pca, then rotate back, so that the output still is a picture.
        x_train : ndarray (N, *shape)
            The training samples, uint8 or float.
        max_value : float, optional
            The largest value possible, for ``scale``.
        n_components : int, optional
            How many principal axes ``pca`` and ``zca`` keep; all if None.
        eps : float
            Added to the variances of ``pca`` and ``zca``, as a part of their mean, so that directions without
            variance are not blown up.  Being relative, it means the same for values up to 1 and up to 255.

        Raises
        ------
        ArgumentError
            Where the kind is unknown or an option makes no sense.
        ShapeError
            Where there are no samples, or ``per-channel`` is asked for samples that are not (C, H, W).
        DataError
            Where a sample holds NaN or infinity.

        Notes
        -----
        Sums run in float64 sample by sample in a fixed order.  Whitening goes through BLAS, whose last bits
        depend on the machine: a resumed run takes the matrix from its checkpoint and does not fit again.

        Examples
        --------
        >>> x = np.random.default_rng(0).normal(size=(500, 4)) @ np.diag([1.0, 2.0, 3.0, 4.0])
        >>> white = Preprocess.fit("pca", x, n_components=2, eps=1e-9).apply(x)
        >>> bool(np.allclose(np.cov(white.T, bias=True), np.eye(2), atol=1e-5))
        True
        """
        if kind not in KINDS:
            raise ArgumentError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
        if x_train.dtype.kind not in "uif":
            raise DTypeError(f"x_train: expected numbers, got dtype {x_train.dtype}")
        if x_train.ndim < 2 or x_train.size == 0:
            raise ShapeError(f"x_train: expected samples (N, *shape) with N of at least 1, got {x_train.shape}")
        if max_value is not None and not 0.0 < max_value < np.inf:
            raise ArgumentError(f"max_value: expected a positive number, got {max_value}")
        bad = first_nonfinite(x_train)
        if bad is not None:
            raise DataError(f"x_train: sample {bad} holds NaN or infinity")
        shape = x_train.shape[1:]
        if n_components is not None and kind not in ("pca", "zca"):
            raise ArgumentError(f"n_components: only pca and zca have components, got kind {kind!r}")

        if kind == "none":
            return _elementwise(kind, 0.0, 1.0, shape)
        if kind == "scale":
            low, high = _limits(x_train, max_value)
            return _elementwise(kind, low, 1.0 / (high - low) if high > low else 1.0, shape)
        if kind in ("pca", "zca"):
            return _fit_whitening(kind, x_train, n_components, eps)
        mean = _mean(x_train)
        if kind == "mean-image":
            return _elementwise(kind, mean, 1.0, shape)
        if kind == "standardise":
            return _elementwise(kind, mean, _one_over(np.sqrt(_variance(x_train, mean)), mean), shape)
        if len(shape) != 3:
            raise ShapeError(f"x_train: per-channel needs samples (C, H, W), got {shape}; use standardise")
        mean = mean.mean(axis=(1, 2), keepdims=True)
        std = np.sqrt(_variance(x_train, mean).mean(axis=(1, 2), keepdims=True))
        return _elementwise(kind, mean, _one_over(std, mean), shape)

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape that samples of `shape` have afterwards.

        Raises
        ------
        ShapeError
            Where this was fitted to samples of another shape.

        Examples
        --------
        >>> x = np.arange(48.0).reshape(4, 3, 2, 2)
        >>> Preprocess.fit("pca", x, n_components=2).output_shape((3, 2, 2))
        (2,)
        """
        if tuple(shape) != self.shift.shape:
            raise ShapeError(f"expected samples of shape {self.shift.shape} as in training, got {tuple(shape)}")
        return (self.matrix.shape[1],) if self.kind == "pca" and self.matrix is not None else self.shift.shape

    def apply(self, x: NDArray[Any], out: NDArray[Any] | None = None) -> NDArray[Any]:
        """Return the preprocessed samples, computed in the dtype of the result.

        Parameters
        ----------
        x : ndarray (N, *shape)
            Samples, uint8 or float; not modified.
        out : ndarray (N, *output_shape), float32 or float64, optional
            Where to write; a new array of float64 where `x` is float64, else of float32, if None.

        Returns
        -------
        ndarray (N, *output_shape)
            `out`.

        Raises
        ------
        ShapeError, DTypeError
            Where `x` or `out` do not fit.

        Examples
        --------
        >>> Preprocess.fit("scale", np.zeros((1, 2), np.uint8)).apply(np.array([[0, 255]], np.uint8))
        array([[0., 1.]], dtype=float32)
        """
        if x.dtype.kind not in "buif":
            raise DTypeError(f"x: expected numbers, got dtype {x.dtype}")
        if x.ndim < 1:
            raise ShapeError(f"x: expected samples (N, *{self.shift.shape}), got one number")
        shape = (len(x), *self.output_shape(x.shape[1:]))
        if out is None:
            out = np.empty(shape, np.float64 if x.dtype == np.float64 else np.float32)
        if out.shape != shape:
            raise ShapeError(f"out: expected shape {shape}, got {out.shape}")
        if out.dtype not in (np.float32, np.float64):
            raise DTypeError(f"out: expected float32 or float64, got {out.dtype}")
        if self.matrix is None:
            return self._shift_and_scale(x, out)
        matrix = self.matrix.astype(out.dtype, copy=False)
        rows = chunk_rows(x, out.itemsize)
        shifted = np.empty((min(rows, len(x)), *x.shape[1:]), out.dtype)
        for start in range(0, len(x), rows):
            chunk = x[start : start + rows]
            flat = self._shift_and_scale(chunk, shifted[: len(chunk)]).reshape(len(chunk), -1)
            out[start : start + rows] = (flat @ matrix).reshape(-1, *shape[1:])
        return out

    def _shift_and_scale(self, x: NDArray[Any], out: NDArray[Any]) -> NDArray[Any]:
        np.subtract(x, self.shift, out=out, dtype=out.dtype, casting="same_kind")
        np.multiply(out, self.scale, out=out)
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Return everything as plain numeric arrays, for a checkpoint.

        Examples
        --------
        >>> sorted(Preprocess.fit("none", np.zeros((1, 2))).to_arrays())
        ['kind', 'scale', 'shift']
        """
        arrays: dict[str, NDArray[Any]] = {
            "kind": np.frombuffer(self.kind.encode("ascii"), np.uint8),
            "shift": self.shift,
            "scale": self.scale,
        }
        if self.matrix is not None:
            arrays["matrix"] = self.matrix
        return arrays

    @staticmethod
    def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Preprocess:
        """Return the preprocessing that `to_arrays` was called on.

        Raises
        ------
        DataError
            Where an array is missing, unknown, or of another dtype or shape than `to_arrays` writes.

        Examples
        --------
        >>> scale = Preprocess.fit("scale", np.zeros((1, 2), np.uint8))
        >>> print(Preprocess.from_arrays(scale.to_arrays()))
        scale: (x - 0) * 0.003922
        """
        kind = arrays["kind"].tobytes().decode("ascii", "replace") if "kind" in arrays else None
        if kind not in KINDS:
            raise DataError(f"preprocess: expected a kind among {', '.join(KINDS)}, got {kind!r}")
        whitens = kind in ("pca", "zca")
        expected = {"kind", "shift", "scale"} | ({"matrix"} if whitens else set())
        if set(arrays) != expected:
            raise DataError(f"preprocess {kind}: expected the arrays {sorted(expected)}, got {sorted(arrays)}")
        values = {name: np.ascontiguousarray(arrays[name]) for name in expected - {"kind"}}
        for name, value in values.items():
            if value.dtype != np.float32 or not np.isfinite(value).all():
                raise DataError(f"preprocess {kind}: {name} must be finite float32, got {value.dtype}")
        shift, scale, matrix = values["shift"], values["scale"], values.get("matrix")
        if shift.ndim == 0 or shift.shape != scale.shape:
            raise DataError(f"preprocess {kind}: shift {shift.shape} and scale {scale.shape} must have one shape")
        if matrix is not None:
            fits = matrix.ndim == 2 and matrix.shape[0] == shift.size
            if not fits or (kind == "zca" and matrix.shape[1] != shift.size):
                raise DataError(f"preprocess {kind}: matrix {matrix.shape} does not fit samples {shift.shape}")
        return Preprocess(kind, shift, scale, matrix)

    def __str__(self) -> str:
        text = f"{self.kind}: (x - {_summary(self.shift)}) * {_summary(self.scale)}"
        return text if self.matrix is None else f"{text} @ matrix {self.matrix.shape}"

    def __repr__(self) -> str:
        return f"<Preprocess {self}>"


def _summary(array: NDArray[np.float32]) -> str:
    low, high = float(array.min()), float(array.max())
    return f"{low:.4g}" if low == high else f"[{low:.4g} to {high:.4g}]"


def _elementwise(kind: str, shift: Any, scale: Any, shape: tuple[int, ...]) -> Preprocess:
    with np.errstate(over="ignore"):  # an overflow is found below
        full = [np.array(np.broadcast_to(np.asarray(value), shape), np.float32, order="C") for value in (shift, scale)]
    if not all(np.isfinite(array).all() for array in full):
        raise DataError("x_train: its values do not fit float32; divide them first")
    return Preprocess(kind, full[0], full[1])


def _chunks(x: NDArray[Any], least_rows: int = 1) -> Iterator[NDArray[np.float64]]:
    rows = max(chunk_rows(x), least_rows)
    for start in range(0, len(x), rows):
        yield x[start : start + rows].astype(np.float64)


def _limits(x: NDArray[Any], max_value: float | None) -> tuple[float, float]:
    if max_value is not None:
        return 0.0, float(max_value)
    if x.dtype.kind in "ui":
        return 0.0, float(np.iinfo(x.dtype).max)
    return float(x.min()), float(x.max())


def _mean(x: NDArray[Any]) -> NDArray[np.float64]:
    total = np.zeros(x.shape[1:])
    for chunk in _chunks(x):
        total += chunk.sum(axis=0)
    return total / len(x)


def _variance(x: NDArray[Any], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    # A second pass: the difference of the mean square and the squared mean cancels.
    total = np.zeros(x.shape[1:])
    for chunk in _chunks(x):
        chunk -= mean
        total += np.square(chunk, out=chunk).sum(axis=0)
    return total / len(x)


def _one_over(std: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
    constant = std <= CONSTANT * np.abs(mean)
    return 1.0 / np.where(constant, 1.0, std)


def _fit_whitening(kind: str, x: NDArray[Any], n_components: int | None, eps: float) -> Preprocess:
    D = int(np.prod(x.shape[1:]))
    K = D if n_components is None else check_positive_int(n_components, "n_components")
    if min(D, len(x)) < K and n_components is not None:
        raise ArgumentError(f"n_components: {len(x)} samples of {D} values have at most {min(D, len(x))}, got {K}")
    if not 0.0 < eps < np.inf:
        raise ArgumentError(f"eps: expected a positive number, got {eps}")
    mean = _mean(x)
    covariance = np.zeros((D, D))
    for chunk in _chunks(x, least_rows=D):  # so that adding D x D numbers is little beside the product
        centred = (chunk - mean).reshape(-1, D)
        covariance += centred.T @ centred
    covariance /= len(x)
    variance, axes = np.linalg.eigh(covariance)  # ascending
    if not variance[-1] > 0.0:
        raise DataError("x_train: all samples are the same; there is nothing to whiten")
    variance, axes = np.maximum(variance[::-1], 0.0)[:K], axes[:, ::-1][:, :K]
    # An eigenvector has no sign; the largest entry is made positive so that two fits agree.
    axes = axes * np.sign(axes[np.argmax(np.abs(axes), axis=0), np.arange(K)])
    matrix = axes / np.sqrt(variance + eps * np.trace(covariance) / D)
    if kind == "zca":
        matrix = matrix @ axes.T
    plain = _elementwise(kind, mean, 1.0, x.shape[1:])
    return Preprocess(kind, plain.shift, plain.scale, np.ascontiguousarray(matrix, np.float32))
