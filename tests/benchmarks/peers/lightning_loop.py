"""Lightning's Trainer."""

from __future__ import annotations

import logging
import warnings

import lightning
import torch
import torch.nn.functional as F

from peers.common import DECAY, EVERY, GAMMA, LR, MOMENTUM, Report, loaders, network, options


class Classifier(lightning.LightningModule):
    """Experiment 5; reports after each validation."""

    def __init__(self, report: Report, test_size: int) -> None:
        super().__init__()
        self.model = network()
        self._report = report
        self._test_size = test_size
        self._correct = torch.zeros((), dtype=torch.int64)

    def configure_optimizers(self):
        optimizer = torch.optim.SGD(
            self.parameters(), lr=LR, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY
        )
        return [optimizer], [torch.optim.lr_scheduler.StepLR(optimizer, EVERY, GAMMA)]

    def training_step(self, batch, index):
        images, labels = batch
        return F.cross_entropy(self.model(images), labels)

    def on_validation_epoch_start(self) -> None:
        self._correct = torch.zeros((), dtype=torch.int64, device=self.device)

    def validation_step(self, batch, index) -> None:
        images, labels = batch
        self._correct += (self.model(images).argmax(1) == labels).sum()

    def on_validation_epoch_end(self) -> None:
        self._report.epoch(100 * self._correct.item() / self._test_size)


def main() -> None:
    """Train and test."""
    chosen = options()
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    train, test = loaders(chosen)
    trainer = lightning.Trainer(
        max_epochs=chosen.epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(Classifier(Report("lightning"), len(test.dataset)), train, test)


if __name__ == "__main__":
    main()
