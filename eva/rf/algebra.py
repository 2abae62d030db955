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
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from eva.rf.geometry import IDENTITY, AxisMap, Window, offset

Masks = npt.NDArray[Any]  # of Python integers, dtype object: bit masks of any width
LIMIT = 1 << 18  # units up to which a pattern over several dimensions is followed exactly
SMALL = 1 << 12  # units of a pattern that is followed in any case
BUDGET = 1 << 24  # units of all larger patterns of one forward pass together
MANY = "more units than are followed one by one"


class FieldStatus(StrEnum):
    """How far a receptive field can be trusted, from best to worst."""

    EXACT = "exact"
    WHOLE_INPUT = "whole-input"
    BOUND = "bound"
    DATA_DEPENDENT = "data-dependent"
    UNKNOWN = "unknown"


RANK = {status: rank for rank, status in enumerate(FieldStatus)}


def worst(statuses: Iterable[FieldStatus]) -> FieldStatus:
    """The least trustworthy of them; ``exact`` for none."""
    return max(statuses, key=RANK.__getitem__, default=FieldStatus.EXACT)


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
    status: FieldStatus = FieldStatus.EXACT
    misaligned: bool = False
    causes: frozenset[str] = frozenset()
    origin: Origin | None = None

    @functools.cached_property
    def hollow(self) -> bool:
        """Whether some unit sees nothing."""
        return not self.masks.astype(bool).all()


@dataclass(frozen=True, kw_only=True, eq=False)
class Origin:
    """A line before a reshape joined its dimensions with others: rows, before rows x columns.

    The inverse reshape may take the line back only if it meets every entry that came from it: the
    dimensions that it joins must have the sizes that the first one made, in that order, and the
    line must vary along the same ones of them.

    Args:
        shape: Sizes of the joined dimensions, before.
        varying: Which of them the line varied along.
        line: The line then.
        made: Sizes of the dimensions that were made of them.
        along: Which of those the line varies along now.
    """

    shape: tuple[int, ...]
    varying: tuple[int, ...]
    line: Line
    made: tuple[int, ...]
    along: tuple[int, ...]


class Term(NamedTuple):
    """A line and the tensor dimensions, ascending, along which it varies."""

    dims: tuple[int, ...]
    line: Line


Fields = Mapping[Axis, tuple[Term, ...]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """What the elements of a tensor see.

    Args:
        shape: Sizes of the tensor.
        groups: Different fields that occur in it; one unless channels differ.
        which: Dimensions and array that say which group an element belongs to.
        batch: Dimension along which the images of a batch lie, as its outermost part; ``LOST``
            where that is no longer certain, ``None`` where no image is seen.
        local: The same without the statistics of normalization layers, where they spread it.
    """

    shape: tuple[int, ...]
    groups: tuple[Fields, ...]
    which: tuple[tuple[int, ...], npt.NDArray[np.int64]] | None = None
    batch: int | None = None
    local: Seen | None = None


LOST = -1  # images of a batch may have met


def met(states: Iterable[Seen]) -> int | None:
    """Where the images of a batch lie in a union of tensors of one shape."""
    places = {s.batch for s in states} - {None}
    return None if not places else places.pop() if len(places) == 1 else LOST


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


def _any_along(found: Any, dims: tuple[int, ...], shared: tuple[int, ...]) -> Any:
    """Whether anything is true, over those of the dimensions that are shared."""
    return found.any(axis=tuple(i for i, d in enumerate(dims) if d not in shared))


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
        return offset(positions[0]) if positions else None
    steps = [b - a for a, b in itertools.pairwise(positions)]
    best, at, begin = 0, 0, 0
    for i in range(1, len(steps) + 1):
        if i == len(steps) or steps[i] != steps[begin]:
            if i - begin + 1 > best:
                best, at = i - begin + 1, begin
            begin = i
    if 2 * best < len(positions) or best < 2:
        return None
    return offset(positions[at] - at * steps[at], steps[at])


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


@dataclass(frozen=True, eq=False)
class Algebra:
    """Operations on states: joins, windows, mixtures, elements rearranged.

    Rows and columns usually share a line, so what was made is kept: under the ids of what it was
    made from, which are kept alive with it.
    """

    _memo: dict[Any, Any] = field(default_factory=dict)
    _spent: list[int] = field(default_factory=lambda: [0])

    def _room(self, units: int) -> bool:
        """Whether a pattern of so many units may be written down; counts it if so."""
        if units <= SMALL:
            return True
        if units > LIMIT or self._spent[0] + units > BUDGET:
            return False
        self._spent[0] += units
        return True

    def less(self, term: Term, dim: int) -> Term:
        """The term as a bound that does not vary along a dimension."""
        if dim not in term.dims:
            return Term(term.dims, self.weaken(term.line, FieldStatus.BOUND, MANY))
        at = term.dims.index(dim)
        line = self._reduced(term.line, (at,))
        dims = tuple(d for d in term.dims if d != dim)
        return Term(dims, self.weaken(line, FieldStatus.BOUND, MANY))

    def _identity(self, size: int) -> Line:
        key = ("identity", size)
        if key not in self._memo:
            masks = objects([1 << i for i in range(size)])
            self._memo[key] = Line(masks=masks, window=IDENTITY)
        line: Line = self._memo[key]
        return line

    def union(self, a: Line, b: Line) -> Line:
        """Union of two lines over the same units."""
        if a is b:
            return a
        key = ("union", id(a), id(b))
        if key not in self._memo:
            self._memo[key] = (self._union(a, b), a, b)  # a and b kept alive: ids stay theirs
        line: Line = self._memo[key][0]
        return line

    def _union(self, a: Line, b: Line) -> Line:
        masks = a.masks | b.masks
        masks = masks if isinstance(masks, np.ndarray) else scalar(masks)
        window, misaligned = None, a.misaligned or b.misaligned
        if a.window is not None and b.window is not None:
            window = a.window.union(b.window)
            same = window is not None and a.window.drift == b.window.drift
            misaligned = misaligned or not (same or None in (a.window.drift, b.window.drift))
        return Line(
            masks=masks,
            window=window,
            status=worst((a.status, b.status)),
            misaligned=misaligned,
            causes=a.causes | b.causes,
        )

    def weaken(self, line: Line, status: FieldStatus, cause: str) -> Line:
        """The same line with a worse status, and why."""
        if RANK[line.status] >= RANK[status] and cause in line.causes:
            return line
        key = ("weaken", id(line), status, cause)
        if key not in self._memo:
            back = line.origin
            if back is not None:
                back = replace(back, line=self.weaken(back.line, status, cause))
            weak = replace(
                line,
                status=worst((line.status, status)),
                causes=line.causes | {cause},
                origin=back,
            )
            self._memo[key] = (weak, line)
        weaker: Line = self._memo[key][0]
        return weaker

    def still(self, line: Line) -> Line:
        """A line of one unit, now seen by many: its window no longer moves with the unit."""
        return line if line.window is None else self.remade(line, ("still",), lambda m: m)

    def remade(self, line: Line, key: Any, change: Callable[[Masks], Any]) -> Line:
        """The line with its units rearranged; no pattern is known any more."""
        memo = ("remade", id(line), key)
        if memo not in self._memo:
            masks = change(line.masks)
            masks = masks if isinstance(masks, np.ndarray) else scalar(masks)
            self._memo[memo] = (replace(line, masks=masks, window=None, origin=None), line)
        made: Line = self._memo[memo][0]
        return made

    def known(self, key: Any, named: object, make: Callable[[], Any]) -> Any:
        """What ``make`` returns, made once for a key that names an object by its id."""
        if key not in self._memo:
            self._memo[key] = (make(), named)
        return self._memo[key][0]

    def patterned(self, line: Line, window: Window | None) -> Line:
        """The line with a window."""
        key = ("patterned", id(line), window)
        if key not in self._memo:
            self._memo[key] = (replace(line, window=window), line)
        made: Line = self._memo[key][0]
        return made

    # -- joining ---------------------------------------------------------------------------

    def source(self, shape: tuple[int, ...], axes: Iterable[Axis]) -> Seen:
        """State of an input: along each axis, position i sees itself."""
        fields = {a: (Term((a.dim,), self._identity(a.size)),) for a in axes}
        return Seen(shape=shape, groups=(fields,), batch=0 if shape else LOST)

    def join(self, states: Sequence[Seen], shape: tuple[int, ...]) -> Seen:
        """Element-wise union with broadcasting to ``shape``: every pointwise operation."""
        moved = [self.broadcast(s, shape) for s in states]
        if len(moved) == 1:
            return moved[0]
        if not moved:
            return Seen(shape=shape, groups=({},))
        out = functools.reduce(self._join_two, moved)
        batch = met(moved)
        return out if out.batch == batch else replace(out, batch=batch)

    def _join_two(self, a: Seen, b: Seen) -> Seen:
        if a.groups is b.groups and (a.which is b.which):
            return a
        if a.which is None and b.which is None:
            return replace(a, groups=(self.merge((a.groups[0], b.groups[0])),))
        dims = tuple(sorted({*(a.which or ((), 0))[0], *(b.which or ((), 0))[0]}))
        pairs = spread(a.which, dims, a.shape) * len(b.groups) + spread(b.which, dims, b.shape)
        codes, which = np.unique(pairs, return_inverse=True)
        groups = [
            self.merge((a.groups[c // len(b.groups)], b.groups[c % len(b.groups)]))
            for c in codes.tolist()
        ]
        return self.grouped(a.shape, groups, dims, which.reshape(pairs.shape))

    def grouped(
        self, shape: tuple[int, ...], groups: Sequence[Fields], dims: tuple[int, ...], which: Any
    ) -> Seen:
        """A state of several groups; equal groups and dimensions that do not matter are dropped."""
        which = np.asarray(which, dtype=np.int64)
        if not which.size:
            return Seen(shape=shape, groups=(self.merge(groups),))
        kept: list[Fields] = []
        number: dict[Any, int] = {}
        index = np.zeros(len(groups), dtype=np.int64)
        for old in sorted(set(which.ravel().tolist())):
            key = tuple(
                (axis, tuple((t.dims, id(t.line)) for t in terms))
                for axis, terms in groups[old].items()
            )
            if key not in number:
                number[key] = len(kept)
                kept.append(groups[old])
            index[old] = number[key]
        if len(kept) == 1:
            return Seen(shape=shape, groups=(kept[0],))
        return Seen(shape=shape, groups=tuple(kept), which=(dims, index[which]))

    def merge(self, fields: Sequence[Fields]) -> Fields:
        """Union of the fields of several groups or branches of one shape."""
        if all(f is fields[0] for f in fields):
            return fields[0]
        memo = ("merge", *map(id, fields))
        if memo not in self._memo:
            self._memo[memo] = (self._merge(fields), fields)
        merged: Fields = self._memo[memo][0]
        return merged

    def _merge(self, fields: Sequence[Fields]) -> Fields:
        axes = dict.fromkeys(itertools.chain.from_iterable(fields))
        out: dict[Axis, tuple[Term, ...]] = {}
        for axis in axes:
            terms = self.terms(axis, [t for f in fields for t in f.get(axis, ())])
            if any(self._uneven(f, axis) for f in fields) and not all(
                self._covers(terms, f, fields, axis) for f in fields if self._uneven(f, axis)
            ):
                parts = [self._punched(f, axis) if self._uneven(f, axis) else f for f in fields]
                terms = self.terms(axis, [t for f in parts for t in f.get(axis, ())])
            out[axis] = terms
        return out

    def settled(self, state: Seen, dims: set[int]) -> Seen:
        """Before units along some dimensions are united: gaps written into every axis.

        Where rows and columns both follow one dimension, a unit that sees no column must not
        bring its rows into the union.
        """
        groups: list[Fields] = []
        for fields in state.groups:
            if len(fields) < 2 or not any(t.dims for ts in fields.values() for t in ts):
                groups.append(fields)
                continue
            along = {a: {d for t in ts for d in t.dims} & dims for a, ts in fields.items()}
            for axis in fields:
                tied = any(
                    along[axis] & own
                    for a, own in along.items()
                    if a != axis and a.input == axis.input
                )
                if tied and self._uneven(fields, axis):
                    fields = self._punched(fields, axis)
            groups.append(fields)
        if all(a is b for a, b in zip(groups, state.groups, strict=True)):
            return state
        return replace(state, groups=tuple(groups))

    def _uneven(self, fields: Fields, axis: Axis) -> list[Axis]:
        """Other axes along which units see nothing where they seem to see something of this one.

        A unit that sees no column sees no row either; alone that need not be written down, but
        in a union with a branch that does see something it must be.
        """
        if axis not in fields:
            return []
        own = fields[axis]
        found = []
        for other, terms in fields.items():
            if other.input != axis.input or other == axis:
                continue
            if not all(t.line.hollow for t in terms):
                continue
            if not all(any(self._even(t, gap) for gap in terms) for t in own):
                found.append(other)
        return found

    def _even(self, term: Term, gap: Term) -> bool:
        """Whether a term sees nothing wherever another one sees nothing."""
        key = ("even", id(term.line), id(gap.line), term.dims, gap.dims)
        if key not in self._memo:
            seeing = _any_along(term.line.masks != 0, term.dims, gap.dims)
            nothing = _any_along(gap.line.masks == 0, gap.dims, term.dims)
            self._memo[key] = (not bool((seeing & nothing).any()), term.line, gap.line)
        even: bool = self._memo[key][0]
        return even

    def _punched(self, fields: Fields, axis: Axis) -> Fields:
        """The fields with nothing along ``axis`` where another axis sees nothing."""
        terms = fields[axis]
        for other in self._uneven(fields, axis):
            if len(fields[other]) > 1:
                weak = [self.weaken(t.line, FieldStatus.BOUND, "merge with gaps") for t in terms]
                terms = tuple(Term(t.dims, w) for t, w in zip(terms, weak, strict=True))
                continue
            gap = fields[other][0]
            terms = tuple(self._punch(t, gap) for t in terms)
        return {**fields, axis: terms}

    def _punch(self, term: Term, gap: Term) -> Term:
        dims = tuple(sorted({*term.dims, *gap.dims}))
        key = ("punch", id(term.line), id(gap.line), term.dims, gap.dims)
        if key not in self._memo:
            masks, there = (
                t.line.masks.reshape(
                    [t.line.masks.shape[t.dims.index(d)] if d in t.dims else 1 for d in dims]
                )
                for t in (term, gap)
            )
            if not self._room(math.prod(np.broadcast_shapes(masks.shape, there.shape))):
                return Term(term.dims, self.weaken(term.line, FieldStatus.BOUND, MANY))
            punched = np.where(there != 0, masks, 0)
            line = replace(term.line, masks=punched, window=None, origin=None)
            self._memo[key] = (line, term.line, gap.line)
        made: Line = self._memo[key][0]
        return Term(dims, made)

    def _covers(
        self, terms: tuple[Term, ...], part: Fields, fields: Sequence[Fields], axis: Axis
    ) -> bool:
        """Whether the other branches alone see everything along ``axis`` that the part sees."""
        others = [t for f in fields if f is not part for t in f.get(axis, ())]
        if not others:
            return False
        alone = self.terms(axis, others)
        return len(alone) == len(terms) and all(
            a.dims == t.dims and bool((a.line.masks == t.line.masks).all())
            for a, t in zip(alone, terms, strict=True)
        )

    def terms(self, axis: Axis, terms: Sequence[Term]) -> tuple[Term, ...]:
        """Union of terms: one for each set of dimensions; a full one swallows the others."""
        by_dims: dict[tuple[int, ...], Line] = {}
        for dims, line in terms:
            by_dims[dims] = self.union(by_dims[dims], line) if dims in by_dims else line
        if len(by_dims) > 1:
            whole = full(axis)
            for dims, line in sorted(by_dims.items(), key=lambda i: RANK[i[1].status]):
                if not dims and line.masks[()] == whole:
                    return (Term(dims, line),)
        return tuple(Term(d, by_dims[d]) for d in sorted(by_dims))

    def broadcast(self, state: Seen, shape: tuple[int, ...]) -> Seen:
        """The state of the tensor expanded to ``shape``; new dimensions come first."""
        if state.shape == shape:
            return state
        lead = len(shape) - len(state.shape)
        stretched = {d for d, n in enumerate(state.shape) if n == 1 and shape[d + lead] != 1}

        def move(term: Term) -> Term:
            kept = tuple(d + lead for d in term.dims if d not in stretched)
            if len(kept) == len(term.dims):
                line = self.still(term.line) if not kept and stretched else term.line
                return Term(kept, line)
            index = tuple(0 if d in stretched else slice(None) for d in term.dims)
            return Term(kept, self.remade(term.line, ("index", str(index)), lambda m: m[index]))

        place = {d: d + lead for d in range(len(state.shape)) if d not in stretched}
        return self.mapped(state, shape, move, place=place)

    def mapped(
        self,
        state: Seen,
        shape: tuple[int, ...],
        move: Callable[[Term], Term],
        which: Callable[[tuple[int, ...], Any], tuple[tuple[int, ...], Any]] | None = None,
        place: Mapping[int, int] | None = None,
    ) -> Seen:
        """Every term moved; groups follow ``which`` (by default: as an ordinary term).

        ``place`` says which dimension of the result each dimension has become, for those whose
        units are still the same in the same order (by default: all, unmoved).
        """
        batch = state.batch
        if batch is not None and batch != LOST and place is not None:
            batch = place.get(batch, LOST)
        groups = [
            {axis: self.terms(axis, [move(t) for t in terms]) for axis, terms in g.items()}
            for g in state.groups
        ]
        if state.which is None:
            return Seen(shape=shape, groups=tuple(groups), batch=batch)
        if which is None:
            labels = Line(masks=state.which[1], window=None)
            dims, line = move(Term(state.which[0], labels))
            index = line.masks
        else:
            dims, index = which(*state.which)
        out = self.grouped(shape, groups, dims, np.asarray(index, dtype=np.int64))
        return replace(out, batch=batch)

    def with_local(self, state: Seen, local: Seen) -> Seen:
        """The state of a normalized tensor, and what it would be without the statistics.

        Where the statistics add nothing to what is seen (those of the channels of one pixel), the
        two are the same, and only one is kept.
        """
        local = local.local or local
        a, b = state.which, local.which
        same = (
            len(state.groups) == len(local.groups)
            and (a is b or (a and b and a[0] == b[0] and np.array_equal(a[1], b[1])))
            and all(
                g is other
                or all(
                    [(t.dims, id(t.line)) for t in g.get(axis, ())]
                    == [(t.dims, id(t.line)) for t in terms]
                    for axis, terms in other.items()
                )
                for g, other in zip(state.groups, local.groups, strict=True)
            )
        )
        return replace(state, local=None if same else local)

    def hidden(self, state: Seen, there: Any, cause: str) -> Seen:
        """The state with nothing seen where ``there`` is false.

        Args:
            state: What the tensor sees.
            there: Booleans that broadcast to its shape.
            cause: What to name where that is too much to write down.
        """
        there = np.asarray(there)
        there = there.reshape((1,) * (len(state.shape) - there.ndim) + there.shape)
        dims = tuple(
            d for d, n in enumerate(there.shape) if n > 1 and (there != there.take([0], d)).any()
        )
        if not dims and bool(there.any()):
            return state
        there = there[tuple(slice(None) if d in dims else 0 for d in range(there.ndim))]
        gap = Term(dims, Line(masks=np.where(there, 1, 0).astype(object), window=None))
        out = self.mapped(
            state, state.shape, lambda t: self._punch(t, gap), lambda dims, index: (dims, index)
        )
        return self.bounded(out, cause) if there.size > LIMIT else out

    def varies(self, state: Seen, dim: int) -> bool:
        """Whether what is seen depends on the position along a dimension, groups aside."""
        return any(dim in t.dims for g in state.groups for ts in g.values() for t in ts)

    def bounded(self, state: Seen, cause: str, status: FieldStatus = FieldStatus.BOUND) -> Seen:
        """The same sets as an upper bound only."""
        key = ("bounded", id(state), cause, status)
        if key not in self._memo:
            weak = self.mapped(
                state,
                state.shape,
                lambda t: Term(t.dims, self.weaken(t.line, status, cause)),
                which=lambda dims, index: (dims, index),
            )
            self._memo[key] = (weak, state)
        weaker: Seen = self._memo[key][0]
        return weaker

    def whole(
        self,
        states: Sequence[Seen],
        shape: tuple[int, ...],
        status: FieldStatus,
        cause: str,
        apart: bool = True,
    ) -> Seen:
        """Whatever axis the states see at all, every element may see the whole of it.

        Images of a batch are taken to stay apart where the first dimension stays the same, unless
        ``apart`` is false.
        """
        lines: dict[Axis, dict[int, Line]] = {}
        own: dict[Axis, tuple[Term, ...]] = {}
        batch = met(states)
        if not apart or batch != 0 or not shape or any(s.shape[:1] != shape[:1] for s in states):
            batch = LOST
        for g in {id(g): g for s in states for g in s.groups}.values():
            for a, ts in g.items():
                if a.dim == 0 and batch == 0:  # the images of a batch stay apart
                    apart_still = [self._in_front(t) for t in ts]
                    own[a] = self.terms(a, [*own.get(a, ()), *apart_still])
                else:
                    lines.setdefault(a, {}).update((id(t.line), t.line) for t in ts)
        fields: dict[Axis, tuple[Term, ...]] = {}
        for a, seen in lines.items():
            if seen:
                least = worst((status, *(ln.status for ln in seen.values())))
                causes = frozenset({cause}).union(*(ln.causes for ln in seen.values()))
                fields[a] = (Term((), self._whole_line(a, least, causes)),)
        if own:
            return Seen(shape=shape, groups=({**fields, **own},), batch=batch)
        key = ("whole", *((a, id(ts[0].line)) for a, ts in fields.items()))
        if key not in self._memo:  # the same fields again are one object: unions with them too
            self._memo[key] = fields
        return Seen(shape=shape, groups=(self._memo[key],), batch=batch)

    def _whole_line(self, axis: Axis, status: FieldStatus, causes: frozenset[str]) -> Line:
        """All of an axis, for any unit."""
        key = ("whole line", axis, status, causes)
        if key not in self._memo:
            self._memo[key] = Line(
                masks=scalar(full(axis)), window=None, status=status, causes=causes
            )
        line: Line = self._memo[key]
        return line

    def _in_front(self, term: Term) -> Term:
        """The term along the first dimension alone: which image, wherever in it."""
        others = tuple(i for i, d in enumerate(term.dims) if d != 0)
        line = self._reduced(term.line, others) if others else term.line
        return Term(tuple(d for d in term.dims if d == 0), line)

    # -- windows ---------------------------------------------------------------------------

    def slide(
        self, state: Seen, maps: Mapping[int, AxisMap], shape: tuple[int, ...], channels: int = 1
    ) -> Seen:
        """Convolution, pooling, resampling: a map along each of some dimensions.

        Args:
            state: What the input sees.
            maps: Tensor dimension -> what its units read.
            shape: Sizes of the output, of the same rank.
            channels: 0 if each channel (dimension 1) stays for itself, else the number of
                groups of channels that are mixed.
        """
        if channels:
            state = self.mix_channels(state, channels, shape[1])

        state = self.settled(self.absorbed(state, set(maps)), set(maps))
        holes = {}
        for dim, m in maps.items():
            there = self._reached(m, state.shape[dim])
            if there is not None and not all(self._follow(g, dim) for g in state.groups):
                holes[dim] = Line(masks=there, window=None)

        def move(term: Term) -> Term:
            line = term.line
            for position, dim in enumerate(term.dims):
                if dim in maps:
                    line = self.along(line, position, maps[dim])
            term = Term(term.dims, line)
            for dim, hole in holes.items():
                if dim not in term.dims:
                    term = self._punch(term, Term((dim,), hole))
            return term

        place = {d: d for d in range(len(shape)) if d not in maps}
        return self.mapped(state, shape, move, lambda dims, index: (dims, index), place)

    def _follow(self, fields: Fields, dim: int) -> bool:
        """Whether every input that is seen is seen only through units along ``dim``."""
        return all(self._follows(fields, dim, number) for number in {a.input for a in fields})

    def _follows(self, fields: Fields, dim: int, number: int) -> bool:
        """Whether some axis of an input is seen only through units along ``dim``."""
        return any(
            all(dim in t.dims for t in terms)
            for axis, terms in fields.items()
            if axis.input == number and terms
        )

    def _reached(self, axis_map: AxisMap, size: int) -> Masks | None:
        """1 for units that read anything at all, 0 for the others; ``None`` if all do."""
        key = ("reached", axis_map, size)
        if key not in self._memo:
            reached = axis_map.apply([1] * size)
            self._memo[key] = None if all(reached) else objects(reached)
        found: Masks | None = self._memo[key]
        return found

    def absorbed(self, state: Seen, dims: set[int]) -> Seen:
        """Groups that differ along some dimensions written as terms over them instead."""
        if state.which is None or not dims & set(state.which[0]):
            return state
        places, index = state.which
        terms: dict[Axis, list[Term]] = {}
        for number, fields in enumerate(state.groups):
            there = Line(masks=np.where(index == number, 1, 0).astype(object), window=None)
            for axis, own in fields.items():
                terms.setdefault(axis, []).extend(self._punch(t, Term(places, there)) for t in own)
        fields = {axis: self.terms(axis, own) for axis, own in terms.items()}
        return Seen(shape=state.shape, groups=(fields,), batch=state.batch)

    def along(self, line: Line, position: int, axis_map: AxisMap) -> Line:
        """The line after a map along one of its array dimensions."""
        key = ("along", id(line), position, axis_map)
        if key in self._memo:
            known: Line = self._memo[key][0]
            return known
        if line.masks.ndim == 1:
            masks = objects(axis_map.apply(line.masks.tolist()))
        else:
            rows = np.moveaxis(line.masks, position, -1)
            flat = [axis_map.apply(row) for row in rows.reshape(-1, rows.shape[-1]).tolist()]
            new = objects([m for row in flat for m in row])
            new = new.reshape(*rows.shape[:-1], axis_map.count)
            masks = np.moveaxis(new, -1, position)
        window = None
        if line.window is not None and axis_map.window is not None:
            window = axis_map.window.after(line.window)
            if window.period > 4096:
                window = None
        out = replace(line, masks=masks, window=window, origin=None)
        self._memo[key] = (out, line)
        return out

    def mix_channels(self, state: Seen, groups: int, count: int) -> Seen:
        """Dimension 1 mixed within each of ``groups`` equal groups, ``count`` channels out."""
        shape = (*state.shape[:1], count, *state.shape[2:])
        if state.which is None and not self.varies(state, 1):
            return replace(state, shape=shape)
        if groups == 1:
            return self.reduce(state, (1,), keep=count)
        if groups == count == state.shape[1]:
            return state  # each channel stays for itself
        if state.which is None or state.which[0] != (1,) or self.varies(state, 1):
            first, rest = state.shape[0], state.shape[2:]
            parts = self.reshape(state, (first, groups, state.shape[1] // groups, *rest))
            mixed = self.reduce(parts, (2,), keep=count // groups)
            return self.reshape(mixed, shape)
        index = state.which[1]
        members = [sorted(set(part.tolist())) for part in index.reshape(groups, -1)]
        merged = [self.merge([state.groups[i] for i in part]) for part in members]
        which = np.repeat(np.arange(groups), count // groups)
        return replace(self.grouped(shape, merged, (1,), which), batch=state.batch)

    # -- mixing ----------------------------------------------------------------------------

    def reduce(self, state: Seen, dims: Sequence[int], keep: int | None = 1) -> Seen:
        """Dimensions mixed completely; kept with ``keep`` equal units each, or dropped if None."""
        gone = set(dims)
        if keep is None:
            shape = tuple(n for d, n in enumerate(state.shape) if d not in gone)
        else:
            shape = tuple(keep if d in gone else n for d, n in enumerate(state.shape))
        rename = {
            d: d if keep is not None else d - sum(g < d for g in gone)
            for d in range(len(state.shape))
        }

        def move(term: Term) -> Term:
            kept = tuple(rename[d] for d in term.dims if d not in gone)
            if len(kept) == len(term.dims):
                return Term(kept, term.line)
            axes = tuple(i for i, d in enumerate(term.dims) if d in gone)
            return Term(kept, self._reduced(term.line, axes))

        state = self.settled(self._merge_groups(state, gone), gone)
        place = {d: n for d, n in rename.items() if d not in gone}
        return self.mapped(
            state, shape, move, lambda ds, i: (tuple(rename[d] for d in ds), i), place
        )

    def _reduced(self, line: Line, axes: tuple[int, ...]) -> Line:
        if line.masks.ndim == len(axes):
            one = line.window is not None and line.masks.size == 1
            key = ("one" if one else "all",)
            made = self.remade(line, key, lambda m: scalar(any_of(m)))
            return self.patterned(made, line.window) if one else made
        return self.remade(line, axes, lambda m: np.bitwise_or.reduce(m, axis=axes))

    def _merge_groups(self, state: Seen, gone: set[int]) -> Seen:
        """Groups joined where they differ along mixed dimensions."""
        if state.which is None or not gone & set(state.which[0]):
            return state
        if any(self.varies(state, d) for d in gone & set(state.which[0])):
            return self.absorbed(state, gone)  # a group's terms count where it is, nowhere else
        dims, index = state.which
        kept = tuple(d for d in dims if d not in gone)
        order = [dims.index(d) for d in kept] + [i for i, d in enumerate(dims) if d in gone]
        rows = index.transpose(order).reshape(*(state.shape[d] for d in kept), -1)
        sets: dict[tuple[int, ...], int] = {}
        flat = [
            sets.setdefault(tuple(sorted(set(row))), len(sets))
            for row in rows.reshape(-1, rows.shape[-1]).tolist()
        ]
        merged = [self.merge([state.groups[i] for i in s]) for s in sets]
        which = np.asarray(flat, dtype=np.int64).reshape(rows.shape[:-1])
        return replace(self.grouped(state.shape, merged, kept, which), batch=state.batch)

    def mix(self, state: Seen, dims: Sequence[int]) -> Seen:
        """Every unit along ``dims`` comes to see what any of them saw; the shape stays."""
        return replace(self.reduce(state, dims, keep=1), shape=state.shape)

    # -- rearranging -----------------------------------------------------------------------

    def permute(self, state: Seen, order: Sequence[int]) -> Seen:
        """Dimensions in a new order: output dimension i is input dimension ``order[i]``."""
        place = {d: i for i, d in enumerate(order)}

        def move(term: Term) -> Term:
            dims = [place[d] for d in term.dims]
            if dims == sorted(dims):
                return Term(tuple(dims), term.line)
            turn = tuple(int(i) for i in np.argsort(dims))
            line = self.remade(term.line, ("turn", turn), lambda m: m.transpose(turn))
            return Term(tuple(sorted(dims)), line)

        return self.mapped(state, tuple(state.shape[d] for d in order), move, place=place)

    def reshape(self, state: Seen, shape: tuple[int, ...]) -> Seen:
        """The same elements in row-major order under another shape."""
        if shape == state.shape or 0 in shape:
            return replace(state, shape=shape)
        blocks = reshape_blocks(state.shape, shape)
        if state.which is not None and math.prod(state.shape) > LIMIT:
            state = self.bounded(self._merge_groups(state, set(state.which[0])), "reshape")
        place: dict[int, int] = {}
        if state.batch is not None and state.batch != LOST:
            place = self._batch_after(state, state.batch, shape)
        return self.mapped(
            state, shape, lambda t: self._reshape_term(t, blocks, state, shape), place=place
        )

    def _batch_after(self, state: Seen, batch: int, shape: tuple[int, ...]) -> dict[int, int]:
        """The dimension whose outermost part the images are after a reshape, if it is certain.

        One image could be any dimension of size 1, or the outermost part of the next larger one.
        If it is in front it is taken to stay there.
        """
        before = math.prod(state.shape[:batch])
        starts = itertools.accumulate(shape[:-1], operator.mul, initial=1)
        found = [i for i, start in enumerate(starts) if start == before]
        several = any(axis.dim == 0 for fields in state.groups for axis in fields)
        if several:
            return {batch: found[-1]} if found else {}
        certain = batch == 0 or (before > 1 and len(found) == 1)
        return {batch: found[0]} if certain else {}

    def _reshape_term(
        self,
        term: Term,
        blocks: Sequence[tuple[tuple[int, ...], tuple[int, ...]]],
        state: Seen,
        shape: tuple[int, ...],
    ) -> Term:
        """Follow a term through the blocks of dimensions that are split or joined."""
        touched = [b for b in blocks if set(b[0]) & set(term.dims)]
        olds = tuple(d for b in touched for d in b[0])
        news = tuple(d for b in touched for d in b[1])
        kept_old = tuple(d for d in olds if state.shape[d] > 1 or d in term.dims)
        real_old = tuple(d for d in kept_old if state.shape[d] > 1)
        real_new = tuple(d for d in news if shape[d] > 1)
        if real_old == tuple(d for d in term.dims if state.shape[d] > 1) and [
            state.shape[d] for d in real_old
        ] == [shape[d] for d in real_new]:
            if real_old == term.dims:
                return Term(real_new, term.line)  # only renamed: the pattern stays
            index = tuple(0 if state.shape[d] == 1 else slice(None) for d in term.dims)
            line = self.remade(term.line, ("index", str(index)), lambda m: m[index])
            if len(real_new) < 2 and term.line.window is not None and not real_new:
                line = self.patterned(line, term.line.window)
            return Term(real_new, line)
        old_shape = tuple(state.shape[d] for d in olds)
        new_shape = tuple(shape[d] for d in news)
        back = term.line.origin
        if (
            back is not None
            and back.shape == tuple(shape[d] for d in real_new)
            and back.made == tuple(state.shape[d] for d in real_old)
            and set(term.dims) <= set(real_old)
            and back.along == tuple(real_old.index(d) for d in term.dims)
        ):
            return Term(tuple(real_new[i] for i in back.varying), back.line)
        if not self._room(math.prod(old_shape)):
            line = self.remade(term.line, ("all",), lambda m: scalar(any_of(m)))
            return Term((), self.weaken(line, FieldStatus.BOUND, MANY))
        here = tuple(state.shape[d] if d in term.dims else 1 for d in olds)

        key = ("reshape", here, old_shape, new_shape)
        wide = self.remade(
            term.line, key, lambda m: np.broadcast_to(m.reshape(here), old_shape).reshape(new_shape)
        )
        joined = term.line.window is not None and len(real_new) == 1
        varying = tuple(
            i for i, d in enumerate(news) if differs(wide.masks, i) or (joined and d == real_new[0])
        )
        pick = tuple(slice(None) if i in varying else 0 for i in range(len(news)))
        line = self.remade(wide, ("index", str(pick)), lambda m: m[pick])
        found = tuple(news[i] for i in varying)
        if set(term.dims) <= set(real_old) and set(found) <= set(real_new):
            origin = Origin(
                shape=tuple(state.shape[d] for d in real_old),
                varying=tuple(real_old.index(d) for d in term.dims),
                line=term.line,
                made=tuple(shape[d] for d in real_new),
                along=tuple(real_new.index(d) for d in found),
            )
            line = self.rooted(line, origin)
        return Term(found, line)

    def rooted(self, line: Line, origin: Origin) -> Line:
        """The line with where it came from, so that the inverse reshape finds its pattern."""
        key = (
            "rooted", id(line), origin.shape, origin.varying, id(origin.line), origin.made,
            origin.along,
        )  # fmt: skip
        if key not in self._memo:
            self._memo[key] = (replace(line, origin=origin), line, origin)
        made: Line = self._memo[key][0]
        return made

    def take(self, state: Seen, dim: int, positions: Sequence[int], drop: bool = False) -> Seen:
        """Elements of one dimension chosen by position; the dimension is dropped on request."""
        picks = np.asarray(positions, dtype=np.int64)
        window = straight(positions)
        if drop:
            shape = (*state.shape[:dim], *state.shape[dim + 1 :])
        else:
            shape = (*state.shape[:dim], len(positions), *state.shape[dim + 1 :])

        def move(term: Term) -> Term:
            dims = tuple(
                d - 1 if drop and d > dim else d for d in term.dims if d != dim or not drop
            )
            if dim not in term.dims:
                return Term(dims, term.line)
            at = term.dims.index(dim)
            if drop:
                first = positions[0]
                key = ("drop", at, first)
                return Term(dims, self.remade(term.line, key, lambda m: m.take(first, axis=at)))
            line = self.remade(
                term.line, ("take", at, tuple(positions)), lambda m: np.take(m, picks, axis=at)
            )
            if term.line.window is not None and window is not None:
                line = self.patterned(line, window.after(term.line.window))
            return Term(dims, line)

        place = {d: d - 1 if drop and d > dim else d for d in range(len(state.shape)) if d != dim}
        return self.mapped(state, shape, move, place=place)

    def write(self, state: Seen, dim: int, positions: Sequence[int], piece: Seen) -> Seen:
        """Elements at some positions of one dimension replaced by those of ``piece``."""
        size = state.shape[dim]
        taken = set(positions)
        if len(taken) == size and list(positions) == list(range(size)):
            return piece
        rest = [i for i in range(size) if i not in taken]
        order = {p: i for i, p in enumerate([*rest, *positions])}
        joined = self.concat([self.take(state, dim, rest), piece], dim, state.shape)
        return self.take(joined, dim, [order[i] for i in range(size)])

    def concat(self, states: Sequence[Seen], dim: int, shape: tuple[int, ...]) -> Seen:
        """Tensors side by side along ``dim``."""
        batch = met(states)
        out = self._concat(states, dim, shape)
        return replace(out, batch=LOST if batch == dim and len(states) > 1 else batch)

    def _concat(self, states: Sequence[Seen], dim: int, shape: tuple[int, ...]) -> Seen:
        counts = [s.shape[dim] for s in states]
        alone = all(len(s.groups) == 1 for s in states)
        same = alone and len({id(s.groups[0]) for s in states}) == 1
        if same and not self.varies(states[0], dim):
            return replace(states[0], shape=shape)
        along = any(self.varies(s, dim) for s in states)
        if along:
            return self._concat_along(states, dim, shape, counts)
        dims = tuple(sorted({dim, *(d for s in states if s.which for d in s.which[0])}))
        arrays, groups, base = [], [], 0
        for s in states:
            arrays.append(spread(s.which, dims, s.shape, filled=dim) + base)
            groups += list(s.groups)
            base += len(s.groups)
        sizes = [max(a.shape[i] for a in arrays) for i in range(len(dims))]
        at = dims.index(dim)
        wide = [
            np.broadcast_to(a, [n if i != at else a.shape[at] for i, n in enumerate(sizes)])
            for a in arrays
        ]
        return self.grouped(shape, groups, dims, np.concatenate(wide, axis=at))

    def _concat_along(
        self, states: Sequence[Seen], dim: int, shape: tuple[int, ...], counts: Sequence[int]
    ) -> Seen:
        """Concatenation along a dimension that terms follow: their units are put end to end."""
        fields: list[Fields] = [self.merge(s.groups) for s in states]
        loose = any(s.which is not None for s in states)
        out: dict[Axis, tuple[Term, ...]] = {}
        for axis in dict.fromkeys(a for f in fields for a in f):
            seeing = [f for f in fields if any(a.input == axis.input for a in f)]
            shared = self._shared(seeing, axis, dim)
            if shared is not None and (
                len(seeing) == len(fields) or any(self._follows(f, dim, axis.input) for f in seeing)
            ):
                out[axis] = shared
                continue
            joined: list[Term] = []
            longest: dict[tuple[int, ...], tuple[int, Window | None]] = {}
            before = 0
            for f, count in zip(fields, counts, strict=True):
                after = sum(counts) - before - count
                for t in f.get(axis, ()):
                    placed = self._placed(t, dim, before, count, after)
                    joined.append(placed)
                    window = placed.line.window
                    known = longest.get(placed.dims)
                    if known is None:
                        longest[placed.dims] = (count, window)
                    elif not alike(known[1], window):
                        longest[placed.dims] = (count, None)
                    elif count > known[0]:
                        longest[placed.dims] = (count, window)
                before += count
            out[axis] = tuple(
                Term(t.dims, self.patterned(t.line, longest[t.dims][1]))
                for t in self.terms(axis, joined)
            )
        state = Seen(shape=shape, groups=(out,))
        return self.bounded(state, "concatenation of mixed channels") if loose else state

    def _shared(self, fields: Sequence[Fields], axis: Axis, dim: int) -> tuple[Term, ...] | None:
        """The terms of an axis if all parts have the same ones, none of them along ``dim``."""
        first = fields[0].get(axis, ())
        same = all(
            len(f.get(axis, ())) == len(first)
            and all(
                a.dims == b.dims and a.line is b.line
                for a, b in zip(f.get(axis, ()), first, strict=True)
            )
            for f in fields
        )
        return first if same and not any(dim in t.dims for t in first) else None

    def _placed(self, term: Term, dim: int, before: int, count: int, after: int) -> Term:
        """The term over a longer dimension, seeing nothing outside its own units."""
        dims = tuple(sorted({*term.dims, dim}))
        at = dims.index(dim)
        others = math.prod(
            n for d, n in zip(term.dims, term.line.masks.shape, strict=True) if d != dim
        )
        if len(dims) > 1 and not self._room(others * (before + count + after)):
            return self.less(term, dim)

        def change(masks: Masks) -> Masks:
            if dim not in term.dims:
                masks = np.repeat(np.expand_dims(masks, at), count, axis=at)
            sizes = list(masks.shape)
            sizes[at] = before + count + after
            longer = np.zeros(sizes, dtype=object)
            longer[(slice(None),) * at + (slice(before, before + count),)] = masks
            return longer

        key = ("placed", dim in term.dims, at, before, count, after)
        line = self.remade(term.line, key, change)
        if dim in term.dims and len(dims) == 1 and term.line.window is not None:
            line = self.patterned(line, offset(-before).after(term.line.window))
        return Term(dims, line)
