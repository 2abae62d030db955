"""Matrix products, linear layers and attention: dimensions that are multiplied away or mixed."""

from __future__ import annotations

from eva.rf.algebra import Algebra, Seen, Status
from eva.rf.aten.base import rule
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
    return algebra.join(parts, shape) if parts else None


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


@rule("mv", "dot", "vdot", "addmv", "addr", "_cdist_forward", "_pdist_forward")
def vector_product(op: Op) -> Geometry:
    """Products with a vector and distances, bounded."""
    return Whole(status=Status.BOUND)


@rule("linear")
def linear(op: Op) -> Geometry:
    """The last dimension is mixed."""

    def apply(algebra: Algebra, op: Op) -> list[Seen | None]:
        state = op.first.state
        if state is None:
            return [None]
        last = len(state.shape) - 1
        mixed = algebra.reduce(state, (last,), keep=1)
        return [algebra.broadcast(mixed, op.outputs[0])]

    return apply


@rule("scaled_dot_product_attention", "_scaled_dot_product_flash_attention_for_cpu",
      "_scaled_dot_product_fused_attention_overrideable", "_scaled_dot_product_flash_attention",
      "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention",
      "_scaled_dot_product_attention_math")  # fmt: skip
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
                parts.append(algebra.reduce(state, dims, keep=1))
        first = algebra.join(parts, out) if parts else None
        masked = op.args.get("is_causal") or isinstance(op.args.get("attn_mask"), TensorArg)
        if first is not None and masked:
            first = algebra.bounded(first, "attention mask")
        return [first, *[None] * (len(op.outputs) - 1)]

    return apply
