"""Tensors that share memory: writing into a slice changes the tensor it was cut from, and back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from eva.rf.algebra import Algebra, FieldStatus, Seen
from eva.rf.aten.base import permutation

STATE = "_eva_state"  # attributes of a tensor; they live exactly as long as it does
VIEW = "_eva_view"
VERSION = "_eva_version"


@dataclass(kw_only=True)
class View:
    """How a tensor was cut from another one.

    Args:
        base: The other one.
        name: The operation, such as ``aten.slice``.
        args: Its arguments.
        number: Which of the operation's results this is.
        sizes: Shapes of all results.
        version: Version of the base when the state was last computed.
    """

    base: torch.Tensor
    name: str
    args: Mapping[str, Any]
    number: int
    sizes: tuple[tuple[int, ...], ...]
    version: int


def version_of(tensor: torch.Tensor) -> int:
    """Grows with every write into the memory that the tensor shares."""
    view = getattr(tensor, VIEW, None)
    return version_of(view.base) if view is not None else getattr(tensor, VERSION, 0)


def written_base(algebra: Algebra, view: View, base: Seen, piece: Seen) -> Seen:
    """State of the base after ``piece`` was written into the view."""
    name, args, rank = view.name.removeprefix("aten."), view.args, len(base.shape)
    if name in ("view", "squeeze", "unsqueeze", "_reshape_alias", "reshape"):
        return algebra.reshape(piece, base.shape)
    if name in ("detach", "alias"):
        return piece
    if name in ("permute", "transpose", "t"):
        order = permutation(args, rank)
        return algebra.permute(piece, [order.index(d) for d in range(rank)])
    if name in ("slice", "select", "split", "split_with_sizes", "unbind"):
        dim = args["dim"] % rank
        thick = (*base.shape[:dim], 1, *base.shape[dim + 1 :])
        if name == "slice":
            positions = list(
                range(base.shape[dim])[slice(args["start"], args["end"], args["step"])]
            )
        elif name == "select":
            positions = [args["index"] % base.shape[dim]]
        elif name == "unbind":
            positions = [view.number]
        else:
            before = sum(s[dim] for s in view.sizes[: view.number])
            positions = list(range(before, before + view.sizes[view.number][dim]))
        if name in ("select", "unbind"):
            piece = algebra.reshape(piece, thick)
        return algebra.write(base, dim, positions, piece)
    return algebra.whole([base, piece], base.shape, FieldStatus.BOUND, f"write into {view.name}")
