"""Regularization: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import pytest
import torch
from torch import nn


def test_1_diagnosis(work: ModuleType) -> None:
    """Ask first whether clean training accuracy reaches the target, then whether test accuracy
    does.
    """
    assert work.diagnosis(98.9, 99.0) == "underfitting"
    assert work.diagnosis(99.9, 99.1) == "overfitting"
    assert work.diagnosis(99.8, 99.5) == "fine"


def test_2_batch_norm(work: ModuleType) -> None:
    """Take mean and var over the dimensions 0, 2 and 3 with keepdim=True and unbiased=False.
    Divide by (var + eps).sqrt().
    """
    maps = torch.randn(8, 4, 5, 5) * 3 + 10
    assert torch.allclose(work.batch_norm(maps), nn.BatchNorm2d(4)(maps), atol=1e-4)


def test_3_dropout(work: ModuleType) -> None:
    """Dropped values become 0. The others grow, so that the mean stays the same."""
    kept = torch.tensor([1.0, 0, 1, 1])
    assert work.dropout(torch.ones(4), kept, 0.25).tolist() == pytest.approx(
        [4 / 3, 0, 4 / 3, 4 / 3]
    )


def test_4_moved_right(work: ModuleType) -> None:
    """Which columns of the old image are still inside after the move?"""
    image = torch.tensor([[1.0, 2, 3], [4, 5, 6]])
    assert work.moved_right(image, 1).tolist() == [[0, 1, 2], [0, 4, 5]]
    assert work.moved_right(image, 2).tolist() == [[0, 0, 1], [0, 0, 4]]
