"""Callbacks look on, may stop a run, and leave its record whole."""

from __future__ import annotations

import io
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from eva.blocks import gap_head
from eva.data import Dataset
from eva.errors import TrainingError
from eva.recipe import SGD, Recipe
from eva.record import EpochRow, Run
from eva.training.callbacks import Callback, EarlyStopping, ProgressBar, StopTraining
from eva.training.trainer import Trainer

RECIPE = Recipe(epochs=4, batch_size=64, optimizer=SGD(0.05))


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), gap_head(4))


class StopIn(Callback):
    """Stops at a moment of the second epoch, and counts the epochs that it was told of."""

    def __init__(self, moment: str) -> None:
        self.moment, self.ends, self.statuses = moment, 0, []

    def on_fit_start(self, trainer: Trainer) -> None:
        if self.moment == "fit start":
            raise StopTraining

    def on_epoch_start(self, trainer: Trainer, epoch: int) -> None:
        if (self.moment, epoch) == ("epoch start", 1):
            raise StopTraining

    def on_look(self, trainer: Trainer, step: int) -> None:
        assert trainer.totals.images > 0
        if self.moment == "look" and step >= trainer.steps_per_epoch:
            raise StopTraining

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        self.ends += 1
        if (self.moment, row.epoch) == ("epoch end", 1):
            raise StopTraining

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        self.statuses.append(run.status)


@pytest.mark.parametrize("moment", ["epoch start", "look", "epoch end"])
def test_a_callback_may_stop_a_run_at_any_moment(
    moment: str, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eva.training.totals.REFRESH", 0.0)
    stop, other = StopIn(moment), StopIn("never")
    trainer = Trainer(
        make_model(), RECIPE, tiny, device="cpu", out=tmp_path, callbacks=[stop, other]
    )
    run = trainer.fit()
    assert (run.status, len(run.rows)) == ("stopped", 2)
    assert (stop.ends, other.ends) == (2, 2)  # the epoch ended, and for the others too
    assert stop.statuses == ["stopped"]
    assert Run.load(tmp_path / "record.json") == run
    whole = Trainer(make_model(), RECIPE, tiny, device="cpu").fit()
    gone_on = Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path).fit(resume=True)
    assert gone_on.status == "finished"
    assert [row.test_loss for row in gone_on.rows] == [row.test_loss for row in whole.rows]


def test_a_run_that_is_stopped_at_once_has_no_epoch(tiny: Dataset) -> None:
    run = Trainer(make_model(), RECIPE, tiny, device="cpu", callbacks=[StopIn("fit start")]).fit()
    assert (run.status, run.rows) == ("stopped", ())


def test_stopping_in_the_last_epoch_is_finishing(tiny: Dataset) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 2})
    run = Trainer(make_model(), recipe, tiny, device="cpu", callbacks=[StopIn("epoch end")]).fit()
    assert run.status == "finished"


def test_early_stopping_waits_for_the_training_loss(tiny: Dataset) -> None:
    still = Recipe(epochs=9, batch_size=64, optimizer=SGD(lr=1e-9, momentum=0.0))
    callbacks = [EarlyStopping(patience=2, smallest_gain=0.01)]
    run = Trainer(make_model(), still, tiny, device="cpu", callbacks=callbacks).fit()
    assert (run.status, len(run.rows)) == ("stopped", 3)
    learning = RECIPE.model_copy(update={"optimizer": SGD(0.2)})
    run = Trainer(make_model(), learning, tiny, device="cpu", callbacks=[EarlyStopping(4)]).fit()
    assert run.status == "finished"
    with pytest.raises(TrainingError, match="patience=0"):
        EarlyStopping(patience=0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_somebody_who_looks_sees_a_bar_and_a_line_an_epoch(
    tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr("eva.training.totals.REFRESH", 0.0)
    Trainer(make_model(), RECIPE, tiny, device="cpu").fit()
    text = shown.getvalue()
    assert "epoch  4:" in text
    assert "5/5" in text
    assert "train" in text
    assert text.count("test ") == 4
    quiet = Terminal()
    monkeypatch.setattr(sys, "stderr", quiet)
    Trainer(
        make_model(), RECIPE, tiny, device="cpu", callbacks=[ProgressBar(bar=False, lines=False)]
    ).fit()
    assert quiet.getvalue() == ""


def test_nothing_is_shown_where_nobody_looks(
    tiny: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    Trainer(make_model(), RECIPE, tiny, device="cpu").fit()
    assert capsys.readouterr() == ("", "")


def test_every_image_is_trained_on_once_an_epoch(tiny: Dataset) -> None:
    class Count(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.batches = make_model(), []

        def forward(self, x: Tensor) -> Tensor:
            if self.training:
                self.batches.append(len(x))
            return self.body(x)

    model = Count()
    Trainer(model, RECIPE, tiny, device="cpu").fit()
    assert model.batches == [64, 64, 64, 64, 44] * 4


class Dice(nn.Module):
    """Draws from Python's and NumPy's generators, as some networks do for noise."""

    def __init__(self) -> None:
        super().__init__()
        self.body = make_model()

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            x = x * random.uniform(0.5, 1.5) + float(np.random.normal())
        return self.body(x)


def test_the_same_seed_is_the_same_run_whatever_draws(tiny: Dataset, tmp_path: Path) -> None:
    random.seed(1)
    np.random.seed(1)
    first = Trainer(Dice(), RECIPE, tiny, device="cpu").fit()
    random.seed(2)
    np.random.seed(2)
    python, numpy = random.getstate(), np.random.get_state()[1].copy()
    second = Trainer(Dice(), RECIPE, tiny, device="cpu").fit()
    assert random.getstate() == python
    assert (np.random.get_state()[1] == numpy).all()
    assert [row.train_loss for row in first.rows] == [row.train_loss for row in second.rows]
    other = Trainer(Dice(), RECIPE, tiny, device="cpu", seed=1).fit()
    assert first.rows[0].train_loss != other.rows[0].train_loss
