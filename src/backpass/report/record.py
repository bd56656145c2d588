"""What a report is made from: the history, manifest and best model of a run, live or from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import ArgumentError
from ..history import History
from ..model import Model
from ..train import Run, best_model, history_of, load_run


@dataclass(frozen=True)
class Record:
    """A run, as reports see it.

    Attributes
    ----------
    history : History
    manifest : dict
        As in the checkpoint: "model", "trainer", "data", "versions", "machine", "note", "step", "status" and so on.
    model : Model
        With the best parameters.
    folder : Path or None
        Where the run is kept.
    """

    history: History
    manifest: dict[str, Any]
    model: Model
    folder: Path | None

    @property
    def layers(self) -> list[str]:
        """Numbers and names of the layers, such as "2 ReLU"."""
        return [f"{i} {type(layer).__name__}" for i, layer in enumerate(self.model.layers)]

    @property
    def monitor(self) -> str:
        """The column of the history that says what is best."""
        return str(self.manifest["trainer"]["monitor"])


def record_of(run: Run | Record | str | Path) -> Record:
    """Return the record of a run, of the folder of a run, or a record itself.

    Parameters
    ----------
    run : Run, Record, str or Path

    Raises
    ------
    ArgumentError
        If it is none of these.
    CheckpointError
        If there is no run in the folder, or it is damaged.

    Examples
    --------
    >>> import backpass as bp
    >>> data = bp.data.load("digits")
    >>> run = bp.Trainer(bp.Model([bp.Affine(10)], input_shape=data.shape), data, epochs=1).fit()
    >>> record_of(run).layers
    ['0 Affine']
    """
    if isinstance(run, Record):
        return run
    if isinstance(run, Run):
        return Record(run.history, run.trainer.manifest(), run.model, run.out)
    if isinstance(run, (str, Path)):
        arrays, manifest = load_run(run)
        folder = Path(run)
        return Record(history_of(arrays), manifest, best_model(arrays, manifest, folder), folder)
    raise ArgumentError(f"report: expected a run, as Trainer.fit returns it, or the folder of one, got {run!r}")
