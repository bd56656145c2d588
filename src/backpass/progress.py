"""How a training goes, while it goes: a live display on a terminal, plain lines anywhere else.

    bp.Trainer(model, data, callbacks=[bp.Progress()]).fit()

Nothing is done per step: the trainer calls `tick` some ten times a second, and the display is drawn at most four times.
"""

from __future__ import annotations

import math
import sys
import time
from typing import IO, TYPE_CHECKING, Any

from .callbacks import Callback
from .words import about, count, duration, label, metric

if TYPE_CHECKING:
    from .train import Run

DRAW_S = 0.25  # a drawing takes some 2 ms: under 1 % of the time
EPOCH_LINE_S = 1.0
STEP_LINE_S = 10.0


class Progress(Callback):
    """Shows epoch, loss, accuracies, speed and time left: live on a terminal, as plain lines elsewhere.

    Plain lines come after an epoch, but at most one a second, and every ten seconds within a long epoch.

    Parameters
    ----------
    file : text file, optional
        Where to show it; standard output if None.

    Examples
    --------
    >>> import io
    >>> import backpass as bp
    >>> data, shown = bp.data.load("digits"), io.StringIO()
    >>> model = bp.Model([bp.Affine(10)], input_shape=data.shape)
    >>> run = bp.Trainer(model, data, epochs=1, callbacks=[bp.Progress(shown)]).fit()
    >>> shown.getvalue().split()[:4]
    ['epoch', '1/1', '·', 'loss']
    """

    def __init__(self, file: IO[str] | None = None) -> None:
        self.file = file

    def start(self, run: Run) -> None:
        """Open the display."""
        from rich.console import Console
        from rich.live import Live

        self._console = Console(file=self.file or sys.stdout, highlight=False)
        self._started = self._shown = time.perf_counter()
        self._line_epoch, self._first_step = -1, run.step
        self._noun = "image" if len(run.trainer.data.shape) == 3 else "sample"
        self._live: Any = None
        if self._console.is_terminal:
            self._live = Live(self._drawing(run), console=self._console, auto_refresh=False)
            self._live.start(refresh=True)

    def tick(self, run: Run) -> None:
        """Draw the display, or write a line where the last is long ago."""
        now = time.perf_counter()
        if now - self._shown < (DRAW_S if self._live else STEP_LINE_S):
            return
        self._shown = now
        if self._live:
            self._live.update(self._drawing(run), refresh=True)
        else:
            self._write(f"epoch {run.epoch + 1}/{run.epochs}, step {run.step}/{run.total_steps}", run)

    def epoch(self, run: Run) -> None:
        """Write a line, where there is no display."""
        now = time.perf_counter()
        if not self._live and (self._line_epoch < 0 or now - self._shown >= EPOCH_LINE_S):
            self._shown = now
            self._write_epoch(run)

    def end(self, run: Run) -> None:
        """Close the display and say how the run ended."""
        if self._live:
            self._live.update(self._drawing(run), refresh=True)
            self._live.stop()
        elif run.history and self._line_epoch != run.epoch:
            self._write_epoch(run)
        self._console.print(self._ending(run), soft_wrap=True, markup=False)

    # -- words ------------------------------------------------------------------------------------------------------

    def _write_epoch(self, run: Run) -> None:
        self._line_epoch = run.epoch
        self._write(f"epoch {run.epoch}/{run.epochs}", run)

    def _write(self, where: str, run: Run) -> None:
        parts = [where, f"loss {about(run.loss)}", *self._epoch_words(run), self._speed(run), self._left(run)]
        self._console.print(" · ".join(part for part in parts if part), soft_wrap=True, markup=False)

    def _epoch_words(self, run: Run) -> list[str]:
        """Describe the last epoch and the best."""
        if not run.history:
            return []
        row, monitor = run.history.rows[-1], run.trainer.monitor
        kind = "accuracy" if "val_accuracy" in row else "loss"
        train, val = f"train_{kind}", f"val_{kind}"
        best = metric(monitor, run.best[monitor])
        return [
            f"train {metric(train, row[train])}",
            f"val {metric(val, row[val])}",
            f"best {best if monitor == val else f'{label(monitor)} {best}'} in epoch {run.best['epoch']}",
        ]

    def _speed(self, run: Run) -> str:
        # Over an epoch where there is one: a tenth of a second counts a few steps only.
        speed = run.history["samples_per_s"][-1] if run.history else run.samples_per_s
        return f"{speed:,.0f} {self._noun}s/s" if speed > 0 else ""

    def _left(self, run: Run) -> str:
        done, todo = run.step - self._first_step, run.total_steps - run.step
        if not done or not todo:
            return ""
        return f"{duration((time.perf_counter() - self._started) / done * todo)} left"

    def _ending(self, run: Run) -> str:
        where = f"{count(run.epoch, 'epoch')} in {duration(run.seconds)}"
        if run.status == "finished":
            return f"finished: {where}"
        return f"{run.status} after {where}, step {run.step} of {run.total_steps}: {run.reason}"

    # -- the live display -------------------------------------------------------------------------------------------

    def _drawing(self, run: Run) -> Any:
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        epoch = min(run.epoch + 1, run.epochs)
        top = Table.grid(padding=(0, 1), expand=True)
        top.add_column(no_wrap=True)
        top.add_column(ratio=1)
        top.add_column(no_wrap=True)
        right = " · ".join(part for part in (self._speed(run), self._left(run)) if part)
        top.add_row(
            Text(f"epoch {epoch}/{run.epochs}", style="bold"),
            ProgressBar(total=run.total_steps, completed=run.step),
            Text(f"{100 * run.step // run.total_steps:3d} %  {right}"),
        )
        loss = [] if math.isnan(run.loss) else [f"loss {about(run.loss)}"]
        return Group(top, Text(" · ".join([*loss, *self._epoch_words(run)]), style="cyan", no_wrap=True))


__all__ = ["Progress"]
