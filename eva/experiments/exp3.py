"""Experiment 3."""

from eva.experiments.network import Net
from eva.recipe import SGD, Brightness, Contrast, RandomCrop, Recipe, Rotation, Scale, Shear, Shift


def build_model() -> Net:
    """8-8-8, pool, 16-16-16, 1x1, mean, dropout after every block: 7,288 parameters."""
    return Net((8, 8, 8, 16, 16, 16), dropout=0.03)


RECIPE = Recipe(
    optimizer=SGD(lr=0.02, momentum=0.9),
    augment=(
        Rotation(degrees=12),
        Shear(degrees=12),
        Scale(fraction=0.15),
        Shift(pixels=2.8),
        RandomCrop(padding=1),
        Brightness(fraction=0.1),
        Contrast(fraction=0.1),
    ),
)
