"""From what a tensor's elements see to the numbers of a receptive field."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from eva.rf.algebra import Algebra
from eva.rf.field import AxisField, Hull, ReceptiveField
from eva.rf.geometry import effective_padding
from eva.rf.seen import Axis, Fields, Line, Seen, Status, Term, full, worst


def receptive_field_of(
    state: Seen | None,
    shape: tuple[int, ...],
    axes: Sequence[Axis],
    names: Sequence[str],
    algebra: Algebra,
) -> ReceptiveField:
    """Numbers for a state; channels that see different things are united.

    Args:
        state: Of the tensor; ``None`` if no input reaches it.
        shape: Of the tensor.
        axes: Every spatial axis of every input.
        names: Of the inputs.
        algebra: That the state was made with.
    """
    fields: Fields = {}
    if state is not None:
        sequence = len(shape) == 3 and not algebra.varies(state, 2)  # (batch, steps, features)
        state = algebra.absorbed(state, {*range(len(shape))} - (set() if sequence else {1}))
        fields = algebra.merge(state.groups)
    numbers = []
    coupled = False
    for axis in axes:
        terms = fields.get(axis, ())
        if axis.dim == 0:
            coupled = coupled or any(m.bit_count() > 1 for t in terms for m in t.line.masks.flat)
            continue
        if len(terms) == 1:
            dims, line = terms[0]
        else:
            dims, line = _united(terms, shape)
        make = functools.partial(_axis_field, axis, dims, line, names[axis.input])
        numbers.append(algebra.known(("numbers", axis, dims, id(line)), line, make))
    return ReceptiveField(axes=tuple(numbers), output_shape=shape, batch_coupled=coupled)


def _united(terms: Sequence[Term], shape: tuple[int, ...]) -> Term:
    """Terms of different dimensions as one line over all of these dimensions."""
    dims = tuple(sorted({d for t in terms for d in t.dims}))
    masks = np.zeros([shape[d] for d in dims], dtype=object)
    for t in terms:
        masks |= t.line.masks.reshape([shape[d] if d in t.dims else 1 for d in dims])
    return Term(
        dims,
        Line(
            masks=masks,
            window=None,
            status=worst(t.line.status for t in terms),
            misaligned=bool(terms),
            causes=frozenset(c for t in terms for c in t.line.causes),
        ),
    )


def _axis_field(axis: Axis, dims: tuple[int, ...], line: Line, name: str) -> AxisField:
    masks = line.masks.reshape(-1).tolist()
    hulls = tuple([_hull(m) for m in masks])
    status = line.status
    window = line.window
    jump: Fraction | None
    start: Fraction | None
    if window is not None:
        size, smallest, density = window.size, window.min_size, window.density
        jump, start = window.jump, window.start
    else:
        spans = [0 if h is None else h[1] - h[0] + 1 for h in hulls]
        size, smallest = max(spans), min(spans)
        seen = max((m.bit_count() for m, s in zip(masks, spans, strict=True) if s == size))
        density = Fraction(seen, size) if size else Fraction(0)
        still = len(set(hulls)) == 1
        jump = Fraction(0) if still else None
        start = Fraction(hulls[0][0] + hulls[0][1], 2) if still and hulls[0] else None
        if status is Status.EXACT and all(m == full(axis) for m in masks):
            status = Status.WHOLE_INPUT
    return AxisField(
        input=name,
        axis=axis.dim,
        input_size=axis.size,
        size=size,
        min_size=smallest,
        jump=jump,
        start=start,
        padding=None if start is None or jump is None else effective_padding(start, size),
        density=density,
        status=status,
        misaligned=line.misaligned,
        causes=tuple(sorted(line.causes)),
        dims=dims,
        shape=line.masks.shape,
        hulls=hulls,
    )


def _hull(mask: int) -> Hull:
    return ((mask & -mask).bit_length() - 1, mask.bit_length() - 1) if mask else None
