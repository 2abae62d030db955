"""Honest: two branches cut from one map, pooled, enlarged and concatenated again."""

import torch
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
            nn.Conv2d(16, 12, 1),
        )
        self.one = nn.Conv2d(6, 6, 3)
        self.other = nn.Conv2d(6, 6, 1)
        self.head = nn.Conv2d(12, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        one, other = x.chunk(2, dim=1)
        one = self.one(F.pad(one, (1, 1, 1, 1)))
        other = F.interpolate(self.other(F.max_pool2d(other, 2)), scale_factor=2.0)
        return self.head(torch.cat([one, other], dim=1)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
