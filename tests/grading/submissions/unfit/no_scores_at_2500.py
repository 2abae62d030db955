"""Fails at shapes: nine scores in batches of 2,500, which a GPU tests."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3, stride=2), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        scores = self.head(torch.relu(self.first(x))).mean((2, 3))
        return scores[:, : 10 - x.shape[0] // 2500]


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
