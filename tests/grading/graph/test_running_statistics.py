"""A running statistic is free where evaluation normalizes with it what training moved it by."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from eva.grading.graph.counting import count_stored
from eva.grading.graph.export import export_graph
from eva.grading.graph.running_statistics import running_statistics

SIZE = (1, 28, 28)
Middle = Callable[["Net", Tensor], Tensor]


class Net(nn.Module):
    """Two norms, the second of them on whatever ``middle`` makes of the first."""

    def __init__(self, middle: Middle, momentum: float = 0.1) -> None:
        super().__init__()
        self.middle = middle
        self.first = spectral_norm(nn.Conv2d(1, 8, 3, stride=3))
        self.one, self.two = nn.BatchNorm2d(8), nn.BatchNorm2d(8, momentum=momentum)
        self.branch, self.head = nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 10, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.two(self.middle(self, self.one(self.first(x))))).mean((2, 3))


def skipped_at_random(net: Net, h: Tensor) -> Tensor:
    branch = net.branch(h)
    if net.training:
        branch = branch * torch.bernoulli(torch.full((h.shape[0], 1, 1, 1), 0.8)) / 0.8
    return h + branch


def scaled_before_it_is_skipped(net: Net, h: Tensor) -> Tensor:
    branch = net.branch(h)
    if net.training:
        mask = 0.8 + torch.rand((h.shape[0], 1, 1, 1), dtype=h.dtype)
        branch = branch.div(0.8) * mask.floor_()
    return h + branch


def noise_and_dropout(net: Net, h: Tensor) -> Tensor:
    if net.training:
        h = h * (1 + 0.1 * torch.randn(h.shape)) + 0.1 * torch.randn_like(h)
    return F.dropout(net.branch(F.dropout2d(h, 0.1, net.training)), 0.1, net.training)


def another_input(net: Net, h: Tensor) -> Tensor:
    return h if net.training else net.branch(h)


def a_table_with_a_tint(net: Net, h: Tensor) -> Tensor:
    return 0 * h + (net.branch.bias.mean() if net.training else 0)


def overwritten_through_a_view(net: Net, h: Tensor) -> Tensor:
    h = h * 1
    if net.training:
        h.view(-1).copy_(net.branch.bias.mean() + 0 * h.view(-1))
    return h


@pytest.mark.parametrize(
    "middle", [skipped_at_random, scaled_before_it_is_skipped, noise_and_dropout]
)
def test_what_training_does_at_random_leaves_the_input_the_same(middle: Middle) -> None:
    graph = export_graph(Net(middle), SIZE)
    assert len(running_statistics(graph)) == 6


@pytest.mark.parametrize("middle", [another_input, a_table_with_a_tint, overwritten_through_a_view])
def test_statistics_of_another_input_count_as_stored(middle: Middle) -> None:
    graph = export_graph(Net(middle), SIZE)
    free = running_statistics(graph)
    assert {"one.running_mean", "one.running_var"} < free
    assert not {"two.running_mean", "two.running_var"} & free


@pytest.mark.parametrize(("momentum", "more"), [(0.5, 0), (0.6, 16), (1e-5, 16)])
def test_statistics_that_are_no_average_of_several_batches_count(
    momentum: float, more: int
) -> None:
    usual = count_stored(export_graph(Net(skipped_at_random), SIZE), SIZE).total
    found = count_stored(export_graph(Net(skipped_at_random, momentum), SIZE), SIZE).total
    assert found - usual == more
