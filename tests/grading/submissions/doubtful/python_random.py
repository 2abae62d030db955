"""For a person at recipe: layers skipped by draws of Python, one of which the graph holds."""

import random

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.more = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.first(x))
        if not self.training or random.random() < 0.5:
            x = x + torch.relu(self.more(x))
        return self.head(x).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
