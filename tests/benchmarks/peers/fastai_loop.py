"""fastai's Learner."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner, Metric
from fastai.optimizer import OptimWrapper

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


class Correct(Metric):
    """Share of right answers of an epoch's validation."""

    def reset(self) -> None:
        self._right = self._seen = 0

    def accumulate(self, learn) -> None:
        self._right += (learn.pred.argmax(1) == learn.y).sum().item()
        self._seen += len(learn.y)

    @property
    def value(self) -> float:
        return self._right / self._seen

    @property
    def name(self) -> str:
        return "correct"


class Steps(Callback):
    """The step schedule, and a report after each epoch."""

    def __init__(self, report: Report, correct: Correct) -> None:
        self._report, self._correct = report, correct

    def before_epoch(self) -> None:
        self.learn.opt.set_hyper("lr", LR * GAMMA ** (self.learn.epoch // EVERY))

    def after_epoch(self) -> None:
        self._report.epoch(100 * self._correct.value)


def main() -> None:
    """Train and test."""
    chosen = options()
    train, test = mnist(chosen)
    more = {"num_workers": chosen.workers, "persistent_workers": chosen.workers > 0}
    loaders = DataLoaders(
        DataLoader(train, bs=chosen.batch, shuffle=True, **more),
        DataLoader(test, bs=TEST_BATCH, **more),
        device=device(),
    )
    sgd = partial(torch.optim.SGD, momentum=MOMENTUM, nesterov=True, weight_decay=DECAY)
    correct = Correct()
    learner = Learner(
        loaders,
        network(),
        loss_func=F.cross_entropy,
        opt_func=partial(OptimWrapper, opt=sgd),
        metrics=correct,
        lr=LR,
    )
    with learner.no_logging():
        learner.fit(chosen.epochs, LR, cbs=Steps(Report("fastai"), correct))


if __name__ == "__main__":
    main()
