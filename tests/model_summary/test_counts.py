"""Multiply-adds are counted at the operations that run, once for each, for one image."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from eva.model_summary import summary


def torch_counts(model: nn.Module, *inputs: Any) -> int:
    """Products as PyTorch counts them, with attention as the matrix products that it is."""
    counter = FlopCounterMode(display=False)
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it would be one operation of unknown cost
    try:
        with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return counter.get_total_flops() // 2


class Calls(nn.Module):
    """Any function of the input and a weight of its own."""

    def __init__(self, function: Callable[..., Tensor], *size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(size))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


def old_weight_norm(layer: nn.Module) -> nn.Module:
    with pytest.warns(FutureWarning):
        return nn.utils.weight_norm(layer)


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(8, 24)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x)[:, None].chunk(3, -1)
        return F.scaled_dot_product_attention(q, k, v)


class Twice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.conv(x))


# Name -> model, size of one image, products by hand.
BY_HAND: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], int]] = {
    "linear over tokens": (lambda: nn.Linear(8, 64, bias=False), (16, 8), 16 * 8 * 64),
    "linear over a map": (lambda: nn.Linear(5, 3), (2, 4, 5), 2 * 4 * 5 * 3),
    "one linear": (lambda: nn.Linear(8, 64), (8,), 8 * 64),
    "lstm cell": (lambda: nn.LSTMCell(4, 6), (4,), 24 * 4 + 24 * 6),
    "gru cell": (lambda: nn.GRUCell(4, 6), (4,), 18 * 4 + 18 * 6),
    "old weight norm": (
        lambda: old_weight_norm(nn.Conv2d(3, 8, 3, bias=False)),
        (3, 8, 8),
        8 * 27 * 36,
    ),
    "new weight norm": (
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3)),
        (3, 8, 8),
        8 * 27 * 36,
    ),
    "attention": (Attention, (5, 8), 5 * 8 * 24 + 2 * 5 * 5 * 8),
    "conv by a function": (lambda: Calls(F.conv2d, 4, 3, 3, 3), (3, 8, 8), 4 * 27 * 36),
    "linear by a function": (lambda: Calls(F.linear, 4, 8), (7, 8), 7 * 8 * 4),
    "matrix product": (lambda: Calls(torch.matmul, 8, 4), (7, 8), 7 * 8 * 4),
    "einsum": (
        lambda: Calls(lambda x, w: torch.einsum("ntc,cd->ntd", x, w), 8, 4),
        (7, 8),
        7 * 8 * 4,
    ),
    "transposed": (lambda: nn.ConvTranspose2d(4, 6, 3, stride=2), (4, 5, 5), 25 * 4 * 9 * 6),
    "transposed, same size": (
        lambda: nn.ConvTranspose2d(4, 6, 3, padding=1, output_padding=0),
        (4, 5, 5),
        25 * 4 * 9 * 6,
    ),
    "transposed by a function": (
        lambda: Calls(F.conv_transpose2d, 4, 6, 3, 3),
        (4, 5, 5),
        25 * 4 * 9 * 6,
    ),
    "conv that grows the map": (lambda: nn.Conv2d(4, 4, 1, padding=2), (4, 5, 5), 81 * 4 * 4),
    "depthwise": (lambda: nn.Conv2d(6, 6, 3, groups=6), (6, 5, 5), 9 * 6 * 9),
    "grouped": (lambda: nn.Conv2d(6, 4, 3, groups=2), (6, 5, 5), 9 * 4 * 3 * 9),
    "called twice": (Twice, (4, 6, 6), 2 * 36 * 4 * 4 * 9),
    "norms, pools, activations": (
        lambda: nn.Sequential(
            nn.BatchNorm2d(4), nn.GroupNorm(2, 4), nn.LayerNorm(6), nn.GELU(), nn.AvgPool2d(2)
        ),
        (4, 6, 6),
        0,
    ),
    "bilinear": (lambda: Calls(lambda x, w: F.bilinear(x, x, w), 3, 5, 5), (5,), 3 * 5 * 5),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_products_are_counted_by_hand(name: str) -> None:
    build, size, expected = BY_HAND[name]
    found = summary(build(), size)
    assert found.mult_adds == expected
    assert sum(row.own_mult_adds for row in found.rows) == expected


def test_looking_up_words_is_no_product() -> None:
    found = summary(nn.Embedding(50257, 768), (10,), dtype=torch.long)
    assert found.mult_adds == 0


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
def test_recurrent_layers_count_every_step_of_both_directions(
    kind: type[nn.RNNBase], batch_first: bool
) -> None:
    model = kind(4, 6, num_layers=2, bidirectional=True, batch_first=batch_first)
    gates = {nn.LSTM: 4, nn.GRU: 3, nn.RNN: 1}[kind]
    step = 2 * gates * 6 * (4 + 6) + 2 * gates * 6 * (12 + 6)
    assert summary(model, inputs=[torch.rand(7, 7, 4)]).mult_adds == 7 * step
    size = (5, 7, 4) if batch_first else (7, 5, 4)
    assert summary(model, inputs=[torch.rand(size)]).mult_adds == 7 * step


@pytest.mark.parametrize("batch", [1, 2, 8])
def test_examples_count_for_one_image_however_many_there_are(batch: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(288, 10))
    found = summary(model, inputs=[torch.rand(batch, 3, 8, 8)])
    assert found.mult_adds == 8 * 27 * 36 + 2880


def test_a_norm_that_runs_on_a_batch_of_two_counts_one_image() -> None:
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2))
    assert summary(model, (6,), mode="train").mult_adds == 6 * 8 + 8 * 2


def test_what_is_made_of_weights_alone_counts_whole() -> None:
    model = Calls(lambda x, w: F.linear(x, w @ w), 8, 8)
    assert summary(model, inputs=[torch.rand(4, 8)]).mult_adds == 8 * 8 * 8 + 8 * 8


def test_operations_show_their_own_counts() -> None:
    rows = summary(Attention(), (5, 8), ops=True).rows
    counts = [row.mult_adds for row in rows if row.operation and row.mult_adds]
    assert counts == [5 * 5 * 8, 5 * 5 * 8]
    assert rows[0].mult_adds == 5 * 8 * 24 + 2 * 5 * 5 * 8


def test_a_list_of_images_is_a_batch() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, images: list[Tensor]) -> Tensor:
            return self.conv(torch.stack(images))

    images = [torch.rand(3, 8, 8), torch.rand(3, 8, 8)]
    assert summary(Detector(), inputs=[images]).mult_adds == 4 * 27 * 36


class Mixer(nn.Module):
    """Attention written out, with heads, and a residual."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, t, c = x.shape
        qkv = self.qkv(x).reshape(n, t, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        q, k, v = qkv.unbind(0)
        mixed = (q @ k.transpose(-1, -2)).softmax(-1) @ v
        return x + self.out(mixed.transpose(1, 2).reshape(n, t, c))


# Name -> model and size of one image; the counts are PyTorch's.
BY_TORCH: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "attention of PyTorch": (
        lambda: nn.TransformerEncoderLayer(16, 2, 32, batch_first=True),
        (5, 16),
    ),
    "attention written out": (lambda: Mixer(12, 3), (7, 12)),
    "encoder": (
        lambda: nn.TransformerEncoder(
            nn.TransformerEncoderLayer(16, 4, 32, batch_first=True, norm_first=True),
            2,
            enable_nested_tensor=False,
        ),
        (6, 16),
    ),
    "spectral norm": (lambda: nn.utils.parametrizations.spectral_norm(nn.Linear(8, 4)), (8,)),
    "orthogonal weight": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.utils.parametrizations.weight_norm(nn.Linear(12, 5))
        ),
        (3, 4),
    ),
    "conv 1d and 3d": (lambda: nn.Sequential(nn.Conv1d(4, 6, 3, dilation=2)), (4, 20)),
    "video": (lambda: nn.Conv3d(2, 4, (3, 1, 3), stride=(1, 2, 2)), (2, 5, 8, 8)),
    "transposed, 3d": (lambda: nn.ConvTranspose3d(2, 4, 2, 2, groups=2), (2, 3, 4, 4)),
    "bilinear layer": (lambda: nn.Sequential(nn.Unflatten(1, (2, 3)), nn.Linear(3, 4)), (6,)),
    "gram": (lambda: Calls(lambda x, w: (x @ x.transpose(-1, -2)) @ w, 5, 3), (5, 8)),
    "baddbmm": (
        lambda: Calls(lambda x, w: torch.baddbmm(w, x, x.transpose(1, 2)), 1, 5, 5),
        (5, 8),
    ),
}


@pytest.mark.parametrize("name", BY_TORCH)
def test_products_are_those_that_pytorch_counts(name: str) -> None:
    build, size = BY_TORCH[name]
    model = build()
    expected = torch_counts(model, torch.rand(1, *size))
    assert expected > 0
    assert summary(model, size).mult_adds == expected


@pytest.mark.parametrize(
    "name",
    [
        *("convnext_tiny", "densenet121", "efficientnet_b0", "maxvit_t", "mobilenet_v2"),
        *("regnet_y_400mf", "resnet18", "shufflenet_v2_x0_5", "swin_t", "swin_v2_t", "vit_b_32"),
    ],
)
def test_networks_of_torchvision_are_within_one_percent_of_pytorchs_count(name: str) -> None:
    model = torchvision.models.get_model(name, weights=None).eval()
    found = summary(model, (3, 224, 224)).mult_adds
    model = model.to("meta")
    expected = torch_counts(model, torch.empty(1, 3, 224, 224, device="meta"))
    assert found == pytest.approx(expected, rel=0.01)
