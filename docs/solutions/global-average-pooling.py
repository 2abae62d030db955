"""Global average pooling: the solutions."""

from torch import Tensor, nn


# --8<-- [start:pooled]
def pooled(maps: Tensor) -> Tensor:
    """Return the mean of each map: (batch, channels, height, width) to (batch, channels)."""
    return maps.mean(dim=(2, 3))


# --8<-- [end:pooled]


# --8<-- [start:head]
def head(channels: int) -> nn.Module:
    """Return layers from maps of any size to ten scores: a 1x1 convolution and an average."""
    return nn.Sequential(
        nn.Conv2d(channels, 10, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


# --8<-- [end:head]


# --8<-- [start:saved]
def saved(channels: int, side: int, classes: int) -> int:
    """Return how many parameters the 1x1 convolution and average save.

    The other way is a fully connected layer that reads all places of all maps. Neither has biases.
    """
    return channels * side * side * classes - channels * classes


# --8<-- [end:saved]
