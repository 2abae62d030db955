"""From the numbers of a recipe to PyTorch: initial weights, optimizer, averaged weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from eva.recipe import SGD, Adam, AdamW, Init, Recipe

_SCHEMES: dict[Init, Callable[[Tensor], object]] = {
    Init.KAIMING_NORMAL: partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    Init.KAIMING_UNIFORM: partial(nn.init.kaiming_uniform_, nonlinearity="relu"),
    Init.XAVIER_UNIFORM: nn.init.xavier_uniform_,
    Init.ORTHOGONAL: nn.init.orthogonal_,
}


def initialize(model: nn.Module, scheme: Init) -> None:
    """Redraw all parameters of two and more dimensions from the global generator, in place.

    ``Init.DEFAULT`` leaves the model as it was built; biases and norms keep their values always.
    """
    if scheme is Init.DEFAULT:
        return
    draw = _SCHEMES[scheme]
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim >= 2:
                fresh = torch.empty(parameter.shape)  # the same draws on every device
                draw(fresh)
                parameter.copy_(fresh)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer over all trainable parameters of the model.

    It updates them in one kernel, and its learning rate is a tensor beside them: a step takes
    whatever is in it, without a value that goes to the device or comes from there.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    part = recipe.optimizer
    lr = torch.tensor(part.lr, device=parameters[0].device)
    match part:
        case SGD():
            return torch.optim.SGD(
                parameters,
                lr=lr,
                momentum=part.momentum,
                # Nesterov without momentum is plain SGD; PyTorch refuses the pair.
                nesterov=part.nesterov and part.momentum > 0,
                weight_decay=recipe.weight_decay,
                fused=True,
            )
        case Adam():
            kind: type[torch.optim.Adam] = torch.optim.Adam
        case AdamW():
            kind = torch.optim.AdamW
    return kind(
        parameters,
        lr=lr,
        betas=part.betas,
        weight_decay=recipe.weight_decay,
        fused=True,
        capturable=lr.is_cuda,
    )


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Write a learning rate into the optimizer's tensor."""
    for group in optimizer.param_groups:
        group["lr"].fill_(lr)


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
