"""Counting parameters: a test for each exercise; its docstring is the hint."""

from types import ModuleType

import torch
from torch import nn

from eva.blocks import depthwise_separable


def test_1_convolution(work: ModuleType) -> None:
    """Each channel that goes out has one window for each channel that comes in, and perhaps one
    bias.
    """
    assert work.convolution(3, 1, 8) == 72
    assert work.convolution(3, 8, 16) == 1152
    assert work.convolution(1, 16, 10, bias=True) == 170


def test_2_separable(work: ModuleType) -> None:
    """The depthwise part has one window for each channel. The 1x1 part mixes the channels."""
    assert work.separable(3, 16, 16) == 400
    layer = depthwise_separable(16, 32)
    weights = sum(m.weight.numel() for m in layer.modules() if isinstance(m, nn.Conv2d))
    assert work.separable(3, 16, 32) == weights


def test_3_batch_norm(work: ModuleType) -> None:
    """Two numbers for each channel."""
    assert work.batch_norm(16) == sum(p.numel() for p in nn.BatchNorm2d(16).parameters())


def test_4_small_network(work: ModuleType) -> None:
    """nn.Sequential of convolutions with few channels, nn.ReLU, nn.MaxPool2d, a 1x1 convolution
    to 10 channels, nn.AdaptiveAvgPool2d(1) and nn.Flatten.
    """
    model = work.small_network()
    assert model(torch.zeros(2, 1, 28, 28)).shape == (2, 10)
    assert sum(p.numel() for p in model.parameters()) < 2_000
    kinds = [m.kernel_size for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert kinds.count((3, 3)) >= 2
