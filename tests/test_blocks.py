import pytest
import torch
from torch import nn

from eva.blocks import conv_block, depthwise_separable, gap_head, residual, transition


def shape(block: nn.Module, *size: int) -> tuple[int, ...]:
    return tuple(block(torch.zeros(2, *size)).shape[1:])


def parameters(block: nn.Module) -> int:
    return sum(p.numel() for p in block.parameters())


def test_conv_block_is_convolution_relu_batchnorm_without_bias() -> None:
    block = conv_block(1, 8, 16)
    assert [type(m).__name__ for m in block] == ["Conv2d", "ReLU", "BatchNorm2d"] * 2
    assert block[0].bias is None
    assert parameters(block) == 72 + 16 + 1152 + 32
    assert shape(block, 1, 28, 28) == (16, 24, 24)


def test_conv_block_options() -> None:
    block = conv_block(3, 4, kernel_size=5, padding=2, bias=True, dropout=0.1)
    assert [type(m).__name__ for m in block] == ["Conv2d", "ReLU", "BatchNorm2d", "Dropout"]
    assert block[0].bias is not None
    assert shape(block, 3, 9, 9) == (4, 9, 9)


def test_transition_halves_the_map() -> None:
    assert shape(transition(), 8, 22, 22) == (8, 11, 11)
    assert shape(transition(8, 4), 8, 22, 22) == (4, 11, 11)


@pytest.mark.parametrize("side", [5, 7])
def test_gap_head_is_the_mean_of_a_pointwise_convolution(side: int) -> None:
    head = gap_head(6, classes=10)
    x = torch.rand(3, 6, side, side)
    expected = torch.einsum("bchw,oc->bo", x, head[0].weight[:, :, 0, 0]) / side**2
    assert torch.allclose(head(x), expected, atol=1e-6)


def test_depthwise_separable_costs_what_its_docstring_says() -> None:
    block = depthwise_separable(8, 16)
    assert parameters(block) == 9 * 8 + 8 * 16 + 32
    assert shape(block, 8, 10, 10) == (16, 8, 8)
    assert shape(depthwise_separable(8, 16, stride=2, padding=1), 8, 10, 10) == (16, 5, 5)


def test_residual_adds_its_input() -> None:
    x = torch.rand(2, 4, 6, 6)
    assert torch.equal(residual(nn.Identity())(x), 2 * x)
    assert shape(residual(conv_block(4, 8, padding=1), 4, 8), 4, 6, 6) == (8, 6, 6)


def test_residual_says_which_shapes_do_not_fit() -> None:
    with pytest.raises(ValueError, match=r"\(2, 4, 6, 6\) into \(2, 4, 4, 4\)"):
        residual(conv_block(4, 4))(torch.rand(2, 4, 6, 6))
