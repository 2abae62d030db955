"""Honest: weight norm as it was written before parametrizations."""

import torch
from torch import Tensor, nn
from torch.nn.utils import weight_norm

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3)
        self.head = weight_norm(nn.Conv2d(8, 10, 3))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.first(x))).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
