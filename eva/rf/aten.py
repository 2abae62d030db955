"""What the tracer knows of PyTorch's own operations."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from eva.rf.algebra import Algebra
from eva.rf.aten_resample import RULES as RESAMPLING
from eva.rf.geometry import AxisMap, adaptive, shift, transposed
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
from eva.rf.views import permutation

RULES: dict[str, Rule] = dict(RESAMPLING)


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


@rule(
    "sort", "topk", "argsort", "kthvalue", "nonzero", "unique", "_unique2", "unique_dim",
    "unique_consecutive", "bincount", "histc", "masked_select", "masked_scatter", "multinomial",
    "grid_sampler_2d", "grid_sampler_3d", "cudnn_grid_sampler", "_grid_sampler_2d_cpu_fallback",
    "fractional_max_pool2d", "fractional_max_pool3d", "max_unpool2d", "max_unpool3d",
    "searchsorted", "_embedding_bag", "_embedding_bag_forward_only", "_local_scalar_dense",
)  # fmt: skip
def sampled(op: Op) -> Geometry:
    """Which elements are read depends on their values."""
    return Whole(status=Status.DATA_DEPENDENT)


@rule("gather", "scatter", "scatter_add", "scatter_reduce", "index_add", "index_copy",
      "index_put", "_unsafe_index_put", "_index_put_impl", "index_fill", "put", "take",
      "take_along_dim")  # fmt: skip
def scattered(op: Op) -> Geometry:
    """Read or written at computed places: a bound, or dependent on data if the places are."""
    indices = op.args.get("index", op.args.get("indices"))
    parts = indices if isinstance(indices, (list, tuple)) else [indices]
    free = all(not isinstance(i, TensorArg) or i.state is None for i in parts)
    return Whole(status=Status.BOUND if free else Status.DATA_DEPENDENT)


@rule("index", "_unsafe_index", "index_select")
def index(op: Op) -> Geometry:
    """Elements at listed places: exact for one list of known numbers."""
    rank = len(op.first.shape)
    if op.name.endswith("index_select"):
        listed = {op["dim"] % rank: op["index"]}
    else:
        listed = {d: i for d, i in enumerate(op["indices"]) if isinstance(i, TensorArg)}
    if any(i.state is not None for i in listed.values()):
        return Whole(status=Status.DATA_DEPENDENT)
    if len(listed) != 1:
        return Whole(status=Status.BOUND)
    ((dim, chosen),) = listed.items()
    if op.first.state is None or chosen.values is None:
        return Whole(status=Status.BOUND)
    places = chosen.values()
    if len(chosen.shape) == 1 and places and isinstance(places[0], bool):
        places = [i for i, p in enumerate(places) if p]
    flat = _flat(places)
    size = op.first.shape[dim]
    if len(flat) != _count(op.outputs[0][dim : dim + rank_of(op) - rank + 1]) or any(
        isinstance(p, bool) for p in flat
    ):
        return Whole(status=Status.BOUND)

    def apply(algebra: Algebra, state: State, op: Op) -> State:
        return algebra.reshape(algebra.take(state, dim, [p % size for p in flat]), op.outputs[0])

    return moved(apply)


def rank_of(op: Op) -> int:
    """Rank of the first result."""
    return len(op.outputs[0])


def _flat(places: object) -> list[int]:
    if isinstance(places, list):
        return [p for part in places for p in _flat(part)]
    return [places] if isinstance(places, int) else []


def _count(sizes: Sequence[int]) -> int:
    return math.prod(sizes)


@rule("embedding")
def embedding(op: Op) -> Geometry:
    """Each element of the indices becomes a vector."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        weight, places = op["weight"], op["indices"]
        if weight.state is not None:
            return [algebra.whole(op.states, op.outputs[0], Status.DATA_DEPENDENT, op.name)]
        thin = algebra.reshape(places.state, (*places.shape, 1))
        return [algebra.broadcast(thin, op.outputs[0])]

    return apply


@rule("_fft_r2c", "_fft_c2c", "_fft_c2r")
def fourier(op: Op) -> Geometry:
    """Each frequency sees everything along the transformed dimensions."""
    dims = dims_of(op)
    return moved(
        lambda algebra, state, op: algebra.broadcast(
            algebra.reduce(state, dims, keep=1), op.outputs[0]
        )
    )


@rule("view_as_real")
def view_as_real(op: Op) -> Geometry:
    """Real and imaginary part become a last dimension."""
    return moved(
        lambda algebra, state, op: algebra.broadcast(
            algebra.reshape(state, (*state.shape, 1)), op.outputs[0]
        )
    )


@rule("view_as_complex")
def view_as_complex(op: Op) -> Geometry:
    """A last dimension of two becomes one number."""
    return Reduce(dims=(len(op.first.shape) - 1,))


@rule("glu")
def glu(op: Op) -> Geometry:
    """One half of a dimension gates the other."""

    def apply(algebra: Algebra, state: State, op: Op) -> State:
        dim = op["dim"] % len(state.shape)
        half = state.shape[dim] // 2
        parts = [algebra.take(state, dim, range(at, at + half)) for at in (0, half)]
        return algebra.join(parts, op.outputs[0])

    return moved(apply)


@rule("diagonal")
def diagonal(op: Op) -> Geometry:
    """Where two dimensions have the same index: those are mixed into a bound."""

    def apply(algebra: Algebra, state: State, op: Op) -> State:
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
    """Elements kept or set to zero by position."""
    return Pointwise()


@rule("native_layer_norm", "_fused_rms_norm", "rms_norm")
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

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
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


@rule("mv", "dot", "vdot", "addmv", "addr", "_cdist_forward", "_pdist_forward")
def vector_product(op: Op) -> Geometry:
    """Products with a vector and distances, bounded."""
    return Whole(status=Status.BOUND)


@rule("linear")
def linear(op: Op) -> Geometry:
    """The last dimension is mixed."""

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


@rule("permute", "t", "transpose")
def permute(op: Op) -> Geometry:
    """Dimensions in another order."""
    order = permutation(op.args, len(op.first.shape))
    return moved(lambda algebra, state, op: algebra.permute(state, order))


@rule("as_strided")
def as_strided(op: Op) -> Geometry:
    """A change of memory layout leaves a shape as it is; anything else is bounded."""
    shape = op.first.shape
    if shape == op.outputs[0] and sum(n > 1 for n in shape) <= 1:
        return Pointwise()
    return Whole(status=Status.BOUND)


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
    "native_dropout", "bernoulli", "_conj", "lift_fresh_copy", "masked_fill", "hardswish",
    "where", "silu", "gelu", "mish", "hardsigmoid", "log_sigmoid_forward", "rrelu_with_noise",
    "_prelu_kernel", "prelu", "softplus", "hardtanh", "elu", "leaky_relu", "threshold", "celu",
    "hardshrink", "softshrink", "logit", "nan_to_num", "clamp", "clamp_min", "clamp_max", "lerp",
    "addcmul", "addcdiv", "_fused_dropout", "frac", "bucketize", "isfinite", "isnan", "isinf",
    "rsub", "remainder", "floor_divide", "polar", "complex", "fake_quantize_per_tensor_affine",
)  # fmt: skip
def same(op: Op) -> Geometry:
    """Copies, casts, random masks, and pointwise operations that PyTorch does not tag as such."""
    return Pointwise()


@rule("copy")
def copy(op: Op) -> Geometry:
    """The destination's old contents are gone."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        source = op["src"].state
        return [None if source is None else algebra.broadcast(source, op.outputs[0])]

    return apply


@rule("slice_scatter", "select_scatter")
def scatter_part(op: Op) -> Geometry:
    """A slice replaced, the rest kept."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        base, piece = (
            t.state or State(shape=t.shape, groups=({},)) for t in (op["self"], op["src"])
        )
        dim = op["dim"] % len(base.shape)
        size = base.shape[dim]
        if op.name.endswith("select_scatter"):
            piece = algebra.reshape(piece, (*base.shape[:dim], 1, *base.shape[dim + 1 :]))
            return [algebra.write(base, dim, [op["index"] % size], piece)]
        positions = list(range(size)[slice(op["start"], op["end"], op["step"])])
        return [algebra.write(base, dim, positions, piece)]

    return apply


@rule(
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "new_zeros",
    "new_ones", "new_full", "new_empty", "zero", "fill", "new_empty_strided", "randint_like",
    "uniform", "normal", "exponential", "cauchy", "random", "log_normal", "geometric",
)  # fmt: skip
def fresh(op: Op) -> Geometry:
    """New tensors that only borrow a shape."""

    def apply(algebra: Algebra, op: Op) -> list[State | None]:
        value = op.args.get("value")
        filled = value.state if isinstance(value, TensorArg) else None
        return [None if filled is None else algebra.broadcast(filled, s) for s in op.outputs]

    return apply


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
        masked = op.args.get("is_causal") or isinstance(op.args.get("attn_mask"), TensorArg)
        if first is not None and masked:
            first = algebra.bounded(first, "attention mask")
        return [first, *[None] * (len(op.outputs) - 1)]

    return apply
