"""What consistent means: fill the holes, each a `...`."""

import math
import statistics


def standard_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy; both are shares from 0 to 1."""
    return ...


def images_needed(accuracy: float, error: float) -> int:
    """Return the fewest test images whose standard error is at most ``error``."""
    return ...


def held(accuracies: list[float], target: float = 99.4, last: int = 4) -> bool:
    """Return whether each of the last epochs reached the target."""
    return ...


def mean_and_spread(accuracies: list[float]) -> tuple[float, float]:
    """Return the mean over seeds and the standard deviation, with n - 1."""
    return ...
