"""Positions of a map: which axes they are, and what a tensor is with them in another order."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor


def count(value: Tensor, axes: tuple[int, ...]) -> int:
    """How many positions the axes have together."""
    return math.prod(value.shape[a] for a in axes)


def candidates(value: object, wanted: int) -> list[tuple[int, ...]]:
    """Neighboring axes, one or two, that could be the positions."""
    if not isinstance(value, Tensor) or wanted < 2:
        return []
    one = [(a,) for a in range(1, value.ndim)]
    two = [(a, a + 1) for a in range(1, value.ndim - 1)]
    return [axes for axes in (*two[::-1], *one) if count(value, axes) == wanted]


def flatten(value: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """Positions as the last axis, and the way back."""
    rest = [a for a in range(value.ndim) if a not in axes]
    order = [*rest, *axes]
    shape = [value.shape[a] for a in order]
    flat = value.permute(order).reshape([value.shape[a] for a in rest] + [-1])
    inverse = [order.index(a) for a in range(value.ndim)]
    return flat, lambda f: f.reshape(shape).permute(*inverse).contiguous()


def permute(value: Tensor, axes: tuple[int, ...], order: Tensor) -> Tensor:
    """The same map with its positions in another order."""
    flat, back = flatten(value, axes)
    return back(flat[..., order])


def close(one: object, other: object) -> bool:
    """Equal up to rounding, seen from the size of the larger numbers."""
    if not isinstance(one, Tensor) or not isinstance(other, Tensor) or one.shape != other.shape:
        return False
    if not one.is_floating_point():
        return torch.equal(one, other)
    scale = float(other.detach().abs().nan_to_num(0, 0, 0).max()) if other.numel() else 0.0
    return torch.allclose(one, other, rtol=1e-3, atol=1e-5 * scale + 1e-7, equal_nan=True)


def orders(wanted: int, generator: torch.Generator) -> list[Tensor]:
    """Permutations of positions: a cycle and a swap make up all others; one more by chance."""
    cycle = torch.arange(wanted).roll(1)
    swap = torch.arange(wanted)
    swap[0], swap[-1] = wanted - 1, 0
    return [cycle, swap, torch.randperm(wanted, generator=generator)]
