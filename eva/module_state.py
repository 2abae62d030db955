"""A module that is run for a look is left as it was: its mode, its buffers and their numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Put the mode and the buffers of a module back as they were, numbers and tensors."""
    training = module.training
    buffers = buffers_of(module)
    numbers = [buffer.detach().clone() for _, _, buffer in buffers]
    try:
        yield
    finally:
        module.train(training)
        with torch.no_grad():
            for (_, _, buffer), before in zip(buffers, numbers, strict=True):
                buffer.copy_(before)
        put_back(buffers)


Buffers = list[tuple[nn.Module, str, Tensor]]


def buffers_of(module: nn.Module) -> Buffers:
    """Each buffer with its owner and name there."""
    return [
        (owner, name, buffer)
        for owner in nn.Module.modules(module)
        for name, buffer in owner._buffers.items()
        if buffer is not None
    ]


def put_back(buffers: Buffers) -> None:
    """Make these the buffers of their owners again, whose own train() may have replaced them."""
    for owner, name, buffer in buffers:
        owner._buffers[name] = buffer
