"""Optimizers, by the numbers that make one. Weight decay is the recipe's."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eva.recipe.part import Part, Positive, Share

LearningRate = Annotated[float, Field(gt=0, le=3e38)]  # float32 ends at 3.4e38


class SGD(Part):
    """Stochastic gradient descent; ``lr`` is the peak that the schedule scales."""

    first = "lr"

    kind: Literal["sgd"] = Field(default="sgd", repr=False)
    lr: LearningRate = 0.01
    momentum: Share = 0.9
    nesterov: bool = False


class Adam(Part):
    """Adam (Kingma and Ba 2015)."""

    first = "lr"

    kind: Literal["adam"] = Field(default="adam", repr=False)
    lr: LearningRate = 0.001
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)


class AdamW(Part):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    first = "lr"

    kind: Literal["adamw"] = Field(default="adamw", repr=False)
    lr: LearningRate = 0.001
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)


class RMSprop(Part):
    """Gradients divided by the root of their mean square (:class:`torch.optim.RMSprop`).

    ``alpha`` is the decay of that mean; ``centered`` divides by the standard deviation instead.
    """

    first = "lr"

    kind: Literal["rmsprop"] = Field(default="rmsprop", repr=False)
    lr: LearningRate = 0.01
    alpha: Share = 0.99
    eps: Positive = 1e-8
    momentum: Share = 0.0
    centered: bool = False
