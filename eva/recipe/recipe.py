"""A recipe says how a model is trained, in numbers and names alone: no code, JSON both ways.

Everything is frozen and checked when it is made: an unknown key, a value of the wrong type or
out of range is a :class:`~eva.errors.RecipeError` that names the key.

Example:
    >>> recipe = Recipe(schedule=Step(every=6), augment=(Rotation(7), Shift(2)))
    >>> Recipe.from_json(recipe.to_json()) == recipe
    True
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationError, field_validator

from eva.errors import RecipeError
from eva.recipe.augmentation import (
    Brightness,
    CenterCrop,
    Contrast,
    RandomCrop,
    RandomErasing,
    ResizedCrop,
    Rotation,
    Scale,
    Shear,
    Shift,
)
from eva.recipe.optimizers import SGD, Adam, AdamW, RMSprop
from eva.recipe.part import NonNegative, Part, Positive, Share, recipe_error
from eva.recipe.schedules import (
    Constant,
    Cosine,
    MultiStep,
    OneCycle,
    Plateau,
    Step,
    Triangular,
)


class Init(StrEnum):
    """How weights of two and more dimensions are drawn; ``default`` is PyTorch's own."""

    DEFAULT = "default"
    KAIMING_NORMAL = "kaiming_normal"
    KAIMING_UNIFORM = "kaiming_uniform"
    XAVIER_UNIFORM = "xavier_uniform"
    ORTHOGONAL = "orthogonal"


class Interpolation(StrEnum):
    """How geometric augmentation reads between pixels; torchvision's default is ``nearest``."""

    BILINEAR = "bilinear"
    NEAREST = "nearest"


Optimizer = Annotated[SGD | Adam | AdamW | RMSprop, Field(discriminator="kind")]
Schedule = Annotated[
    Constant | Step | MultiStep | Plateau | Cosine | Triangular | OneCycle,
    Field(discriminator="kind"),
]
Augmentation = Annotated[
    Rotation
    | Shift
    | Scale
    | Shear
    | RandomCrop
    | CenterCrop
    | ResizedCrop
    | Brightness
    | Contrast
    | RandomErasing,
    Field(discriminator="kind"),
]
PositiveCount = Annotated[int, Field(ge=1, le=1_000_000)]


class Recipe(Part):
    """How a model is trained.

    Attributes:
        epochs: Passes over the training images.
        batch_size: Images a step; the last batch of an epoch may be smaller.
        optimizer: :class:`SGD`, :class:`Adam`, :class:`AdamW` or :class:`RMSprop`.
        schedule: Learning rate over the run, as a share of the optimizer's ``lr``.
        augment: Applied in this order, every image with draws of its own.
        interpolation: How geometric parts read between pixels: "bilinear" or "nearest".
        label_smoothing: Share of the target spread over all classes.
        weight_decay: L2 penalty on every parameter (decoupled with AdamW).
        ema: Decay a step of the exponential moving average of weights and buffers that is
            evaluated in place of the last weights; None for no averaging.
        init: How the weights are drawn before training.
        l1: L1 penalty: this times the sum of the absolute values of all parameters is added to the
            loss that is learned from. The record's losses are without it.
        clip_grad_norm: Gradients are scaled down before a step where their norm, over all
            parameters, is above this (:func:`torch.nn.utils.clip_grad_norm_`); None never does.
    """

    later: ClassVar[tuple[str, ...]] = ("l1", "clip_grad_norm")

    epochs: PositiveCount = 15
    batch_size: PositiveCount = 128
    optimizer: Optimizer = SGD()
    schedule: Schedule = Constant()
    augment: Annotated[tuple[Augmentation, ...], Field(strict=False)] = ()
    interpolation: Annotated[Interpolation, Field(strict=False)] = Interpolation.BILINEAR
    label_smoothing: Share = 0.0
    weight_decay: NonNegative = 0.0
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None
    init: Annotated[Init, Field(strict=False)] = Init.DEFAULT
    l1: NonNegative = 0.0
    clip_grad_norm: Positive | None = None

    @field_validator("augment", mode="before")
    @classmethod
    def _several(cls, parts: object) -> object:
        if isinstance(parts, Part):
            raise ValueError("should be a tuple of parts")
        return parts

    def lr(self, step: int, steps_per_epoch: int, losses: Sequence[float] = ()) -> float:
        """Learning rate at a step, counted from 0 over the whole run.

        Args:
            step: Counted from 0.
            steps_per_epoch: How many an epoch has.
            losses: Mean training loss of each epoch that is over; only Plateau asks for it.
        """
        share = self.schedule.share(step, steps_per_epoch, self.epochs, losses)
        return self.optimizer.lr * share

    def momentum(self, step: int, steps_per_epoch: int) -> float | None:
        """Momentum (of Adam and AdamW the first beta) at a step, where the schedule sets it."""
        if not isinstance(self.schedule, OneCycle):
            return None
        return self.schedule.momentum_at(step, steps_per_epoch, self.epochs)

    @property
    def cycles_momentum(self) -> bool:
        """Whether the schedule changes the momentum from step to step."""
        return isinstance(self.schedule, OneCycle) and self.schedule.momentum is not None

    def require_fit(self, steps_per_epoch: int) -> None:
        """Refuse a schedule that does not fit so few steps.

        Raises:
            RecipeError: The message says how many there are.
        """
        if isinstance(self.schedule, OneCycle):
            self.schedule.require_rise(self.epochs * steps_per_epoch)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, value: object) -> Recipe:
        """Read what :meth:`to_json` wrote.

        Raises:
            RecipeError: A key is unknown or a value ill-typed; the message names the key.
        """
        if not isinstance(value, dict):
            raise RecipeError(f"a recipe is a JSON object, got {type(value).__name__}.")
        try:
            return cls.model_validate_json(json.dumps(value))
        except ValidationError as error:
            raise recipe_error(cls, error) from None
