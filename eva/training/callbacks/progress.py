"""A bar for each epoch and a line after it, in a terminal or a notebook."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tqdm import tqdm  # not tqdm.auto, which wants ipywidgets in a notebook

from eva.record import EpochRow, Run, counted
from eva.training.callbacks.callback import Callback

if TYPE_CHECKING:
    from eva.training.trainer import Trainer


class ProgressBar(Callback):
    """Show how far a training is. A trainer adds one where none is among its callbacks.

    Nothing is shown where nobody looks: neither a terminal nor a notebook is there.

    Args:
        bar: Show a bar inside each epoch, on standard error.
        lines: Write a line after each epoch, on standard error.
    """

    def __init__(self, *, bar: bool = True, lines: bool = True) -> None:
        self._bar: tqdm[None] | None = None
        self._shows_bar = bar
        self._shows_lines = lines

    def on_epoch_start(self, trainer: Trainer, epoch: int) -> None:
        """Begin a bar."""
        if self._shows_bar and somebody_looks():
            self._bar = tqdm(
                total=trainer.steps_per_epoch, desc=f"epoch {epoch + 1:2d}", leave=False, unit="it"
            )

    def on_look(self, trainer: Trainer, step: int) -> None:
        """Move the bar on, and write loss and accuracy so far beside it."""
        if self._bar is not None:
            totals = trainer.totals
            self._bar.update(step % trainer.steps_per_epoch + 1 - self._bar.n)
            self._bar.set_postfix_str(
                f"loss {totals.mean_loss():.4f}, train {totals.accuracy():.2f} %"
            )

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """Take the bar away and write the epoch's line."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
        if self._shows_lines and somebody_looks():
            tqdm.write(epoch_line(row), file=sys.stderr)

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        """Say how the run ended, where it was stopped early."""
        if self._shows_lines and somebody_looks() and run.status == "stopped":
            done = len(run.rows)
            tqdm.write(
                f"Stopped after {done} of {counted(run.recipe.epochs, 'epoch')}.", sys.stderr
            )


def epoch_line(row: EpochRow) -> str:
    """What an epoch measured, in a line of at most 90 characters."""
    return (
        f"epoch {row.epoch + 1:2d}  lr {row.lr:<8.3g} train {row.train_accuracy:6.2f} % "
        f"({row.train_loss:.4f})  test {row.test_accuracy:6.2f} % ({row.test_loss:.4f})  "
        f"{row.seconds_train + row.seconds_test:5.1f} s"
    )


def somebody_looks() -> bool:
    """Whether standard error is a terminal, or this runs in a notebook."""
    return "ipykernel" in sys.modules or bool(sys.stderr and sys.stderr.isatty())
