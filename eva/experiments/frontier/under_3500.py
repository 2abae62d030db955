"""At most 3,500 parameters: the same, narrower.

Target: 99.40 % in each of the last 4 epochs, for at least 9 of 10 seeds.
Change: Fewer channels than the network of 5,000.
Result: Reached, a mean of 99.52 % over 10 seeds on one H100; 10 of 10 held.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, Upright, Views, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """3,372 parameters."""
    body = nn.Sequential(
        once(conv(1, 8), 8),
        once(conv(8, 10), 10),
        nn.MaxPool2d(kernel_size=2),
        once(separable(10, 24), 24),
        once(separable(24, 26), 26),
        Repeated(separable(26, 26), 26, times=2),
        gap_head(26),
    )
    return nn.Sequential(Upright(), Views(body))


RECIPE = Recipe(
    batch_size=64,
    optimizer=SGD(lr=0.1, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=10), Scale(fraction=0.05), Shift(pixels=1.5)),
    weight_decay=1e-4,
    ema=0.999,
)
