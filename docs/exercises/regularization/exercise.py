"""Regularization: fill the holes, each a `...`."""

from torch import Tensor


def diagnosis(clean_training: float, test: float, target: float = 99.4) -> str:
    """Return "underfitting", "overfitting" or "fine".

    A network underfits if it misses the target even on clean training images. It overfits if it
    reaches the target there and misses it on test images.
    """
    return ...


def batch_norm(maps: Tensor, eps: float = 1e-5) -> Tensor:
    """Return (batch, channels, height, width) with mean 0 and variance 1 in each channel."""
    return ...


def dropout(values: Tensor, kept: Tensor, probability: float) -> Tensor:
    """Return what dropout makes of values; ``kept`` is 1 where a value stays and 0 elsewhere."""
    return ...


def moved_right(image: Tensor, pixels: int) -> Tensor:
    """Return the image moved right by 1 or more pixels; what becomes free on the left is 0."""
    moved = image.new_zeros(image.shape)
    moved[:, pixels:] = ...
    return moved
