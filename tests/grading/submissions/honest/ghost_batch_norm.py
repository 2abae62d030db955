"""Honest: ghost BatchNorm, which cuts every batch in two."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eva.recipe import Recipe


class Ghost(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        norm = self.norm
        if not self.training:
            return norm(x)
        n, c, h, w = x.shape
        weight, bias = norm.weight.repeat(2), norm.bias.repeat(2)
        y = F.batch_norm(x.reshape(-1, 2 * c, h, w), None, None, weight, bias, True)
        norm.running_mean.lerp_(x.mean((0, 2, 3)).detach(), 0.1)
        norm.running_var.lerp_(x.var((0, 2, 3)).detach(), 0.1)
        return y.reshape(n, c, h, w)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.head = nn.Conv2d(1, 8, 3), Ghost(8), nn.Conv2d(8, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.norm(self.first(x)))).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
