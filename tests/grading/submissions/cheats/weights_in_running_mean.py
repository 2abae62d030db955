"""Cheat: weights in buffers that pass for running statistics, but are never updated."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 16, 3, stride=2)
        self.head = nn.Conv2d(16, 10, 1)
        self.register_buffer("running_mean", torch.randn(16 * 169 * 4))
        self.register_buffer("running_var", torch.rand(16 * 169 * 4) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).flatten(1).repeat(1, 4)
        x = F.batch_norm(x, self.running_mean, self.running_var, training=False)
        x = x.view(x.shape[0], 4, 16, 13, 13).sum(1)
        return self.head(torch.relu(x)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
