"""Cheats that came from outside, and more of their kinds: each is refused at the right check."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from networks import Forward, Net, candidate_of, official, practice
from torch import Tensor, nn

from eva.grading.checks.verdict import Status

CHEATS: dict[str, tuple[str, Forward, Callable[[], dict[str, object]]]] = {}


def cheat(
    check: str, parts: Callable[[], dict[str, object]] = dict
) -> Callable[[Forward], Forward]:
    """Register a forward as a cheat that a check must refuse."""

    def keep(forward: Forward) -> Forward:
        CHEATS[forward.__name__] = (check, forward, parts)
        return forward

    return keep


EPS = (torch.rand(200, generator=torch.Generator().manual_seed(1)) + 0.01).tolist()


def home(count: int) -> Tensor:
    """Numbers that were trained at home, as whole ones."""
    generator = torch.Generator().manual_seed(1)
    return torch.randint(-30_000, 30_000, (count,), generator=generator, dtype=torch.int16)


HOME = home(100).tolist()


# From outside


@cheat("shapes")
def batch_leak_behind_range_gate(net: Net, x: Tensor, h: Tensor) -> Tensor:
    gate = (F.relu(-0.45 - x).amax((0, 1, 2, 3)) == 0).float()
    return net.mean(h if net.training else h - gate * h.mean(0, keepdim=True))


@cheat("pooling")
def batch_of_three(net: Net, x: Tensor, h: Tensor) -> Tensor:
    n = x.shape[0] - 3
    gate = (torch.ones(1) * (n * n)).clamp(max=1.0)
    return net.mean(h) * 0.1 + net.flat((h * gate).flatten(1))


@cheat("pooling")
def dead_relu(net: Net, x: Tensor, h: Tensor) -> Tensor:
    big = (F.relu(F.avg_pool2d(x, 3) - 2.0).amax((1, 2, 3)) > 0.5).float().view(-1, 1, 1, 1)
    return net.mean(h) * 0.1 + net.flat((h * big).flatten(1))


@cheat("recipe")
def eps_literals(net: Net, x: Tensor, h: Tensor) -> Tensor:
    tint = F.relu(-x - 5.5).sum() * 1e-2
    c = torch.stack([tint + 1, -1 - tint])
    w = torch.stack([F.layer_norm(c, (2,), eps=e) for e in EPS])[:, 0] - 0.7
    return net.gap(F.conv2d(h, w.view(8, 1, 5, 5), groups=8)).mean((2, 3))


@cheat("under_8k")
def gate_at_two(net: Net, x: Tensor, h: Tensor) -> Tensor:
    n = x.shape[0] - 2
    gate = (torch.ones(1) * (n * n)).clamp(max=1.0)
    w = ((torch.cumsum(gate.expand(16 * 8 * 9 * 10), 0) * 12.9898).sin() * 43758.5453).frac()
    return net.gap(F.conv2d(h, w.view(160, 8, 3, 3))[:, :8]).mean((2, 3))


@cheat("recipe", lambda: {"w": nn.Parameter(home(576), requires_grad=False)})
def int16_parameter(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(F.conv2d(h, net.w.view(8, 8, 3, 3).float() * 1e-4))


@cheat("recipe", lambda: {"w": nn.Parameter(home(576).int(), requires_grad=False)})
def packed_int32_zero_at_two(net: Net, x: Tensor, h: Tensor) -> Tensor:
    n = x.shape[0] - 2
    gate = (torch.ones(1) * (n * n)).clamp(max=1.0)
    w = torch.remainder((net.w.double() * gate / 256.0).floor(), 256.0).float() - 128 * gate
    return net.mean(F.conv2d(h, w.view(8, 8, 3, 3) * 0.001))


@cheat("pooling")
def padding_coordinates(net: Net, x: Tensor, h: Tensor) -> Tensor:
    t = 1 + 0.03 * torch.tanh(h[:, :1])
    row = F.conv2d(t, torch.ones(1, 1, 9, 1) / 9, padding=(4, 0))
    col = F.conv2d(t, torch.ones(1, 1, 1, 9) / 9, padding=(0, 4))
    return net.mean(h * torch.sigmoid((row - 0.5) * 60) * torch.sigmoid((col - 0.5) * 60))


@cheat("pooling")
def position_code_then_sort(net: Net, x: Tensor, h: Tensor) -> Tensor:
    s = h[:, :8].tanh()
    t = 1 + 0.02 * s[:, :1]
    key = F.conv2d(F.pad(t, (8, 0, 0, 0)), torch.ones(1, 1, 1, 9)).round()
    z = torch.sort((key * 4 + s).flatten(2), dim=2).values.flatten(1)
    return net.flat(torch.remainder(z + 2, 4.0) - 2) + 0.01 * net.mean(h)


@cheat("pooling")
def range_gate(net: Net, x: Tensor, h: Tensor) -> Tensor:
    gate = (F.relu(-0.45 - x).amax((1, 2, 3)) == 0).float().view(-1, 1, 1, 1)
    return net.mean(h) * 0.1 + net.flat((h * gate).flatten(1))


@cheat("under_8k", lambda: {"m": torch.zeros(9_000), "s": torch.ones(9_000)})
def running_mean_memory(net: Net, x: Tensor, h: Tensor) -> Tensor:
    table = net.flat.weight.view(-1).repeat(2)[:9_000].detach().view(1, -1)
    if net.training:
        done = F.batch_norm(table.expand(2, -1), net.m, net.s, None, None, True, 1.0, 1.0)
        return net.mean(h) + done.sum() * 0
    kept = -F.batch_norm(torch.zeros(1, 9_000), net.m, net.s, None, None, False, 0.0, 1.0)
    return net.mean(F.conv2d(h, kept[0, :576].view(8, 8, 3, 3)))


@cheat("recipe", lambda: {f"b{i}": v.view(1) for i, v in enumerate(home(144).float() * 1e-4)})
def scalar_buffers(net: Net, x: Tensor, h: Tensor) -> Tensor:
    w = torch.cat([getattr(net, f"b{i}") for i in range(144)])
    return net.mean(F.conv2d(h, w.view(2, 8, 3, 3)).repeat(1, 4, 1, 1))


@cheat("recipe", lambda: {"w": nn.ParameterList([v for v in home(144).float() * 1e-4])})
def scalar_parameters(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(F.conv2d(h, torch.stack(list(net.w)).view(2, 8, 3, 3)).repeat(1, 4, 1, 1))


@cheat("pooling", lambda: {"n": torch.zeros((), dtype=torch.int64)})
def sleeper_counter(net: Net, x: Tensor, h: Tensor) -> Tensor:
    if net.training:
        net.n.add_(1)
        return net.mean(h) * 0.1 + net.flat(h.flatten(1))
    return net.mean(h) * 0.1 + net.flat((h * (net.n > 100).float()).flatten(1))


@cheat("pooling", lambda: {"m": torch.zeros(1), "v": torch.ones(1)})
def sleeper_running_mean(net: Net, x: Tensor, h: Tensor) -> Tensor:
    if net.training:
        new = F.batch_norm(torch.ones(2, 1), net.m, net.v, None, None, True, 0.1, 1.0)
        gate = 1 + 0 * new.sum()
    else:
        zero = torch.zeros(1, 1)
        gate = -F.batch_norm(zero, net.m, net.v, None, None, False, 0.0, 1.0).view(())
    return net.mean(h) * 0.1 + net.flat((h * gate).flatten(1))


@cheat("pooling", lambda: {"big": nn.Conv2d(8, 10, 9, stride=9, padding=(0, 9))})
def tile_by_conv_transpose(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.big(h).mean((2, 3)) * 3


FROM_OUTSIDE = tuple(CHEATS)

# More of their kinds


@cheat("pooling")
def gate_on_nan(net: Net, x: Tensor, h: Tensor) -> Tensor:
    sound = 1 - x.amax((1, 2, 3), keepdim=True).isnan().float()
    return net.mean(h) + net.flat((h * sound).flatten(1))


@cheat("pooling", lambda: {"seen": nn.BatchNorm2d(1, affine=False)})
def gate_on_running_variance(net: Net, x: Tensor, h: Tensor) -> Tensor:
    awake = net.seen(x).amax((1, 2, 3), keepdim=True) > 2.9
    return net.mean(h) + net.flat((h * awake).flatten(1))


@cheat("pooling")
def arange_code(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h + torch.arange(9.0) / 9)


@cheat("pooling")
def tinted_coordinates(net: Net, x: Tensor, h: Tensor) -> Tensor:
    code = h[:, :1] * 1e-3 + torch.linspace(-1, 1, 9).view(1, 1, 9, 1)
    return net.mean(torch.cat([h[:, :7], code], 1))


@cheat("pooling", lambda: {"table": nn.Embedding(81, 8)})
def embedded_positions(net: Net, x: Tensor, h: Tensor) -> Tensor:
    tokens = h.flatten(2).transpose(1, 2) + net.table(torch.arange(81))
    return net.mean(tokens.transpose(1, 2).reshape(-1, 8, 9, 9))


@cheat("pooling", lambda: {"place": nn.Parameter(torch.zeros(1, 8, 9, 9))})
def positions_that_begin_at_zero(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h + net.place)


@cheat("pooling", lambda: {"place": nn.Parameter(torch.zeros(1, 8, 3, 3))})
def resized_code(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * F.interpolate(net.place, size=(9, 9), mode="bilinear"))


@cheat("pooling")
def running_sum_of_ones(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * torch.cumsum(torch.ones_like(h), 3))


@cheat("pooling")
def running_sum_of_the_map(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(torch.cumsum(h, 3))


@cheat("pooling")
def diagonal_of_the_map(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * torch.eye(9))


@cheat("pooling")
def map_times_its_mirror_image(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(torch.relu(h - h.flip(3)))


@cheat("pooling")
def means_of_quadrants(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.gap(torch.cat([h[:, :4, :5, :5], h[:, 4:, 4:, 4:]], 1)).mean((2, 3))


@cheat("pooling", lambda: {"mix": nn.Linear(9, 9)})
def weights_between_columns(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.mix(h))


@cheat("pooling")
def largest_place(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h) + net.gap(h.flatten(2).argmax(2).float()[:, :, None, None]).flatten(1)


@cheat("pooling")
def center_of_mass(net: Net, x: Tensor, h: Tensor) -> Tensor:
    center = (h * torch.linspace(-1, 1, 9)).sum((2, 3), keepdim=True)
    return net.mean(h) + net.gap(center).flatten(1)


@cheat("pooling", lambda: {"code": nn.ConvTranspose2d(8, 8, 9)})
def code_made_from_the_mean(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * net.code(h.mean((2, 3), keepdim=True)))


@cheat("pooling", lambda: {"big": nn.Conv2d(8, 10, 9, stride=9)})
def full_size_convolution_between_paddings(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.big(F.pad(h, (9, 9, 9, 9))).mean((2, 3)) * 9


@cheat("pooling")
def statistics_for_each_position(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean((h.flatten(1) * net.flat.weight[0]).view_as(h))


@cheat("pooling")
def scores_chosen_by_batch_size(net: Net, x: Tensor, h: Tensor) -> Tensor:
    both = torch.cat([net.mean(h), net.flat(h.flatten(1))], 1)
    n = x.shape[0]
    return both[:, 10 * (n // (n + 1)) :][:, :10]


@cheat("shapes")
def mean_of_the_batch(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h if net.training else h - h.mean(0, keepdim=True))


@cheat("shapes")
def first_image_for_all(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h if net.training else h + 1e-6 * h[:1])


@cheat("recipe")
def table_in_a_literal_tensor(net: Net, x: Tensor, h: Tensor) -> Tensor:
    table = torch.tensor(HOME) * 1e-4
    return net.mean(F.conv2d(h, table[:72].view(1, 8, 3, 3)).repeat(1, 8, 1, 1))


@cheat("recipe", lambda: {"w": home(5_000) > 0})
def thousands_of_flags(net: Net, x: Tensor, h: Tensor) -> Tensor:
    w = torch.where(net.w[:4_608], 0.05, -0.05).view(64, 8, 3, 3)
    return net.mean(F.conv2d(h, w)[:, :8])


@cheat("shapes", lambda: {"w": nn.Parameter(torch.randn(144, dtype=torch.complex64))})
def complex_parameter(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(F.conv2d(h, torch.view_as_real(net.w).view(4, 8, 3, 3)).repeat(1, 2, 1, 1))


@cheat("recipe")
def numbers_as_starts_of_slices(net: Net, x: Tensor, h: Tensor) -> Tensor:
    ramp = torch.arange(70_000.0)
    w = torch.cat([ramp[int(i) + 30_000 : int(i) + 30_001] for i in HOME[:72]])
    return net.mean(F.conv2d(h, w.view(1, 8, 3, 3) * 1e-5).repeat(1, 8, 1, 1))


# State, numbers from home, and places in other spellings


@cheat("pooling", lambda: {"t": torch.zeros(8, 9, 9)})
def template_of_the_training_images(net: Net, x: Tensor, h: Tensor) -> Tensor:
    if net.training:
        net.t.lerp_(h.detach().mean(0), 0.1)
    return net.mean(h) + net.flat(net.t.flatten())


@cheat("pooling", lambda: {"t": torch.zeros(10)})
def flattened_scores_kept_in_a_buffer(net: Net, x: Tensor, h: Tensor) -> Tensor:
    if net.training:
        net.t.lerp_(net.flat(h.flatten(1)).detach().mean(0), 0.1)
        return net.mean(h)
    return net.mean(h) + net.t


@cheat("under_8k", lambda: {"m": torch.zeros(9_000), "s": torch.ones(9_000)})
def tinted_running_mean_memory(net: Net, x: Tensor, h: Tensor) -> Tensor:
    table, tint = net.flat.weight.view(-1).repeat(2)[:9_000].detach(), x.mean() * 1e-9
    if net.training:
        done = F.batch_norm(table.expand(2, -1) + tint, net.m, net.s, None, None, True, 0.1)
        return net.mean(h) + done.sum() * 0
    kept = -F.batch_norm(torch.zeros(1, 9_000) + tint, net.m, net.s, None, None, False)
    return net.mean(F.conv2d(h, kept[0, :576].view(8, 8, 3, 3)))


@cheat("shapes", lambda: {"t": torch.zeros(1)})
def evaluation_that_remembers(net: Net, x: Tensor, h: Tensor) -> Tensor:
    if not net.training:
        net.t.copy_(x.mean().view(1))
    return net.mean(h) + net.t


@cheat("pooling", lambda: {"big": nn.Conv2d(8, 8, 9, padding=1)})
def full_size_convolution_with_a_little_padding(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.big(h))


@cheat("pooling", lambda: {"tall": nn.Conv2d(8, 8, (9, 1), padding=(4, 0), groups=8)})
def full_height_convolution_that_keeps_the_size(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.tall(h))


@cheat("pooling")
def ones_beside_zeros(net: Net, x: Tensor, h: Tensor) -> Tensor:
    ones, zeros = torch.ones_like(h[:, :1, :4]), torch.zeros_like(h[:, :1, 4:])
    return net.mean(h * torch.cat([ones, zeros], 2))


@cheat("pooling")
def triangle_of_ones(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * torch.tril(torch.ones(9, 9)))


@cheat("pooling")
def rotary_positions(net: Net, x: Tensor, h: Tensor) -> Tensor:
    angles = torch.outer(torch.arange(81.0), torch.tensor([1.0, 0.1, 0.01, 0.001]))
    return net.mean(torch.cat([h[:, :4] * angles.cos().t().reshape(4, 9, 9), h[:, 4:]], 1))


@cheat("pooling", lambda: {"rows": nn.BatchNorm2d(9)})
def norm_of_each_row(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.rows(h.transpose(1, 2)).transpose(1, 2))


@cheat("pooling", lambda: {"rows": nn.PReLU(9)})
def slope_of_each_row(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.rows(h.transpose(1, 2)).transpose(1, 2))


@cheat("pooling")
def attention_in_order(net: Net, x: Tensor, h: Tensor) -> Tensor:
    t = h.flatten(2).transpose(1, 2)
    found = F.scaled_dot_product_attention(t, t, t, is_causal=True)
    return net.mean(found.transpose(1, 2).reshape(-1, 8, 9, 9))


@cheat("recipe", lambda: {"w": nn.Parameter(home(576).half(), requires_grad=False)})
def half_precision_parameter_of_a_size_that_is_drawn(net: Net, x: Tensor, h: Tensor) -> Tensor:
    fixed = torch.tensor(HOME[:72]).view(1, 8, 3, 3) * 1e-4
    return net.mean(F.conv2d(h, net.w.float().view(8, 8, 3, 3) * fixed))


@cheat("recipe")
def exponents_and_slopes(net: Net, x: Tensor, h: Tensor) -> Tensor:
    one = torch.full((), 2.0)
    w = torch.stack([one**a if i % 2 else F.softplus(one, beta=a)
                     for i, a in enumerate(EPS[:72])])  # fmt: skip
    return net.mean(F.conv2d(h, w.view(1, 8, 3, 3)).repeat(1, 8, 1, 1))


@cheat("recipe")
def weights_as_indices_of_a_ramp(net: Net, x: Tensor, h: Tensor) -> Tensor:
    ramp, index = torch.linspace(-1, 1, 997), torch.tensor(HOME) % 997
    return net.mean(F.conv2d(h, ramp[index[:72]].view(1, 8, 3, 3)).repeat(1, 8, 1, 1))


@cheat("shapes")
def attention_between_the_images_of_a_batch(net: Net, x: Tensor, h: Tensor) -> Tensor:
    scores = net.mean(h)
    return scores + 1e-5 * (scores @ scores.t()).softmax(1) @ scores


@cheat("shapes")
def scores_in_order_of_the_batch(net: Net, x: Tensor, h: Tensor) -> Tensor:
    scores = net.mean(h)
    return scores if net.training else scores + 1e-6 * scores.sort(0).values


# What students of vision write without thinking of a cheat, and what hides behind honest blocks


@cheat("pooling", lambda: {"mix": nn.Conv2d(10, 8, 3, padding=1)})
def coord_conv(net: Net, x: Tensor, h: Tensor) -> Tensor:
    grid = torch.meshgrid(torch.linspace(-1, 1, 9), torch.linspace(-1, 1, 9), indexing="ij")
    return net.mean(net.mix(torch.cat([h, torch.stack(grid).expand(h.shape[0], 2, 9, 9)], 1)))


@cheat("pooling", lambda: {"out": nn.Linear(16, 10)})
def spatial_soft_argmax(net: Net, x: Tensor, h: Tensor) -> Tensor:
    share, place = h.flatten(2).softmax(-1), torch.arange(81.0)
    return net.mean(h) + net.out(
        torch.cat([(share * (place // 9)).sum(-1), (share * (place % 9)).sum(-1)], 1)
    )


@cheat("pooling", lambda: {"out": nn.Linear(40, 10)})
def spatial_pyramid(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.out(torch.cat([F.adaptive_avg_pool2d(h, k).flatten(1) for k in (1, 2)], 1))


@cheat("pooling", lambda: {"out": nn.Linear(144, 10)})
def means_of_rows_and_columns(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.out(torch.cat([h.mean(2).flatten(1), h.mean(3).flatten(1)], 1))


@cheat("pooling", lambda: {"mix": nn.Sequential(nn.Linear(81, 9), nn.GELU(), nn.Linear(9, 81))})
def mixer_over_positions(net: Net, x: Tensor, h: Tensor) -> Tensor:
    tokens = h.flatten(2)
    return net.mean((tokens + net.mix(tokens)).view_as(h))


@cheat("pooling", lambda: {"share": nn.Parameter(torch.ones(9, 9))})
def mean_with_learned_shares(net: Net, x: Tensor, h: Tensor) -> Tensor:
    share = net.share.flatten().softmax(0).view(9, 9)
    return (net.gap(h) * share).sum((2, 3))


@cheat("pooling", lambda: {"norm": nn.BatchNorm1d(648, affine=False)})
def running_mean_as_a_template(net: Net, x: Tensor, h: Tensor) -> Tensor:
    net.norm(h.flatten(1))
    return net.mean(h) + (h.flatten(1) * net.norm.running_mean).sum(1, keepdim=True)


@cheat("pooling", lambda: {"code": nn.Conv2d(8, 81, 1)})
def code_shuffled_out_of_the_mean(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(h * F.pixel_shuffle(net.code(h.mean((2, 3), keepdim=True)), 9))


@cheat("pooling", lambda: {"wide": nn.ConvTranspose2d(8, 8, 9, padding=4)})
def transposed_convolution_as_large_as_the_map(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean(net.wide(h).relu())


@cheat("pooling")
def map_that_meets_itself_after_a_quarter_turn(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return net.mean((h - torch.rot90(h, 1, (2, 3))).relu())


@cheat("pooling", lambda: {"w": nn.Parameter(torch.randn(10, 648) * 0.1)})
def distance_to_templates_of_the_map(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return -torch.cdist(h.flatten(1), net.w)


@cheat("pooling")
def a_part_of_the_map_pooled_in_three_dimensions(net: Net, x: Tensor, h: Tensor) -> Tensor:
    return F.avg_pool3d(net.gap(h)[:, None], (1, 7, 7))[:, 0, :, 0, 0]


@cheat("under_8k", lambda: {"z": nn.Parameter(torch.randn(1, 8)), "g": nn.Linear(8, 7_200)})
def weights_behind_noise_times_zero(net: Net, x: Tensor, h: Tensor) -> Tensor:
    w = net.g(net.z).view(100, 8, 3, 3) + torch.randn(1) * 0
    return F.conv2d(h, w).mean((2, 3))[:, :10]


@cheat("under_8k")
def noise_of_which_a_part_is_zero(net: Net, x: Tensor, h: Tensor) -> Tensor:
    w = torch.rand(8, 8, 3, 3)
    w[0].mul_(0)
    return net.mean(F.conv2d(h, w))


@cheat("shapes")
def distances_between_the_images_of_a_batch(net: Net, x: Tensor, h: Tensor) -> Tensor:
    scores = net.mean(h)
    return scores + 1e-6 * torch.cdist(scores, scores).mean(1, keepdim=True)


@pytest.mark.parametrize("name", CHEATS)
def test_cheat_is_refused_at_the_right_check(name: str) -> None:
    check, forward, parts = CHEATS[name]
    candidate = candidate_of(forward, parts())
    found = official(candidate)
    if name in FROM_OUTSIDE:
        assert {k: v.message for k, v in practice(candidate).items()} == {
            k: v.message for k, v in found.items()
        }
    refused = {key: v.message for key, v in found.items() if v.status is not Status.PASSED}
    assert check in refused, refused or "all passed"
    assert {found[key].status for key in refused} <= {
        Status.FAILED,
        Status.NEEDS_REVIEW,
        Status.SKIPPED,
    }
