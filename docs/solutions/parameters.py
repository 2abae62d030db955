"""Counting parameters: the solutions."""

from torch import nn


# --8<-- [start:convolution]
def convolution(window: int, before: int, after: int, bias: bool = False) -> int:
    """Return the parameters of a convolution from ``before`` to ``after`` channels."""
    return window * window * before * after + after * bias


# --8<-- [end:convolution]


# --8<-- [start:separable]
def separable(window: int, before: int, after: int) -> int:
    """Return the parameters of a depthwise convolution and a 1x1 convolution behind it."""
    return window * window * before + before * after


# --8<-- [end:separable]


# --8<-- [start:batch_norm]
def batch_norm(channels: int) -> int:
    """Return the parameters of a BatchNorm, which scales and shifts each channel."""
    return 2 * channels


# --8<-- [end:batch_norm]


# --8<-- [start:small_network]
def small_network() -> nn.Module:
    """Return a network from (n, 1, 28, 28) images to (n, 10) scores, below 2,000 parameters.

    It has at least two 3x3 convolutions.
    """
    return nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3),
        nn.ReLU(),
        nn.Conv2d(16, 10, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


# --8<-- [end:small_network]
