"""What the tracer knows of PyTorch's own operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from eva.rf.algebra import Algebra
from eva.rf.geometry import IDENTITY, AxisMap, Window, adaptive, shift, taps, transposed
from eva.rf.rules import (
    Geometry,
    Mix,
    Op,
    Pointwise,
    Reduce,
    Rule,
    Sliding,
    TensorArg,
    Whole,
    numbers,
    sliding_rule,
)
from eva.rf.state import State, Status

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Enter a function under these aten names."""

    def enter(function: Rule) -> Rule:
        for name in names:
            RULES[f"aten.{name}"] = function
        return function

    return enter


def dims_of(op: Op, key: str = "dim") -> tuple[int, ...]:
    """A ``dim`` argument as non-negative numbers; all dimensions where it is absent or empty."""
    rank = len(op.first.shape)
    given = op.args.get(key)
    if given is None or given == []:
        return tuple(range(rank))
    given = [given] if isinstance(given, int) else given
    return tuple(d % rank for d in given) if rank else ()


def moved(change: Callable[[Algebra, State, Op], State]) -> Geometry:
    """Geometry that rearranges the first argument."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        state = op.first.state
        return [None if state is None else change(algebra, state, op)] * len(op.outputs)

    return apply


# -- windows ---------------------------------------------------------------------------------


@rule("convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
def convolution(op: Op) -> Geometry:
    """Any convolution, transposed or not; channels are mixed within groups."""
    kernel = op["weight"].shape[2:]
    n = len(kernel)
    stride, padding = numbers(op["stride"], n), numbers(op["padding"], n)
    dilation, groups = numbers(op["dilation"], n), op["groups"]
    if not op.args.get("transposed"):
        return sliding_rule(
            op, kernel=kernel, stride=stride, padding=padding, dilation=dilation, channels=groups
        )
    rank = len(op.outputs[0])
    maps = {
        rank - n + i: AxisMap(
            count=op.outputs[0][rank - n + i],
            window=transposed(kernel[i], stride[i], padding[i], dilation[i]),
        )
        for i in range(n)
    }
    return Sliding(maps=maps, channels=groups)


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

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
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


@rule("_softmax", "_log_softmax", "_safe_softmax", "cumprod", "sort", "logcumsumexp", "topk")
def mixing(op: Op) -> Geometry:
    """Softmax and its like."""
    return Mix(dims=dims_of(op))


@rule("native_layer_norm")
def layer_norm(op: Op) -> Geometry:
    """Mixes the trailing dimensions that it normalises."""
    rank = len(op.first.shape)
    return Mix(dims=tuple(range(rank - len(op["normalized_shape"]), rank)))


@rule("native_group_norm")
def group_norm(op: Op) -> Geometry:
    """Mixes channels within a group, and all of space."""
    rank = len(op.first.shape)

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        mixed = algebra.mix(state, tuple(range(2, rank)))
        return [algebra.mix_channels(mixed, op["group"], mixed.shape[1]), None, None]

    return apply


@rule(
    "native_batch_norm", "_native_batch_norm_legit", "cudnn_batch_norm", "_batch_norm_with_update"
)
def batch_norm(op: Op) -> Geometry:
    """Pointwise with running statistics; over batch and space with those of the batch."""
    if not op.args.get("training", op.args.get("train", True)):
        return _first_pointwise
    rank = len(op.first.shape)
    return Mix(dims=(0, *range(2, rank)))


@rule("_native_batch_norm_legit_no_training", "_batch_norm_no_update")
def batch_norm_eval(op: Op) -> Geometry:
    """Pointwise."""
    return _first_pointwise


def _first_pointwise(algebra: Algebra, op: Op) -> list[State | None]:
    state = op.first.state
    return [state if state is not None and s == state.shape else None for s in op.outputs]


# -- products --------------------------------------------------------------------------------


def product(algebra: Algebra, a: TensorArg, b: TensorArg, shape: tuple[int, ...]) -> State | None:
    """Matrix product (..., m, k) @ (..., k, n): rows of a, columns of b, k mixed."""
    parts = []
    if a.state is not None:
        parts.append(algebra.reduce(a.state, (len(a.shape) - 1,), keep=1))
    if b.state is not None:
        parts.append(algebra.reduce(b.state, (len(b.shape) - 2,), keep=1))
    return algebra.join(parts, shape) if parts else None


@rule("mm", "bmm")
def matmul(op: Op) -> Geometry:
    """Matrix product."""

    def apply(algebra: Algebra, op: Op) -> State | None:
        a, b = list(op.tensors())[:2]
        return [product(algebra, a, b, op.outputs[0])]

    return apply


@rule("addmm", "baddbmm")
def addmm(op: Op) -> Geometry:
    """Matrix product with something added."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        extra, a, b = list(op.tensors())[:3]
        states = [product(algebra, a, b, op.outputs[0]), extra.state]
        known = [s for s in states if s is not None]
        return [algebra.join(known, op.outputs[0]) if known else None]

    return apply


@rule("linear", "mv", "dot", "addmv")
def linear(op: Op) -> Geometry:
    """Products with a vector; the last dimension is mixed."""
    if op.name != "aten.linear":
        return Whole(status=Status.BOUND)

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        state = op.first.state
        if state is None:
            return [None]
        last = len(state.shape) - 1
        mixed = algebra.reduce(state, (last,), keep=1)
        return [algebra.broadcast(mixed, op.outputs[0])]

    return apply


# -- rearranging -----------------------------------------------------------------------------


@rule(
    "view", "_unsafe_view", "reshape", "_reshape_alias", "squeeze", "unsqueeze", "flatten",
    "unflatten", "_reshape_copy", "view_copy", "squeeze_copy",
)  # fmt: skip
def reshape(op: Op) -> Geometry:
    """The same elements in the same order."""
    return moved(lambda algebra, state, op: algebra.reshape(state, op.outputs[0]))


@rule("permute", "t", "transpose", "movedim", "numpy_T")
def permute(op: Op) -> Geometry:
    """Dimensions in another order."""
    rank = len(op.first.shape)
    if "dims" in op.args:
        order = [d % rank for d in op["dims"]]
    else:
        order = list(range(rank))
        a, b = (op["dim0"] % rank, op["dim1"] % rank) if "dim0" in op.args else (0, rank - 1)
        order[a], order[b] = order[b], order[a]
    return moved(lambda algebra, state, op: algebra.permute(state, order))


@rule("expand", "expand_copy")
def expand(op: Op) -> Geometry:
    """Broadcast."""
    return Pointwise()


@rule("slice", "select", "narrow", "flip", "roll", "repeat")
def choose(op: Op) -> Geometry:
    """Elements chosen by position."""
    shape = op.first.shape
    rank = len(shape)
    short = op.name.removeprefix("aten.")
    picks: dict[int, Sequence[int]] = {}
    if short == "slice":
        d = op["dim"] % rank
        picks[d] = range(shape[d])[slice(op["start"], op["end"], op["step"])]
    elif short == "select":
        d = op["dim"] % rank
        picks[d] = [op["index"] % shape[d]]
    elif short == "narrow":
        d = op["dim"] % rank
        picks[d] = range(
            op["start"] % max(shape[d], 1), op["start"] % max(shape[d], 1) + op["length"]
        )
    elif short == "flip":
        picks = {d: range(shape[d] - 1, -1, -1) for d in dims_of(op, "dims")}
    elif short == "roll":
        shifts = op["shifts"] if isinstance(op["shifts"], (list, tuple)) else [op["shifts"]]
        for d, by in zip(op["dims"], shifts, strict=True):
            picks[d % rank] = [(i - by) % shape[d % rank] for i in range(shape[d % rank])]
    else:
        lead = len(op["repeats"]) - rank
        picks = {
            d: [i % shape[d] for i in range(shape[d] * op["repeats"][d + lead])]
            for d in range(rank)
            if op["repeats"][d + lead] != 1
        }

    def apply(algebra: Algebra, state: State, op: Op) -> State:
        for d, positions in picks.items():
            state = algebra.take(state, d, positions, drop=short == "select")
        return algebra.broadcast(state, op.outputs[0])

    return moved(apply)


@rule(
    "split", "split_with_sizes", "unbind", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk"
)
def split(op: Op) -> Geometry:
    """Cut into pieces along one dimension."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        rank = len(state.shape)
        dim = op["dim"] % rank
        out: list[State | None] = []
        at = 0
        for shape in op.outputs:
            drop = len(shape) < rank
            count = 1 if drop else shape[dim]
            out.append(algebra.take(state, dim, range(at, at + count), drop=drop))
            at += count
        return out

    return apply


@rule("cat", "concat", "concatenate")
def cat(op: Op) -> Geometry:
    """Side by side along one dimension."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        rank = len(op.outputs[0])
        parts = [t for t in op.tensors() if t.shape != (0,)]
        states = [t.state or State(shape=t.shape, groups=({},)) for t in parts]
        return [algebra.concat(states, op["dim"] % rank, op.outputs[0])]

    return apply


@rule("stack")
def stack(op: Op) -> Geometry:
    """Side by side along a new dimension."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        out = op.outputs[0]
        dim = op["dim"] % len(out)
        thin = (*out[:dim], 1, *out[dim + 1 :])
        states = [
            algebra.reshape(t.state or State(shape=t.shape, groups=({},)), thin)
            for t in op.tensors()
        ]
        return [algebra.concat(states, dim, out)]

    return apply


@rule("constant_pad_nd")
def constant_pad(op: Op) -> Geometry:
    """Padding with a number, or cropping where it is negative."""
    rank, pad = len(op.first.shape), op["pad"]
    maps = {
        rank - 1 - i: AxisMap(count=op.outputs[0][rank - 1 - i], window=shift(-pad[2 * i]))
        for i in range(len(pad) // 2)
    }
    return Sliding(maps=maps)


@rule(
    "clone", "contiguous", "_to_copy", "to", "detach", "alias", "lift_fresh", "dropout",
    "native_dropout", "copy", "bernoulli", "_conj", "view_as_real", "lift_fresh_copy",
)  # fmt: skip
def same(op: Op) -> Geometry:
    """Copies, casts and masks drawn at random."""
    return Pointwise()


@rule("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
      "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_flash_attention",
      "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
      "_scaled_dot_product_attention_math")  # fmt: skip
def attention(op: Op) -> Geometry:
    """Each query sees its own row and every key and value."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        out = op.outputs[0]
        rank = len(out)
        parts = []
        for key, dims in (
            ("query", (rank - 1,)),
            ("key", (rank - 1, rank - 2)),
            ("value", (rank - 1, rank - 2)),
        ):
            state = op[key].state
            if state is not None:
                parts.append(algebra.reduce(state, dims, keep=1))
        first = algebra.join(parts, out) if parts else None
        return [first, *[None] * (len(op.outputs) - 1)]

    return apply


_ = (IDENTITY, Window, math, taps, Any)
