"""Interpolation and padding along one axis: which inputs have a weight other than zero; no torch.

Weights are followed as fractions, so an input whose weight is exactly zero is not seen. A scale
factor is taken as the simplest fraction with a denominator up to 10,000.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np

from eva.rf.geometry import AxisMap, Window, offset, taps

Weights = Callable[[int], list[int]]  # output unit -> input positions, borders not considered
LONGEST = 4096  # output units after which a pattern must repeat


def ratio(size: int, count: int, scale: float | None) -> Fraction:
    """Input pixels for each output unit, as PyTorch computes it: from the scale if it is given."""
    if scale is None or scale <= 0:
        return Fraction(size, count)
    return 1 / Fraction(scale).limit_denominator(10_000)


def nearest(size: int, count: int, scale: float | None = None, exact: bool = False) -> AxisMap:
    """Nearest neighbor; ``exact`` rounds at pixel centers as ``nearest-exact`` does.

    PyTorch multiplies in single precision, so the units of a size are computed likewise.
    """
    r = ratio(size, count, scale)
    offset = Fraction(1, 2) if exact else Fraction(0)
    step = np.float32(1.0 / scale if scale is not None and scale > 0 else size / count)
    if count == size:
        step = np.float32(1.0)
    places = np.floor((np.arange(count, dtype=np.float32) + np.float32(offset)) * step)
    reads = tuple((min(int(p), size - 1),) for p in places)
    return AxisMap(
        count=count, window=_window(r, lambda u: [math.floor((u + offset) * r)]), reads=reads
    )


def linear_weights(
    size: int, count: int, scale: float | None = None, align_corners: bool = False
) -> AxisMap:
    """Linear interpolation along one axis (one axis of bilinear and trilinear)."""
    r, at = _places(size, count, scale, align_corners)

    def seen(unit: int) -> list[int]:
        return _two(at(unit))

    reads = tuple(
        tuple(sorted({min(i, size - 1) for i in _two(max(at(u), Fraction(0)))}))
        for u in range(count)
    )
    return AxisMap(count=count, window=_window(r, seen), reads=reads)


def cubic(
    size: int, count: int, scale: float | None = None, align_corners: bool = False
) -> AxisMap:
    """Cubic interpolation along one axis: four neighbors, one where the unit is on a pixel."""
    r, at = _places(size, count, scale, align_corners)

    def seen(unit: int) -> list[int]:
        place = at(unit)
        low = math.floor(place)
        return [low] if place == low else [low - 1, low, low + 1, low + 2]

    reads = tuple(tuple(sorted({min(max(i, 0), size - 1) for i in seen(u)})) for u in range(count))
    return AxisMap(count=count, window=_window(r, seen), reads=reads)


def antialiased(
    size: int, count: int, reach: int, scale: float | None = None, align_corners: bool = False
) -> AxisMap:
    """Interpolation with a filter as wide as the reduction; ``reach`` 1 linear, 2 cubic."""
    if align_corners:
        r = Fraction(size - 1, count - 1) if count > 1 else Fraction(0)
    else:
        r = ratio(size, count, scale)
    wide = max(r, Fraction(1))

    def seen(unit: int) -> list[int]:
        center = r * (unit + Fraction(1, 2))
        low = math.floor(center - reach * wide + Fraction(1, 2))
        high = math.floor(center + reach * wide + Fraction(1, 2))
        found = []
        for i in range(low, high):
            x = abs((i - center + Fraction(1, 2)) / wide)
            if x < reach and (x == 0 or x.denominator != 1):
                found.append(i)
        return found

    reads = tuple(tuple(i for i in seen(u) if 0 <= i < size) for u in range(count))
    return AxisMap(count=count, window=_window(r, seen), reads=reads)


def _places(
    size: int, count: int, scale: float | None, align_corners: bool
) -> tuple[Fraction, Callable[[int], Fraction]]:
    if align_corners:
        r = Fraction(size - 1, count - 1) if count > 1 else Fraction(0)
        return r, lambda u: u * r
    r = ratio(size, count, scale)
    return r, lambda u: (u + Fraction(1, 2)) * r - Fraction(1, 2)


def _two(place: Fraction) -> list[int]:
    low = math.floor(place)
    return [low] if place == low else [low, low + 1]


def _window(r: Fraction, seen: Weights) -> Window | None:
    if r.denominator > LONGEST:
        return None
    phases = tuple(taps(seen(u)) for u in range(r.denominator))
    return Window(period=r.denominator, advance=r.numerator, taps=phases).simplified()


def padded(size: int, before: int, after: int, mode: str) -> AxisMap:
    """Padding by ``reflect`` or ``replicate``; negative amounts crop."""
    places = range(-before, size + after)
    if mode == "reflect":
        reads = tuple((_reflected(i, size),) for i in places)
    else:
        reads = tuple((min(max(i, 0), size - 1),) for i in places)
    return AxisMap(count=len(reads), window=offset(-before), reads=reads)


def _reflected(place: int, size: int) -> int:
    place = abs(place)
    return place if place < size else 2 * (size - 1) - place
