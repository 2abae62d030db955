"""Cheat: a layer computed in NumPy, out of sight of PyTorch."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(32, 10, 1)
        self.table = torch.randn(784, 32 * 9).numpy()

    def forward(self, x: Tensor) -> Tensor:
        hidden = x.detach().flatten(1).numpy() @ self.table
        return self.head(torch.from_numpy(hidden).view(-1, 32, 3, 3)).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
