"""Cheat: a class derived from AdaptiveAvgPool2d that does something else."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class GlobalAvgPool2d(nn.AdaptiveAvgPool2d):
    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.weight = nn.Parameter(torch.randn(10, 1, 4, 4) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight, groups=10)


def build_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 10, 1),
        GlobalAvgPool2d(1),
        nn.Flatten(),
    )


RECIPE = Recipe()
