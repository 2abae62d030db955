"""Shapes that we work out ourselves are PyTorch's, and so are its errors."""

import pytest
import torch

from eva.rf.tracing.shapes import plain_result

CONV = torch.ops.aten.convolution.default
CAT = torch.ops.aten.cat.default
NORM = torch.ops.aten.native_batch_norm.default


def meta(*shape: int) -> torch.Tensor:
    return torch.empty(shape, device="meta")


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("padding", [0, 1, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("kernel", [(1, 1), (3, 2), (5, 5)])
def test_convolutions(stride: int, padding: int, dilation: int, kernel: tuple[int, int]) -> None:
    steps = [[n, n] for n in (stride, padding, dilation)]
    args = (meta(2, 6, 17, 12), meta(4, 3, *kernel), meta(4), *steps, False, [0, 0], 2)
    ours, theirs = plain_result(CONV, args), CONV(*args)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_concatenation(dim: int) -> None:
    parts = [meta(2, 3, 4), meta(2, 3, 4)]
    assert plain_result(CAT, (parts, dim)).shape == CAT(parts, dim).shape
    wider = [meta(2, 3, 4), meta(2, 5, 4)]
    assert plain_result(CAT, (wider, 1)).shape == (2, 8, 4)


def test_batch_norm() -> None:
    args = (meta(2, 3, 4, 4), meta(3), meta(3), meta(3), meta(3), False, 0.1, 1e-5)
    assert plain_result(NORM, args)[0].shape == NORM(*args)[0].shape


@pytest.mark.parametrize(
    ("func", "args"),
    [
        (CAT, ([meta(2, 3), meta(3, 3)], 1)),
        (CAT, ([meta(2, 3), meta(2, 3).long()], 1)),
        (CAT, ([meta(2, 3), meta(0)], 1)),
        (CAT, ([torch.zeros(2, 3)] * 2, 1)),
        (CAT, ([meta(2, 3)] * 2, 2)),
        (CONV, (meta(1, 4, 5), meta(2, 3, 3), None, [1], [0], [1], False, [0], 1)),
        (CONV, (meta(1, 3, 2), meta(2, 3, 3), None, [1], [0], [1], False, [0], 1)),
        (CONV, (meta(1, 3, 5), meta(3, 2, 3), None, [1], [0], [1], True, [0], 1)),
        (NORM, (meta(2, 3), meta(3), meta(3), meta(3), meta(3), True, 0.1, 1e-5)),
        (torch.ops.aten.relu.default, (meta(2),)),
    ],
)
def test_everything_else_is_pytorchs(func: object, args: tuple[object, ...]) -> None:
    assert plain_result(func, args) is None
