"""Receptive fields of known networks, measured elsewhere by gradients."""

import functools
import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import nn

from eva import rf

ORACLES = json.loads((Path(__file__).parent / "oracles.json").read_text())


@functools.cache
def traced(name: str) -> rf.Trace:
    torch.manual_seed(0)
    return rf.trace(getattr(torchvision.models, name)(), (3, 224, 224))


@pytest.mark.parametrize(("model", "layer", "size", "jump", "padding"), ORACLES["torchvision"])
@pytest.mark.filterwarnings("ignore:The default weight init")
def test_torchvision_layers_have_their_measured_fields(
    model: str, layer: str, size: int, jump: int, padding: int
) -> None:
    field = traced(model).field(layer)
    assert field.size == (size, size)
    assert field.jump == (jump, jump)
    assert field.padding == (padding, padding)
    assert field.status is rf.FieldStatus.EXACT


def one(model: nn.Module, length: int = 30) -> rf.AxisField:
    return rf.receptive_field(model, (1, length)).axes[0]


def test_stride_three_of_width_one_then_width_three_has_holes() -> None:
    field = one(nn.Sequential(nn.Conv1d(1, 1, 1, stride=3), nn.Conv1d(1, 1, 3)))
    assert (field.size, field.density) == (7, Fraction(3, 7))


def test_dilated_convolutions_have_holes() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 3, dilation=2), nn.Conv1d(1, 1, 3, dilation=2))
    assert (one(model).size, one(model).density) == (9, Fraction(5, 9))


def test_units_of_a_transposed_convolution_alternate() -> None:
    field = one(nn.ConvTranspose1d(1, 1, 3, stride=2, padding=1))
    sizes = [b - a + 1 for a, b in (h for h in field.hulls if h is not None)]
    assert sizes[:-1] == [1, 2] * (len(sizes) // 2)


def test_every_second_unit_of_a_narrow_transposed_convolution_sees_nothing() -> None:
    field = one(nn.ConvTranspose1d(1, 1, 1, stride=2))
    assert [h is None for h in field.hulls[:4]] == [False, True, False, True]
    assert field.min_size == 0


def test_adaptive_bins_have_unequal_sizes() -> None:
    hulls = one(nn.AdaptiveAvgPool1d(7), 10).hulls
    assert [h[1] - h[0] + 1 for h in hulls if h is not None] == ORACLES["adaptive_10_to_7"]


@pytest.mark.parametrize(
    ("up", "size"),
    [
        (nn.Upsample(scale_factor=2), 1),
        (nn.Upsample(scale_factor=2, mode="linear", align_corners=False), 2),
        (
            nn.Sequential(nn.Conv1d(1, 1, 3), nn.Upsample(scale_factor=2), nn.Conv1d(1, 1, 3)),
            4,
        ),
    ],
)
def test_upsampling_is_not_overestimated(up: nn.Module, size: int) -> None:
    field = one(up)
    assert (field.size, field.jump) == (size, Fraction(1, 2))


class UNet(nn.Module):
    """'same' double convolutions, four poolings, transposed convolutions up, concatenated skips."""

    def __init__(self) -> None:
        super().__init__()
        widths = [2, 2, 2, 2, 2]

        def double(i: int, o: int) -> nn.Sequential:
            return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.Conv2d(o, o, 3, padding=1))

        self.down = nn.ModuleList(double(1 if n == 0 else 2, w) for n, w in enumerate(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(2, 2, 2, 2) for _ in range(4))
        self.merge = nn.ModuleList(double(4, 2) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        skips = []
        for n, block in enumerate(self.down):
            x = block(x if n == 0 else nn.functional.max_pool2d(x, 2))
            skips.append(x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips[:-1]), strict=True):
            x = merge(torch.cat([skip, up(x)], 1))
        return x


def test_units_of_a_u_net_alternate() -> None:
    found = rf.trace(UNet(), (1, 256, 256))
    field = found.field()
    low, high = ORACLES["u_net"]["sizes"]
    assert (field.min_size, field.size) == ((low, low), (high, high))
    assert found.field("down.4").size == (ORACLES["u_net"]["bottleneck"],) * 2
    middle = {s.stop - s.start for u in range(112, 144) for s in field.region((u, u))}
    assert middle == {low, high}


def squeeze_excite_free(model: nn.Module) -> nn.Module:
    for module in model.modules():
        for name, child in module.named_children():
            if isinstance(child, torchvision.ops.SqueezeExcitation):
                setattr(module, name, nn.Identity())
    return model


def test_squeeze_excitation_sees_the_whole_input() -> None:
    field = rf.receptive_field(
        torchvision.models.mobilenet_v3_small(), (3, 96, 96), layer="features"
    )
    assert (field.size, field.status) == ((96, 96), rf.FieldStatus.WHOLE_INPUT)


def test_without_squeeze_excitation_the_field_is_that_of_its_convolutions() -> None:
    model: Any = squeeze_excite_free(torchvision.models.mobilenet_v3_small())
    field = rf.receptive_field(model, (3, 96, 96), layer="features")
    assert field.status is rf.FieldStatus.EXACT
    assert field.jump == (32, 32)
