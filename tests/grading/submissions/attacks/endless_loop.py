"""Never comes to an end."""

from torch import nn

from eva import Recipe

while True:
    pass

RECIPE = Recipe()


def build_model() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
