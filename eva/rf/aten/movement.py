"""Rules for PyTorch's views, slices, indices, copies and pointwise leftovers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from eva.rf.algebra import Algebra, FieldStatus, Seen
from eva.rf.aten.base import dims_of, moved, permutation, rule
from eva.rf.geometry import AxisMap, offset
from eva.rf.rules import (
    Geometry,
    Op,
    Pointwise,
    Reduce,
    Sliding,
    TensorArg,
    Whole,
)

MASK = "a mask whose numbers are not known"
HIDING = -1e4  # numbers below it are meant to hide something from a softmax


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
    return Whole(status=FieldStatus.BOUND)


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
    given = op.args.get("shifts", ())
    shifts = given if isinstance(given, (list, tuple)) else [given]
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
        for d, by in zip(op["dims"], shifts if op["dims"] else (), strict=True):
            picks[d % rank] = [(i - by) % shape[d % rank] for i in range(shape[d % rank])]
    else:
        lead = len(op["repeats"]) - rank
        picks = {
            d: [i % shape[d] for i in range(shape[d] * op["repeats"][d + lead])]
            for d in range(rank)
            if op["repeats"][d + lead] != 1
        }

    def apply(algebra: Algebra, state: Seen, op: Op) -> Seen:
        if short == "roll" and not op["dims"]:  # all numbers as one line
            count = math.prod(shape)
            line = algebra.reshape(state, (count,))
            turned = algebra.take(line, 0, [(i - shifts[0]) % count for i in range(count)])
            return algebra.reshape(turned, shape)
        for d, positions in picks.items():
            state = algebra.take(state, d, positions, drop=short == "select")
        return algebra.broadcast(state, op.outputs[0])

    return moved(apply)


@rule(
    "split", "split_with_sizes", "unbind", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk"
)
def split(op: Op) -> Geometry:
    """Cut into pieces along one dimension."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return [None] * len(op.outputs)
        rank = len(state.shape)
        dim = op["dim"] % rank
        out: list[Seen | None] = []
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

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        rank = len(op.outputs[0])
        parts = [t for t in op.tensors if t.shape != (0,)] or [op.first]
        states = [t.state or Seen(shape=t.shape, groups=({},)) for t in parts]
        return [algebra.concat(states, op["dim"] % rank, op.outputs[0])]

    return apply


@rule("stack")
def stack(op: Op) -> Geometry:
    """Side by side along a new dimension."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        out = op.outputs[0]
        dim = op["dim"] % len(out)
        thin = (*out[:dim], 1, *out[dim + 1 :])
        states = [
            algebra.reshape(t.state or Seen(shape=t.shape, groups=({},)), thin) for t in op.tensors
        ]
        return [algebra.concat(states, dim, out)]

    return apply


@rule("constant_pad_nd")
def constant_pad(op: Op) -> Geometry:
    """Padding with a number, or cropping where it is negative."""
    rank, pad = len(op.first.shape), op["pad"]
    maps = {
        rank - 1 - i: AxisMap(count=op.outputs[0][rank - 1 - i], window=offset(-pad[2 * i]))
        for i in range(len(pad) // 2)
    }
    return Sliding(maps=maps)


@rule(
    "clone", "contiguous", "_to_copy", "to", "detach", "alias", "lift_fresh", "dropout",
    "native_dropout", "bernoulli", "_conj", "lift_fresh_copy", "hardswish",
    "silu", "gelu", "mish", "hardsigmoid", "log_sigmoid_forward", "rrelu_with_noise",
    "_prelu_kernel", "prelu", "softplus", "hardtanh", "elu", "leaky_relu", "threshold", "celu",
    "hardshrink", "softshrink", "logit", "nan_to_num", "clamp", "clamp_min", "clamp_max", "lerp",
    "addcmul", "addcdiv", "_fused_dropout", "frac", "bucketize", "isfinite", "isnan", "isinf",
    "rsub", "remainder", "floor_divide", "polar", "complex", "fake_quantize_per_tensor_affine",
)  # fmt: skip
def same(op: Op) -> Geometry:
    """Copies, casts, random masks, and pointwise operations that PyTorch does not tag as such."""
    return Pointwise()


def _pattern(mask: TensorArg) -> Any:
    """Where a constant mask is true; ``None`` where that is not known."""
    if mask.zeros is None or mask.zeros is True:
        return None
    return ~np.asarray(mask.zeros)


@rule("masked_fill")
def masked_fill(op: Op) -> Geometry:
    """What a constant mask covers is not seen; one that depends on the input is."""
    mask = op["mask"]

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        out = algebra.join(op.states, op.outputs[0])
        if mask.state is not None:
            return [out]
        value = op["value"]
        covered = _pattern(mask)
        if covered is None or isinstance(value, TensorArg) or value < HIDING:
            return [algebra.bounded(out, MASK if covered is None else "attention mask")]
        return [algebra.hidden(out, ~covered, op.name)]

    return apply


@rule("where")
def where(op: Op) -> Geometry:
    """A choice by a constant mask sees what it chooses; one by the input sees both, and it."""
    mask = op.args.get("condition")

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        shape = op.outputs[0]
        if not isinstance(mask, TensorArg) or mask.state is not None:
            return [algebra.join(op.states, shape)]
        chosen = _pattern(mask)
        parts = []
        for key, there in (("self", chosen), ("other", None if chosen is None else ~chosen)):
            part = op[key].state if isinstance(op[key], TensorArg) else None
            if part is not None:
                part = algebra.broadcast(part, shape)
                known = there is not None
                parts.append(
                    algebra.hidden(part, there, op.name) if known else algebra.bounded(part, MASK)
                )
        return [algebra.join(parts, shape)]

    return apply


@rule("rot90")
def rot90(op: Op) -> Geometry:
    """A plane turned by quarters: dimensions swapped and mirrored."""
    shape = op.first.shape
    rank = len(shape)
    first, second = (d % rank for d in op["dims"])
    turns = op["k"] % 4
    order = list(range(rank))
    if turns % 2:
        order[first], order[second] = second, first
    mirrored = {0: (), 1: (first,), 2: (first, second), 3: (second,)}[turns]

    def apply(algebra: Algebra, state: Seen, op: Op) -> Seen:
        state = algebra.permute(state, order)
        for d in mirrored:
            state = algebra.take(state, d, range(state.shape[d] - 1, -1, -1))
        return state

    return moved(apply)


@rule("copy")
def copy(op: Op) -> Geometry:
    """The destination's old contents are gone."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        source = op["src"].state
        return [None if source is None else algebra.broadcast(source, op.outputs[0])]

    return apply


@rule("slice_scatter", "select_scatter")
def scatter_part(op: Op) -> Geometry:
    """A slice replaced, the rest kept."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        base, piece = (
            t.state or Seen(shape=t.shape, groups=({},)) for t in (op["self"], op["src"])
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

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        value = op.args.get("value")
        filled = value.state if isinstance(value, TensorArg) else None
        return [None if filled is None else algebra.broadcast(filled, s) for s in op.outputs]

    return apply


@rule("index", "_unsafe_index", "index_select")
def index(op: Op) -> Geometry:
    """Elements at listed places: exact for one list of known numbers."""
    rank = len(op.first.shape)
    if op.name.endswith("index_select"):
        listed = {op["dim"] % rank: op["index"]}
    else:
        listed = {d: i for d, i in enumerate(op["indices"]) if isinstance(i, TensorArg)}
    apart = 0 not in listed
    if any(i.state is not None for i in listed.values()):
        return Whole(status=FieldStatus.DATA_DEPENDENT, apart=apart)
    if len(listed) != 1:
        return Whole(status=FieldStatus.BOUND, apart=apart)
    ((dim, chosen),) = listed.items()
    if op.first.state is None or chosen.values is None:
        return Whole(status=FieldStatus.BOUND, apart=apart)
    places = chosen.values()
    if len(chosen.shape) == 1 and places and isinstance(places[0], bool):
        places = [i for i, p in enumerate(places) if p]
    flat = _flat(places)
    size = op.first.shape[dim]
    if len(flat) != _count(op.outputs[0][dim : dim + rank_of(op) - rank + 1]) or any(
        isinstance(p, bool) for p in flat
    ):
        return Whole(status=FieldStatus.BOUND, apart=apart)

    def apply(algebra: Algebra, state: Seen, op: Op) -> Seen:
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

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        weight, places = op["weight"], op["indices"]
        if weight.state is not None:
            return [algebra.whole(op.states, op.outputs[0], FieldStatus.DATA_DEPENDENT, op.name)]
        thin = algebra.reshape(places.state, (*places.shape, 1))
        return [algebra.broadcast(thin, op.outputs[0])]

    return apply


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
