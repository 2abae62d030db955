"""Experiment 4."""

from eva.experiments.network import Net
from eva.recipe import SGD, Recipe, Rotation, Scale, Shear, Shift, Step


def build_model() -> Net:
    """8-8-8, pool, 16-16-16, 1x1, mean: 7,288 parameters."""
    return Net((8, 8, 8, 16, 16, 16))


RECIPE = Recipe(
    optimizer=SGD(lr=0.05, momentum=0.9),
    schedule=Step(every=6, gamma=0.1),
    augment=(
        Rotation(degrees=12),
        Shear(degrees=12),
        Scale(fraction=0.15),
        Shift(pixels=2.8),
    ),
    weight_decay=5e-4,
)
