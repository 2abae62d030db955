"""For a person at recipe: a hook that changes a gradient on its way."""

import torch
from torch import Tensor, nn

from eva.recipe import Recipe


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.head = nn.Conv2d(1, 8, 3), nn.Conv2d(8, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.relu(self.first(x))
        if h.requires_grad:
            h.register_hook(lambda gradient: 0.5 * gradient)
        return self.head(h).mean((2, 3))


def build_model() -> nn.Module:
    return Net()


RECIPE = Recipe()
