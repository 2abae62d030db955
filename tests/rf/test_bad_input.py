"""Each misuse is a clear error, or a result."""

from typing import Any

import pytest
import torch
from torch import nn

from eva import rf
from eva.errors import EvaError, ForwardError, InputSizeError, RuleError


class Fails(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.fc = nn.Linear(100, 10)

    def forward(self, x: torch.Tensor) -> Any:
        return self.fc(self.conv(x).flatten(1))


@pytest.mark.parametrize("thing", [None, "model", torch.zeros(1), nn.Conv2d, {"a": 1}])
def test_not_a_module(thing: Any) -> None:
    with pytest.raises(ForwardError, match="Expected a"):
        rf.trace(thing, (1, 8, 8))


def test_no_input_size() -> None:
    with pytest.raises(InputSizeError, match="missing"):
        rf.trace(nn.Conv2d(1, 1, 3))


@pytest.mark.parametrize("size", [(1, 0, 8), (1, -8, 8), (), (1.5, 8, 8), "1x8x8", 28, (True, 8)])
def test_sizes_that_are_none(size: Any) -> None:
    with pytest.raises(InputSizeError, match="positive whole numbers"):
        rf.trace(nn.Conv2d(1, 1, 3), size)


def test_a_size_of_the_wrong_rank_names_the_layer() -> None:
    with pytest.raises(ForwardError, match=r"Conv2d.*\(1, 1, 1, 1, 28, 28\)"):
        rf.trace(nn.Conv2d(1, 1, 3), (1, 1, 1, 28, 28))


def test_wrong_channels_name_the_layer_and_its_weights() -> None:
    with pytest.raises(
        ForwardError, match=r"'0' \(Conv2d\).*\(1, 3, 8, 8\).*weight \(4, 1, 3, 3\)"
    ):
        rf.trace(nn.Sequential(nn.Conv2d(1, 4, 3)), (3, 8, 8))


def test_a_wrong_dtype_is_an_error() -> None:
    with pytest.raises(ForwardError):
        rf.trace(nn.Conv2d(1, 4, 3), (1, 8, 8), dtype=torch.int64)


def test_a_model_that_returns_none_has_calls_and_no_field() -> None:
    class Nothing(nn.Module):
        def forward(self, x: torch.Tensor) -> None:
            return None

    found = rf.trace(Nothing(), (1, 8, 8))
    assert len(found.calls) == 1
    assert found.calls[0].output_rf is None
    with pytest.raises(ForwardError, match="returned no tensor"):
        found.field()


def test_a_layer_that_does_not_exist() -> None:
    with pytest.raises(ForwardError, match="The layers that ran: 0"):
        rf.receptive_field(nn.Sequential(nn.ReLU()), (1, 8, 8), layer="features")


def test_a_model_on_another_device_is_a_result() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3)).to("meta")
    assert rf.receptive_field(model, (1, 8, 8)).size == (3, 3)
    assert next(model.parameters()).device.type == "meta"


def test_a_lazy_model_that_does_not_run_says_what_to_do() -> None:
    with pytest.raises(ForwardError, match="lazy layers"):
        rf.trace(nn.Sequential(nn.LazyConv2d(4, 9)), (1, 8, 8))


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_scripted_model_is_a_result() -> None:
    model = torch.jit.script(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)))
    model.train()
    found = rf.trace(model, (1, 8, 8))
    assert found.field().size == (3, 3)
    assert found.device_fallback is not None and "TorchScript" in found.device_fallback
    assert model.training


def test_a_compiled_model_is_a_result() -> None:
    model = torch.compile(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()))
    assert rf.receptive_field(model, (1, 8, 8)).size == (3, 3)


def test_a_compiled_part_is_a_result() -> None:
    model = nn.Sequential(torch.compile(nn.Conv2d(1, 2, 3)), nn.ReLU())
    model[1].compile()
    found = rf.trace(model, (1, 8, 8))
    assert [c.type_name for c in found.calls] == ["Sequential", "Conv2d", "ReLU"]
    assert hasattr(model[0], "_orig_mod")


def test_a_forward_that_raises_names_the_layer() -> None:
    with pytest.raises(ForwardError, match=r"'fc' \(Linear\): it got \(1, 144\)") as caught:
        rf.trace(Fails(), (1, 8, 8))
    assert isinstance(caught.value, EvaError)
    assert caught.value.__cause__ is not None


def test_a_partial_trace_ends_at_the_failing_layer() -> None:
    found = rf.trace(Fails(), (1, 8, 8), on_error="partial")
    assert [c.name for c in found.calls] == ["", "conv", "fc"]
    assert found.calls[1].output_rf is not None
    assert found.calls[2].output_sizes == ()
    assert found.error is not None
    assert (found.error.layer, found.error.type_name) == ("fc", "Linear")
    assert found.error.input_sizes == ((1, 144),)
    assert found.error.parameter_shapes == {"weight": (10, 100), "bias": (10,)}


def test_a_unit_outside_the_map() -> None:
    field = rf.receptive_field(nn.Conv2d(1, 1, 3), (1, 8, 8))
    for unit in [(6, 0), (0,), (0, 0, 0), ()]:
        with pytest.raises(InputSizeError, match="indexed along"):
            field.region(unit)


@pytest.mark.parametrize("name", ["", "relu", "aten::relu", "aten.relu.default"])
def test_a_rule_needs_an_operations_name(name: str) -> None:
    with pytest.raises(RuleError, match="operation's name"):
        rf.register_rule(name, lambda op: rf.Pointwise())


def test_a_rule_must_be_a_function() -> None:
    with pytest.raises(RuleError, match="function"):
        rf.register_rule("aten.relu", 3)  # type: ignore[arg-type]


def test_a_rule_that_fails_is_named() -> None:
    with (
        rf.register_rule("aten.relu", lambda op: op["no such argument"]),
        pytest.raises(RuleError, match=r"aten\.relu failed: KeyError"),
    ):
        rf.trace(nn.ReLU(), (1, 8, 8))
