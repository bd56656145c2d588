"""A vector that waits in a file without a name: it takes no memory meanwhile, and is gone with the process.

The best parameters so far are needed when a checkpoint is written and when training ends, not in between.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from .layers.base import Array

PIECE_BYTES = 1 << 18  # a smaller vector stays in memory: a file would cost more than it saves


class FiledVector:
    """A copy of a vector, kept in a temporary file.

    Parameters
    ----------
    vector : array (n,)
        Any numbers.
    folder : str or Path, optional
        Where there is room; None takes the system's folder for temporary files.  Where the file cannot be written, the copy
        is kept in memory.

    Attributes
    ----------
    shape : tuple of int
    dtype : numpy.dtype

    Examples
    --------
    >>> filed = FiledVector(np.arange(3.0))
    >>> again = np.zeros(3)
    >>> filed.read_into(again)
    >>> again
    array([0., 1., 2.])
    """

    def __init__(self, vector: Array, folder: str | Path | None = None) -> None:
        self.shape, self.dtype = vector.shape, vector.dtype
        self._file: BinaryIO = io.BytesIO()
        try:
            if vector.nbytes >= PIECE_BYTES:
                import tempfile  # here, and not above: `import backpass` stays quick

                self._file = cast(BinaryIO, tempfile.TemporaryFile(dir=folder))  # noqa: SIM115 (open as long as this lives)
            self._file.write(vector.data)
            self._file.flush()
        except OSError:  # no room, or no folder that can be written to
            self._file.close()
            self._file = io.BytesIO(vector.tobytes())

    def __del__(self) -> None:
        self._file.close()

    def pieces(self) -> Iterator[Array]:
        """Yield the numbers in order, some at a time."""
        self._file.seek(0)
        while piece := self._file.read(PIECE_BYTES):
            yield np.frombuffer(piece, self.dtype)

    def read_into(self, vector: Array) -> None:
        """Copy the numbers into a vector of the same shape."""
        start = 0
        for piece in self.pieces():
            vector[start : start + len(piece)] = piece
            start += len(piece)
