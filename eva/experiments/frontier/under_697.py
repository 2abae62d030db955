"""At most 697 parameters, the size of the best network of so few that we know of.

Target: A mean of 99.00 % in the last epoch.
Change: The network of 1,000, narrower, with SiLU.
Result: Missed, a mean of 98.87 % over 8 seeds on one H100.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, Upright, Views, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """684 parameters."""
    body = nn.Sequential(
        once(conv(1, 4), 4),
        once(separable(4, 8), 8),
        nn.MaxPool2d(kernel_size=2),
        once(separable(8, 11), 11),
        Repeated(separable(11, 11), 11, times=2),
        gap_head(11),
    )
    return nn.Sequential(Upright(), Views(body))


RECIPE = Recipe(
    batch_size=64,
    optimizer=SGD(lr=0.2, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=5), Scale(fraction=0.05), Shift(pixels=0.5)),
    weight_decay=5e-5,
    ema=0.999,
)
