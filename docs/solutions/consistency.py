"""What consistent means: the solutions."""

import math
import statistics


# --8<-- [start:standard_error]
def standard_error(accuracy: float, images: int) -> float:
    """Return the standard error of an accuracy; both are shares from 0 to 1."""
    return math.sqrt(accuracy * (1 - accuracy) / images)


# --8<-- [end:standard_error]


# --8<-- [start:images_needed]
def images_needed(accuracy: float, error: float) -> int:
    """Return the fewest test images whose standard error is at most ``error``."""
    return math.ceil(accuracy * (1 - accuracy) / error**2)


# --8<-- [end:images_needed]


# --8<-- [start:held]
def held(accuracies: list[float], target: float = 99.4, last: int = 4) -> bool:
    """Return whether each of the last epochs reached the target."""
    return all(accuracy >= target for accuracy in accuracies[-last:])


# --8<-- [end:held]


# --8<-- [start:mean_and_spread]
def mean_and_spread(accuracies: list[float]) -> tuple[float, float]:
    """Return the mean over seeds and the standard deviation, with n - 1."""
    return statistics.mean(accuracies), statistics.stdev(accuracies)


# --8<-- [end:mean_and_spread]
