"""At most 1,000 parameters: digits set upright, separable convolutions, the last used twice.

Target: A mean of 99.0 % in the last epoch.
Change: What needs no weights is done without: slant and place are taken out of the image before
the network sees it, and in testing five looks are averaged. Twice the learning rate, and milder
augmentation, for there is less to be invariant to. Batches of 64.
Result: Reached, a mean of 99.13 % over 10 seeds.
"""

from torch import nn

from eva.blocks import gap_head
from eva.experiments.frontier.network import Repeated, Upright, Views, conv, once, separable
from eva.recipe import SGD, Recipe, Rotation, Scale, Shift, Triangular


def build_model() -> nn.Sequential:
    """976 parameters."""
    body = nn.Sequential(
        once(conv(1, 6), 6, nn.ReLU),
        once(separable(6, 10), 10, nn.ReLU),
        nn.MaxPool2d(kernel_size=2),
        once(separable(10, 14), 14, nn.ReLU),
        Repeated(separable(14, 14), 14, times=2, act=nn.ReLU),
        gap_head(14),
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
