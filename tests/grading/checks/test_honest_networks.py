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


@honest()
def noise_that_evaluation_multiplies_by_zero(net: Net, x: Tensor, h: Tensor) -> Tensor:
    unused = torch.randn_like(h)
    h = h + net.training * torch.randn_like(h) * 0.1
    h = h * (1 + (0.1 if net.training else 0.0) * torch.randn(h.shape[0], 1, 1, 1))
    return net.mean(h + 0.1 * unused if net.training else h)


@honest(lambda: {"norm": nn.BatchNorm2d(8), "block": nn.Conv2d(8, 8, 3, padding=1)})
def noise_that_is_drawn_in_place_before_a_norm(net: Net, x: Tensor, h: Tensor) -> Tensor:
    branch = net.block(h)
    if net.training:
        branch = branch * branch.new_empty((h.shape[0], 1, 1, 1)).bernoulli_(0.9).div_(0.9)
        h = h * torch.empty_like(h).uniform_(0.9, 1.1) + torch.zeros_like(h).normal_(0, 0.1)
    return net.mean(net.norm(h + branch))


@honest()
def drop_block(net: Net, x: Tensor, h: Tensor) -> Tensor:
    if net.training:
        seeds = (torch.rand(h.shape[0], *h.shape[2:]) < 0.01).float()
        keep = 1 - F.max_pool2d(seeds[:, None], 3, stride=1, padding=1)
        h = h * keep * keep.numel() / keep.sum()
    return net.mean(h)


@honest(lambda: {"norm": nn.LocalResponseNorm(5)})
def local_response_norm(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(F.local_response_norm(net.norm(h), 3, alpha=1e-3, beta=0.5, k=2.0))


@honest(lambda: {"wide": nn.Conv2d(8, 32, 1), "up": nn.ConvTranspose2d(8, 8, 2, stride=2)})
def map_that_is_made_larger_by_weights(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(F.relu(net.up(h)) + F.pixel_shuffle(net.wide(h), 2))


@honest(lambda: {"w": nn.Parameter(torch.randn(2, 8, 3, 3) * 0.1)})
def filters_and_maps_in_four_directions(net: Net, x: Tensor, h: Tensor) -> Tensor:
    kernels = torch.cat([torch.rot90(net.w, quarter, (2, 3)) for quarter in range(4)])
    found = F.relu(F.conv2d(h, kernels, padding=1))
    turned = sum(net.mean(torch.rot90(h, quarter, (2, 3))) for quarter in range(4))
    return net.mean(found) + turned / 4


@honest(lambda: {"w": nn.Parameter(torch.randn(10, 8))})
def scores_by_distance(net: Net, x: Tensor, h: Tensor) -> Tensor:
    features = h.mean((2, 3))
    near = F.cosine_similarity(features[:, None], net.w[None], dim=-1)
    return near - torch.cdist(features, net.w) + net.mean(h)


@honest(lambda: {
    "haar": torch.tensor([[[1.0, 1], [1, 1]], [[1, 1], [-1, -1]], [[1, -1], [1, -1]],
                          [[1, -1], [-1, 1]]])[:, None] / 2,
    "sign": torch.tensor([True, False] * 4).view(1, 8, 1, 1),
    "order": torch.tensor([1, 0, 3, 2, 5, 4, 7, 6]),
    "mix": nn.Conv2d(4, 8, 3),
})  # fmt: skip
def fixed_filters_a_mask_and_an_order_of_channels(net: Net, x: Tensor, h: Tensor) -> Tensor:
    edges = net.mix(F.conv2d(x, net.haar, stride=2))
    return net.mean(torch.where(net.sign, h, -h)[:, net.order]) + net.mean(edges)


@honest()
def capsules_with_routing(net: Net, x: Tensor, h: Tensor) -> Tensor:
    parts = h.view(h.shape[0], 2, 4, 81).permute(0, 3, 1, 2)
    votes = torch.zeros(h.shape[0], 81, 2)
    for _ in range(2):
        found = (votes.softmax(2)[..., None] * parts).mean(1)
        votes = votes + (parts * found[:, None]).sum(-1)
    return F.linear(found.flatten(1), net.gap.weight.flatten(1), net.gap.bias)


@honest(lambda: {"a": nn.Conv2d(8, 8, 3, padding=1), "w": nn.Conv2d(8, 8, 3, padding=1),
                 "k": nn.Conv2d(8, 9, 1)})  # fmt: skip
def shake_shake_weight_standardization_involution(net: Net, x: Tensor, h: Tensor) -> Tensor:
    share = torch.rand(h.shape[0], 1, 1, 1) if net.training else 0.5
    w = net.w.weight
    w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)
    h = share * net.a(h) + (1 - share) * F.conv2d(h, w, net.w.bias, padding=1)
    patches = F.unfold(h, 3, padding=1).view(-1, 8, 9, 81)
    kernels = net.k(h).view(-1, 1, 9, 81)
    return net.mean((kernels * patches).sum(2).view(-1, 8, 9, 9))


@pytest.mark.parametrize("name", HONEST)
def test_honest_network_passes_every_check_of_the_judge(name: str) -> None:
    forward, parts = HONEST[name]
    found = official(candidate_of(forward, parts()))
    assert [v.message for v in found.values() if v.status is not Status.PASSED] == []


def test_practice_says_of_an_honest_network_what_the_judge_says() -> None:
    forward, parts = HONEST["noise_that_is_drawn_in_place_before_a_norm"]
    candidate = candidate_of(forward, parts())
    assert {k: v.message for k, v in practice(candidate).items()} == {
        k: v.message for k, v in official(candidate).items()
    }
