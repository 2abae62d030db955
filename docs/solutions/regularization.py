"""Regularization: the solutions."""

from torch import Tensor


# --8<-- [start:diagnosis]
def diagnosis(clean_training: float, test: float, target: float = 99.4) -> str:
    """Return "underfitting", "overfitting" or "fine"."""
    if clean_training < target:
        return "underfitting"
    return "overfitting" if test < target else "fine"


# --8<-- [end:diagnosis]


# --8<-- [start:batch_norm]
def batch_norm(maps: Tensor, eps: float = 1e-5) -> Tensor:
    """Return (batch, channels, height, width) with mean 0 and variance 1 in each channel."""
    mean = maps.mean(dim=(0, 2, 3), keepdim=True)
    variance = maps.var(dim=(0, 2, 3), keepdim=True, unbiased=False)
    return (maps - mean) / (variance + eps).sqrt()


# --8<-- [end:batch_norm]


# --8<-- [start:dropout]
def dropout(values: Tensor, kept: Tensor, probability: float) -> Tensor:
    """Return what dropout makes of values; ``kept`` is 1 where a value stays and 0 elsewhere."""
    return values * kept / (1 - probability)


# --8<-- [end:dropout]


# --8<-- [start:moved_right]
def moved_right(image: Tensor, pixels: int) -> Tensor:
    """Return the image moved right by 1 or more pixels; what becomes free on the left is 0."""
    moved = image.new_zeros(image.shape)
    moved[:, pixels:] = image[:, :-pixels]
    return moved


# --8<-- [end:moved_right]
