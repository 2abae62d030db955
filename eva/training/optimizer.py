"""From the numbers of a recipe to PyTorch's optimizer, and what a schedule changes in it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from eva.errors import TrainingError
from eva.recipe import SGD, Adam, AdamW, Recipe, RMSprop


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Build the recipe's optimizer over all trainable parameters of the model.

    It updates them in one kernel, and its learning rate is a tensor beside them: a step takes
    whatever is in it, without a value that goes to the device or comes from there.

    Raises:
        TrainingError: Nothing in the model can be trained.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise TrainingError(
            "the network has no parameter to train.",
            "Does __init__ keep its layers as attributes, or in an nn.ModuleList? "
            "Is requires_grad False everywhere?",
        )
    part = recipe.optimizer
    lr = torch.tensor(part.lr, device=parameters[0].device)
    match part:
        case SGD():
            start = recipe.momentum(0, 1)
            momentum = part.momentum if start is None else start
            return torch.optim.SGD(
                parameters,
                lr=lr,
                momentum=momentum,
                # Nesterov without momentum is plain SGD; PyTorch refuses the pair.
                nesterov=part.nesterov and momentum > 0,
                weight_decay=recipe.weight_decay,
                fused=True,
            )
        case RMSprop():
            return torch.optim.RMSprop(
                parameters,
                lr=lr,
                alpha=part.alpha,
                eps=part.eps,
                momentum=part.momentum,
                centered=part.centered,
                weight_decay=recipe.weight_decay,
                capturable=lr.is_cuda,
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


def set_momentum(optimizer: torch.optim.Optimizer, momentum: float) -> None:
    """Give the optimizer another momentum, or first beta, as PyTorch's OneCycleLR does."""
    for group in optimizer.param_groups:
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum


def penalized(loss: Tensor, model: nn.Module, recipe: Recipe) -> Tensor:
    """Add the recipe's L1 penalty, over all trainable parameters, to a loss of no dimension."""
    if not recipe.l1:
        return loss
    sums = [parameter.abs().sum() for parameter in model.parameters() if parameter.requires_grad]
    return loss + recipe.l1 * torch.stack(sums).sum()


def clip_gradients(model: nn.Module, recipe: Recipe) -> None:
    """Scale all gradients down, in place, where their norm is above the recipe's limit."""
    if recipe.clip_grad_norm is not None:
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
