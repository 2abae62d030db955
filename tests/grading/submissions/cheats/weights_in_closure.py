"""Cheat: weights in a closure."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


def build_model() -> nn.Module:
    weight = torch.randn(32, 16, 5, 5) * 0.05

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(1, 16, 3, stride=2)
            self.head = nn.Conv2d(32, 10, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = F.conv2d(torch.relu(self.first(x)), weight)
            return self.head(torch.relu(x)).mean((2, 3))

    return Net()


RECIPE = Recipe()
