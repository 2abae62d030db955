"""How weights are drawn before training, by the name that a recipe gives."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from eva.recipe import Init

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
