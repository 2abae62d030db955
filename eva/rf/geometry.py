"""What one unit sees along one axis: exact integer arithmetic, no torch.

Everything here rests on one observation. Along one axis, a convolution, a pool or an upsampling
lets unit ``u`` of its output read a set of units of its input, and that set repeats: after
``period`` output units it is the same set, moved by ``advance`` input units. Such a repeating set
is a :class:`Window`. A 3-wide convolution with stride 2 has period 1 and advance 2; a nearest
upsampling by 2 has period 2 and advance 1. Two operations in a row are again a window
(:meth:`Window.after`), and so is the union of two branches (:meth:`Window.union`). The receptive
field of a layer is the window of all operations before it.

Sets of positions are integers used as bit masks: bit ``i`` set means position ``i`` is seen. Union
is ``|``, moving is ``<<``, the number of positions is ``int.bit_count``.

References:
    Araujo, Norris, Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill 2019.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple


class Taps(NamedTuple):
    """A set of positions, any sign: bit ``i`` of ``bits`` is position ``low + i``."""

    low: int
    bits: int

    @property
    def span(self) -> int:
        """Positions from the first to the last that is seen; 0 for the empty set."""
        return self.bits.bit_length()

    def moved(self, by: int) -> Taps:
        """The same set, ``by`` positions further."""
        return Taps(self.low + by, self.bits) if self.bits else NOTHING

    def positions(self) -> list[int]:
        """Every position that is seen, ascending."""
        return [self.low + i for i in range(self.span) if self.bits >> i & 1]


NOTHING = Taps(0, 0)


def taps(positions: Iterable[int]) -> Taps:
    """The set of these positions."""
    seen = sorted(set(positions))
    return Taps(seen[0], sum(1 << (p - seen[0]) for p in seen)) if seen else NOTHING


def union(sets: Iterable[Taps]) -> Taps:
    """Positions that at least one of the sets sees."""
    filled = [s for s in sets if s.bits]
    if not filled:
        return NOTHING
    low = min(s.low for s in filled)
    bits = 0
    for s in filled:
        bits |= s.bits << (s.low - low)
    return Taps(low, bits)


@dataclass(frozen=True, kw_only=True)
class Window:
    """What unit ``u`` sees: ``taps[u % period]`` moved by ``u // period * advance``.

    Args:
        period: Output units after which the pattern repeats; at least 1.
        advance: Input units by which it has moved then; 0 for a window that stands still.
        taps: One set for each of the ``period`` phases.
    """

    period: int
    advance: int
    taps: tuple[Taps, ...]

    def at(self, unit: int) -> Taps:
        """What ``unit`` sees, borders not considered."""
        turns, phase = divmod(unit, self.period)
        return self.taps[phase].moved(turns * self.advance)

    def after(self, inner: Window) -> Window:
        """This window over the outputs of ``inner``, seen from the inputs of ``inner``.

        If every unit of ``inner`` needs ``p`` pixels to repeat, this one repeats when its own
        pattern has moved by a multiple of ``p``.
        """
        turns = inner.period // math.gcd(self.advance, inner.period)
        period = self.period * turns
        advance = self.advance * turns // inner.period * inner.advance
        seen = tuple(union(inner.at(i) for i in self.at(u).positions()) for u in range(period))
        return Window(period=period, advance=advance, taps=seen).simplified()

    def union(self, other: Window) -> Window | None:
        """Both branches together; ``None`` when they move at different speeds."""
        if self.jump != other.jump:
            return None
        period = math.lcm(self.period, other.period)
        advance = self.advance * (period // self.period)
        seen = tuple(union((self.at(u), other.at(u))) for u in range(period))
        return Window(period=period, advance=advance, taps=seen).simplified()

    def simplified(self) -> Window:
        """The same window with the smallest period."""
        for period in range(1, self.period):
            if self.period % period or self.advance * period % self.period:
                continue
            advance = self.advance * period // self.period
            short = Window(period=period, advance=advance, taps=self.taps[:period])
            if all(short.at(u) == self.taps[u] for u in range(period, self.period)):
                return short
        return self

    @property
    def jump(self) -> Fraction:
        """Input pixels between neighboring units; 1/2 after an upsampling by 2."""
        return Fraction(self.advance, self.period)

    @property
    def size(self) -> int:
        """Pixels from the first to the last that is seen, for the phase that sees the most."""
        return max(t.span for t in self.taps)

    @property
    def min_size(self) -> int:
        """The same for the phase that sees the least; 0 where units see nothing."""
        return min(t.span for t in self.taps)

    @property
    def density(self) -> Fraction:
        """Share of the widest phase that is really seen: 3/7 for k1 s3 followed by k3."""
        widest = max(self.taps, key=lambda t: (t.span, t.bits.bit_count()))
        return Fraction(widest.bits.bit_count(), widest.span) if widest.bits else Fraction(0)

    @property
    def start(self) -> Fraction | None:
        """Center of unit 0 in pixels; 0 is the center of the first pixel.

        Where unit 0 sees nothing, the first unit that sees something, moved back by its jumps.
        """
        centers = self._centers
        return centers[0] if centers else None

    @cached_property
    def drift(self) -> Fraction | None:
        """Mean over the phases of (center - unit * jump): equal for branches that are aligned."""
        centers = self._centers
        return sum(centers, Fraction(0)) / len(centers) if centers else None

    @cached_property
    def _centers(self) -> list[Fraction]:
        return [
            t.low + Fraction(t.span - 1, 2) - phase * self.jump
            for phase, t in enumerate(self.taps)
            if t.bits
        ]


def effective_padding(start: Fraction, size: int) -> Fraction:
    """Padding P such that unit u is centered at ``-P + u * jump + (size - 1) / 2``.

    Args:
        start: Center of unit 0, in input pixels; 0 is the center of the first pixel.
        size: Receptive field along the axis, in pixels.

    Returns:
        P in pixels; half-integers occur for even sizes.

    References:
        Araujo, Norris, Sim: Computing Receptive Fields of Convolutional Neural Networks, Distill
        2019.
    """
    return Fraction(size - 1, 2) - start


def sliding(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Window:
    """Convolution or pooling: unit u reads ``u * stride - padding + k * dilation``."""
    seen = taps(k * dilation - padding for k in range(kernel))
    return Window(period=1, advance=stride, taps=(seen,))


def transposed(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Window:
    """Transposed convolution: input i writes to ``i * stride - padding + k * dilation``."""
    phases = tuple(
        taps(
            (r + padding - k * dilation) // stride
            for k in range(kernel)
            if (r + padding - k * dilation) % stride == 0
        )
        for r in range(stride)
    )
    return Window(period=stride, advance=1, taps=phases).simplified()


def offset(by: int, step: int = 1) -> Window:
    """Crop, pad or slice: unit u is unit ``by + u * step``; a negative step mirrors."""
    return Window(period=1, advance=step, taps=(Taps(by, 1),))


IDENTITY = offset(0)


def adaptive(size: int, count: int) -> Window:
    """Adaptive pooling from ``size`` to ``count`` bins: ``floor(u*n/o)`` to ``ceil((u+1)*n/o)``."""
    common = math.gcd(size, count)
    period, advance = count // common, size // common
    bins = tuple(taps(range(u * size // count, -(-(u + 1) * size // count))) for u in range(period))
    return Window(period=period, advance=advance, taps=bins)


@dataclass(frozen=True, kw_only=True)
class AxisMap:
    """One operation along one tensor dimension, at the given size.

    Args:
        count: Number of output units.
        window: What a unit far from every border reads; ``None`` where no pattern repeats.
        reads: What each of the ``count`` units reads at this size, where borders bend the window
            (reflecting pads, clamped interpolation); ``None`` where they only cut it off.
    """

    count: int
    window: Window | None
    reads: tuple[tuple[int, ...], ...] | None = None

    def inputs(self, unit: int, size: int) -> Sequence[int]:
        """Input units that output ``unit`` reads, all in ``range(size)``."""
        if self.reads is not None:
            return self.reads[unit]
        if self.window is None:
            return range(size)
        return [i for i in self.window.at(unit).positions() if 0 <= i < size]

    def apply(self, masks: Sequence[int]) -> list[int]:
        """Carry one bit mask an input unit over to one bit mask an output unit."""
        size = len(masks)
        if self.reads is None and self.window is not None and self.window.period == 1:
            return self._slide(masks, self.window)
        out = []
        for unit in range(self.count):
            mask = 0
            for i in self.inputs(unit, size):
                mask |= masks[i]
            out.append(mask)
        return out

    def _slide(self, masks: Sequence[int], window: Window) -> list[int]:
        size, step = len(masks), window.advance
        offsets = window.taps[0].positions()
        out = []
        for base in range(0, self.count * step, step) if step else [0] * self.count:
            mask = 0
            for offset in offsets:
                if 0 <= base + offset < size:
                    mask |= masks[base + offset]
            out.append(mask)
        return out
