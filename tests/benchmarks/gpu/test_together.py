"""Trainings side by side are the trainings that they are alone."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from eva.data import Dataset, load_mini
from eva.recipe import SGD, Recipe, Rotation
from eva.training.trainer import Trainer

sys.path.insert(0, str(Path(__file__).parent))
from candidates import PROBLEMS, build, parameters
from together import fit_together


@pytest.fixture
def few() -> Dataset:
    mini = load_mini()
    return replace(
        mini,
        train_images=mini.train_images[::10],
        train_labels=mini.train_labels[::10],
        test_images=mini.test_images[::5],
        test_labels=mini.test_labels[::5],
    )


def trainer(data: Dataset, seed: int) -> Trainer:
    recipe = Recipe(
        epochs=2,
        batch_size=64,
        optimizer=SGD(lr=0.05 * (seed + 1), nesterov=True),
        augment=(Rotation(degrees=5),),
        ema=0.9,
    )
    torch.manual_seed(seed)
    return Trainer(build("c4 m d4x2"), recipe, data, device="cpu", seed=seed)


def test_together_they_learn_what_they_learn_alone(few: Dataset) -> None:
    alone = [trainer(few, seed).fit() for seed in (0, 1)]
    together = fit_together([trainer(few, seed) for seed in (0, 1)])
    for one, other in zip(alone, together, strict=True):
        assert other.status == "finished"
        for row, same in zip(one.rows, other.rows, strict=True):
            assert same.lr == row.lr
            assert same.train_loss == pytest.approx(row.train_loss, rel=1e-4)
            assert same.test_loss == pytest.approx(row.test_loss, rel=1e-4)
            assert len(set(same.wrong) ^ set(row.wrong)) <= 1


def test_every_candidate_is_small_enough_and_runs() -> None:
    for problem in PROBLEMS:
        for candidate in problem.start():
            assert parameters(candidate.spec) <= problem.limit
            model = build(candidate.spec, candidate.act)
            assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
