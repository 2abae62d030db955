"""What a trace records, and that it leaves the model as it found it."""

import copy
import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eva import rf
from eva.errors import ForwardError
from eva.rf import FieldStatus


class Net(nn.Module):
    """A module whose forward is the given function of itself and the inputs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def field_of(function: Callable[..., Any], size: Any, **parts: Any) -> rf.ReceptiveField:
    return rf.receptive_field(Net(function, **parts), size)


# -- the network of the experiments ------------------------------------------------------------


def experiment() -> nn.Sequential:
    def block(i: int, o: int, k: int = 3) -> list[nn.Module]:
        return [nn.Conv2d(i, o, k, bias=False), nn.ReLU(), nn.BatchNorm2d(o)]

    return nn.Sequential(
        *block(1, 8), *block(8, 8), *block(8, 8), nn.MaxPool2d(2, 2),
        *block(8, 16), *block(16, 16), *block(16, 16), nn.Conv2d(16, 10, 1), nn.AvgPool2d(5),
    )  # fmt: skip


def test_experiment_four_has_its_true_fields() -> None:
    found = rf.trace(experiment(), (1, 28, 28))
    convolutions = [
        c.output_rf.size[0]
        for c in found.calls
        if c.type_name in ("Conv2d", "MaxPool2d", "AvgPool2d") and c.output_rf is not None
    ]
    assert convolutions == [3, 5, 7, 8, 12, 16, 20, 20, 28]
    assert found.field().region() == (slice(0, 28), slice(0, 28))


def test_one_line_lets_max_pool_keep_its_field_and_is_undone() -> None:
    name = "aten.max_pool2d_with_indices"
    with rf.register_rule(name, lambda op: rf.sliding_rule(op, kernel=1, stride=op["stride"])):
        found = rf.trace(experiment(), (1, 28, 28))
    kinds = ("Conv2d", "MaxPool2d", "AvgPool2d")
    sizes = [c.output_rf.size[0] for c in found.calls if c.output_rf and c.type_name in kinds]
    assert sizes == [3, 5, 7, 7, 11, 15, 19, 19, 27]
    assert rf.receptive_field(experiment(), (1, 28, 28)).size == (28, 28)


def test_a_later_rule_wins_until_it_is_removed() -> None:
    model = nn.ReLU()
    first = rf.register_rule("aten.relu", lambda op: rf.Whole(status=FieldStatus.BOUND))
    second = rf.register_rule("aten.relu", lambda op: rf.Reduce(dims=(2, 3), keep=True))
    second.remove()
    assert rf.receptive_field(model, (1, 4, 4)).status is FieldStatus.BOUND
    first.remove()
    first.remove()
    assert rf.receptive_field(model, (1, 4, 4)).status is FieldStatus.EXACT


# -- calls and operations ----------------------------------------------------------------------


def test_a_shared_module_has_one_call_for_each_time_it_runs() -> None:
    model = Net(lambda m, x: m.conv(m.conv(x)), conv=nn.Conv2d(1, 1, 3))
    found = rf.trace(model, (1, 9, 9))
    assert [(c.name, c.call_number, c.depth) for c in found.calls] == [
        ("", 0, 0),
        ("conv", 0, 1),
        ("conv", 1, 1),
    ]
    assert [c.output_rf.size for c in found.calls[1:] if c.output_rf] == [(3, 3), (5, 5)]
    assert found.calls[1].input_sizes == ((1, 1, 9, 9),)
    assert found.calls[1].output_sizes == ((1, 1, 7, 7),)


def test_functional_operations_are_seen_and_belong_to_their_module() -> None:
    inner = Net(lambda m, x: F.max_pool2d(F.relu(x), 2))
    model = Net(lambda m, x: F.avg_pool2d(m.inner(x), 2), inner=inner)
    found = rf.trace(model, (1, 8, 8))
    named = [(o.name, o.module) for o in found.ops]
    assert named == [
        ("aten.relu", "inner"),
        ("aten.max_pool2d_with_indices", "inner"),
        ("aten.avg_pool2d", ""),
    ]
    assert found.ops[1].rf.size == (2, 2)
    assert found.field().size == (4, 4)


def test_several_inputs_and_nested_outputs_have_names() -> None:
    @dataclass
    class Out:
        sum: torch.Tensor
        parts: dict[str, Any]

    model = Net(
        lambda m, a, b: Out(sum=m.conv(a) + b, parts={"b": [b]}), conv=nn.Conv2d(1, 1, 3, padding=1)
    )
    found = rf.trace(model, [(1, 8, 8), (1, 8, 8)])
    assert list(found.outputs) == ["sum", "parts.b.0"]
    assert found.outputs["sum"].size == (3, 3, 1, 1)
    assert found.outputs["parts.b.0"].size == (0, 0, 1, 1)


def test_inputs_by_name() -> None:
    model = Net(lambda m, *, image, mask: image * mask)
    found = rf.trace(model, {"image": (1, 8, 8), "mask": (1, 8, 8)})
    assert found.input_sizes == {"image": (1, 1, 8, 8), "mask": (1, 1, 8, 8)}


def test_ready_tensors_instead_of_sizes() -> None:
    field = rf.trace(nn.Conv2d(1, 1, 3), inputs=[torch.rand(4, 1, 9, 9)]).field()
    assert (field.size, field.batch_coupled) == ((3, 3), False)


def test_results_survive_json() -> None:
    model = nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.ConvTranspose2d(1, 1, 3, 2))
    field = rf.receptive_field(model, (1, 9, 9))
    assert rf.ReceptiveField.from_json(json.loads(json.dumps(field.to_json()))) == field


# -- statuses ----------------------------------------------------------------------------------


def test_an_unknown_operation_is_named_and_never_taken_for_pointwise() -> None:
    @torch.library.custom_op("evatest::blur", mutates_args=())
    def blur(x: torch.Tensor) -> torch.Tensor:
        return F.avg_pool2d(x, 3, 1, 1)

    blur.register_fake(torch.empty_like)
    model = Net(lambda m, x: torch.ops.evatest.blur(x))
    field = rf.receptive_field(model, (1, 8, 8))
    assert (field.status, field.causes) == (FieldStatus.UNKNOWN, ("evatest.blur",))
    with rf.register_rule(
        "evatest.blur", lambda op: rf.sliding_rule(op, kernel=3, stride=1, padding=1)
    ):
        field = rf.receptive_field(model, (1, 8, 8))
    assert (field.status, field.size) == (FieldStatus.EXACT, (3, 3))


STATUSES: list[tuple[str, Callable[..., Any], FieldStatus]] = [
    ("attention", lambda m, x: F.scaled_dot_product_attention(x, x, x), FieldStatus.WHOLE_INPUT),
    (
        "causal attention is a bound",
        lambda m, x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        FieldStatus.BOUND,
    ),
    (
        "masked softmax is a bound",
        lambda m, x: x.masked_fill(torch.ones(8, 8, dtype=torch.bool).triu(1), -torch.inf).softmax(
            -1
        ),
        FieldStatus.BOUND,
    ),
    (
        "sampling depends on data",
        lambda m, x: F.grid_sample(x, x[:, :2].permute(0, 2, 3, 1), align_corners=False),
        FieldStatus.DATA_DEPENDENT,
    ),
    ("sorting depends on data", lambda m, x: x.sort(-1)[0], FieldStatus.DATA_DEPENDENT),
    ("group norm", lambda m, x: F.group_norm(x, 1), FieldStatus.WHOLE_INPUT),
    ("instance norm", lambda m, x: F.instance_norm(x), FieldStatus.WHOLE_INPUT),
    (
        "einsum over space",
        lambda m, x: torch.einsum("bchw,bcij->bhw", x, x),
        FieldStatus.WHOLE_INPUT,
    ),
    ("a spectrum", lambda m, x: torch.fft.fft2(x).real, FieldStatus.WHOLE_INPUT),
]


@pytest.mark.parametrize(
    ("function", "status"), [s[1:] for s in STATUSES], ids=[s[0] for s in STATUSES]
)
def test_statuses(function: Callable[..., Any], status: FieldStatus) -> None:
    assert field_of(function, (2, 8, 8)).status is status


EXACT: list[tuple[str, Callable[..., Any], tuple[int, int]]] = [
    (
        "fold of unfold",
        lambda m, x: F.fold(F.unfold(x, 3, padding=1), (8, 8), 3, padding=1),
        (1, 1),
    ),
    ("einsum over channels", lambda m, x: torch.einsum("bchw->bhw", x)[:, None], (1, 1)),
    ("layer norm over channels", lambda m, x: F.layer_norm(x.permute(0, 2, 3, 1), (2,)), (1, 1)),
    (
        "linear over channels",
        lambda m, x: F.linear(x.permute(0, 2, 3, 1), x.new_ones(3, 2)),
        (1, 1),
    ),
    ("where", lambda m, x: torch.where(x > 0, x, F.max_pool2d(x, 3, 1, 1)), (3, 3)),
    ("every second row by index", lambda m, x: F.avg_pool2d(x[:, :, m.rows], 2), (3, 2)),
    ("attention over channels", lambda m, x: x.permute(0, 2, 3, 1).softmax(-1), (1, 1)),
    ("mean over rows", lambda m, x: x.mean(2), (8, 1)),
    ("channel shuffle", lambda m, x: F.channel_shuffle(x, 2), (1, 1)),
    ("replicate pad", lambda m, x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), "replicate"), 3, 1), (3, 3)),
    ("circular pad", lambda m, x: F.avg_pool2d(F.pad(x, (1, 1, 1, 1), "circular"), 3, 1), (3, 3)),
]


@pytest.mark.parametrize(("function", "size"), [e[1:] for e in EXACT], ids=[e[0] for e in EXACT])
def test_exact_fields(function: Callable[..., Any], size: tuple[int, int]) -> None:
    field = field_of(function, (2, 8, 8), rows=torch.tensor([0, 2, 4, 6]))
    assert (field.size, field.status in (FieldStatus.EXACT, FieldStatus.WHOLE_INPUT)) == (
        size,
        True,
    )


def test_circular_padding_wraps_at_the_border() -> None:
    field = rf.receptive_field(nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular"), (1, 8))
    assert field.region(0) == (slice(0, 8),)
    assert field.region(3) == (slice(2, 5),)
    assert field.size == (3,)


def test_a_recurrent_layer_sees_the_past() -> None:
    field = field_of(
        lambda m, x: m.rnn(x.transpose(1, 2))[0], (4, 6), rnn=nn.GRU(4, 3, batch_first=True)
    )
    assert [field.region((t, 0))[0] for t in range(6)] == [slice(0, t + 1) for t in range(6)]


def test_parts_of_channels_keep_their_own_fields() -> None:
    def split(m: Net, x: torch.Tensor) -> torch.Tensor:
        both = torch.cat([x, m.conv(x)], 1)
        return both.view(1, 2, 2, 8, 8).transpose(1, 2).flatten(1, 2)[:, ::2]

    assert field_of(split, (2, 8, 8), conv=nn.Conv2d(2, 2, 3, padding=1)).size == (1, 1)


def test_merges_are_unions_and_unequal_centers_are_flagged() -> None:
    model = Net(lambda m, x: x[:, :, :-2] + x[:, :, 2:])
    field = rf.receptive_field(model, (1, 10))
    assert (field.size, field.density, field.misaligned) == ((3,), (Fraction(2, 3),), True)


def test_equal_centers_are_not_flagged() -> None:
    model = Net(lambda m, x: x + m.conv(x), conv=nn.Conv1d(1, 1, 3, padding=1))
    field = rf.receptive_field(model, (1, 10))
    assert (field.size, field.misaligned) == ((3,), False)


def test_unequal_speeds_never_raise() -> None:
    model = Net(lambda m, x: x[:, :, ::2] + x[:, :, :5])
    field = rf.receptive_field(model, (1, 10))
    assert (field.misaligned, field.jump) == (True, (None,))
    assert field.region(4) == (slice(4, 9),)


def test_batch_norm_in_training_mode_couples_the_batch() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert rf.trace(model, (1, 8, 8)).field().batch_coupled is False
    field = rf.trace(model, (1, 8, 8), mode="train").field()
    assert (field.batch_coupled, field.status) == (True, FieldStatus.WHOLE_INPUT)


def test_batch_norm_without_running_statistics_couples_the_batch_always() -> None:
    model = nn.BatchNorm2d(2, track_running_stats=False)
    assert rf.receptive_field(model, (2, 8, 8)).batch_coupled


def test_instance_norm_does_not_couple_the_batch() -> None:
    found = rf.trace(nn.InstanceNorm2d(2), (2, 8, 8))
    assert (found.field().batch_coupled, found.calls[0].input_sizes) == (False, ((1, 2, 8, 8),))


def test_numbers_that_steer_the_forward_pass_are_computed_and_said_so() -> None:
    model = Net(lambda m, x: m.conv(x) if x.sum().item() >= 0 else x, conv=nn.Conv2d(1, 1, 3))
    found = rf.trace(model, (1, 8, 8))
    assert found.device_fallback is not None and "item" in found.device_fallback
    assert found.field().size == (3, 3)
    assert rf.trace(nn.Conv2d(1, 1, 3), (1, 8, 8)).device_fallback is None


# -- the model is left as it was ---------------------------------------------------------------


def test_the_model_is_left_as_it_was_found() -> None:
    def forward(m: Net, x: torch.Tensor) -> torch.Tensor:
        m.calls = m.calls + 1
        m.counter.add_(1)
        return m.dropout(m.norm(m.conv(x))) + torch.rand(1, device=x.device)

    model = Net(
        forward, conv=nn.Conv2d(1, 2, 3), norm=nn.BatchNorm2d(2), dropout=nn.Dropout(), calls=0
    )
    model.register_buffer("counter", torch.zeros(1))
    model.dropout.eval()
    parameters = [id(p) for p in model.parameters()]
    before = copy.deepcopy(model.state_dict())
    modes = [m.training for m in model.modules()]
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    for mode in ("train", "eval"):
        rf.trace(model, (1, 8, 8), mode=mode)
    assert torch.equal(torch.get_rng_state(), state)
    assert [id(p) for p in model.parameters()] == parameters
    assert [m.training for m in model.modules()] == modes
    assert [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()] == hooks
    assert model.calls == 0
    after = model.state_dict()
    assert all(torch.equal(before[k], after[k]) for k in before)


def test_the_model_is_left_as_it_was_found_even_when_it_fails() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Linear(5, 2))
    with pytest.raises(ForwardError):
        rf.trace(model, (1, 8, 8), mode="train")
    assert all(p.device.type == "cpu" for p in model.parameters())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    assert int(model[1].num_batches_tracked) == 0


def test_a_large_image_costs_no_memory() -> None:
    model = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.Conv2d(64, 64, 3, padding=1))
    field = rf.receptive_field(model, (3, 100_000, 100_000 // 50))
    assert field.size == (11, 11)


@pytest.mark.parametrize("running", [True, False])
def test_the_garbage_collector_is_left_as_it_was_found(running: bool) -> None:
    was_running = gc.isenabled()
    try:
        (gc.enable if running else gc.disable)()
        rf.trace(nn.Conv2d(1, 2, 3), (1, 9, 9))
        assert gc.isenabled() == running
        with pytest.raises(ForwardError):
            rf.trace(nn.Conv2d(1, 2, 3), (2, 9, 9))
        assert gc.isenabled() == running
    finally:
        (gc.enable if was_running else gc.disable)()


@pytest.mark.parametrize(
    "use",
    [
        lambda x: x + torch.tensor([1.0, 2.0]).view(1, 2, 1, 1),
        lambda x: x * torch.arange(x.shape[-1]),
        lambda x: x + torch.zeros(1, device="cpu"),
        lambda x: x.cpu() + 1,
        lambda x: x + torch.Tensor([1.0, 2.0]).view(1, 2, 1, 1),
    ],
)
def test_tensors_made_in_forward_have_no_numbers_either(
    use: Callable[[torch.Tensor], torch.Tensor],
) -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return use(self.conv(x))

    found = rf.trace(Model(), (1, 9, 9))
    assert found.device_fallback is None
    assert found.field().size == (3, 3)
