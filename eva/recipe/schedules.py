"""Learning-rate schedules: pure functions of the step, as a share of the peak rate."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field

from eva.recipe.part import Part, Share


class Constant(Part):
    """The peak learning rate throughout."""

    kind: Literal["constant"] = Field(default="constant", repr=False)

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate at a step (counted from 0 over the whole run), as a share of the peak."""
        return 1.0


class Step(Part):
    """Multiply by ``gamma`` after every ``every`` epochs (StepLR)."""

    kind: Literal["step"] = Field(default="step", repr=False)
    every: Annotated[int, Field(ge=1)] = 6
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate at a step, as a share of the peak."""
        return float(self.gamma ** (step // steps_per_epoch // self.every))


class Cosine(Part):
    """Linear warm-up over ``warmup`` of the steps, then half a cosine to zero."""

    kind: Literal["cosine"] = Field(default="cosine", repr=False)
    warmup: Share = 0.0

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate at a step, as a share of the peak."""
        total = steps_per_epoch * epochs
        rise = self.warmup * total
        if step < rise:
            return (step + 1) / (math.floor(rise) + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / (total - rise)))


class Triangular(Part):
    """Linear rise to the peak at ``peak_at`` of the steps, then a linear fall to zero."""

    kind: Literal["triangular"] = Field(default="triangular", repr=False)
    peak_at: Annotated[float, Field(gt=0, lt=1)] = 0.2

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate at a step, as a share of the peak."""
        total = steps_per_epoch * epochs
        peak = self.peak_at * total
        if step < peak:
            return (step + 1) / (math.floor(peak) + 1)
        return (total - step) / (total - peak)


class OneCycle(Part):
    """Cosine rise from ``peak / start_div``, cosine fall to ``peak / start_div / final_div``.

    The shape of :class:`torch.optim.lr_scheduler.OneCycleLR`; the number of steps is computed
    from the data and the epochs, and momentum is left alone.

    References:
        Smith and Topin: Super-Convergence, 2018.
    """

    kind: Literal["one_cycle"] = Field(default="one_cycle", repr=False)
    peak_at: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start_div: Annotated[float, Field(ge=1)] = 25.0
    final_div: Annotated[float, Field(ge=1)] = 1e4

    def factor(self, step: int, steps_per_epoch: int, epochs: int) -> float:
        """Learning rate at a step, as a share of the peak."""
        peak = self.peak_at * steps_per_epoch * epochs - 1
        last = steps_per_epoch * epochs - 1
        start, end = 1 / self.start_div, 1 / self.start_div / self.final_div
        if step <= peak:
            low, high, progress = start, 1.0, step / peak
        else:
            low, high, progress = 1.0, end, (step - peak) / (last - peak)
        return high + (low - high) * 0.5 * (1 + math.cos(math.pi * progress))
