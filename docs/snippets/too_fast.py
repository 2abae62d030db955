from torch import nn

from eva.recipe import SGD, Recipe


def build_model() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 8, 5), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 24 * 24, 10))


RECIPE = Recipe(epochs=3, optimizer=SGD(lr=200.0))
