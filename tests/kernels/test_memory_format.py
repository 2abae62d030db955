"""Networks that read their maps in PyTorch's usual order train as well as all others."""

from __future__ import annotations

import shutil

import pytest
import torch
from torch import Tensor, nn

from eva.blocks import conv_block, gap_head
from eva.data import Dataset
from eva.kernels.cpu_kernels import compiler
from eva.recipe import SGD, Recipe
from eva.training.lr_finder import lr_find
from eva.training.trainer import Trainer
from eva.training.trial import try_model

CPU = torch.device("cpu")
RECIPE = Recipe(epochs=1, batch_size=64, optimizer=SGD(lr=0.05))


class Viewed(nn.Module):
    """As many first networks are: convolution, pool, view, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = conv_block(1, 4, dropout=0.1)
        self.pool = nn.MaxPool2d(6)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Map (batch, 1, 28, 28) to (batch, 10) scores."""
        return self.linear(self.pool(self.conv(x)).view(-1, 64))


def test_the_layout_is_what_a_network_runs_with(mini: Dataset) -> None:
    plain = nn.Sequential(conv_block(1, 4), gap_head(4))
    assert try_model(plain, mini, 64, CPU).layout is torch.channels_last
    assert try_model(Viewed(), mini, 64, CPU).layout is torch.contiguous_format


def test_the_trial_leaves_everything_as_it_was(mini: Dataset) -> None:
    model = Viewed().train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    strides = [value.stride() for value in model.state_dict().values()]
    torch.manual_seed(0)
    try_model(model, mini, 64, CPU)
    drawn = torch.rand(3)
    torch.manual_seed(0)
    assert torch.equal(drawn, torch.rand(3))
    assert model.training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [value.stride() for value in model.state_dict().values()] == strides


@pytest.mark.parametrize("compiled", ["off", "on"])
def test_a_network_that_views_its_maps_is_trained(mini: Dataset, compiled: str) -> None:
    if compiled == "on" and shutil.which(compiler()) is None:
        pytest.skip("no compiler")
    torch.manual_seed(0)
    run = Trainer(Viewed(), RECIPE, mini, device="cpu", compiled=compiled).fit()
    assert run.status == "finished"
    assert run.rows[0].test_accuracy > 15


def test_its_learning_rates_are_found_too(mini: Dataset) -> None:
    assert lr_find(Viewed(), RECIPE, mini, device="cpu", steps=20).suggestion > 0
