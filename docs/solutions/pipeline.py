"""The pipeline: the solutions."""

import math


# --8<-- [start:normalized]
def normalized(pixel: int, mean: float, deviation: float) -> float:
    """Return a pixel from 0 to 255 as the network gets it.

    Mean and deviation are those of 0 to 1.
    """
    return (pixel / 255 - mean) / deviation


# --8<-- [end:normalized]


# --8<-- [start:loss_of_a_guess]
def loss_of_a_guess(classes: int) -> float:
    """Return the cross-entropy of a network that gives every class the same share."""
    return math.log(classes)


# --8<-- [end:loss_of_a_guess]


# --8<-- [start:steps]
def steps(images: int, batch: int, epochs: int) -> int:
    """Return the steps of a training; the last batch of an epoch may be smaller."""
    return math.ceil(images / batch) * epochs


# --8<-- [end:steps]


# --8<-- [start:step]
def step(
    weight: float, slope: float, velocity: float, lr: float, momentum: float, decay: float
) -> tuple[float, float]:
    """Return weight and velocity after one step of SGD with momentum and weight decay."""
    velocity = momentum * velocity + slope + decay * weight
    return weight - lr * velocity, velocity


# --8<-- [end:step]
