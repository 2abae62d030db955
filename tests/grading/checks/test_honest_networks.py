"""Networks as students write them: nothing is refused, at practice and by the judge."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import Forward, Net, candidate_of, official, practice
from torch import Tensor, nn

from eva.grading.checks.verdict import Status

HONEST: dict[str, tuple[Forward, Callable[[], dict[str, object]]]] = {}


def honest(parts: Callable[[], dict[str, object]] = dict) -> Callable[[Forward], Forward]:
    """Register a forward as an honest one."""

    def keep(forward: Forward) -> Forward:
        HONEST[forward.__name__] = (forward, parts)
        return forward

    return keep


@honest(lambda: {"flat": nn.Identity(), "out": nn.Conv2d(8, 10, 1, bias=False)})
def pool_of_the_map_then_1x1_then_log_softmax(net: Net, x: Tensor, h: Tensor) -> Tensor:
    pooled = F.avg_pool2d(h, kernel_size=9)
    return F.log_softmax(net.out(pooled).view(-1, 10), dim=-1)


@honest(lambda: {"block": nn.Sequential(nn.Conv2d(8, 8, 3), nn.ReLU(), nn.BatchNorm2d(8),
                                        nn.Dropout(0.01))})  # fmt: skip
def convolution_relu_norm_dropout(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.block(h))


@honest(lambda: {"norm": nn.BatchNorm2d(8)})
def norm_after_noise_and_a_branch_that_is_skipped_at_random(
    net: Net, x: Tensor, h: Tensor
) -> Tensor:
    branch = net.gap(h)[:, :8]
    if net.training:
        keep = 0.8 + torch.rand(h.shape[0], 1, 1, 1)
        branch = branch.div(0.8) * keep.floor_()
        h = h + 0.1 * torch.randn_like(h)
    return net.mean(net.norm(h + branch))


@honest(
    lambda: {"q": nn.Conv2d(8, 4, 1), "k": nn.Conv2d(8, 4, 1), "g": nn.Parameter(torch.zeros(1))}
)
def non_local_block(net: Net, x: Tensor, h: Tensor) -> Tensor:
    batch, channels, height, width = h.shape
    query = net.q(h).view(batch, 4, -1).permute(0, 2, 1)
    attention = torch.softmax(torch.bmm(query, net.k(h).view(batch, 4, -1)), -1)
    found = torch.bmm(h.view(batch, channels, -1), attention.permute(0, 2, 1))
    return net.mean(h + net.g * found.view(batch, channels, height, width))


@honest(lambda: {"k": nn.Conv2d(8, 1, 1), "t": nn.Conv2d(8, 8, 1)})
def global_context(net: Net, x: Tensor, h: Tensor) -> Tensor:
    weights = net.k(h).flatten(2).softmax(-1)
    context = torch.einsum("bcn,bkn->bck", h.flatten(2), weights).unsqueeze(-1)
    return net.mean(h + net.t(context))


@honest(lambda: {"a": nn.Conv2d(8, 4, 1), "b": nn.Conv2d(8, 4, 5, padding=2)})
def inception_block(net: Net, x: Tensor, h: Tensor) -> Tensor:
    pooled = F.max_pool2d(h, 3, 1, 1)
    return net.mean(torch.cat([net.a(h), net.b(h)], 1) + pooled)


@honest(lambda: {"w": nn.Parameter(torch.randn(10, 8))})
def scores_by_cosine(net: Net, x: Tensor, h: Tensor) -> Tensor:
    features = F.normalize(h.mean((2, 3)), dim=1)
    return 10 * F.linear(features, F.normalize(net.w, dim=1))


@honest(
    lambda: {"t": nn.Parameter(torch.zeros(1, 8, 1, 1)), "w": nn.Parameter(torch.ones(1, 8, 1, 1))}
)
def filter_response_norm(net: Net, x: Tensor, h: Tensor) -> Tensor:
    power = h.pow(2).mean((2, 3), keepdim=True)
    return net.mean(torch.max(net.w * h * torch.rsqrt(power + 1e-6), net.t))


@honest()
def image_padded_to_32(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.body(F.pad(x, (2, 2, 2, 2))))


@honest()
def image_resized_to_32(net: Net, x: Tensor, h: Tensor) -> Tensor:
    resized = F.interpolate(x, size=(32, 32), mode="bilinear", align_corners=False)
    return net.mean(net.body(resized))


@honest()
def mask_of_two_conditions(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * ((h > 0.1) & (h < 3)).float())


@pytest.mark.parametrize("name", HONEST)
def test_honest_network_passes_every_check_at_practice_and_by_the_judge(name: str) -> None:
    forward, parts = HONEST[name]
    candidate = candidate_of(forward, parts())
    for found in (practice(candidate), official(candidate)):
        assert [v.message for v in found.values() if v.status is not Status.PASSED] == []
