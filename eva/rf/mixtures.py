"""Windows and mixtures: convolution, pooling, reductions, channels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from eva.rf.geometry import AxisMap
from eva.rf.joins import Joins
from eva.rf.seen import (
    Axis,
    Fields,
    Line,
    Masks,
    Seen,
    Term,
    any_of,
    objects,
    scalar,
)


@dataclass(frozen=True, eq=False)
class Mixtures(Joins):
    """Operations that carry what is seen from unit to unit."""

    # -- windows ---------------------------------------------------------------------------

    def slide(
        self, state: Seen, maps: Mapping[int, AxisMap], shape: tuple[int, ...], channels: int = 1
    ) -> Seen:
        """Convolution, pooling, resampling: a map along each of some dimensions.

        Args:
            state: Of the input.
            maps: Tensor dimension -> what its units read.
            shape: Of the output; of the same rank.
            channels: 0 if each channel (dimension 1) stays for itself, else the number of
                groups of channels that are mixed.
        """
        if channels:
            state = self.mix_channels(state, channels, shape[1])

        state = self.settled(self.absorbed(state, set(maps)), set(maps))
        holes = {}
        for dim, m in maps.items():
            there = self._reached(m, state.shape[dim])
            if there is not None and not all(self._follows(g, dim) for g in state.groups):
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

        return self.mapped(state, shape, move, which=lambda dims, index: (dims, index))

    def _follows(self, fields: Fields, dim: int) -> bool:
        """Whether some axis is seen only through units along ``dim``."""
        return not fields or any(all(dim in t.dims for t in terms) for terms in fields.values())

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
        return Seen(shape=state.shape, groups=(fields,))

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
        if groups == 1 or state.which is None:
            if state.which is None and not self.varies(state, 1):
                return replace(state, shape=(*state.shape[:1], count, *state.shape[2:]))
            return self.reduce(state, (1,), keep=count)
        dims, index = state.which
        if dims != (1,) or self.varies(state, 1):
            return self.bounded(self.reduce(state, (1,), keep=count), "grouped convolution")
        parts = [sorted(set(part.tolist())) for part in index.reshape(groups, -1)]
        merged = [self.merge([state.groups[i] for i in part]) for part in parts]
        which = np.repeat(np.arange(groups), count // groups)
        shape = (*state.shape[:1], count, *state.shape[2:])
        return self.grouped(shape, merged, (1,), which)

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
        return self.mapped(
            state, shape, move, which=lambda ds, i: (tuple(rename[d] for d in ds), i)
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
        return self.grouped(state.shape, merged, kept, which)

    def mix(self, state: Seen, dims: Sequence[int]) -> Seen:
        """Every unit along ``dims`` comes to see what any of them saw; the shape stays."""
        return replace(self.reduce(state, dims, keep=1), shape=state.shape)
