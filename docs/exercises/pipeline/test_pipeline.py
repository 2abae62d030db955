"""The pipeline: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import pytest
import torch


def test_1_normalized(work: ModuleType) -> None:
    """First bring the pixel to the range from 0 to 1. Then subtract the mean and divide."""
    assert work.normalized(0, 0.5, 0.25) == pytest.approx(-2)
    assert work.normalized(255, 0.1307, 0.3081) == pytest.approx(2.8215, abs=1e-4)


def test_2_loss_of_a_guess(work: ModuleType) -> None:
    """Each class gets 1 / classes. The loss is the negative logarithm of the right one's share."""
    assert work.loss_of_a_guess(10) == pytest.approx(2.302585, abs=1e-6)
    assert work.loss_of_a_guess(2) == pytest.approx(0.693147, abs=1e-6)


def test_3_steps(work: ModuleType) -> None:
    """How many batches does one epoch have? Round up: a part of a batch is a step as well."""
    assert work.steps(60_000, 128, 1) == 469
    assert work.steps(4_000, 100, 15) == 600


def test_4_step(work: ModuleType) -> None:
    """Weight decay adds decay * weight to the slope. The new velocity is momentum * velocity
    plus that sum. The weight moves by lr times the new velocity.
    """
    weight = torch.tensor([2.0], requires_grad=True)
    theirs = torch.optim.SGD([weight], lr=0.1, momentum=0.9, weight_decay=0.01)
    ours, velocity = 2.0, 0.0
    for _ in range(3):
        theirs.zero_grad()
        (weight**2).sum().backward()
        theirs.step()
        ours, velocity = work.step(ours, 2 * ours, velocity, 0.1, 0.9, 0.01)
    assert ours == pytest.approx(weight.item(), rel=1e-5)
