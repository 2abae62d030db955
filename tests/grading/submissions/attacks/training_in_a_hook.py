"""Trains inside a hook of forward, many steps for one."""

import torch
from torch import Tensor, nn

from eva import Recipe

RECIPE = Recipe()


def train_more(model: nn.Module, inputs: tuple[Tensor, ...]) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(3):
        with torch.enable_grad():
            model[0](inputs[0]).square().mean().backward()
        optimizer.step()


def build_model() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(1, 10, 5), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model.register_forward_pre_hook(train_more)
    return model
