"""At most 5,000 parameters: convolutions that are used twice.

Target: 99.40 % in each of the last 4 epochs, for at least 8 of 10 seeds.
Change: After each widening convolution comes one of equal width that is applied twice, so two
layers of depth are paid for once. Most weights are spent after the pool. SiLU, which lets through
a little of what is negative, in the place of ReLU. No dropout: a network this small doesn't learn
its training images by heart.
Result: Not reached: on the last epoch 99.39 %, the mean of 10 seeds; 3 of 10 held.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, conv, once
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """4,993 parameters."""
    return nn.Sequential(
        once(conv(1, 6), 6),
        Repeated(conv(6, 6), 6, times=2),
        nn.MaxPool2d(kernel_size=2),
        once(conv(6, 19), 19),
        Repeated(conv(19, 19), 19, times=2),
        gap_head(19),
    )


RECIPE = Recipe(
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=2e-4,
    ema=0.998,
)
