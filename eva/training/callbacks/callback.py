"""The moments of a training at which other code may look on, and the way to end it early."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eva.record import EpochRow, Run

if TYPE_CHECKING:
    from eva.training.trainer import Trainer


class StopTraining(Exception):
    """Raised by a callback to end the run.

    The epoch that is running is finished, tested and written down first. The run's status is then
    "stopped", unless that was its last epoch.
    """


class Callback:
    """Override the moments that you need; each does nothing by itself.

    Any of them may raise :class:`StopTraining`.
    """

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch, or after a checkpoint was loaded."""

    def on_epoch_start(self, trainer: Trainer, epoch: int) -> None:
        """Before the first step of an epoch, counted from 0."""

    def on_look(self, trainer: Trainer, step: int) -> None:
        """About twice a second inside an epoch, after a step counted from 0 over the whole run.

        ``trainer.totals`` may be read. Never called on a GPU, which would have to wait.
        """

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """After an epoch was tested and its checkpoint written."""

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        """After the last epoch, of a run that was stopped early too."""
