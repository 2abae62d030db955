"""Fails at shapes: evaluation changes a buffer."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 10, 1)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.head(torch.relu(self.first(x))).mean((2, 3)) + 0 * self.seen


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
