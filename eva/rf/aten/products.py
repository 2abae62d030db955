"""Matrix products, linear layers and attention: dimensions that are multiplied away or mixed."""

from __future__ import annotations

import numpy as np

from eva.rf.algebra import Algebra, FieldStatus, Seen
from eva.rf.aten.base import rule, with_weights
from eva.rf.rules import (
    Geometry,
    Op,
    TensorArg,
    Whole,
)


def product(algebra: Algebra, a: TensorArg, b: TensorArg, shape: tuple[int, ...]) -> Seen | None:
    """Matrix product (..., m, k) @ (..., k, n): rows of a, columns of b, k mixed."""
    parts = []
    if a.state is not None:
        parts.append(algebra.reduce(a.state, (len(a.shape) - 1,), keep=1))
    if b.state is not None:
        parts.append(algebra.reduce(b.state, (len(b.shape) - 2,), keep=1))
    if not parts:
        return None
    out = algebra.join(parts, shape)
    return out if a.zeros is None and b.zeros is None else algebra.bounded(out, MASKED)


MASKED = "zeros in a constant"


@rule("mul")
def multiply(op: Op) -> Geometry:
    """Pointwise; what is multiplied by a constant's zeros is not seen."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        out = algebra.join(op.states, op.outputs[0])
        for t in op.tensors:
            if t.zeros is True:
                out = algebra.bounded(out, MASKED)
            elif t.zeros is not None:
                out = algebra.hidden(out, ~t.zeros, MASKED)
        if any(isinstance(v, (int, float)) and v == 0 for v in (op["self"], op["other"])):
            out = algebra.bounded(out, MASKED)
        return [out]

    return apply


@rule("mm", "bmm")
def matmul(op: Op) -> Geometry:
    """Matrix product."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        a, b = op.tensors[:2]
        return [product(algebra, a, b, op.outputs[0])]

    return apply


@rule("addmm", "baddbmm")
def addmm(op: Op) -> Geometry:
    """Matrix product with something added."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        extra, a, b = op.tensors[:3]
        states = [product(algebra, a, b, op.outputs[0]), extra.state]
        known = [s for s in states if s is not None]
        return [algebra.join(known, op.outputs[0]) if known else None]

    return apply


@rule("_trilinear")
def trilinear(op: Op) -> Geometry:
    """Three tensors multiplied by broadcasting, and summed over some dimensions."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        shapes, parts = [], []
        for number, t in enumerate(op.tensors, start=1):
            shape = list(t.shape)
            for d in sorted(op[f"expand{number}"]):
                shape.insert(d, 1)
            shapes.append(tuple(shape))
            if t.state is not None:
                parts.append(algebra.reshape(t.state, tuple(shape)))
        together = algebra.join(parts, np.broadcast_shapes(*shapes))
        out = algebra.reduce(together, op["sumdim"], keep=None)
        plain = all(t.zeros is None for t in op.tensors)
        return [out if plain else algebra.bounded(out, MASKED)]

    return apply


@rule("_cdist_forward")
def distances(op: Op) -> Geometry:
    """Distances of the rows of two tensors: row i of the one, row j of the other."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        parts = []
        for t, turned in zip(op.tensors[:2], (False, True), strict=True):
            if t.state is not None:
                rank = len(t.shape)
                rows = algebra.reduce(t.state, (rank - 1,), keep=1)
                order = [*range(rank - 2), rank - 1, rank - 2]
                parts.append(algebra.permute(rows, order) if turned else rows)
        return [algebra.join(parts, op.outputs[0])]

    return apply


@rule("mv", "dot", "vdot", "addmv", "addr", "_pdist_forward")
def vector_product(op: Op) -> Geometry:
    """Products with a vector and distances, bounded; images of a batch may meet."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        return [algebra.whole(op.states, s, FieldStatus.BOUND, op.name, False) for s in op.outputs]

    return apply


@rule("mkldnn_rnn_layer", "_cudnn_rnn", "_pack_padded_sequence", "_pad_packed_sequence")
def packed(op: Op) -> Geometry:
    """A recurrent layer over sequences of several lengths, bounded."""
    return Whole(status=FieldStatus.BOUND)


@rule("linear")
def linear(op: Op) -> Geometry:
    """The last dimension is mixed."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state, out = op.first.state, op.outputs[0]
        mixed = None
        if state is not None:
            last = len(state.shape) - 1
            mixed = algebra.broadcast(algebra.reduce(state, (last,), keep=1), out)
            if op["weight"].zeros is not None:
                mixed = algebra.bounded(mixed, MASKED)

        def of_weight(state: Seen, shape: tuple[int, ...]) -> Seen:
            return algebra.broadcast(algebra.reduce(state, (1,), keep=None), shape)

        spread = {"weight": of_weight, "bias": algebra.broadcast}
        return with_weights(algebra, op, [mixed], spread)

    return apply


@rule("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
      "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_flash_attention",
      "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
      "_scaled_dot_product_attention_math", "higher_order.flex_attention")  # fmt: skip
def attention(op: Op) -> Geometry:
    """Each query sees its own row and every key and value."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
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
                if rank > 2 and state.shape[-3] != out[-3]:
                    dims = (*dims, rank - 3)
                parts.append(algebra.reduce(state, dims, keep=1))
        first = algebra.join(parts, out) if parts else None
        mask = op.args.get("attn_mask", op.args.get("attn_bias"))
        if isinstance(mask, TensorArg) and mask.state is not None:
            row = algebra.reduce(mask.state, (len(mask.shape) - 1,), keep=1)
            first = algebra.join([row] if first is None else [first, row], out)
        masked = (
            op.args.get("is_causal")
            or isinstance(mask, TensorArg)
            or not op.args.get("plain", True)
        )
        if first is not None and masked:
            first = algebra.bounded(first, "attention mask")
        if first is not None and op.name == "higher_order.flex_attention":
            rows = algebra.reduce(first, (rank - 1,), keep=None)
            return [first, rows, rows]  # the sum and the maximum of the scores of a row
        return [first, *[None] * (len(op.outputs) - 1)]

    return apply
