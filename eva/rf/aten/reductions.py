"""What the tracer knows of PyTorch's own operations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from eva.rf.algebra import Algebra, FieldStatus, Seen
from eva.rf.aten.base import by_channel, dims_of, moved, rule, with_weights
from eva.rf.aten.products import MASKED
from eva.rf.geometry import AxisMap, Window, adaptive, taps, transposed
from eva.rf.rules import (
    Geometry,
    Mix,
    Op,
    Pointwise,
    Reduce,
    Sliding,
    TensorArg,
    Whole,
    numbers,
    sliding_rule,
)

Windows = Callable[[Algebra, Op], list[Seen | None]]

# -- windows ---------------------------------------------------------------------------------


@rule("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
def convolution(op: Op) -> Geometry:
    """Any convolution, transposed or not; channels are mixed within groups."""
    kernel = op["weight"].shape[2:]
    n = len(kernel)
    stride, padding = numbers(op["stride"], n), numbers(op["padding"], n)
    dilation, groups = numbers(op["dilation"], n), op["groups"]
    zeros = op["weight"].zeros
    rank = len(op.outputs[0])
    transpose = bool(op.args.get("transposed"))
    if transpose:
        maps = {
            rank - n + i: AxisMap(
                count=op.outputs[0][rank - n + i],
                window=transposed(kernel[i], stride[i], padding[i], dilation[i]),
            )
            for i in range(n)
        }
        plain = Sliding(maps=maps, channels=groups)
        data: Windows = plain if zeros is None else _bounded(plain)
    else:
        plain = sliding_rule(
            op, kernel=kernel, stride=stride, padding=padding, dilation=dilation, channels=groups
        )
        data = plain
        if zeros is not None:
            alike = _alike(op.first.state)
            data = _masked(plain, zeros, stride, padding, dilation, alike)

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        def of_weight(state: Seen, shape: tuple[int, ...]) -> Seen:
            own = 1 if transpose else 0  # its dimension of output channels, (a group's of) them
            state = algebra.reduce(state, [d for d in range(n + 2) if d != own], keep=None)
            if transpose and groups > 1:
                state = algebra.take(state, 0, list(range(state.shape[0])) * groups)
            return by_channel(algebra, state, shape)

        found = list(data(algebra, op))
        spread = {"weight": of_weight, "bias": lambda s, shape: by_channel(algebra, s, shape)}
        return with_weights(algebra, op, found, spread)

    return apply


def _bounded(plain: Sliding) -> Windows:
    """The same windows as a bound, because some weights are zero."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        found = plain(algebra, op)
        return [None if s is None else algebra.bounded(s, MASKED) for s in found]

    return apply


def _alike(state: Seen | None) -> bool:
    """Whether all channels of a map see the same."""
    return state is None or (
        state.which is None and not any(1 in t.dims for ts in state.groups[0].values() for t in ts)
    )


def _masked(
    plain: Sliding,
    zeros: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    alike: bool,
) -> Windows:
    """A convolution whose weight has zeros: taps that are zero in every channel are not seen.

    Exact where what is left is a product of taps along each axis, the same for all channels that
    come out, and for all that go in unless those see the same (``alike``).
    """
    if zeros is True:
        return _bounded(plain)
    alive: Any = ~np.asarray(zeros)
    left = alive.any(axis=(0, 1))
    if not left.any():
        return _bounded(plain)
    taken = [
        [int(i) for i in np.flatnonzero(left.any(axis=tuple({*range(left.ndim)} - {a})))]
        for a in range(left.ndim)
    ]
    product = np.zeros_like(left)
    product[np.ix_(*taken)] = True
    maps = {
        dim: AxisMap(
            count=plain.maps[dim].count,
            window=Window(
                period=1,
                advance=stride[a],
                taps=(taps(i * dilation[a] - padding[a] for i in taken[a]),),
            ),
        )
        for a, dim in enumerate(sorted(plain.maps))
    }
    fewer = Sliding(maps=maps, channels=plain.channels)
    if alike:
        alive = alive.any(axis=1, keepdims=True)
    even = bool((product == left).all() and (alive == left).all())
    return fewer if even else _bounded(fewer)


@rule("max_pool2d_with_indices", "max_pool3d_with_indices", "max_pool2d", "mkldnn_max_pool2d")
def max_pool(op: Op) -> Geometry:
    """Max-pooling; ceil_mode shows in the number of output units alone."""
    return sliding_rule(
        op,
        kernel=numbers(op["kernel_size"], _pool_rank(op)),
        stride=op["stride"] or op["kernel_size"],
        padding=op["padding"],
        dilation=op["dilation"],
    )


@rule("avg_pool1d", "avg_pool2d", "avg_pool3d")
def avg_pool(op: Op) -> Geometry:
    """Average pooling."""
    return sliding_rule(
        op,
        kernel=numbers(op["kernel_size"], _pool_rank(op)),
        stride=op["stride"] or op["kernel_size"],
        padding=op["padding"],
    )


def _pool_rank(op: Op) -> int:
    return int(next(c for c in op.name if c.isdigit()))


@rule("_adaptive_avg_pool2d", "_adaptive_avg_pool3d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pool(op: Op) -> Geometry:
    """Adaptive pooling; to one unit it is the mean over the axis."""
    shape, out = op.first.shape, op.outputs[0]
    dims = range(len(shape) - _pool_rank(op), len(shape))
    maps = {d: AxisMap(count=out[d], window=adaptive(shape[d], out[d])) for d in dims if out[d] > 1}
    whole = tuple(d for d in dims if out[d] == 1)

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        middle = tuple(out[d] if d in maps else n for d, n in enumerate(shape))
        state = algebra.slide(state, maps, middle, channels=0)
        return [algebra.reduce(state, whole, keep=1)] * len(op.outputs)

    return apply


# -- dimensions mixed ------------------------------------------------------------------------


@rule(
    "mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean", "std_mean",
    "norm", "linalg_vector_norm", "logsumexp", "any", "all", "argmax", "argmin", "median",
    "nansum", "nanmean", "nanmedian", "mode", "aminmax", "count_nonzero",
)  # fmt: skip
def reduction(op: Op) -> Geometry:
    """A reduction over some dimensions, or all."""
    if op.name in ("aten.max", "aten.min") and "other" in op.args:
        return Pointwise()
    return Reduce(dims=dims_of(op), keep=bool(op.args.get("keepdim", False)))


@rule("_softmax", "_log_softmax", "_safe_softmax")
def mixing(op: Op) -> Geometry:
    """Softmax and its like."""
    return Mix(dims=dims_of(op))


@rule("cumsum", "cumprod", "logcumsumexp", "cummax", "cummin")
def running(op: Op) -> Geometry:
    """Each unit sees those before it."""
    if not op.first.shape:
        return Pointwise()
    dim = op["dim"] % len(op.first.shape)
    count = op.first.shape[dim]
    reads = tuple(tuple(range(u + 1)) for u in range(count))
    return Sliding(maps={dim: AxisMap(count=count, window=None, reads=reads)})


@rule("sort", "topk", "argsort", "kthvalue")
def ordered(op: Op) -> Geometry:
    """Which elements along one dimension are read depends on their values."""
    if not op.first.shape:
        return Pointwise()
    dim = op["dim"] % len(op.first.shape)

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        keep = op.outputs[0][dim] if len(op.outputs[0]) == len(state.shape) else None
        mixed = algebra.reduce(state, (dim,), keep=keep)
        return [algebra.bounded(mixed, op.name, FieldStatus.DATA_DEPENDENT)] * len(op.outputs)

    return apply


@rule(
    "nonzero", "unique", "_unique2", "unique_dim",
    "unique_consecutive", "bincount", "histc", "masked_select", "masked_scatter", "multinomial",
    "grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler", "_grid_sampler_2d_cpu_fallback",
    "fractional_max_pool2d", "fractional_max_pool3d", "max_unpool2d", "max_unpool3d",
    "searchsorted", "_embedding_bag", "_embedding_bag_forward_only", "_local_scalar_dense",
)  # fmt: skip
def sampled(op: Op) -> Geometry:
    """Which elements are read depends on their values."""
    return Whole(status=FieldStatus.DATA_DEPENDENT)


@rule("gather", "scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy",
      "index_put", "_unsafe_index_put", "_index_put_impl", "index_fill", "put", "take",
      "take_along_dim")  # fmt: skip
def scattered(op: Op) -> Geometry:
    """Read or written at computed places: a bound, or dependent on data if the places are."""
    indices = op.args.get("index", op.args.get("indices"))
    parts = indices if isinstance(indices, (list, tuple)) else [indices]
    free = all(not isinstance(i, TensorArg) or i.state is None for i in parts)
    if isinstance(indices, (list, tuple)):
        apart = not isinstance(indices[0], TensorArg)
    else:
        apart = "dim" in op.args and op["dim"] is not None and op["dim"] % len(op.outputs[0]) != 0
    return Whole(status=FieldStatus.BOUND if free else FieldStatus.DATA_DEPENDENT, apart=apart)


@rule("_fft_r2c", "_fft_c2c", "_fft_c2r")
def fourier(op: Op) -> Geometry:
    """Each frequency sees everything along the transformed dimensions."""
    dims = dims_of(op)
    return moved(
        lambda algebra, state, op: algebra.broadcast(
            algebra.reduce(state, dims, keep=1), op.outputs[0]
        )
    )


@rule("glu")
def glu(op: Op) -> Geometry:
    """One half of a dimension gates the other."""

    def apply(algebra: Algebra, state: Seen, op: Op) -> Seen:
        dim = op["dim"] % len(state.shape)
        half = state.shape[dim] // 2
        parts = [algebra.take(state, dim, range(at, at + half)) for at in (0, half)]
        return algebra.join(parts, op.outputs[0])

    return moved(apply)


@rule("diagonal")
def diagonal(op: Op) -> Geometry:
    """Where two dimensions have the same index: those are mixed into a bound."""

    def apply(algebra: Algebra, state: Seen, op: Op) -> Seen:
        rank = len(state.shape)
        both = (op["dim1"] % rank, op["dim2"] % rank)
        thin = algebra.reduce(state, both, keep=None)
        wide = algebra.broadcast(algebra.reshape(thin, (*thin.shape, 1)), op.outputs[0])
        return (
            algebra.bounded(wide, op.name) if any(algebra.varies(state, d) for d in both) else wide
        )

    return moved(apply)


@rule("tril", "triu")
def triangle(op: Op) -> Geometry:
    """Elements kept, or set to zero by position."""
    rows, columns = op.first.shape[-2:]
    make = np.tril if op.name.endswith("tril") else np.triu
    kept = make(np.ones((rows, columns), dtype=bool), op["diagonal"])
    return moved(lambda algebra, state, op: algebra.hidden(state, kept, op.name))


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
def layer_norm(op: Op) -> Geometry:
    """Mixes the trailing dimensions that it normalizes, by its statistics."""
    rank = len(op.first.shape)
    return _normalizing(tuple(range(rank - len(op["normalized_shape"]), rank)))


def _normalizing(dims: tuple[int, ...], channels: bool = False) -> Geometry:
    """Each element sees everything along some dimensions, but only in a mean and a variance.

    Args:
        dims: Dimensions that are normalized together.
        channels: Weights have a number for each channel, else one for each place.
    """

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return _styled(algebra, op, [None] * len(op.outputs), channels)
        mixed = algebra.with_local(algebra.mix(state, dims), state)
        found = [mixed if s == mixed.shape else None for s in op.outputs]
        return _styled(algebra, op, found, channels)

    return apply


def _styled(
    algebra: Algebra, op: Op, found: Sequence[Seen | None], channels: bool
) -> list[Seen | None]:
    """Norms whose scale and shift are made of the input."""

    def spread(state: Seen, shape: tuple[int, ...]) -> Seen:
        if channels:
            return by_channel(algebra, state, shape)
        return algebra.broadcast(state, shape)

    keys = ("weight", "bias", "running_mean", "running_var")
    return with_weights(algebra, op, found, dict.fromkeys(keys, spread))


@rule("native_group_norm")
def group_norm(op: Op) -> Geometry:
    """Mixes channels within a group, and all of space; all of space only by its statistics."""
    rank = len(op.first.shape)

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return _styled(algebra, op, [None] * len(op.outputs), True)
        mixed = algebra.mix(state, tuple(range(2, rank)))
        out = algebra.mix_channels(mixed, op["group"], mixed.shape[1])
        return _styled(algebra, op, [algebra.with_local(out, state), None, None], True)

    return apply


@rule(
    "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "_batch_norm_with_update"
)
def batch_norm(op: Op) -> Geometry:
    """Pointwise with running statistics; over batch and space with those of the batch."""
    if not op.args.get("training", op.args.get("train", True)):
        return _first_pointwise
    rank = len(op.first.shape)
    return _normalizing((0, *range(2, rank)), channels=True)


@rule("_native_batch_norm_legit_no_training", "_batch_norm_no_update")
def batch_norm_eval(op: Op) -> Geometry:
    """Pointwise."""
    return _first_pointwise


def _first_pointwise(algebra: Algebra, op: Op) -> list[Seen | None]:
    state = op.first.state
    found = [state if state is not None and s == state.shape else None for s in op.outputs]
    return _styled(algebra, op, found, True)
