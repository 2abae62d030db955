"""eva's own trainer; ``--bf16`` and ``--compile`` as ``eva train`` has them."""

from __future__ import annotations

import sys
from dataclasses import replace

from eva.data import load_data
from eva.experiments.exp5 import RECIPE
from eva.record import EpochRow
from eva.training.callbacks import Callback
from eva.training.trainer import Trainer
from peers.common import Report, device, network, options


def main() -> None:
    """Train and test."""
    chosen = options()
    data = load_data("mnist", chosen.data)
    data = replace(
        data,
        train_images=data.train_images[: chosen.images],
        train_labels=data.train_labels[: chosen.images],
    )
    recipe = RECIPE.model_copy(update={"epochs": chosen.epochs, "batch_size": chosen.batch})
    sys.stderr.isatty = lambda: False  # no progress bar, whoever looks on

    class Reporter(Callback):
        def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
            report.epoch(row.test_accuracy)

    trainer = Trainer(
        network(chosen.width),
        recipe,
        data,
        device=device(),
        bf16=chosen.bf16,
        compiled="on" if chosen.compile else "off",
        callbacks=[Reporter()],
    )
    report = Report()
    trainer.fit()


if __name__ == "__main__":
    main()
