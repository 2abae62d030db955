"""The exponential moving average of weights and buffers (EMA)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def average_weight(decay: float, step: int) -> float:
    """How far the average moves at a step: ``1 - decay``, and further early on.

    The decay is at most ``(1 + step) / (10 + step)``, so that the untrained weights of the start
    are soon forgotten.
    """
    return 1 - min(decay, (1 + step) / (10 + step))


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, weight: Tensor) -> None:
    """Move weights and buffers of ``average`` toward ``model`` by ``weight``, in place.

    Args:
        average: A copy of the model.
        model: As it is after a step.
        weight: Float of no dimension, on the device of both. Integer buffers are copied.
    """
    for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            old.lerp_(new, weight.to(old.dtype))
        else:
            old.copy_(new)
