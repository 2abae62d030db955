"""At most 5,000 parameters: convolutions that are used twice.

Target: 99.40 % in each of the last 4 epochs, for at least 8 of 10 seeds.
Change: After each widening convolution comes one of equal width that is applied twice, so two
layers of depth are paid for once. SiLU, which lets through a little of what is negative, in the
place of ReLU. No dropout: a network this small doesn't learn its training images by heart.
"""

from torch import nn

from eva.experiments.frontier.network import repeated_net
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """4,993 parameters."""
    return repeated_net(early=6, late=19)


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=2e-4,
    ema=0.998,
)
