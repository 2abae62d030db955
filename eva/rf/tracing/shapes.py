"""Results on the meta device of operations that PyTorch works out in Python, call by call.

That takes up to several milliseconds a call, more than all that we do with it, and imports the
compiler, which takes longer than importing PyTorch. Only plain cases are answered here; all
others, wrong shapes above all, are PyTorch's own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

ATEN = torch.ops.aten
# Pointwise operations whose results are no numbers of the operands' type.
COMPARISONS = ("eq", "ne", "lt", "le", "gt", "ge")
OTHER_TYPES = (
    *("bitwise", "logical", "is", "signbit", "bucketize", "searchsorted"),
    *("complex", "polar", "angle", "real", "imag", "view_as", "floor_divide"),
)
UNTAGGED = ("hardswish", "hardswish_")  # pointwise, though PyTorch does not say so
# In place, these leave a tensor of whole numbers one of whole numbers.
WHOLE_NUMBERS = ("aten::add_", "aten::sub_", "aten::mul_")
# Named arguments that change neither shape nor type.
SETTINGS = frozenset({"alpha", "approximate", "rounding_mode"})


def plain_result(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None) -> Any:
    """What an operation returns for these arguments, or None where PyTorch must say it.

    Args:
        func: Overload of an ATen operation.
        args: Its positional arguments.
        kwargs: Those with names.
    """
    if kwargs and not SETTINGS.issuperset(kwargs):
        return None
    find = _PLAIN.get(func)
    if find is None and _is_plain_pointwise(func):
        find = _pointwise_in_place if func._schema.is_mutable else _pointwise
    return None if find is None else find(func, *args)


@functools.cache
def _is_plain_pointwise(func: Any) -> bool:
    """Whether it takes numbers of one type, entry by entry, and gives one tensor of that type."""
    schema = func._schema
    name = schema.name.removeprefix("aten::")
    return (
        (torch.Tag.pointwise in func.tags or name in UNTAGGED)
        and schema.name.startswith("aten::")
        and len(schema.returns) == 1
        and str(schema.returns[0].type) == "Tensor"
        and not any(argument.is_out for argument in schema.arguments)
        and name not in COMPARISONS
        and not name.startswith(OTHER_TYPES)
    )


def _operands(args: Sequence[Any]) -> tuple[list[Tensor], torch.dtype] | None:
    """The tensors among the arguments and the type of their numbers; masks have none."""
    tensors = [a for a in args if isinstance(a, Tensor)]
    if any(isinstance(a, (list, tuple, complex)) for a in args):
        return None
    types = {t.dtype for t in tensors} - {torch.bool}
    if len(types) != 1 or any(t.device.type != "meta" for t in tensors):
        return None
    return tensors, types.pop()


def _like(tensor: Tensor, dtype: torch.dtype | None = None) -> Tensor | None:
    """A tensor of the same shape and order of strides; None where that order is not certain.

    ``torch.empty_like`` is one of the slow ones.
    """
    if tensor.is_contiguous():
        return tensor.new_empty(tensor.shape, dtype=dtype or tensor.dtype)
    own = tensor.stride()
    order = sorted(range(tensor.ndim), key=own.__getitem__)
    if len({*own, 0}) <= tensor.ndim or 1 in tensor.shape:
        return None  # memory that overlaps, or dimensions whose order is not certain
    step = 1
    strides = [0] * tensor.ndim
    for d in order:
        strides[d] = step
        step *= tensor.shape[d]
    return torch.empty_strided(
        tensor.shape, strides, dtype=dtype or tensor.dtype, device=tensor.device
    )


def _broadcasts(tensor: Tensor, shape: Sequence[int]) -> bool:
    """Whether a tensor can be stretched to this shape."""
    missing = len(shape) - tensor.ndim
    return missing >= 0 and all(
        own in (1, all_) for own, all_ in zip(tensor.shape, shape[missing:], strict=True)
    )


def _pointwise(func: Any, *args: Any) -> Tensor | None:
    found = _operands(args)
    if found is None or not found[1].is_floating_point:
        return None
    tensors, dtype = found
    largest = max(tensors, key=lambda t: (t.ndim, t.numel()))
    if len(tensors) > 1 and not largest.is_contiguous():  # the others' layouts count too
        return None
    for t in tensors:
        alike = t.shape == largest.shape and t.is_contiguous()
        if not alike and (t.shape == largest.shape or not _broadcasts(t, largest.shape)):
            return None
    return _like(largest, dtype)


def _pointwise_in_place(func: Any, *args: Any) -> Tensor | None:
    found = _operands(args)
    if found is None:
        return None
    tensors, dtype = found
    target = args[0]
    whole = func._schema.name in WHOLE_NUMBERS and not any(isinstance(a, float) for a in args)
    fits = target.dtype == dtype and all(_broadcasts(t, target.shape) for t in tensors)
    if not fits or not (dtype.is_floating_point or whole):
        return None
    result: Tensor = target
    return result


def _batch_norm(func: Any, x: Tensor, *rest: Any) -> tuple[Tensor, ...] | None:
    weight, bias, mean, variance, training = rest[:5]
    given = [t for t in (weight, bias, mean, variance) if t is not None]
    plain = (
        x.device.type == "meta"
        and x.ndim > 1
        and all(t.device == x.device and t.shape == x.shape[1:2] for t in given)
    )
    if not plain or (training and x.dtype != torch.float32):
        return None
    normalized = _like(x)
    if normalized is None:
        return None
    statistics = x.shape[1] if training else 0
    return normalized, x.new_empty(statistics), x.new_empty(statistics)


def _layer_norm(
    func: Any, x: Tensor, shape: list[int], weight: Tensor | None, bias: Tensor | None, eps: float
) -> tuple[Tensor, ...] | None:
    given = [t for t in (weight, bias) if t is not None]
    plain = (
        x.device.type == "meta"
        and x.dtype == torch.float32
        and x.is_contiguous()
        and 0 < len(shape) <= x.ndim
        and list(x.shape[-len(shape) :]) == list(shape)
        and all(
            t.device == x.device and t.dtype == x.dtype and list(t.shape) == list(shape)
            for t in given
        )
    )
    if not plain:
        return None
    kept = [*x.shape[: -len(shape)], *[1] * len(shape)]
    return x.new_empty(x.shape), x.new_empty(kept), x.new_empty(kept)


def _group_norm(
    func: Any,
    x: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    images: int,
    channels: int,
    pixels: int,
    groups: int,
    eps: float,
) -> tuple[Tensor, ...] | None:
    given = [t for t in (weight, bias) if t is not None]
    plain = (
        x.device.type == "meta"
        and x.dtype == torch.float32
        and x.is_contiguous()
        and x.ndim > 1
        and (images, channels) == tuple(x.shape[:2])
        and x.numel() == images * channels * pixels
        and groups > 0
        and channels % groups == 0
        and all(
            t.device == x.device and t.dtype == x.dtype and t.shape == x.shape[1:2] for t in given
        )
    )
    if not plain:
        return None
    return x.new_empty(x.shape), x.new_empty(images, groups), x.new_empty(images, groups)


def _same(func: Any, x: Tensor, *rest: Any) -> Tensor | None:
    """An operation that mixes entries and keeps the shape."""
    dims = [d for d in rest[:1] if isinstance(d, int)]
    plain = x.device.type == "meta" and x.is_floating_point() and x.is_contiguous()
    if not plain or not all(-x.ndim <= d < x.ndim for d in dims):
        return None
    return x.new_empty(x.shape)


def _roll(func: Any, x: Tensor, shifts: list[int], dims: Sequence[int] = ()) -> Tensor | None:
    fits = len(shifts) == len(dims) > 0 and all(-x.ndim <= d < x.ndim for d in dims)
    return x.new_empty(x.shape) if fits and x.device.type == "meta" else None


def _mean(func: Any, x: Tensor, dims: list[int] | None, keepdim: bool = False) -> Tensor | None:
    if x.device.type != "meta" or not x.is_floating_point() or not dims:
        return None
    if any(not -x.ndim <= d < x.ndim for d in dims) or not x.is_contiguous():
        return None
    taken = {d % x.ndim for d in dims}
    if len(taken) != len(dims):
        return None
    sizes = [1 if d in taken else n for d, n in enumerate(x.shape) if keepdim or d not in taken]
    return x.new_empty(sizes)


def _addmm(func: Any, bias: Tensor, a: Tensor, b: Tensor) -> Tensor | None:
    plain = (
        a.device.type == "meta"
        and a.device == b.device == bias.device
        and a.dtype == b.dtype == bias.dtype
        and a.ndim == b.ndim == 2
        and a.shape[1] == b.shape[0]
        and _broadcasts(bias, (a.shape[0], b.shape[1]))
    )
    return a.new_empty(a.shape[0], b.shape[1]) if plain else None


def _resampled(func: Any, x: Tensor, size: list[int], *rest: Any) -> Tensor | None:
    plain = x.device.type == "meta" and x.is_floating_point() and x.ndim == 4
    if not plain or len(size) != 2 or min(size) < 1 or not x.numel():
        return None
    shape = [*x.shape[:2], *size]
    if x.is_contiguous():
        return x.new_empty(shape)
    if x.is_contiguous(memory_format=torch.channels_last) and min(x.shape[1:]) > 1:
        order = torch.channels_last
        return torch.empty(shape, dtype=x.dtype, device=x.device, memory_format=order)
    return None


def _grid_sample(func: Any, x: Tensor, grid: Tensor, *rest: Any) -> Tensor | None:
    plain = (
        x.device.type == grid.device.type == "meta"
        and x.dtype == grid.dtype
        and x.is_floating_point()
        and x.ndim == grid.ndim == 4
        and x.is_contiguous()
        and grid.is_contiguous()
        and x.shape[0] == grid.shape[0]
        and grid.shape[3] == 2
        and 0 not in (*x.shape, *grid.shape)
    )
    return x.new_empty([*x.shape[:2], *grid.shape[1:3]]) if plain else None


def _alike(tensors: Sequence[Tensor]) -> bool:
    first = tensors[0]
    return first.device.type == "meta" and all(
        t.device == first.device and t.dtype == first.dtype and t.ndim == first.ndim
        for t in tensors
    )


def _cat(func: Any, tensors: list[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    axis = dim % first.ndim if -first.ndim <= dim < first.ndim else None
    if axis is None or not _alike(tensors):
        return None
    around = (first.shape[:axis], first.shape[axis + 1 :])
    for t in tensors:
        if (t.shape[:axis], t.shape[axis + 1 :]) != around:
            return None
    return first.new_empty([*around[0], sum(t.shape[axis] for t in tensors), *around[1]])


def _stack(func: Any, tensors: list[Tensor], dim: int = 0) -> Tensor | None:
    first = tensors[0]
    rank = first.ndim + 1
    if not -rank <= dim < rank or not _alike(tensors):
        return None
    if any(t.shape != first.shape for t in tensors):
        return None
    if not all(t.is_contiguous() for t in tensors):
        return None
    axis = dim % rank
    return first.new_empty([*first.shape[:axis], len(tensors), *first.shape[axis:]])


def _convolution(
    func: Any,
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
    ATEN.native_batch_norm.default: _batch_norm,
    ATEN.native_layer_norm.default: _layer_norm,
    ATEN.native_group_norm.default: _group_norm,
    ATEN._softmax.default: _same,
    ATEN._log_softmax.default: _same,
    ATEN._safe_softmax.default: _same,
    ATEN.roll.default: _roll,
    ATEN.mean.dim: _mean,
    ATEN.addmm.default: _addmm,
    ATEN.upsample_bilinear2d.default: _resampled,
    ATEN.upsample_bicubic2d.default: _resampled,
    ATEN.grid_sampler_2d.default: _grid_sample,
    ATEN.cat.default: _cat,
    ATEN.stack.default: _stack,
    ATEN.convolution.default: _convolution,
}
