"""At most 2,000 parameters: narrower again.

Target: A mean of 99.35 % in the last epoch.
Change: Fewer channels than the network of 3,500, twice the learning rate, milder augmentation and
less weight decay.
Result: Reached, a mean of 99.41 % over 10 seeds on one H100; 4 of 10 held 99.40 %.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, Upright, Views, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """1,952 parameters."""
    body = nn.Sequential(
        once(conv(1, 6), 6),
        once(conv(6, 8), 8),
        nn.MaxPool2d(kernel_size=2),
        once(separable(8, 16), 16),
        once(separable(16, 18), 18),
        Repeated(separable(18, 18), 18, times=2),
        gap_head(18),
    )
    return nn.Sequential(Upright(), Views(body))


RECIPE = Recipe(
    batch_size=64,
    optimizer=SGD(lr=0.2, nesterov=True),
    schedule=Triangular(peak_at=0.2),
    augment=(Rotation(degrees=7), Scale(fraction=0.05), Shift(pixels=1)),
    weight_decay=5e-5,
    ema=0.999,
)
