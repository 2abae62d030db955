"""Cheat: weights as thousands of numbers in a list, which a few lines make."""

import random

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe

DRAW = random.Random(0)
WEIGHTS = [round(DRAW.gauss(0, 0.06), 3) for _ in range(9216)]


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, stride=2)
        self.head = nn.Conv2d(32, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        weights = torch.tensor(WEIGHTS)
        x = F.conv2d(x, weights.view(36, 16, 4, 4)[:32])
        return self.head(torch.relu(x)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
