"""Global average pooling: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import torch
import torch.nn.functional as F


def test_1_pooled(work: ModuleType) -> None:
    """Mean takes a tuple of dimensions. Which two are height and width?"""
    maps = torch.randn(2, 3, 5, 7)
    assert work.pooled(maps).shape == (2, 3)
    assert torch.allclose(work.pooled(maps), F.adaptive_avg_pool2d(maps, 1).flatten(1), atol=1e-6)


def test_2_head(work: ModuleType) -> None:
    """nn.Sequential of nn.Conv2d(channels, 10, 1), nn.AdaptiveAvgPool2d(1) and nn.Flatten()."""
    model = work.head(16)
    for side in (4, 9):
        assert model(torch.zeros(2, 16, side, side)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) <= 170


def test_3_saved(work: ModuleType) -> None:
    """The fully connected layer has one weight for each place of each map and each class."""
    assert work.saved(10, 5, 10) == 2_400
    assert work.saved(16, 1, 10) == 0
