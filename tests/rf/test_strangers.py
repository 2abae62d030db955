"""What outsiders met: inputs joined, windows, numbers that leave PyTorch, masks, sizes, norms."""

import io
from collections import UserDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from eva import rf
from eva.errors import ForwardError, InputSizeError
from eva.rf import FieldStatus


class Net(nn.Module):
    """A module whose forward is the given function of itself and the inputs."""

    def __init__(self, function: Callable[..., Any], **parts: Any) -> None:
        super().__init__()
        self.function = function
        for name, part in parts.items():
            if isinstance(part, torch.Tensor) and not isinstance(part, nn.Parameter):
                self.register_buffer(name, part)
            else:
                setattr(self, name, part)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(self, *args, **kwargs)


def windows(m: Any, x: torch.Tensor) -> torch.Tensor:
    n, c = x.shape[:2]
    w = x.view(n, c, 2, 2, 2, 2).permute(0, 2, 4, 3, 5, 1).reshape(-1, 4, c).softmax(1)
    return w.view(n, 2, 2, 2, 2, c).permute(0, 5, 1, 3, 2, 4).reshape(n, c, 4, 4)


# -- several inputs ------------------------------------------------------------------------------


def test_features_and_facts_joined_and_mixed_see_all_of_both() -> None:
    model = Net(
        lambda m, image, facts: m.head(torch.cat([image.mean((2, 3)), facts], 1)),
        head=nn.Linear(9, 2),
    )
    field = rf.receptive_field(model, [(4, 12, 12), (5,)])
    assert (field.size, field.status) == ((12, 12, 5), FieldStatus.WHOLE_INPUT)


def test_two_images_side_by_side_meet_at_the_seam() -> None:
    model = Net(
        lambda m, a, b: m.conv(torch.cat([a, b], 3)), conv=nn.Conv2d(1, 1, 3, padding=1, bias=False)
    )
    field = rf.receptive_field(model, [(1, 6, 6), (1, 6, 6)])
    columns = [field.region((2, u))[1::2] for u in (4, 5, 6)]
    assert columns[0] == (slice(3, 6), slice(0, 0))
    assert columns[1] == (slice(4, 6), slice(0, 1))
    assert columns[2] == (slice(5, 6), slice(0, 2))


# -- windows and pieces --------------------------------------------------------------------------


def test_windows_as_many_as_columns_keep_their_places() -> None:
    field = rf.receptive_field(Net(windows), (1, 4, 4))
    for d, unit in ((1, lambda u: (0, u)), (0, lambda u: (u, 0))):
        parts = [field.region(unit(u))[d] for u in range(4)]
        assert parts == [slice(0, 2), slice(0, 2), slice(2, 4), slice(2, 4)]
    assert (field.size, field.status) == ((2, 2), FieldStatus.EXACT)
    pooled = nn.Sequential(Net(windows), nn.MaxPool2d(2))
    assert rf.receptive_field(pooled, (1, 4, 4)).size == (2, 2)


def test_stacked_chunks_unfolded() -> None:
    model = Net(lambda m, x: torch.stack(x.chunk(2, 2), 3).flatten(2).unfold(2, 3, 2).mean(-1))
    field = rf.receptive_field(model, (1, 8))
    assert field.region(0) == (slice(0, 5),)
    assert field.axes[0].masks is not None
    assert field.axes[0].masks[0] == 0b10011  # columns 0, 1 and 4


# -- numbers that leave PyTorch --------------------------------------------------------------------


LEAVING: list[tuple[str, Callable[..., Any]]] = [
    ("item", lambda m, x: x / x.max().item()),
    ("float", lambda m, x: x * float(x.mean())),
    ("numpy", lambda m, x: torch.from_numpy(np.roll(x.detach().cpu().numpy(), 1, 2)) + x),
    ("array", lambda m, x: torch.as_tensor(np.asarray(x)[:, :, ::-1].copy())),
    ("tolist", lambda m, x: torch.tensor(x.tolist()).flip(2)),
    ("a number of places", lambda m, x: x / (1 + (x > 0.5).nonzero().shape[0])),
    ("a slice", lambda m, x: x[:, :, : 1 + int(x.argmax()) % 5]),
]


@pytest.mark.parametrize("function", [f for _, f in LEAVING], ids=[n for n, _ in LEAVING])
def test_what_depends_on_numbers_that_left_is_data_dependent(function: Callable[..., Any]) -> None:
    field = rf.receptive_field(Net(function), (1, 6, 6))
    assert field.status in (FieldStatus.DATA_DEPENDENT, FieldStatus.UNKNOWN)
    assert field.causes


@pytest.mark.parametrize("name", ["item", "float", "numpy", "array", "tolist"])
def test_the_whole_of_what_left_may_be_seen(name: str) -> None:
    assert rf.receptive_field(Net(dict(LEAVING)[name]), (1, 6, 6)).size == (6, 6)


to_capsule = torch.utils.dlpack.to_dlpack


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: torch.from_dlpack(to_capsule(x.flip(2).contiguous())),
        lambda m, x: torch.utils.dlpack.from_dlpack(to_capsule(x.clone())).flip(2) * 2,
        lambda m, x: torch.from_dlpack(to_capsule(x)).roll(1, 2),
        lambda m, x: torch.from_dlpack(x.flip(2).contiguous()),
    ],
)
def test_memory_that_comes_back_through_a_capsule_is_what_left(
    function: Callable[..., Any],
) -> None:
    field = rf.receptive_field(Net(function), (1, 6, 6))
    assert (field.size, field.status) == ((6, 6), FieldStatus.DATA_DEPENDENT)


def reversed_in_memory(m: Any, x: torch.Tensor) -> torch.Tensor:
    y = x.clone()
    numbers = y.numpy()
    numbers[...] = numbers[..., ::-1].copy()
    return y


def through_a_file(m: Any, x: torch.Tensor) -> torch.Tensor:
    file = io.BytesIO()
    torch.save(x.clone(), file)
    file.seek(0)
    return torch.load(file).flip(-1)


def over_a_storage(m: Any, x: torch.Tensor) -> torch.Tensor:
    y = torch.empty(0)
    return y.set_(x.flip(-1).contiguous().untyped_storage(), 0, x.shape, (36, 36, 6, 1))


@pytest.mark.parametrize("function", [reversed_in_memory, through_a_file, over_a_storage])
def test_memory_that_is_handed_out_is_not_called_exact(function: Callable[..., Any]) -> None:
    field = rf.receptive_field(Net(function), (1, 6, 6))
    assert (field.size, field.status) == ((6, 6), FieldStatus.DATA_DEPENDENT)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: x.flip(2) if (x > 2).any() else x,
        lambda m, x: x if torch.equal(x, x + 1) else x * 1,
        lambda m, x: x if torch.is_nonzero(x.sum()) else x.flip(2),
    ],
)
def test_a_choice_between_results_depends_on_what_decided(function: Callable[..., Any]) -> None:
    assert rf.receptive_field(Net(function), (1, 6, 6)).status is FieldStatus.DATA_DEPENDENT


def test_a_number_that_comes_back_may_be_of_another_image() -> None:
    model = Net(lambda m, x: x + float(np.mean(np.asarray(x))))
    assert rf.receptive_field(model, (1, 6, 6)).batch_coupled


def test_a_nested_tensor_is_unknown() -> None:
    model = Net(lambda m, x: torch.nested.nested_tensor(list(x)).to_padded_tensor(0.0))
    assert rf.receptive_field(model, (4, 6)).status is FieldStatus.UNKNOWN


def test_numbers_of_constants_may_leave() -> None:
    model = Net(lambda m, x: m.conv(x) * m.scale.sum().item(), conv=nn.Conv2d(1, 1, 3),
                scale=torch.ones(3))  # fmt: skip
    field = rf.receptive_field(model, (1, 6, 6))
    assert (field.size, field.status) == ((3, 3), FieldStatus.EXACT)


# -- zeros ---------------------------------------------------------------------------------------


def test_weights_that_a_mask_makes_zero_are_not_seen() -> None:
    model = Net(
        lambda m, x: F.conv1d(x, m.weight * m.mask),
        weight=nn.Parameter(torch.rand(1, 1, 5) + 0.5),
        mask=torch.tensor([1.0, 1, 1, 0, 0]),
    )
    field = rf.receptive_field(model, (1, 12))
    assert (field.size, field.status) == ((3,), FieldStatus.EXACT)
    assert field.region(0) == (slice(0, 3),)


def test_a_mask_that_is_no_product_is_a_bound() -> None:
    mask = torch.tensor([[1.0, 1, 1], [1, 0, 0], [0, 0, 0]])
    model = Net(
        lambda m, x: F.conv2d(x, m.weight * m.mask, padding=1),
        weight=nn.Parameter(torch.rand(1, 1, 3, 3) + 0.5), mask=mask,
    )  # fmt: skip
    field = rf.receptive_field(model, (1, 8, 8))
    assert (field.size, field.status) == ((2, 3), FieldStatus.BOUND)


MASKED: list[tuple[str, Callable[..., Any]]] = [
    ("product", lambda m, x: x * m.mask),
    ("masked fill", lambda m, x: x.masked_fill(m.mask == 0, 0.0)),
    ("where", lambda m, x: torch.where(m.mask.bool(), x, 0.0)),
    ("boolean", lambda m, x: x * m.mask.bool()),
]


@pytest.mark.parametrize("function", [f for _, f in MASKED], ids=[n for n, _ in MASKED])
def test_what_a_mask_covers_is_not_called_seen(function: Callable[..., Any]) -> None:
    field = rf.receptive_field(Net(function, mask=torch.tensor([1.0, 0, 1, 1])), (1, 4, 4))
    covered = field.region((0, 1))
    assert field.status is not FieldStatus.EXACT or covered == (slice(0, 0), slice(0, 0))
    assert field.region((0, 2)) == (slice(0, 1), slice(2, 3))


def written_in_place(m: Any, x: torch.Tensor) -> torch.Tensor:
    m.weight.data *= m.mask
    return F.conv1d(x, m.weight)


def made_in_forward(m: Any, x: torch.Tensor) -> torch.Tensor:
    mask = torch.ones_like(m.weight)
    mask[:, :, 3:] = 0
    return F.conv1d(x, m.weight * mask)


HOLES: list[tuple[str, Callable[..., Any]]] = [
    ("in place", written_in_place),
    ("in forward", made_in_forward),
    ("masked fill", lambda m, x: F.conv1d(x, m.weight.masked_fill(torch.arange(5) > 2, 0))),
    ("where", lambda m, x: F.conv1d(x, torch.where(torch.arange(5) < 3, m.weight, 0.0))),
    ("padded", lambda m, x: F.conv1d(x, F.pad(m.weight[:, :, :3], (0, 2)))),
    ("cat", lambda m, x: F.conv1d(x, torch.cat([m.weight[..., :3], torch.zeros(1, 1, 2)], 2))),
    ("normalized", lambda m, x: F.conv1d(x, m.weight * m.mask / (m.weight * m.mask).norm())),
]


@pytest.mark.parametrize("function", [f for _, f in HOLES], ids=[n for n, _ in HOLES])
def test_a_kernel_with_holes_sees_what_is_left(function: Callable[..., Any]) -> None:
    model = Net(function, weight=nn.Parameter(torch.rand(1, 1, 5) + 0.5),
                mask=torch.tensor([1.0, 1, 1, 0, 0]))  # fmt: skip
    before = {name: t.clone() for name, t in model.state_dict().items()}
    field = rf.receptive_field(model, (1, 12))
    assert (field.size, field.status) == ((3,), FieldStatus.EXACT)
    assert all(torch.equal(before[name], t) for name, t in model.state_dict().items())


def test_holes_that_hang_on_parameters_are_a_bound() -> None:
    model = Net(
        lambda m, x: F.conv1d(x, m.weight * (m.scores > 0)),
        weight=nn.Parameter(torch.rand(1, 1, 5)), scores=nn.Parameter(torch.randn(1, 1, 5)),
    )  # fmt: skip
    field = rf.receptive_field(model, (1, 12))
    assert (field.size, field.status) == ((5,), FieldStatus.BOUND)


def test_a_table_of_places_made_in_forward_needs_no_real_run() -> None:
    model = Net(lambda m, x: x[:, :, torch.arange(16).view(4, 4).t().flatten()])
    found = rf.trace(model, (2, 16))
    assert found.device_fallback is None
    assert found.field().region(1) == (slice(4, 5),)


# -- weights that are computed -------------------------------------------------------------------


def styled(m: Any, x: torch.Tensor) -> torch.Tensor:
    n = len(x)
    weight = torch.ones(1, 3, 2, 3, 3) * x.mean((2, 3)).view(n, 1, 2, 1, 1)
    y = F.conv2d(x.reshape(1, n * 2, 6, 6), weight.reshape(n * 3, 2, 3, 3), padding=1, groups=n)
    return y.view(n, 3, 6, 6)


def test_a_kernel_made_of_the_image_is_seen_and_images_stay_apart() -> None:
    field = rf.receptive_field(Net(styled), (2, 6, 6))
    assert (field.size, field.status) == ((6, 6), FieldStatus.WHOLE_INPUT)
    assert not field.batch_coupled


COMPUTED: list[tuple[Callable[..., Any], list[tuple[int, ...]], tuple[int, ...]]] = [
    (lambda m, x, k: F.conv2d(x, k[:1]), [(2, 6, 6), (2, 3, 3)], (3, 3, 3, 3)),
    (lambda m, x, k: F.conv_transpose2d(x, k[:1], groups=2), [(4, 3, 3), (4, 2, 2)], (2, 2, 2, 2)),
    (lambda m, x, b: F.conv2d(x, torch.ones(3, 2, 3, 3), b[0]), [(2, 6, 6), (3,)], (3, 3, 1)),
    (lambda m, x, w: F.linear(x, w[0]), [(4, 6), (3, 6)], (6, 6)),
    (lambda m, x, g: F.layer_norm(x, (6,), g[0], g[0]), [(3, 6), (6,)], (6, 1)),
    (lambda m, x, g: F.instance_norm(x, weight=g[0], bias=g[0]), [(3, 6, 6), (3,)], (6, 6, 1)),
    (lambda m, x, g: F.group_norm(x, 2, g[0], g[0]), [(4, 6), (4,)], (6, 1)),
]


@pytest.mark.parametrize(("function", "sizes", "seen"), COMPUTED)
def test_weights_from_another_input_are_seen(
    function: Callable[..., Any], sizes: list[tuple[int, ...]], seen: tuple[int, ...]
) -> None:
    field = rf.receptive_field(Net(function), sizes)
    assert field.size == seen
    assert field.batch_coupled  # all images are given the weights of the first one


# -- a batch -------------------------------------------------------------------------------------


MEETING: list[Callable[..., Any]] = [
    lambda m, x: x.flatten(1) @ x.flatten(1).t(),
    lambda m, x: x - x.mean(0, keepdim=True),
    lambda m, x: x.flip(0) + x,
    lambda m, x: F.softmax(x, 0),
    lambda m, x: torch.cdist(x.flatten(1), x.flatten(1)),
    lambda m, x: x.reshape(1, -1).softmax(1).view(x.shape),
    lambda m, x: x.flatten(1).view(1, -1).cumsum(1).view(x.shape),
    lambda m, x: x - x[:1],
    lambda m, x: x[:1].expand_as(x),
    lambda m, x: torch.zeros_like(x).index_add(0, torch.zeros(len(x), dtype=torch.long), x),
    lambda m, x: x.gather(0, torch.zeros(x.shape, dtype=torch.long)),
    lambda m, x: (x.unsqueeze(1).expand(-1, 1, -1, -1, -1) @ x).flatten(1),
]


@pytest.mark.parametrize("function", MEETING)
def test_images_of_a_batch_that_meet_are_said_to(function: Callable[..., Any]) -> None:
    assert rf.receptive_field(Net(function), (1, 4, 4)).batch_coupled


@pytest.mark.parametrize(
    "model",
    [
        nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
        Net(lambda m, x: x.sort(-1)[0]),
        nn.InstanceNorm1d(4),
        nn.GRU(8, 3, batch_first=True),
        Net(lambda m, x: F.pad(x, (0, 3)) * x.mean((1, 2), keepdim=True)),
        Net(
            lambda m, x: torch.cat([m.token.expand(len(x), -1, -1), x], 1).flip(1),
            token=nn.Parameter(torch.rand(1, 1, 8)),
        ),
        Net(lambda m, x: F.instance_norm(x.view(-1, 1, 4, 8)).view(x.shape)),
        Net(lambda m, x: x.reshape(1, -1, 8).softmax(-1).view(x.shape)),
        Net(lambda m, x: F.pad(x, (0, 2, 1, 0)).flatten(1)[:, [3, 9]].reshape(-1, 2, 1)),
    ],
)
def test_images_of_a_batch_that_do_not_meet_are_not(model: nn.Module) -> None:
    assert not rf.receptive_field(model, (4, 8)).batch_coupled


# -- operations ----------------------------------------------------------------------------------


def test_recurrent_layers_are_one_operation() -> None:
    for real in (False, True):
        model = Net(lambda m, x: m.rnn(x.transpose(1, 2))[0], rnn=nn.LSTM(4, 3, batch_first=True))
        if real:
            model.function = lambda m, x: (
                m.rnn(x.transpose(1, 2))[0] + m.rnn.bias_hh_l0.max().item()
            )
        found = rf.trace(model, (4, 50))
        assert [o.name for o in found.ops].count("aten.lstm") == 1
        assert len(found.ops) < 12
        field = found.field()
        assert [field.region((t, 0))[0] for t in (0, 7, 49)] == [
            slice(0, t + 1) for t in (0, 7, 49)
        ]


def test_a_recurrent_layer_of_two_directions_sees_all_steps() -> None:
    rnn = nn.GRU(4, 3, batch_first=True, bidirectional=True)
    forward = Net(lambda m, x: m.rnn(x.transpose(1, 2))[0][..., :3], rnn=rnn)
    field = rf.receptive_field(forward, (4, 9))
    assert field.region((2, 0)) == (slice(0, 3),)
    backward = Net(lambda m, x: m.rnn(x.transpose(1, 2))[0][..., 3:], rnn=rnn)
    assert rf.receptive_field(backward, (4, 9)).region((2, 0)) == (slice(2, 9),)


def test_flex_attention_has_a_rule() -> None:
    from torch.nn.attention.flex_attention import flex_attention

    def causal(score: torch.Tensor, b: Any, h: Any, q: Any, k: Any) -> torch.Tensor:
        return torch.where(q >= k, score, -float("inf"))

    def attended(m: Any, x: torch.Tensor) -> torch.Tensor:
        x = F.avg_pool1d(x, 2).transpose(1, 2).unsqueeze(1)
        return flex_attention(x[:, :, 0:1], x[:, :, :3], x[:, :, 1:4], score_mod=m.change)

    for change, status in ((None, FieldStatus.EXACT), (causal, FieldStatus.BOUND)):
        model = Net(attended)
        model.change = change
        field = rf.receptive_field(model, (4, 10))
        assert (field.size, field.status) == ((8,), status)


def test_numbers_rolled_as_one_line() -> None:
    field = rf.receptive_field(Net(lambda m, x: torch.roll(x[0], 7)), (2, 3, 4))
    assert field.status is FieldStatus.EXACT
    assert field.output_shape == (2, 3, 4)
    rolled = torch.arange(24).roll(7).view(2, 3, 4)
    for c, r, k in ((0, 0, 0), (0, 2, 3), (1, 0, 1), (1, 1, 2)):
        at = int(rolled[c, r, k]) % 12
        assert field.region((c, r, k) if 0 in field.unit_dims else (r, k)) == (
            slice(at // 4, at // 4 + 1), slice(at % 4, at % 4 + 1)
        )  # fmt: skip


def test_a_bilinear_layer_has_a_rule() -> None:
    model = Net(lambda m, a, b: m.mix(a.mT, b.mT), mix=nn.Bilinear(4, 5, 2))
    field = rf.receptive_field(model, [(4, 6), (5, 6)])
    assert field.status is FieldStatus.EXACT
    assert field.region((2, 0)) == (slice(2, 3), slice(2, 3))


def test_a_turned_map_has_a_rule() -> None:
    field = rf.receptive_field(
        Net(lambda m, x: F.avg_pool2d(torch.rot90(x, 1, (2, 3)), 2)), (1, 8, 6)
    )
    assert field.status is FieldStatus.EXACT
    assert field.region((0, 0)) == (slice(0, 2), slice(4, 6))


def test_an_operation_of_torchvision_without_a_rule_is_named() -> None:
    from torchvision.ops import DeformConv2d

    model = Net(lambda m, x: m.conv(x, m.offset(x)), conv=DeformConv2d(2, 2, 3, padding=1),
                offset=nn.Conv2d(2, 18, 3, padding=1))  # fmt: skip
    field = rf.receptive_field(model, (2, 8, 8))
    assert (field.status, field.causes) == (FieldStatus.UNKNOWN, ("torchvision.deform_conv2d",))


# -- norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 4), nn.LayerNorm([4, 10, 10])])
def test_norms_over_a_map_say_both_fields(norm: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), norm, nn.ReLU(), nn.Conv2d(4, 4, 3))
    field = rf.receptive_field(model, (1, 12, 12))
    assert (field.size, field.status) == ((12, 12), FieldStatus.WHOLE_INPUT)
    assert field.without_statistics is not None
    assert field.without_statistics.size == (5, 5)
    assert rf.ReceptiveField.from_json(field.to_json()) == field


def test_norms_over_channels_alone_have_one_field() -> None:
    model = Net(lambda m, x: F.layer_norm(x.permute(0, 2, 3, 1), (2,)))
    assert rf.receptive_field(model, (2, 8, 8)).without_statistics is None


# -- what may be asked ---------------------------------------------------------------------------


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3))


def test_the_field_in_another_layer() -> None:
    field = rf.receptive_field(small(), (1, 12, 12), source="1")
    assert (field.size, field.axes[0].input) == ((3, 3), "1")
    with pytest.raises(ForwardError, match="no layer 'nine'"):
        rf.receptive_field(small(), (1, 12, 12), source="nine")


def test_the_projective_field_is_the_fields_turned_around() -> None:
    field = rf.receptive_field(small(), (1, 12, 12))
    for pixel in ((0, 0), (5, 5), (11, 3)):
        rows, columns = field.projective(pixel)
        for r in range(3):
            for c in range(3):
                seen = field.region((r, c))
                sees = all(s.start <= p < s.stop for s, p in zip(seen, pixel, strict=True))
                assert sees == (rows.start <= r < rows.stop and columns.start <= c < columns.stop)
    with pytest.raises(InputSizeError, match="one index for each axis"):
        field.projective((12, 0))


def test_a_field_checks_itself_and_finds_a_false_rule() -> None:
    assert rf.receptive_field(small(), (1, 12, 12)).check().agrees
    assert rf.receptive_field(small(), (1, 12, 12), source="1").check().agrees
    false = "aten.max_pool2d_with_indices"
    with rf.register_rule(false, lambda op: rf.sliding_rule(op, kernel=1, stride=2)):
        found = rf.receptive_field(small(), (1, 12, 12)).check()
    assert not found.agrees
    assert "gradients say" in str(found)
    stored = rf.ReceptiveField.from_json(rf.receptive_field(small(), (1, 12, 12)).to_json())
    with pytest.raises(ForwardError, match="does not know its model"):
        stored.check()


# -- what forward takes and returns ----------------------------------------------------------------


class Batch:
    """A plain object, as libraries of graphs and of language pass around."""

    def __init__(self, x: torch.Tensor) -> None:
        self.x, self.itself = x, self


GIVEN: list[tuple[Callable[..., Any], Any]] = [
    (lambda m, b: m.conv(b["x"]), [{"x": torch.rand(1, 2, 8)}]),
    (lambda m, b: m.conv(b["x"]), {"x": torch.rand(1, 2, 8)}),
    (lambda m, b: m.conv(b["x"]), [UserDict(x=torch.rand(1, 2, 8))]),
    (lambda m, b: UserDict(out=m.conv(b["x"])), [UserDict(x=torch.rand(1, 2, 8))]),
    (lambda m, b: Batch(m.conv(b.x)), [Batch(torch.rand(1, 2, 8))]),
]


class Takes(Net):
    def forward(self, batch: Any) -> Any:
        return self.function(self, batch)


@pytest.mark.parametrize(("function", "inputs"), GIVEN)
def test_tensors_inside_of_mappings_and_objects_are_seen(
    function: Callable[..., Any], inputs: Any
) -> None:
    found = rf.trace(Takes(function, conv=nn.Conv1d(2, 2, 3)), inputs=inputs)
    assert (found.field().size, found.device_fallback) == ((3,), None)


def test_without_a_tensor_there_is_nothing_to_see() -> None:
    with pytest.raises(ForwardError, match="No tensor was found"):
        rf.receptive_field(Takes(lambda m, b: torch.ones(1, 3)), inputs=["words"])
    model = small()
    model.register_module("idle", nn.Identity())
    model.forward = nn.Sequential(*model[:3]).forward  # type: ignore[method-assign]
    with pytest.raises(ForwardError, match="did not run"):
        rf.receptive_field(model, (1, 12, 12), source="idle")


# -- sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "size", [(3, 32, 32), (1, 3, 32, 32), (8, 3, 32, 32), torch.rand(2, 3, 32, 32)]
)
def test_sizes_with_and_without_the_batch(size: Any) -> None:
    found = rf.trace(nn.Conv2d(3, 4, 3), size)
    assert found.field().size == (3, 3)
    with_batch = isinstance(size, tuple) and len(size) == 4
    assert any("read with the batch first" in note for note in found.notes) == with_batch


def test_one_gray_image_is_no_batch() -> None:
    found = rf.trace(nn.Conv2d(1, 4, 3), (1, 28, 28))
    assert (found.input_sizes["0"], found.notes) == ((1, 1, 28, 28), ())


def test_names_tensors_and_flags() -> None:
    model = Net(lambda m, x, mask=None, sharp=False: (m.conv(x) if sharp else x) + mask,
                conv=nn.Conv2d(1, 1, 3))  # fmt: skip
    given = {"x": torch.rand(1, 1, 8, 8), "mask": torch.rand(6, 6), "sharp": True}
    assert rf.trace(model, inputs=given).field().size[:2] == (3, 3)
    assert rf.trace(model, {**given, "x": (1, 8, 8)}).field().size[:2] == (3, 3)


@pytest.mark.parametrize(
    "dtype", [[torch.long, torch.float32], [torch.long, None], {"0": torch.long}]
)
def test_a_dtype_for_each_input(dtype: Any) -> None:
    model = Net(lambda m, tokens, x: m.embed(tokens) + x, embed=nn.Embedding(10, 4))
    if isinstance(dtype, dict):
        sizes: Any = {"tokens": (5,), "x": (5, 4)}
        dtype = {"tokens": torch.long}
    else:
        sizes = [(5,), (5, 4)]
    assert rf.trace(model, sizes, dtype=dtype).device_fallback is None


def test_lazy_layers_get_their_shapes_in_a_copy() -> None:
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(3))
    found = rf.trace(model, (1, 8, 8))
    assert found.calls[1].output_sizes == ((1, 4, 6, 6),)
    assert found.model is not None
    assert sum(p.numel() for p in found.model.parameters()) == 40 + 8 + 3 * 145
    assert type(model[0]) is nn.LazyConv2d


def test_a_pattern_over_too_many_units_is_a_bound_and_says_so() -> None:
    def outer(m: Any, x: torch.Tensor) -> torch.Tensor:
        rows = x.unsqueeze(-1) + x.roll(1, 2).unsqueeze(-2)
        return rows.flatten(2)

    field = rf.receptive_field(Net(outer), (1, 1500))
    assert field.status is FieldStatus.BOUND
    assert any("more units" in cause for cause in field.causes)
