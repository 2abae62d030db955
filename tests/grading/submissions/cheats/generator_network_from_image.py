"""Cheat: the expanded weight seems to depend on the image."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, stride=2)
        self.head = nn.Conv2d(32, 10, 1)
        self.seed = nn.Parameter(torch.randn(100, 8))
        self.out = nn.Parameter(torch.randn(8, 128) * 0.1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        nothing = x.mean() * 0
        x = F.conv2d(x, torch.tanh((self.seed + nothing) @ self.out).view(32, 16, 5, 5))
        return self.head(torch.relu(x)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
