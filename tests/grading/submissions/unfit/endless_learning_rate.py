"""Fails at recipe: a learning rate that no float32 holds."""

import torch
from torch import Tensor, nn

from eva.recipe import SGD, Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x))).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe(optimizer=SGD(lr=1e300))
