"""The errors that backpass raises on purpose.

Each derives from `BackpassError` and from the builtin that a caller would expect, so that both
`except BackpassError` and `except ValueError` catch it.  A message says what was expected, what
came, where, and what to do about it.
"""

from __future__ import annotations


class BackpassError(Exception):
    """The root of every error that backpass raises on purpose."""


class ShapeError(BackpassError, ValueError):
    """An array has another shape than the layer, loss or model expects."""


class DTypeError(BackpassError, TypeError):
    """An array has another dtype than expected."""


class ArgumentError(BackpassError, ValueError):
    """An argument has a value that makes no sense (a rate of zero, a probability of two ...)."""


class DataError(BackpassError, ValueError):
    """A data file or array is damaged, incomplete, or holds values that cannot be trained on."""


class DataNotFoundError(BackpassError, FileNotFoundError):
    """A data set is not where it was looked for."""

    def __str__(self) -> str:
        # FileNotFoundError would print the message as an errno tuple if it had two arguments.
        return str(self.args[0]) if self.args else ""


class DownloadError(BackpassError, OSError):
    """A download failed on every mirror, or what came is not what was published."""


class CheckpointError(BackpassError, ValueError):
    """A checkpoint is damaged, of another format version, or of another run."""


class DivergenceError(BackpassError, ArithmeticError):
    """Training produced a loss, gradient or parameter that is not finite."""


class MissingExtraError(BackpassError, ImportError):
    """An optional package is needed for what was asked; the message names the extra to install."""
