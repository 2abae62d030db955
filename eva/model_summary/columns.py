"""What a column shows of a row, as text; the same in every format. Sizes as people write them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from fractions import Fraction

import torch

from eva.errors import InputSizeError
from eva.model_summary.rows import SHARED, Row
from eva.rf import FieldStatus, ReceptiveField

SIZE_EXAMPLE = "Write channels x height x width, such as 1x28x28."


class Column(StrEnum):
    """A column of a summary.

    ``kernel``, ``stride``, ``padding`` and ``groups`` are the layer's own settings;
    ``rf_padding`` is the effective padding of the field, ``params_percent`` the share of the
    model's parameters.
    """

    INPUT = "input"
    OUTPUT = "output"
    PARAMS = "params"
    PARAMS_PERCENT = "params_percent"
    TRAINABLE = "trainable"
    MULT_ADDS = "mult_adds"
    FIELD = "rf"
    JUMP = "jump"
    RF_PADDING = "rf_padding"
    DENSITY = "density"
    STATUS = "status"
    KERNEL = "kernel"
    STRIDE = "stride"
    PADDING = "padding"
    GROUPS = "groups"


TITLES = {
    Column.INPUT: "Input",
    Column.OUTPUT: "Output",
    Column.PARAMS: "Params",
    Column.PARAMS_PERCENT: "Params %",
    Column.TRAINABLE: "Trainable",
    Column.MULT_ADDS: "Mult-adds",
    Column.FIELD: "RF",
    Column.JUMP: "Jump",
    Column.RF_PADDING: "RF padding",
    Column.DENSITY: "Density",
    Column.STATUS: "Status",
    Column.KERNEL: "Kernel",
    Column.STRIDE: "Stride",
    Column.PADDING: "Padding",
    Column.GROUPS: "Groups",
}

DEFAULT_COLUMNS = (
    Column.INPUT,
    Column.OUTPUT,
    Column.PARAMS,
    Column.MULT_ADDS,
    Column.FIELD,
    Column.JUMP,
)

# Marks behind a field that is no exact number; a legend below the table says what they mean.
MARKS = {
    FieldStatus.EXACT: "",
    FieldStatus.WHOLE_INPUT: "",
    FieldStatus.BOUND: "≤",
    FieldStatus.DATA_DEPENDENT: "~",
    FieldStatus.UNKNOWN: "?",
}
LEGEND = {
    "..": "units differ: from the least to the most that one of them sees",
    "+": "+ statistics of the whole map, by which a layer normalizes",
    "≤": "an upper bound",
    "~": "depends on the data",
    "?": "an operation has no rule: see eva.rf.register_rule",
}


def parse_size(text: str) -> tuple[int, ...]:
    """Read ``"1x28x28"`` as ``(1, 28, 28)``.

    Raises:
        InputSizeError: Something is not a positive whole number.
    """
    parts = text.lower().replace("×", "x").split("x")
    if not all(part.strip().isdigit() for part in parts):
        raise InputSizeError(f"{text!r} is not a size.", SIZE_EXAMPLE)
    size = tuple(int(part) for part in parts)
    if min(size) < 1:
        raise InputSizeError(f"{text!r} has a side of zero.", SIZE_EXAMPLE)
    return size


def parse_unit(text: str) -> tuple[int, ...]:
    """Read ``"3,4"`` as ``(3, 4)``.

    Raises:
        InputSizeError: Something is not a whole number.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputSizeError(
            f"{text!r} names no unit.", "Write row and column, such as 3,4."
        ) from None


def parse_dtypes(names: Sequence[str] | None) -> torch.dtype | list[torch.dtype] | None:
    """Read ``["long"]`` as ``torch.long``, for all inputs; several names as one for each.

    Raises:
        InputSizeError: PyTorch has no such type of numbers.
    """
    found = []
    for name in names or ():
        dtype = getattr(torch, name.strip().removeprefix("torch."), None)
        if not isinstance(dtype, torch.dtype):
            raise InputSizeError(
                f"{name!r} is no type of numbers.", "Examples: float32, long, bfloat16, bool."
            )
        found.append(dtype)
    return (found if len(found) > 1 else found[0]) if found else None


def format_size(size: Sequence[int] | None) -> str:
    """Write ``(26, 26)`` as ``"26x26"``; nothing for None."""
    return "x".join(map(str, size)) if size else ""


def folded_rows(rows: Sequence[Row]) -> list[bool]:
    """For each row, whether it stands for submodules that are not shown below it."""
    following = [*rows[1:], None]
    return [
        not row.leaf and (after is None or after.depth <= row.depth)
        for row, after in zip(rows, following, strict=True)
    ]


def cell(row: Row, column: Column, *, folded: bool) -> str:
    """Text of one cell; a row whose submodules are shown counts only what it holds itself."""
    whole = row.leaf or folded
    params = row.params if whole else row.own_params
    match column:
        case Column.INPUT:
            return format_size(row.input_size)
        case Column.OUTPUT:
            return format_size(row.output_size) or (row.note if row.note != SHARED else "")
        case Column.PARAMS:
            return _count(params) or ("shared" if row.note == SHARED else "")
        case Column.PARAMS_PERCENT:
            return f"{100 * (row.share if whole else row.own_share):.1f}" if params else ""
        case Column.TRAINABLE:
            return _count(row.trainable) if whole else ""
        case Column.MULT_ADDS:
            return _count(row.mult_adds if whole else row.own_mult_adds)
        case Column.FIELD:
            return format_field(row.rf)
        case Column.JUMP:
            return _numbers(row.rf, "jump")
        case Column.RF_PADDING:
            return _numbers(row.rf, "padding")
        case Column.DENSITY:
            return _numbers(row.rf, "density")
        case Column.STATUS:
            return "" if row.rf is None else str(row.rf.status)
        case Column.KERNEL:
            return format_size(row.kernel)
        case Column.STRIDE:
            return _alike(row.stride)
        case Column.PADDING:
            return _alike(row.padding)
        case Column.GROUPS:
            return "" if row.groups is None else str(row.groups)


def parse_column(name: Column | str) -> Column:
    """The column of this name; "params %" is read as "params_percent".

    Raises:
        InputSizeError: There is none; names those that there are.
    """
    plain = re.sub(r"[\s_]*%", "_percent", name.strip().lower())
    try:
        return Column(plain)
    except ValueError:
        known = ", ".join(Column)
        raise InputSizeError(f"no column is called {name!r}.", f"Known: {known}.") from None


def format_field(rf: ReceptiveField | None) -> str:
    """Such as "28x28", "5..6" where units differ, "whole", or "?".

    Where a normalization layer adds statistics of the whole map, the field without them comes
    first: "3x3+".
    """
    if rf is None or not rf.axes:
        return ""
    if rf.status is FieldStatus.UNKNOWN:
        return "?"
    if rf.without_statistics is not None:
        return format_field(rf.without_statistics) + "+"
    if rf.status is FieldStatus.WHOLE_INPUT:
        return "whole"
    sizes = "x".join(
        str(size) if size == least else f"{least}..{size}"
        for size, least in zip(rf.size, rf.min_size, strict=True)
    )
    return sizes + MARKS[rf.status]


def marks_in(rows: Sequence[Row]) -> list[str]:
    """Lines of the legend that these rows need."""
    text = "".join(format_field(row.rf) for row in rows)
    return [
        meaning if meaning.startswith(mark) else f"{mark} {meaning}"
        for mark, meaning in LEGEND.items()
        if mark in text
    ]


WINDOW_SIDES = {1: ("positions",), 2: ("rows", "columns"), 3: ("slices", "rows", "columns")}


def format_region(rf: ReceptiveField, unit: int | Sequence[int] = ()) -> str:
    """What one unit sees, first and last position of each side: "rows 0-27, columns 3-9".

    Args:
        rf: Field of a layer.
        unit: See :meth:`eva.rf.ReceptiveField.region`.

    Raises:
        InputSizeError: There is no such unit.
    """
    texts = []
    inputs = {axis.input for axis in rf.axes}
    for axis, part in zip(rf.axes, rf.region(unit), strict=True):
        own = [a.axis for a in rf.axes if a.input == axis.input]
        sides = WINDOW_SIDES.get(len(own), ())
        name = sides[own.index(axis.axis)] if sides else f"dimension {axis.axis}"
        where = f" of input {axis.input}" if len(inputs) > 1 else ""
        seen = f"{part.start}-{part.stop - 1}" if part.stop > part.start else "none"
        texts.append(f"{name}{where} {seen}")
    return ", ".join(texts)


def _numbers(rf: ReceptiveField | None, name: str) -> str:
    if rf is not None and rf.without_statistics is not None:
        rf = rf.without_statistics
    if rf is None or rf.status is FieldStatus.UNKNOWN:
        return ""
    values: tuple[Fraction | None, ...] = getattr(rf, name)
    texts = ["-" if value is None else f"{float(value):g}" for value in values]
    return texts[0] if len(set(texts)) == 1 else "x".join(texts)


def _alike(numbers: Sequence[int]) -> str:
    """One number where all are the same, else "2x1"."""
    return str(numbers[0]) if len(set(numbers)) == 1 else format_size(numbers)


def _count(number: int) -> str:
    return f"{number:,}" if number else ""
