"""Honest: a residual added in place, and in-place activations."""

import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
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
        )
        self.conv = nn.Conv2d(10, 10, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        y = self.conv(x)
        y += x
        return F.relu(y, inplace=True).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
