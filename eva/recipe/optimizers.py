"""Optimizers, by the numbers that make one."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from eva.recipe.part import Part, Positive, Share


class SGD(Part):
    """Stochastic gradient descent; ``lr`` is the peak that the schedule scales."""

    kind: Literal["sgd"] = Field(default="sgd", repr=False)
    lr: Positive = 0.01
    momentum: Share = 0.9
    nesterov: bool = False


class Adam(Part):
    """Adam (Kingma and Ba 2015)."""

    kind: Literal["adam"] = Field(default="adam", repr=False)
    lr: Positive = 0.001
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)


class AdamW(Part):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019)."""

    kind: Literal["adamw"] = Field(default="adamw", repr=False)
    lr: Positive = 0.001
    betas: Annotated[tuple[Share, Share], Field(strict=False)] = (0.9, 0.999)
