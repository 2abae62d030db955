"""Results on the meta device of three operations that PyTorch works out in Python, call by call.

That takes up to a millisecond a call, more than all that we do with it. Only plain cases are
answered here; all others, wrong shapes above all, are PyTorch's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def plain_result(func: Any, args: tuple[Any, ...]) -> Any:
    """What an operation returns for these arguments, or None where PyTorch must say it.

    Args:
        func: Overload of an ATen operation.
        args: Its positional arguments.
    """
    find = _PLAIN.get(func)
    return None if find is None else find(*args)


def _batch_norm(x: Tensor, *rest: Any) -> tuple[Tensor, ...] | None:
    if x.device.type != "meta" or rest[4]:
        return None
    nothing = x.new_empty(0)
    return torch.empty_like(x), nothing, nothing


def _cat(tensors: list[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    axis = dim % first.ndim if -first.ndim <= dim < first.ndim else None
    if axis is None or first.device.type != "meta":
        return None
    around = (first.shape[:axis], first.shape[axis + 1 :])
    for t in tensors:
        alike = t.device == first.device and t.dtype == first.dtype and t.ndim == first.ndim
        if not alike or (t.shape[:axis], t.shape[axis + 1 :]) != around:
            return None
    return first.new_empty([*around[0], sum(t.shape[axis] for t in tensors), *around[1]])


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Tensor | None:
    plain = (
        x.device.type == weight.device.type == "meta"
        and not transposed
        and x.ndim == weight.ndim
        and x.dtype == weight.dtype
        and x.shape[1] == weight.shape[1] * groups
        and weight.shape[0] % groups == 0
        and (bias is None or bias.shape == weight.shape[:1])
        and len(stride) == len(padding) == len(dilation) == x.ndim - 2
        and min(stride) > 0
    )
    if not plain:
        return None
    sizes = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(
            x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True
        )
    ]
    return x.new_empty([x.shape[0], weight.shape[0], *sizes]) if min(sizes) > 0 else None


_PLAIN: dict[Any, Callable[..., Any]] = {
    torch.ops.aten.native_batch_norm.default: _batch_norm,
    torch.ops.aten.cat.default: _cat,
    torch.ops.aten.convolution.default: _convolution,
}
