"""Reference."""

from eva.experiments.network import Net
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> Net:
    """Experiment 5's network: 7,753 parameters."""
    return Net((9, 9, 9, 16, 16, 16))


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, momentum=0.9, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.08), Shift(pixels=2)),
    weight_decay=5e-4,
    ema=0.995,
)
