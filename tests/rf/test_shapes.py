"""Shapes that we work out ourselves are PyTorch's, and so are its errors."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from eva.rf.tracing.shapes import plain_result
from eva.rf.tracing.structure import flat_tensors

ATEN = torch.ops.aten
CONV = ATEN.convolution.default
CAT = ATEN.cat.default
NORM = ATEN.native_batch_norm.default


def meta(*shape: int) -> Tensor:
    return torch.empty(shape, device="meta")


def described(result: Any) -> list[tuple[object, ...]]:
    return [(t.shape, t.dtype, t.stride(), t.device) for t in flat_tensors(result)]


class Compared(TorchDispatchMode):
    """Compares each result that we work out with PyTorch's; counts them."""

    def __init__(self) -> None:
        super().__init__()
        self.plain: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        ours = plain_result(func, args, kwargs)
        theirs = func(*args, **(kwargs or {}))
        if ours is not None:
            self.plain.append(func._schema.name)
            assert described(ours) == described(theirs), func
        return theirs


POINTWISE = {
    **{
        name: lambda x, name=name: getattr(F, name)(x)
        for name in (
            *("relu", "gelu", "silu", "hardswish", "hardsigmoid", "hardtanh", "relu6", "elu"),
            *("leaky_relu", "mish", "softplus", "sigmoid", "tanh", "selu", "celu", "softsign"),
        )
    },
    **{
        name: lambda x, name=name: getattr(torch, name)(x)
        for name in ("exp", "sqrt", "rsqrt", "neg", "abs", "sin", "log", "erf", "square", "sign")
    },
    "x + x": lambda x: x + x,
    "x * 2": lambda x: x * 2,
    "1 - x": lambda x: 1 - x,
    "x / 3": lambda x: x / 3,
    "x ** 2": lambda x: x**2,
    "clamp": lambda x: x.clamp(0, 1),
    "x + a row": lambda x: x + x[..., :1, :].contiguous(),
    "a row + x": lambda x: x[..., :1, :].contiguous() + x,
    "x * a number": lambda x: x * x.new_empty(()),
    "x + its transpose": lambda x: x + x.transpose(-1, -2),
    "mask": lambda x: x.masked_fill(x > 0, 0.0),
    "where": lambda x: torch.where(x > 0, x, x * 2),
    "compare": lambda x: (x > 0, x == x, torch.isnan(x), torch.logical_and(x, x)),
    "in place": lambda x: x.clone().relu_().add_(1).mul_(x),
    "complex": lambda x: (
        torch.complex(x / 2, x / 2).abs(),
        torch.complex(x / 2, x / 2) * x,
        x * 1j,
    ),
    "atan2, lerp, addcmul": lambda x: (torch.atan2(x, x), x.lerp(x, 0.5), x.addcmul(x, x)),
    "prelu": lambda x: F.prelu(x, x.new_empty(1)),
}
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "plain": lambda x: x,
    "channels last": lambda x: x.contiguous(memory_format=torch.channels_last),
    "permuted": lambda x: x.permute(0, 2, 3, 1),
    "sliced": lambda x: x[:, ::2, 1:],
    "permuted and sliced": lambda x: x.permute(0, 3, 1, 2)[:, ::2, 1:],
    "expanded": lambda x: x[:, :1].expand(-1, 4, -1, -1),
    "double": lambda x: x.double(),
    "half": lambda x: x.half(),
    "whole numbers": lambda x: x.long(),
}


@pytest.mark.filterwarnings("ignore:ComplexHalf")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_operations(name: str, layout: str) -> None:
    x = LAYOUTS[layout](meta(2, 4, 6, 6))
    with Compared():
        try:
            POINTWISE[name](x)
        except (RuntimeError, ValueError):  # PyTorch's own
            assert layout == "whole numbers" or name == "x + its transpose"


def test_pointwise_operations_are_answered() -> None:
    x = meta(2, 4, 6, 6)
    with Compared() as compared:
        F.relu(x), F.gelu(x), F.hardswish(x), x + x, x * 2, x.clone().relu_()
    names = [name.removeprefix("aten::") for name in compared.plain]
    assert names == ["relu", "gelu", "hardswish", "add", "mul", "clone", "relu_"]


OTHERS: dict[str, Callable[[Tensor], Any]] = {
    "layer norm": lambda x: F.layer_norm(x, x.shape[-1:], x.new_empty(x.shape[-1:])),
    "layer norm of a map": lambda x: F.layer_norm(x, x.shape[1:]),
    "group norm": lambda x: F.group_norm(x, 2, x.new_empty(x.shape[1]), x.new_empty(x.shape[1])),
    "instance norm": lambda x: F.instance_norm(x),
    "batch norm, training": lambda x: F.batch_norm(x, None, None, training=True),
    "softmax": lambda x: x.softmax(1),
    "log softmax": lambda x: x.log_softmax(-1),
    "roll": lambda x: x.roll((1, 2), (2, 3)),
    "mean": lambda x: (x.mean((2, 3)), x.mean(1, keepdim=True), x.mean((-1, 1)), x.mean()),
    "linear": lambda x: F.linear(x[0, 0], x.new_empty(5, x.shape[-1]), x.new_empty(5)),
    "upsampled": lambda x: F.interpolate(x, scale_factor=1.5, mode="bilinear"),
    "upsampled to a size": lambda x: F.interpolate(x, (7, 9), mode="bilinear"),
    "bicubic": lambda x: F.interpolate(x, (7, 9), mode="bicubic"),
    "sampled at a grid": lambda x: F.grid_sample(
        x, x.new_empty(len(x), 3, 5, 2), align_corners=False
    ),
    "stacked": lambda x: (torch.stack([x, x]), torch.stack([x, x], 2), torch.stack([x], -1)),
}


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "whole numbers"])
@pytest.mark.parametrize("name", OTHERS)
def test_operations_that_mix(name: str, layout: str) -> None:
    x = LAYOUTS[layout](meta(2, 4, 6, 8))
    with Compared() as compared:
        OTHERS[name](x)
    assert compared.plain or layout != "plain"


WRONG: dict[str, Callable[[Tensor], Any]] = {
    "shapes that do not match": lambda x: x + x[:, :3],
    "larger in place": lambda x: x[:, :1].clone().add_(x),
    "mean over no axis": lambda x: x.mean((2, 5)),
    "mean twice over one axis": lambda x: x.mean((2, -2)),
    "linear of other features": lambda x: ATEN.addmm.default(meta(5), meta(2, 3), meta(4, 5)),
    "layer norm of other sizes": lambda x: F.layer_norm(x, (7,)),
    "stack of other shapes": lambda x: torch.stack([x, x[:1]]),
    "real and meta": lambda x: x + torch.ones(6),
}


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_pytorchs(name: str) -> None:
    with pytest.raises((RuntimeError, IndexError, ValueError)), Compared():
        WRONG[name](meta(2, 4, 6, 6))


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
        (NORM, (meta(2, 3), meta(4), meta(4), meta(4), meta(4), False, 0.1, 1e-5)),
        (ATEN.relu.default, (torch.ones(2),)),
        (ATEN.max_pool2d_with_indices.default, (meta(1, 2, 4, 4), [2, 2])),
    ],
)
def test_everything_else_is_pytorchs(func: object, args: tuple[object, ...]) -> None:
    assert plain_result(func, args) is None
