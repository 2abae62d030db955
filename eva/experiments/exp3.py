"""Experiment 3."""

from eva.experiments.network import Net
from eva.recipe import SGD, Brightness, Contrast, RandomCrop, Recipe, Rotation


def build_model() -> Net:
    """8-8-8, pool, 16-16-16, 1x1, mean, dropout after every block: 7,288 parameters."""
    return Net((8, 8, 8, 16, 16, 16), dropout=0.05)


RECIPE = Recipe(
    optimizer=SGD(lr=0.01, momentum=0.9),
    augment=(
        Rotation(degrees=10),
        RandomCrop(padding=2),
        Brightness(fraction=0.1),
        Contrast(fraction=0.1),
    ),
)
