"""The gradient oracle and the effective field, on nets that can be checked by hand."""

import pytest
import torch
from torch import nn

from eva.errors import ForwardError, InputSizeError
from eva.rf import receptive_field
from eva.rf.gradients import probe


def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.BatchNorm2d(4), nn.MaxPool2d(2), nn.Conv2d(4, 2, 3)
    )


def test_the_oracle_measures_two_convolutions_and_a_pool() -> None:
    assert probe.field(net(), (1, 16, 16), unit=(0, 1)) == ((0, 7), (2, 9))
    assert probe.field(net(), (1, 16, 16), layer="3", unit=(0, 0)) == ((0, 3), (0, 3))


def test_the_oracle_sees_holes() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 1, stride=3), nn.Conv1d(1, 1, 3))
    assert probe.fields(model, (1, 12), units=[(0,)])[0].nonzero().flatten().tolist() == [0, 3, 6]


def test_the_oracle_changes_nothing() -> None:
    model = net().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    probe.field(model, (1, 16, 16))
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_unit_that_sees_nothing_is_none() -> None:
    assert probe.field(nn.ConvTranspose1d(1, 1, 1, 2), (1, 5), unit=(1,)) == (None,)


def test_the_effective_field_lies_inside_the_theoretical_one() -> None:
    model = net().train()
    heat = probe.effective_receptive_field(model, torch.rand(8, 1, 16, 16), unit=(2, 3))
    rows, columns = receptive_field(model, (1, 16, 16)).region((2, 3))
    inside = heat[rows, columns]
    assert heat.shape == (16, 16)
    assert float(heat.max()) == 1
    assert float(inside.sum()) == pytest.approx(float(heat.sum()))
    assert bool((inside > 0).float().mean() > 0.5)
    assert model.training
    assert all(p.grad is None for p in model.parameters())


def test_the_effective_field_of_a_layer_is_smaller() -> None:
    heat = probe.effective_receptive_field(net(), torch.rand(2, 1, 16, 16), layer="0", unit=(5, 5))
    assert int((heat > 0).sum()) == 9


def test_effective_fields_of_no_image_or_no_unit_are_errors() -> None:
    with pytest.raises(InputSizeError, match="Expected images"):
        probe.effective_receptive_field(net(), torch.rand(16, 16))
    with pytest.raises(InputSizeError, match="units"):
        probe.effective_receptive_field(net(), torch.rand(1, 1, 16, 16), unit=(99, 0))
    with pytest.raises(ForwardError, match="no layer"):
        probe.effective_receptive_field(net(), torch.rand(1, 1, 16, 16), layer="nine")
