"""Learning-rate schedules: pure functions of the step, as a share of the peak rate.

Steps are counted from 0 over the whole run. A schedule's ``share`` is told the mean training loss
of each epoch that is over, so a run that is resumed from its record goes on exactly.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from eva.errors import RecipeError
from eva.recipe.part import Part, Share

Factor = Annotated[float, Field(gt=0, lt=1)]


class Constant(Part):
    """The peak learning rate throughout."""

    kind: Literal["constant"] = Field(default="constant", repr=False)

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak."""
        return 1.0


class Step(Part):
    """Multiply by ``gamma`` after every ``every`` epochs (StepLR)."""

    first = "every"

    kind: Literal["step"] = Field(default="step", repr=False)
    every: Annotated[int, Field(ge=1)] = 6
    gamma: Annotated[float, Field(gt=0, le=1)] = 0.1

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak."""
        return float(self.gamma ** (step // steps_per_epoch // self.every))


class MultiStep(Part):
    """Multiply by ``factor`` when each of the ``milestones`` is reached, in whole epochs.

    :class:`torch.optim.lr_scheduler.MultiStepLR`, which calls the factor ``gamma``.
    """

    first = "milestones"

    kind: Literal["multi_step"] = Field(default="multi_step", repr=False)
    milestones: Annotated[
        tuple[Annotated[int, Field(ge=1)], ...], Field(strict=False, min_length=1, max_length=100)
    ]
    factor: Annotated[float, Field(gt=0, le=1)] = 0.1

    @field_validator("milestones")
    @classmethod
    def _rise(cls, milestones: tuple[int, ...]) -> tuple[int, ...]:
        if sorted(set(milestones)) != list(milestones):
            raise ValueError("should be rising epochs, such as (6, 12)")
        return milestones

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak."""
        passed = sum(step // steps_per_epoch >= milestone for milestone in self.milestones)
        return float(self.factor**passed)


class Plateau(Part):
    """Multiply by ``factor`` when the training loss has not fallen for ``patience`` epochs.

    :class:`torch.optim.lr_scheduler.ReduceLROnPlateau` with its defaults: an epoch counts as better
    if its loss is below the lowest so far by more than a ten-thousandth of it, and after more than
    ``patience`` others in a row the rate falls. ``on`` is the mean training loss of an epoch. Test
    images never steer a training: their accuracy would no longer say how good it is on others.
    """

    kind: Literal["plateau"] = Field(default="plateau", repr=False)
    factor: Factor = 0.1
    patience: Annotated[int, Field(ge=0)] = 10
    on: Literal["train_loss"] = "train_loss"

    THRESHOLD: ClassVar[float] = 1e-4

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak.

        Args:
            step: Counted from 0 over the whole run.
            steps_per_epoch: How many an epoch has.
            epochs: Epochs of the whole run.
            losses: Mean training loss of each epoch that is over.
        """
        share, lowest, waited = 1.0, math.inf, 0
        for loss in losses[: step // steps_per_epoch]:
            if loss < lowest * (1 - self.THRESHOLD):
                lowest, waited = loss, 0
            else:
                waited += 1
            if waited > self.patience:
                share, waited = share * self.factor, 0
        return share


class Cosine(Part):
    """Linear warm-up over ``warmup`` of the steps, then half a cosine to zero."""

    kind: Literal["cosine"] = Field(default="cosine", repr=False)
    warmup: Share = 0.0

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak."""
        total = steps_per_epoch * epochs
        rise = self.warmup * total
        if step < rise:
            return (step + 1) / (math.floor(rise) + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / (total - rise)))


class Triangular(Part):
    """Linear rise to the peak at ``peak_at`` of the steps, then a linear fall to zero."""

    first = "peak_at"

    kind: Literal["triangular"] = Field(default="triangular", repr=False)
    peak_at: Annotated[float, Field(gt=0, lt=1)] = 0.2

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak."""
        total = steps_per_epoch * epochs
        peak = self.peak_at * total
        if step < peak:
            return (step + 1) / (math.floor(peak) + 1)
        return (total - step) / (total - peak)


class OneCycle(Part):
    """Cosine rise from ``peak / start_div``, cosine fall to ``peak / start_div / final_div``.

    The shape of :class:`torch.optim.lr_scheduler.OneCycleLR`; the number of steps is computed
    from the data and the epochs. PyTorch cycles momentum as well, by default from 0.95 down to
    0.85 at the peak and up again; that is ``momentum=(0.85, 0.95)``. Here None, the default, leaves
    the optimizer's momentum alone. With Adam and AdamW the first of the ``betas`` cycles.

    References:
        Smith and Topin: Super-Convergence, 2018.
    """

    later: ClassVar[tuple[str, ...]] = ("momentum",)

    kind: Literal["one_cycle"] = Field(default="one_cycle", repr=False)
    peak_at: Annotated[float, Field(gt=0, lt=1)] = 0.3
    start_div: Annotated[float, Field(ge=1)] = 25.0
    final_div: Annotated[float, Field(ge=1)] = 1e4
    momentum: Annotated[tuple[Share, Share], Field(strict=False)] | None = None

    @field_validator("momentum")
    @classmethod
    def _rises(cls, ends: tuple[float, float] | None) -> tuple[float, float] | None:
        if ends is not None and ends[0] > ends[1]:
            raise ValueError("should be the lowest and the highest, such as (0.85, 0.95)")
        return ends

    def share(
        self, step: int, steps_per_epoch: int, epochs: int, losses: Sequence[float] = ()
    ) -> float:
        """Learning rate at a step, as a share of the peak."""
        start, end = 1 / self.start_div, 1 / self.start_div / self.final_div
        return self._between(start, 1.0, end, step, steps_per_epoch * epochs)

    def momentum_at(self, step: int, steps_per_epoch: int, epochs: int) -> float | None:
        """Momentum at a step, lowest at the peak; None where it is left alone."""
        if self.momentum is None:
            return None
        low, high = self.momentum
        return self._between(high, low, high, step, steps_per_epoch * epochs)

    def require_rise(self, steps: int) -> None:
        """Refuse a run that is over before its rate has risen.

        Args:
            steps: Steps of the whole run.

        Raises:
            RecipeError: The peak is at step 0 or before.
        """
        if self._peak(steps) <= 0:
            raise RecipeError(
                f"OneCycle(peak_at={self.peak_at:g}) has its peak at step 0 of {steps}: no step is "
                "left to rise.",
                "Use a larger peak_at, train more epochs, or leave the rise out with Cosine().",
            )

    def _peak(self, steps: int) -> float:
        return self.peak_at * steps - 1

    def _between(self, start: float, middle: float, end: float, step: int, steps: int) -> float:
        """Go from ``start`` over ``middle`` at the peak to ``end`` at the last step, by cosines."""
        peak, last = self._peak(steps), steps - 1
        if step <= peak:
            low, high, progress = start, middle, step / peak if peak else 1.0
        else:
            low, high, progress = middle, end, (step - peak) / (last - peak)
        return high + (low - high) * 0.5 * (1 + math.cos(math.pi * progress))
