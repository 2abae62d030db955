"""Experiment 5."""

from eva.experiments.network import Net
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Step


def build_model() -> Net:
    """9-9-9, pool, 16-16-16, 1x1, mean: 7,753 parameters."""
    return Net((9, 9, 9, 16, 16, 16))


RECIPE = Recipe(
    optimizer=SGD(lr=0.01, momentum=0.9),
    schedule=Step(every=6, gamma=0.1),
    augment=(Rotation(degrees=10), Scale(fraction=0.1), Shift(pixels=2.8)),
)
