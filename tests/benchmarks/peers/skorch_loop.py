"""skorch's NeuralNetClassifier."""

from __future__ import annotations

import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, LRScheduler
from skorch.helper import predefined_split

from peers.common import (
    DECAY,
    EVERY,
    GAMMA,
    LR,
    MOMENTUM,
    TEST_BATCH,
    Report,
    device,
    mnist,
    network,
    options,
)


class Reporter(Callback):
    """A report after each epoch, of the accuracy that skorch itself has computed."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def on_epoch_end(self, net, **rest) -> None:
        self.report.epoch(100 * net.history[-1, "valid_acc"])


def main() -> None:
    """Train and test."""
    chosen = options()
    train, test = mnist(chosen)
    net = NeuralNetClassifier(
        network(),
        classes=range(10),
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.SGD,
        lr=LR,
        optimizer__momentum=MOMENTUM,
        optimizer__nesterov=True,
        optimizer__weight_decay=DECAY,
        max_epochs=chosen.epochs,
        batch_size=chosen.batch,
        iterator_train__shuffle=True,
        iterator_train__num_workers=chosen.workers,
        iterator_train__persistent_workers=chosen.workers > 0,
        iterator_valid__batch_size=TEST_BATCH,
        iterator_valid__num_workers=chosen.workers,
        iterator_valid__persistent_workers=chosen.workers > 0,
        train_split=predefined_split(test),
        callbacks=[
            ("schedule", LRScheduler("StepLR", step_size=EVERY, gamma=GAMMA)),
            ("reporter", Reporter(Report("skorch"))),
        ],
        device=device(),
        verbose=0,
    )
    net.fit(train, y=None)


if __name__ == "__main__":
    main()
