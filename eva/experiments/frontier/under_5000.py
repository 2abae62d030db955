"""At most 5,000 parameters: upright digits, separable convolutions, the last used twice.

Target: 99.40 % in each of the last 4 epochs for every seed, and a mean of 99.55 %.
Change: Slant and place are taken out of the image before the network sees it, and in testing five
looks are averaged. After the pool, a 3x3 kernel for each channel and a 1x1 convolution across
channels leave room for 34 channels; the last of them is applied twice.
Result: Reached, a mean of 99.56 % over 10 seeds on one H100; 10 of 10 held.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, Upright, Views, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """4,914 parameters."""
    body = nn.Sequential(
        once(conv(1, 8), 8),
        once(conv(8, 12), 12),
        nn.MaxPool2d(kernel_size=2),
        once(separable(12, 32), 32),
        once(separable(32, 34), 34),
        Repeated(separable(34, 34), 34, times=2),
        gap_head(34),
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
