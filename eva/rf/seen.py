"""What every element of a tensor sees of the inputs, and how it changes under tensor operations.

A tensor's :class:`Seen` says, for each spatial axis of each input, which positions an element
sees. Elements usually differ along one dimension only (rows see rows, columns see columns), so the
state is a few :class:`Term` s: "along tensor dimension 2, unit u sees these rows". A residual or
a broadcast that joins terms of different dimensions keeps both; what an element sees is their
union. Channels that see different things (after a concatenation) are kept apart as ``groups``
until an operation mixes them.
"""

from __future__ import annotations

import functools
import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eva.rf.geometry import Window, shift

Masks = npt.NDArray[Any]  # of Python integers, dtype object: bit masks of any width
LIMIT = 1 << 20  # elements up to which a reshaped pattern is followed exactly


class Status(StrEnum):
    """How far a receptive field can be trusted, from best to worst."""

    EXACT = "exact"
    WHOLE_INPUT = "whole-input"
    BOUND = "bound"
    DATA_DEPENDENT = "data-dependent"
    UNKNOWN = "unknown"


RANK = {status: rank for rank, status in enumerate(Status)}


def worst(statuses: Iterable[Status]) -> Status:
    """The least trustworthy of them; ``exact`` for none."""
    return max(statuses, key=RANK.__getitem__, default=Status.EXACT)


class Axis(NamedTuple):
    """One spatial axis of one input: which input, and which of its tensor dimensions."""

    input: int
    dim: int
    size: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Line:
    """Which input positions the units along some tensor dimensions see.

    Args:
        masks: One bit mask a unit; as many array dimensions as the term has tensor dimensions.
        window: The same without borders, for any image size; ``None`` where nothing repeats.
        status: How far it can be trusted.
        misaligned: Branches of unequal centers or speeds were joined.
        causes: Names of the operations that made it worse than exact.
        origin: What it was before its dimensions were joined with others by a reshape.
    """

    masks: Masks
    window: Window | None
    status: Status = Status.EXACT
    misaligned: bool = False
    causes: frozenset[str] = frozenset()
    origin: Origin | None = None

    @functools.cached_property
    def hollow(self) -> bool:
        """Whether some unit sees nothing."""
        return any(not m for m in self.masks.flat)


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """A line before a reshape joined its dimensions with others: rows, before rows x columns.

    Args:
        shape: Of the joined dimensions, before.
        varying: Which of them the line varied along.
        line: The line then.
    """

    shape: tuple[int, ...]
    varying: tuple[int, ...]
    line: Line


class Term(NamedTuple):
    """A line and the tensor dimensions, ascending, along which it varies."""

    dims: tuple[int, ...]
    line: Line


Fields = Mapping[Axis, tuple[Term, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What the elements of a tensor see.

    Args:
        shape: Of the tensor.
        groups: Different fields that occur in it; one unless channels differ.
        which: Dimensions and array that say which group an element belongs to.
    """

    shape: tuple[int, ...]
    groups: tuple[Fields, ...]
    which: tuple[tuple[int, ...], npt.NDArray[np.int64]] | None = None


def objects(masks: Sequence[int]) -> Masks:
    """A one-dimensional array of Python integers."""
    out = np.empty(len(masks), dtype=object)
    out[:] = masks
    return out


def scalar(mask: int) -> Masks:
    """A zero-dimensional array of one Python integer."""
    out = np.empty((), dtype=object)
    out[()] = mask
    return out


def full(axis: Axis) -> int:
    """Mask of every position of the axis."""
    return (1 << axis.size) - 1


def any_of(masks: Masks) -> int:
    """Positions that at least one unit sees."""
    return functools.reduce(operator.or_, set(masks.flat), 0)


def differs(masks: Masks, axis: int) -> bool:
    """Whether units differ along an array axis."""
    if masks.shape[axis] == 1:
        return False
    head = np.take(masks, [0], axis=axis)
    return bool((masks != head).any())


def straight(positions: Sequence[int]) -> Window | None:
    """The window of a regular choice of positions, up to a seam (a roll); else ``None``.

    Of several regular runs with one step, the first longest speaks, if it is no less than a half.
    """
    if len(positions) < 2:
        return shift(positions[0]) if positions else None
    steps = [b - a for a, b in itertools.pairwise(positions)]
    best, at, begin = 0, 0, 0
    for i in range(1, len(steps) + 1):
        if i == len(steps) or steps[i] != steps[begin]:
            if i - begin + 1 > best:
                best, at = i - begin + 1, begin
            begin = i
    if 2 * best < len(positions) or best < 2:
        return None
    return shift(positions[at] - at * steps[at], steps[at])


def alike(a: Window | None, b: Window | None) -> bool:
    """Whether two windows are the same but for a translation."""
    if a is None or b is None or (a.period, a.advance) != (b.period, b.advance):
        return a is b
    moved = b.taps[0].low - a.taps[0].low
    return all(s.moved(moved) == t for s, t in zip(a.taps, b.taps, strict=True))


def spread(
    which: tuple[tuple[int, ...], npt.NDArray[np.int64]] | None,
    dims: tuple[int, ...],
    shape: tuple[int, ...],
    filled: int | None = None,
) -> npt.NDArray[np.int64]:
    """Group numbers over ``dims``, size 1 where they do not vary (full size along ``filled``)."""
    own, index = which if which is not None else ((), np.zeros((), dtype=np.int64))
    index = index.reshape([shape[d] if d in own else 1 for d in dims])
    if filled is not None and filled not in own:
        index = np.repeat(index, shape[filled], axis=dims.index(filled))
    return index


def reshape_blocks(
    old: tuple[int, ...], new: tuple[int, ...]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Smallest runs of dimensions that hold the same elements before and after a reshape."""
    blocks = []
    i = j = 0
    while i < len(old) or j < len(new):
        a, b = [], []
        have, want = 1, 1
        if i < len(old):
            a, have, i = [i], old[i], i + 1
        if j < len(new):
            b, want, j = [j], new[j], j + 1
        while have != want:
            if have < want:
                a.append(i)
                have, i = have * old[i], i + 1
            else:
                b.append(j)
                want, j = want * new[j], j + 1
        blocks.append((tuple(a), tuple(b)))
    return blocks
