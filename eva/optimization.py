"""From the numbers of a recipe to PyTorch: initial weights, optimiser, averaged weights."""

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


def initialise(model: nn.Module, scheme: Init) -> None:
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
    """Build the recipe's optimiser over all trainable parameters of the model."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    part, decay = recipe.optimizer, recipe.weight_decay
    match part:
        case SGD():
            # Nesterov without momentum is plain SGD; PyTorch refuses the pair.
            return torch.optim.SGD(
                parameters,
                lr=part.lr,
                momentum=part.momentum,
                nesterov=part.nesterov and part.momentum > 0,
                weight_decay=decay,
            )
        case Adam():
            return torch.optim.Adam(parameters, lr=part.lr, betas=part.betas, weight_decay=decay)
        case AdamW():
            return torch.optim.AdamW(parameters, lr=part.lr, betas=part.betas, weight_decay=decay)


@torch.no_grad()
def update_average(average: nn.Module, model: nn.Module, decay: float, step: int) -> None:
    """Move weights and buffers of ``average`` towards ``model`` by ``1 - decay``, in place.

    Early on the decay is at most ``(1 + step) / (10 + step)``, so that the untrained weights of
    the start are soon forgotten. Integer buffers are copied.
    """
    weight = 1 - min(decay, (1 + step) / (10 + step))
    floats: tuple[list[Tensor], list[Tensor]] = [], []
    for old, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if old.is_floating_point():
            floats[0].append(old)
            floats[1].append(new)
        else:
            old.copy_(new)
    torch._foreach_lerp_(floats[0], floats[1], weight)
