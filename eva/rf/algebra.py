"""Operations on states: what a tensor's elements see after joins, windows, mixing, reshaping."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eva.rf.geometry import Window, shift
from eva.rf.mixtures import Mixtures
from eva.rf.seen import (
    LIMIT,
    Axis,
    Fields,
    Line,
    Masks,
    Origin,
    Seen,
    Status,
    Term,
    alike,
    any_of,
    differs,
    reshape_blocks,
    scalar,
    spread,
    straight,
)


@dataclass(frozen=True, eq=False)
class Algebra(Mixtures):
    """All operations on states; this part rearranges elements."""

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

        return self.mapped(state, tuple(state.shape[d] for d in order), move)

    def reshape(self, state: Seen, shape: tuple[int, ...]) -> Seen:
        """The same elements in row-major order under another shape."""
        if shape == state.shape or 0 in shape:
            return replace(state, shape=shape)
        blocks = reshape_blocks(state.shape, shape)
        if state.which is not None and math.prod(state.shape) > LIMIT:
            state = self.bounded(self._merge_groups(state, set(state.which[0])), "reshape")
        return self.mapped(state, shape, lambda t: self._reshape_term(t, blocks, state, shape))

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
        if back is not None and back.shape == tuple(shape[d] for d in real_new):
            return Term(tuple(real_new[i] for i in back.varying), back.line)
        if math.prod(old_shape) > LIMIT:
            line = self.remade(term.line, ("all",), lambda m: scalar(any_of(m)))
            return Term((), self.weaken(line, Status.BOUND, "reshape of many elements"))
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
        if all(d in real_old for d in term.dims):
            at = tuple(real_old.index(d) for d in term.dims)
            sizes = tuple(state.shape[d] for d in real_old)
            line = self.rooted(line, Origin(shape=sizes, varying=at, line=term.line))
        return Term(tuple(news[i] for i in varying), line)

    def rooted(self, line: Line, origin: Origin) -> Line:
        """The line with where it came from, so that the inverse reshape finds its pattern."""
        key = ("rooted", id(line), origin.shape, origin.varying, id(origin.line))
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

        return self.mapped(state, shape, move)

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
            shared = self._shared([f for f in fields if f], axis, dim)
            if shared is not None and (all(fields) or any(self._follows(f, dim) for f in fields)):
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
            line = self.patterned(line, shift(-before).after(term.line.window))
        return Term(dims, line)
