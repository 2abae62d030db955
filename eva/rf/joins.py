"""Unions of what is seen: branches, broadcasts, groups of channels."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eva.rf.lines import Lines
from eva.rf.seen import (
    LIMIT,
    RANK,
    Axis,
    Fields,
    Line,
    Seen,
    Status,
    Term,
    full,
    scalar,
    spread,
    worst,
)


@dataclass(frozen=True, eq=False)
class Joins(Lines):
    """Operations that unite."""

    def source(self, shape: tuple[int, ...], axes: Iterable[Axis]) -> Seen:
        """State of an input: along each axis, position i sees itself."""
        fields = {a: (Term((a.dim,), self._identity(a.size)),) for a in axes}
        return Seen(shape=shape, groups=(fields,))

    # -- joining ---------------------------------------------------------------------------

    def join(self, states: Sequence[Seen], shape: tuple[int, ...]) -> Seen:
        """Element-wise union with broadcasting to ``shape``: every pointwise operation."""
        moved = [self.broadcast(s, shape) for s in states]
        if len(moved) == 1:
            return moved[0]
        return functools.reduce(self._join_two, moved) if moved else Seen(shape=shape, groups=({},))

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
        for old in np.unique(which).tolist():
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
                tied = any(along[axis] & own for a, own in along.items() if a != axis)
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
            if other is axis or other == axis or not all(t.line.hollow for t in terms):
                continue
            gaps = {t.dims: t.line.masks == 0 for t in terms}
            if not all(
                t.dims in gaps and not (gaps[t.dims] & (t.line.masks != 0)).any() for t in own
            ):
                found.append(other)
        return found

    def _punched(self, fields: Fields, axis: Axis) -> Fields:
        """The fields with nothing along ``axis`` where another axis sees nothing."""
        terms = fields[axis]
        for other in self._uneven(fields, axis):
            if len(fields[other]) > 1:
                weak = [self.weaken(t.line, Status.BOUND, "merge with gaps") for t in terms]
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
            if math.prod(np.broadcast_shapes(masks.shape, there.shape)) > LIMIT:
                return Term(term.dims, self.weaken(term.line, Status.BOUND, "merge with gaps"))
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

        return self.mapped(state, shape, move)

    def mapped(
        self,
        state: Seen,
        shape: tuple[int, ...],
        move: Callable[[Term], Term],
        which: Callable[[tuple[int, ...], Any], tuple[tuple[int, ...], Any]] | None = None,
    ) -> Seen:
        """Every term moved; groups follow ``which`` (by default: as an ordinary term)."""
        groups = [
            {axis: self.terms(axis, [move(t) for t in terms]) for axis, terms in g.items()}
            for g in state.groups
        ]
        if state.which is None:
            return Seen(shape=shape, groups=tuple(groups))
        if which is None:
            labels = Line(masks=state.which[1], window=None)
            dims, line = move(Term(state.which[0], labels))
            index = line.masks
        else:
            dims, index = which(*state.which)
        return self.grouped(shape, groups, dims, np.asarray(index, dtype=np.int64))

    def varies(self, state: Seen, dim: int) -> bool:
        """Whether what is seen depends on the position along a dimension, groups aside."""
        return any(dim in t.dims for g in state.groups for ts in g.values() for t in ts)

    def bounded(self, state: Seen, cause: str, status: Status = Status.BOUND) -> Seen:
        """The same sets as an upper bound only."""
        return self.mapped(
            state,
            state.shape,
            lambda t: Term(t.dims, self.weaken(t.line, status, cause)),
            which=lambda dims, index: (dims, index),
        )

    def whole(
        self, states: Sequence[Seen], shape: tuple[int, ...], status: Status, cause: str
    ) -> Seen:
        """Whatever axis the states see at all, every element may see the whole of it."""
        lines: dict[Axis, list[Line]] = {}
        for s in states:
            for g in s.groups:
                for a, ts in g.items():
                    lines.setdefault(a, []).extend(t.line for t in ts)
        fields = {
            a: (
                Term(
                    (),
                    Line(
                        masks=scalar(full(a)),
                        window=None,
                        status=worst((status, *(ln.status for ln in own))),
                        causes=frozenset({cause}).union(*(ln.causes for ln in own)),
                    ),
                ),
            )
            for a, own in lines.items()
            if own
        }
        return Seen(shape=shape, groups=(fields,))
