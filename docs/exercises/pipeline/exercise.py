"""The pipeline: fill the holes, each a `...`."""

import math


def normalized(pixel: int, mean: float, deviation: float) -> float:
    """Return a pixel from 0 to 255 as the network gets it.

    Mean and deviation are those of 0 to 1.
    """
    return ...


def loss_of_a_guess(classes: int) -> float:
    """Return the cross-entropy of a network that gives every class the same share."""
    return ...


def steps(images: int, batch: int, epochs: int) -> int:
    """Return the steps of a training; the last batch of an epoch may be smaller."""
    return ...


def step(
    weight: float, slope: float, velocity: float, lr: float, momentum: float, decay: float
) -> tuple[float, float]:
    """Return weight and velocity after one step of SGD with momentum and weight decay."""
    return ...
