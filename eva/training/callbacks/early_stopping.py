"""End a run whose training loss no longer falls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eva.errors import TrainingError
from eva.record import EpochRow
from eva.training.callbacks.callback import Callback, StopTraining

if TYPE_CHECKING:
    from eva.training.trainer import Trainer


class EarlyStopping(Callback):
    """Stop after ``patience`` epochs in a row without a training loss below the lowest so far.

    It looks at the training loss. A run that ends when the *test* images say so is tuned on them,
    and its accuracy on them no longer says how good it is on others.

    Args:
        patience: Epochs, at least 1.
        smallest_gain: How far below the lowest a loss must be to count.

    Raises:
        TrainingError: ``patience`` is below 1.
    """

    def __init__(self, patience: int = 3, smallest_gain: float = 0.0) -> None:
        if patience < 1:
            raise TrainingError(f"EarlyStopping waits at least 1 epoch, got patience={patience}.")
        self.patience = patience
        self.smallest_gain = smallest_gain

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """Count the epochs since the lowest training loss, from the record, so resuming is exact.

        Raises:
            StopTraining: There were ``patience`` of them.
        """
        lowest, waited = float("inf"), 0
        for past in trainer.run.rows:
            better = past.train_loss < lowest - self.smallest_gain
            lowest, waited = (past.train_loss, 0) if better else (lowest, waited + 1)
        if waited >= self.patience:
            raise StopTraining
