"""The result: what the units of one tensor see, as numbers that can be printed and stored."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from eva.errors import ForwardError, InputSizeError
from eva.rf.algebra import LIMIT, Algebra, Axis, Fields, FieldStatus, Line, Seen, Term, full, worst
from eva.rf.geometry import effective_padding
from eva.rf.gradients.check import FieldCheck

FEW = 1024  # positions of an axis
Hull = tuple[int, int] | None  # first and last position seen, both included


@dataclass(frozen=True, kw_only=True)
class AxisField:
    """Receptive field along one spatial axis of one input.

    Args:
        input: Name of the input, ``"0"`` for the first positional one.
        axis: Tensor dimension of that input.
        input_size: Its length in pixels.
        size: Pixels from the first to the last that a unit sees. Where the pattern repeats over
            the units, this is the theoretical size, which may exceed the image; otherwise the
            largest of any unit at this input size.
        min_size: The same for the unit (or phase) that sees least.
        jump: Input pixels between neighboring units: 1/2 after an upsampling by 2, 0 if all
            units see the same; ``None`` if units do not move evenly.
        start: Center of unit 0, 0 being the center of the first pixel; ``None`` without a jump.
        padding: Effective padding P: unit u is centered at ``-P + u * jump + (size - 1) / 2``.
        density: Share of the hull that is really seen; 3/7 for a k1 s3 before a k3 convolution.
        status: How far the numbers can be trusted.
        misaligned: Branches of unequal centers or speeds were joined.
        causes: Operations that made the status worse than exact.
        dims: Tensor dimensions of the units whose fields differ along this axis.
        shape: Number of units along them.
        hulls: First and last position each unit sees inside the input, in row-major order of
            ``shape``; ``None`` for a unit that sees nothing.
        masks: Every position that each unit sees, as bits of a number; ``None`` if they were not
            kept. No part of the JSON.
    """

    input: str
    axis: int
    input_size: int
    size: int
    min_size: int
    jump: Fraction | None
    start: Fraction | None
    padding: Fraction | None
    density: Fraction
    status: FieldStatus
    misaligned: bool
    causes: tuple[str, ...]
    dims: tuple[int, ...]
    shape: tuple[int, ...]
    hulls: tuple[Hull, ...]
    masks: tuple[int, ...] | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Plain numbers, strings and lists; fractions as ``"1/2"``."""
        out: dict[str, Any] = dict(vars(self))
        del out["masks"]
        for key in ("jump", "start", "padding", "density"):
            out[key] = None if out[key] is None else str(out[key])
        out["status"] = str(self.status)
        for key in ("causes", "dims", "shape"):
            out[key] = list(out[key])
        out["hulls"] = [None if h is None else list(h) for h in self.hulls]
        return out

    @staticmethod
    def from_json(data: dict[str, Any]) -> AxisField:
        """Inverse of :meth:`to_json`."""
        values = dict(data)
        for key in ("jump", "start", "padding", "density"):
            values[key] = None if values[key] is None else Fraction(values[key])
        values["status"] = FieldStatus(values["status"])
        for key in ("causes", "dims", "shape"):
            values[key] = tuple(values[key])
        values["hulls"] = tuple(None if h is None else (h[0], h[1]) for h in values["hulls"])
        return AxisField(**values)


@dataclass(frozen=True, kw_only=True)
class ReceptiveField:
    """What the units of a tensor see of the inputs, axis by axis.

    Args:
        axes: One entry for each spatial axis of each input that there is.
        output_shape: Sizes of the tensor, batch included.
        batch_coupled: Images of one batch see each other (batch norm in training mode).
        without_statistics: The same field, but for the mean and variance of normalization layers,
            where these spread it (GroupNorm over a map): ``None`` if they do not.
    """

    axes: tuple[AxisField, ...]
    output_shape: tuple[int, ...]
    batch_coupled: bool = False
    without_statistics: ReceptiveField | None = None
    _check: Callable[[ReceptiveField, int, int], FieldCheck] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def size(self) -> tuple[int, ...]:
        """Pixels seen, an entry an axis."""
        return tuple(a.size for a in self.axes)

    @property
    def min_size(self) -> tuple[int, ...]:
        """Pixels that the unit sees that sees least."""
        return tuple(a.min_size for a in self.axes)

    @property
    def jump(self) -> tuple[Fraction | None, ...]:
        """Input pixels between neighboring units."""
        return tuple(a.jump for a in self.axes)

    @property
    def padding(self) -> tuple[Fraction | None, ...]:
        """Effective padding."""
        return tuple(a.padding for a in self.axes)

    @property
    def start(self) -> tuple[Fraction | None, ...]:
        """Center of unit 0."""
        return tuple(a.start for a in self.axes)

    @property
    def density(self) -> tuple[Fraction, ...]:
        """Share of the hull that is really seen."""
        return tuple(a.density for a in self.axes)

    @property
    def status(self) -> FieldStatus:
        """The worst status of any axis."""
        return worst(a.status for a in self.axes)

    @property
    def misaligned(self) -> bool:
        """Whether branches of unequal centers or speeds were joined."""
        return any(a.misaligned for a in self.axes)

    @property
    def causes(self) -> tuple[str, ...]:
        """Operations that made the status worse than exact."""
        return tuple(sorted({c for a in self.axes for c in a.causes}))

    @property
    def unit_dims(self) -> tuple[int, ...]:
        """Tensor dimensions that index a unit: the spatial ones, and any along which units differ.

        A map (batch, channels, height, width) has units (row, column).
        """
        spatial = range(2, len(self.output_shape))
        return tuple(sorted({*spatial, *(d for a in self.axes for d in a.dims)}))

    def region(self, unit: int | Sequence[int] = ()) -> tuple[slice, ...]:
        """The part of the input that a unit sees, clipped to the input.

        Args:
            unit: Index along each of :attr:`unit_dims`: (row, column) for a map; may be left out
                where there is one unit only, or all units see the same. Given (row, column)
                alone, channels that differ are united.

        Returns:
            A slice for each axis; an empty one, ``slice(0, 0)``, where the unit sees nothing.

        Raises:
            InputSizeError: The index has the wrong length or is outside the map.
        """
        given = (unit,) if isinstance(unit, int) else tuple(unit)
        dims = self.unit_dims
        if not given and all(len(set(a.hulls)) == 1 for a in self.axes):
            given = (0,) * len(dims)
        if len(given) == len(self.output_shape) - 2 < len(dims):
            dims = tuple(range(2, len(self.output_shape)))
        counts = tuple(self.output_shape[d] for d in dims)
        if len(given) != len(dims) or any(
            not -n <= i < n for i, n in zip(given, counts, strict=True)
        ):
            raise InputSizeError(
                f"A unit of this {self.output_shape} output is indexed along dimensions {dims}, "
                f"which have {counts} units; got {given}.",
                "For a map (batch, channels, height, width) give (row, column).",
            )
        at = {d: i % n for d, i, n in zip(dims, given, counts, strict=True)}
        return tuple(_slice(a, [b for b in self.axes if b.input == a.input], at) for a in self.axes)

    def projective(self, pixel: int | Sequence[int], input: str | None = None) -> tuple[slice, ...]:
        """The projective field: which units see a pixel.

        Args:
            pixel: Index along each axis of the input: (row, column) for an image.
            input: Name of the input, if there are several.

        Returns:
            From the first to the last unit along each of :attr:`unit_dims`; ``slice(0, 0)`` if no
            unit sees the pixel.

        Raises:
            InputSizeError: There is no such input or pixel.
        """
        names = list(dict.fromkeys(a.input for a in self.axes))
        name = names[0] if input is None and len(names) == 1 else input
        axes = [a for a in self.axes if a.input == name]
        at = (pixel,) if isinstance(pixel, int) else tuple(pixel)
        sizes = tuple(a.input_size for a in axes)
        if (
            not axes
            or len(at) != len(axes)
            or any(not -n <= i < n for i, n in zip(at, sizes, strict=True))
        ):
            raise InputSizeError(
                f"The inputs {', '.join(map(repr, names))} have pixels; got {at} of {name!r}"
                f"{f', which has {sizes}' if axes else ''}.",
                "Give one index for each axis, and the input's name if there are several.",
            )
        dims = self.unit_dims
        sees: Any = np.ones([1] * len(dims), dtype=bool)
        for axis, place, size in zip(axes, at, sizes, strict=True):
            place = place % size
            if axis.masks is not None:
                there = [bool(m >> place & 1) for m in axis.masks]
            else:
                there = [h is not None and h[0] <= place <= h[1] for h in axis.hulls]
            sees = sees & _chosen(axis, {}, dims, there)
        sees = np.broadcast_to(sees, [self.output_shape[d] for d in dims])
        out = []
        for i in range(len(dims)):
            units = np.flatnonzero(sees.any(axis=tuple({*range(len(dims))} - {i})))
            out.append(slice(int(units[0]), int(units[-1]) + 1) if units.size else slice(0, 0))
        return tuple(out)

    def check(self, units: int = 16, seed: int = 0) -> FieldCheck:
        """Ask gradients, which know nothing of our rules, what some units see.

        Args:
            units: How many to ask about; the first and the last are among them.
            seed: Decides which.

        Returns:
            What they found: ``print`` it, or look at ``agrees`` and ``differences``.

        Raises:
            ForwardError: The field was read from JSON, or the model can't run with gradients.
        """
        if self._check is None:
            raise ForwardError(
                "This field does not know its model.",
                "Ask the result of eva.receptive_field(...) or eva.trace(...).field(...).",
            )
        return self._check(self, units, seed)

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers and strings."""
        out = {
            "output_shape": list(self.output_shape),
            "batch_coupled": self.batch_coupled,
            "axes": [a.to_json() for a in self.axes],
        }
        if self.without_statistics is not None:
            out["without_statistics"] = self.without_statistics.to_json()
        return out

    @staticmethod
    def from_json(data: dict[str, Any]) -> ReceptiveField:
        """Inverse of :meth:`to_json`."""
        return ReceptiveField(
            output_shape=tuple(data["output_shape"]),
            batch_coupled=data["batch_coupled"],
            axes=tuple(AxisField.from_json(a) for a in data["axes"]),
            without_statistics=ReceptiveField.from_json(data["without_statistics"])
            if "without_statistics" in data
            else None,
        )


def _slice(axis: AxisField, axes: Sequence[AxisField], at: Mapping[int, int]) -> slice:
    """Union over the units with these indices along some dimensions.

    Args:
        axis: The axis of the unit.
        axes: All of its input: a unit that sees nothing along one of them sees nothing.
        at: Tensor dimension -> index; the units along all other dimensions are united.
    """
    dims = tuple(sorted({d for a in axes for d in a.dims} - set(at)))
    seeing: Any = True
    for other in axes:
        seeing = seeing & _chosen(other, at, dims, [h is not None for h in other.hulls])
    first = _chosen(axis, at, dims, [0 if h is None else h[0] for h in axis.hulls])
    last = _chosen(axis, at, dims, [0 if h is None else h[1] for h in axis.hulls])
    first, last, seeing = np.broadcast_arrays(first, last, seeing)
    if not seeing.any():
        return slice(0, 0)
    return slice(int(first[seeing].min()), int(last[seeing].max()) + 1)


def _chosen(axis: AxisField, at: Mapping[int, int], dims: Sequence[int], values: Any) -> Any:
    """One value a unit, at some indices, laid out over other dimensions."""
    units = np.asarray(values).reshape(axis.shape)
    units = units[tuple(at.get(d, slice(None)) for d in axis.dims)]
    left = [d for d in axis.dims if d not in at]
    return units.reshape([units.shape[left.index(d)] if d in left else 1 for d in dims])


def receptive_field_of(
    state: Seen | None,
    shape: tuple[int, ...],
    axes: Sequence[Axis],
    names: Sequence[str],
    algebra: Algebra,
) -> ReceptiveField:
    """Numbers for a state; channels that see different things are united.

    Args:
        state: What the tensor sees; ``None`` if no input reaches it.
        shape: Sizes of the tensor.
        axes: Every spatial axis of every input.
        names: Names of the inputs.
        algebra: What made the state.
    """
    fields: Fields = {}
    local = None
    if state is not None and state.local is not None:
        local = receptive_field_of(state.local, shape, axes, names, algebra)
    if state is not None:
        sequence = len(shape) == 3 and not algebra.varies(state, 2)  # (batch, steps, features)
        united = not sequence and not algebra.varies(state, 1)
        state = algebra.absorbed(state, {*range(len(shape))} - ({1} if united else set()))
        fields = algebra.merge(state.groups)
    numbers = []
    images: dict[int, list[Term]] = {}  # size of a batch -> which images of any input are seen
    for axis in axes:
        terms = fields.get(axis, ())
        if axis.dim == 0:
            images.setdefault(axis.size, []).extend(terms)
            continue
        if len(terms) == 1:
            dims, line = terms[0]
        else:
            dims, line = _united(_few(algebra, terms, shape), shape)
        make = functools.partial(_axis_field, axis, dims, line, names[axis.input])
        numbers.append(algebra.known(("numbers", axis, dims, id(line)), line, make))
    if local is not None and local.axes == tuple(numbers):
        local = None
    return ReceptiveField(
        axes=tuple(numbers),
        output_shape=shape,
        batch_coupled=any(_meet(size, seen, shape) for size, seen in images.items()),
        without_statistics=local,
    )


def _few(algebra: Algebra, terms: Sequence[Term], shape: tuple[int, ...]) -> Sequence[Term]:
    """Terms whose union can be written down, as bounds where it is too large."""
    while True:
        dims = {d for t in terms for d in t.dims}
        if math.prod(shape[d] for d in dims) <= LIMIT:
            return terms
        largest = max(dims, key=shape.__getitem__)
        terms = [algebra.less(t, largest) for t in terms]


def _meet(size: int, terms: Sequence[Term], shape: tuple[int, ...]) -> bool:
    """Whether an image of a batch sees another one, of the same input or of another.

    Args:
        size: Size of the batch.
        terms: Which images are seen, of all inputs.
        shape: Sizes of the tensor.
    """
    if not terms:
        return False
    together = _united(terms, shape).line.masks
    if any(m.bit_count() > 1 for m in together.flat):
        return True
    lies = False
    for term in terms:
        for position, dim in enumerate(term.dims):
            others = tuple(i for i in range(len(term.dims)) if i != position)
            masks = np.bitwise_or.reduce(term.line.masks, axis=others).tolist()
            if any(m.bit_count() > 1 for m in masks):
                continue  # it says where in an image something is seen, not in which image
            lies = True
            if shape[dim] == size and any(m and m != 1 << i for i, m in enumerate(masks)):
                return True
    return not lies and shape[:1] == (size,) and bool(together.any())


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
    # Many units see the same. Numbers of many bits are slow to compare and hash alike when shifted.
    keys = masks if axis.size <= FEW else list(map(id, masks))
    different = dict(zip(keys, masks, strict=True))
    known = {key: _hull(m) for key, m in different.items()}
    hulls = tuple([known[key] for key in keys])
    status = line.status
    window = line.window
    jump: Fraction | None
    start: Fraction | None
    if window is not None:
        size, smallest, density = window.size, window.min_size, window.density
        jump, start = window.jump, window.start
    else:
        spans = {key: 0 if h is None else h[1] - h[0] + 1 for key, h in known.items()}
        size, smallest = max(spans.values()), min(spans.values())
        seen = max(different[key].bit_count() for key, s in spans.items() if s == size)
        density = Fraction(seen, size) if size else Fraction(0)
        still = len(set(known.values())) == 1
        jump = Fraction(0) if still else None
        start = Fraction(hulls[0][0] + hulls[0][1], 2) if still and hulls[0] else None
        if status is FieldStatus.EXACT and all(m == full(axis) for m in different.values()):
            status = FieldStatus.WHOLE_INPUT
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
        masks=tuple(masks),
    )


def _hull(mask: int) -> Hull:
    return ((mask & -mask).bit_length() - 1, mask.bit_length() - 1) if mask else None
