"""What the axes of a value are: images, positions of a map, channels, or repeats of one number.

An axis is a tuple of atoms, the slowest first: flattening (channels, height, width) gives one axis
of three atoms, and a view that cuts it again finds the same three. An axis of size 1 has none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum


class AtomKind(StrEnum):
    """What moving along an atom means."""

    IMAGE = "image"  # another image of the batch
    PLACE = "place"  # another position of a map
    CHANNEL = "channel"  # another number of the same position
    EVEN = "even"  # the same number again


@dataclass(frozen=True, kw_only=True)
class Atom:
    """A part of an axis.

    Attributes:
        kind: What it is.
        size: Its extent.
        frame: Of positions: "y" or "x", with "-" where they are counted from the other end.
        cells: Of positions: how many see something of their own; padding and enlarging add none.
        pad: Of positions: how many at both ends are nothing but padding.
    """

    kind: AtomKind
    size: int
    frame: str = ""
    cells: int = 0
    pad: tuple[int, int] = (0, 0)


MapAxis = tuple[Atom, ...]


class Inseparable(Exception):
    """A view cuts positions where no axis begins."""


def channel(size: int) -> MapAxis:
    """An axis of different numbers."""
    return (Atom(kind=AtomKind.CHANNEL, size=size),) if size != 1 else ()


def even(size: int) -> MapAxis:
    """An axis along which a value repeats."""
    return (Atom(kind=AtomKind.EVEN, size=size),) if size != 1 else ()


def images(size: int) -> MapAxis:
    """The axis of a batch."""
    return (Atom(kind=AtomKind.IMAGE, size=size),) if size != 1 else ()


def place(size: int, frame: str, cells: int, pad: tuple[int, int] = (0, 0)) -> MapAxis:
    """Positions of a map."""
    if size == 1:
        return ()
    return (Atom(kind=AtomKind.PLACE, size=size, frame=frame, cells=cells, pad=pad),)


def extent(axis: MapAxis) -> int:
    """Its size."""
    return math.prod(atom.size for atom in axis)


def has(axes: tuple[MapAxis, ...] | list[MapAxis], kind: AtomKind) -> bool:
    """Whether any axis has an atom of a kind."""
    return any(atom.kind is kind for axis in axes for atom in axis)


def cut(atom: Atom, first: int) -> tuple[Atom, Atom]:
    """An atom as two, the slower of extent ``first``.

    Of positions the slower part is a coarser grid and the faster one the numbers within a cell,
    as a strided convolution sees them.
    """
    rest = atom.size // first
    if atom.kind is AtomKind.PLACE:
        coarse = replace(atom, size=first, cells=min(first, atom.cells), pad=(0, 0))
        return coarse, Atom(kind=AtomKind.CHANNEL, size=rest)
    return replace(atom, size=first), replace(atom, size=rest)


def regroup(axes: tuple[MapAxis, ...], shape: tuple[int, ...]) -> tuple[MapAxis, ...]:
    """Axes of a value after a view of another shape.

    Raises:
        Inseparable: A new axis begins or ends inside of an atom in an uneven way.
    """
    if not math.prod(shape):
        raise Inseparable
    waiting = [atom for axis in axes for atom in axis][::-1]
    found: list[MapAxis] = []
    for size in shape:
        axis: list[Atom] = []
        missing = size
        while missing > 1:
            if not waiting:
                raise Inseparable
            atom = waiting.pop()
            if missing % atom.size and atom.size % missing:
                common = math.gcd(missing, atom.size)
                if common == 1 or atom.kind is AtomKind.PLACE:
                    raise Inseparable
                atom, rest = cut(atom, common)
                waiting.append(rest)
            elif atom.size > missing:
                atom, rest = cut(atom, missing)
                waiting.append(rest)
            axis.append(atom)
            missing //= atom.size
        found.append(tuple(axis))
    if waiting:
        raise Inseparable
    return tuple(found)


def refine(one: MapAxis, other: MapAxis) -> tuple[list[Atom], list[Atom]]:
    """Two axes of one size as atoms of the same sizes.

    Raises:
        Inseparable: Their parts do not fit.
    """
    left, right = list(one)[::-1], list(other)[::-1]
    first: list[Atom] = []
    second: list[Atom] = []
    while left and right:
        a, b = left.pop(), right.pop()
        if a.size != b.size:
            small, large = (a, b) if a.size < b.size else (b, a)
            if large.size % small.size or large.kind is AtomKind.PLACE:
                raise Inseparable
            start, rest = cut(large, small.size)
            if large is a:
                a = start
                left.append(rest)
            else:
                b = start
                right.append(rest)
        first.append(a)
        second.append(b)
    if left or right:
        raise Inseparable
    return first, second


def turned(axis: MapAxis) -> MapAxis:
    """The axis read from its other end."""
    return tuple(
        replace(atom, frame=atom.frame.removesuffix("-") + "-" * (not atom.frame.endswith("-")))
        if atom.kind is AtomKind.PLACE
        else atom
        for atom in axis
    )
