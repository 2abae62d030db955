"""Random networks: not one unit's interval differs from the gradient oracle's."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rf_graphs import Sketch, compare, draw_layers, draw_network
from torch import nn

from eva import rf

pytestmark = pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")


def picker(data: st.DataObject) -> Any:
    def pick(options: Sequence[Any]) -> Any:
        return data.draw(st.sampled_from(options))

    return pick


@settings(
    max_examples=220, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(st.data())
def test_every_unit_sees_what_its_gradient_sees(data: st.DataObject) -> None:
    model, size, _ = draw_network(picker(data))
    result = compare(model, size)
    assert not result.differences, f"{model} on {size}: {result.differences[:3]}"


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_the_theoretical_field_is_that_of_units_far_from_borders(data: st.DataObject) -> None:
    pick = picker(data)
    sketch = Sketch(rank=1, sizes=[16], local=True)
    draw_layers(sketch, pick, 3, depth=1)
    model = nn.Sequential(*sketch.layers)
    axis = rf.receptive_field(model, (2, 400)).axes[0]
    if axis.jump is None or axis.jump <= 0 or axis.start is None or axis.status != "exact":
        return
    middle = [
        (u, h)
        for u, h in enumerate(axis.hulls)
        if 150 < u * axis.jump + axis.start < 250 and h is not None
    ]
    spans = {h[1] - h[0] + 1 for _, h in middle}
    assert max(spans) == axis.size, f"{model}: {spans} measured, {axis.size} claimed"
    assert min(spans) == axis.min_size or axis.min_size == 0
    centers = [(h[0] + h[1]) / 2 - float(u * axis.jump) for u, h in middle]
    assert min(abs(c - float(axis.start)) for c in centers) < 1e-6


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        (
            "aten.max_pool2d_with_indices",
            lambda op: rf.sliding_rule(op, kernel=1, stride=op["stride"] or op["kernel_size"]),
        ),
        ("aten.upsample_nearest2d", lambda op: rf.Whole(status=rf.FieldStatus.EXACT)),
        ("aten.cat", lambda op: rf.Whole(status=rf.FieldStatus.EXACT)),
    ],
)
def test_a_false_rule_is_found_out(name: str, rule: Any) -> None:
    import random

    with rf.register_rule(name, rule):
        found = 0
        for seed in range(150):
            model, size, _ = draw_network(random.Random(seed).choice)
            result = compare(model, size)
            found += bool(result.differences) or result.status == "unknown"
            if found:
                break
    assert found, f"a false rule for {name} went unnoticed in 150 graphs"


def test_the_oracle_sees_a_planted_difference() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.MaxPool2d(2), nn.Conv2d(2, 2, 2))
    assert compare(model, (2, 9, 9)).differences == []
    false = "aten.max_pool2d_with_indices"
    with rf.register_rule(false, lambda op: rf.sliding_rule(op, kernel=1, stride=2)):
        assert compare(model, (2, 9, 9)).differences
    assert compare(model, (2, 9, 9)).differences == []
