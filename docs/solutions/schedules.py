"""Learning-rate schedules: the solutions."""


# --8<-- [start:step_rate]
def step_rate(epoch: int, lr: float, every: int, gamma: float) -> float:
    """Return the rate in an epoch, counted from 0; it is multiplied by gamma after ``every``."""
    return lr * gamma ** (epoch // every)


# --8<-- [end:step_rate]


# --8<-- [start:triangle]
def triangle(at: float, peak_at: float) -> float:
    """Return the share of the peak rate; ``at`` is the part of the run that is over, 0 to 1.

    The share rises in a straight line from 0 to 1 at ``peak_at``, and falls to 0 at the end.
    """
    return at / peak_at if at < peak_at else (1 - at) / (1 - peak_at)


# --8<-- [end:triangle]


# --8<-- [start:averaged]
def averaged(values: list[float], decay: float) -> float:
    """Return the exponential moving average of values; it starts at the first one."""
    average = values[0]
    for value in values[1:]:
        average = decay * average + (1 - decay) * value
    return average


# --8<-- [end:averaged]
