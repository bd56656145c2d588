"""What happened in a run: a row per epoch, the loss of every step, and histograms of the layers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from .errors import CheckpointError
from .layers.base import Array


class History:
    """Rows of an epoch each, by column; `history["val_accuracy"]` is a list.

    Attributes
    ----------
    step_loss : ndarray (steps,)
        The loss of every step so far.
    inspections : dict of ndarray
        Histograms and statistics per epoch and layer; see `backpass.inspection`.

    Examples
    --------
    >>> history = History()
    >>> history.add_epoch({"epoch": 1, "loss": 0.5})
    >>> history["loss"], len(history)
    ([0.5], 1)
    """

    METRICS: ClassVar[tuple[str, ...]] = (
        "loss",
        "train_loss",
        "train_accuracy",
        "train_r2",
        "val_loss",
        "val_accuracy",
        "val_r2",
    )
    COLUMNS: ClassVar[tuple[str, ...]] = (
        "epoch",
        "step",
        *METRICS,
        "lr",
        "update_ratio",
        "gradient_norm",
        "seconds",
        "samples_per_s",
    )

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.inspections: dict[str, Array] = {}
        self._losses = np.zeros(1024)
        self._steps = 0

    def __getitem__(self, column: str) -> list[float]:
        return [row[column] for row in self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def columns(self) -> list[str]:
        """The columns that this run has."""
        return [name for name in self.COLUMNS if self.rows and name in self.rows[0]]

    @property
    def step_loss(self) -> Array:
        """The loss of every step so far."""
        return self._losses[: self._steps]

    def add_step(self, loss: float) -> None:
        """Note the loss of a step."""
        if self._steps == len(self._losses):
            self._losses = np.concatenate([self._losses, np.zeros(self._steps)])  # doubles: rarely
        self._losses[self._steps] = loss
        self._steps += 1

    def mean_loss(self, steps: int) -> float:
        """Return the mean loss of the last steps."""
        return float(self.step_loss[-steps:].mean())

    def add_epoch(self, row: Mapping[str, float], inspected: Mapping[str, Array] | None = None) -> None:
        """Note an epoch's row and, where the layers were looked at, what was seen."""
        self.rows.append(dict(row))
        for name, array in (inspected or {}).items():
            before = self.inspections.get(name)
            self.inspections[name] = array[None] if before is None else np.concatenate([before, array[None]])

    def to_arrays(self) -> dict[str, Array]:
        """Return everything as arrays by name, for a checkpoint."""
        columns = {name: np.array(self[name], np.float64) for name in self.columns}
        return {**columns, "step_loss": self.step_loss, **{f"inspect/{k}": v for k, v in self.inspections.items()}}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, Array]) -> History:
        """Return the history that `to_arrays` described; CheckpointError if it does not fit together."""
        history = cls()
        columns = {name: arrays[name] for name in cls.COLUMNS if name in arrays}
        losses = arrays.get("step_loss")
        if losses is None or losses.ndim != 1 or len({len(c) for c in columns.values()}) > 1:
            raise CheckpointError("history: expected the losses of the steps and columns of one length")
        history._losses, history._steps = np.concatenate([losses, np.zeros(1024)]), len(losses)
        for i in range(len(next(iter(columns.values()), ()))):
            row = {name: float(column[i]) for name, column in columns.items()}
            history.rows.append({name: int(v) if name in ("epoch", "step") else v for name, v in row.items()})
        prefix = "inspect/"
        history.inspections = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        return history

    def write_csv(self, path: str | Path) -> None:
        """Write the rows as CSV, for spreadsheets and other programs.

        Examples
        --------
        >>> import tempfile
        >>> history = History()
        >>> history.add_epoch({"epoch": 1, "loss": 0.5})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     history.write_csv(folder + "/history.csv")
        ...     print(Path(folder + "/history.csv").read_text())
        epoch,loss
        1,0.5
        <BLANKLINE>
        """
        import csv  # here, and not above: `import backpass` stays quick

        path = Path(path)
        temporary = path.with_name(path.name + ".writing")
        try:
            with temporary.open("w", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(self.columns)
                for row in self.rows:
                    writer.writerow([_short(row[name]) for name in self.columns])
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise CheckpointError(f"{path}: could not be written ({error.strerror or error})") from error


def _short(value: float) -> str:
    return str(value) if isinstance(value, int) else "" if math.isnan(value) else f"{value:.9g}"
