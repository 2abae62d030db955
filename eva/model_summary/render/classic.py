"""The classic table: leaf layers in call order, as torchsummary prints them, with three columns.

Input, output and field are printed for layers that look at more than one position themselves.
"""

from __future__ import annotations

from eva.model_summary.columns import format_field, format_size, marks_in
from eva.model_summary.result import Format, Summary, renderer
from eva.model_summary.rows import Row

CLASSIC_WIDTH = 101
MEGABYTE = 1024**2


@renderer(Format.CLASSIC)
def render(summary: Summary, _width: int, _color: bool) -> str:
    """The table and the totals, as text that ends in a line break."""
    rows = [row for row in summary.shown if row.listed]
    lines = [
        "-" * CLASSIC_WIDTH,
        "        Layer (type)               Output Shape         Param #"
        "        Input        Output      RF",
        "=" * CLASSIC_WIDTH,
        *(_line(row, number) for number, row in enumerate(rows, start=1)),
        "=" * CLASSIC_WIDTH,
        f"Total params: {summary.total_params:,}",
        f"Trainable params: {summary.trainable_params:,}",
        f"Non-trainable params: {summary.total_params - summary.trainable_params:,}",
        "-" * 64,
        f"Input size (MB): {summary.input_bytes / MEGABYTE:.2f}",
        f"Forward/backward pass size (MB): {summary.output_bytes / MEGABYTE:.2f}",
        f"Params size (MB): {summary.params_bytes / MEGABYTE:.2f}",
        f"Estimated Total Size (MB): {_total(summary):.2f}",
        "-" * 64,
        *summary.notes,
        *marks_in(rows),
    ]
    return "\n".join(lines) + "\n"


def _line(row: Row, number: int) -> str:
    shape = row.note if row.output_size is None else str([-1, *row.output_size])
    params = row.params if row.leaf else row.own_params
    line = f"{f'{row.type}-{number}':>20}  {shape:>25} {params:>15,}"
    if not row.windowed or row.output_size is None:
        return line
    incoming = _cell(format_size((row.input_size or ())[1:]), 10)
    outgoing = _cell(format_size(row.output_size[1:]), 10)
    return f"{line}{incoming}{outgoing}{_cell(format_field(row.rf), 8)}".rstrip()


def _cell(text: str, width: int) -> str:
    """Heights end at the same place, widths have at least two characters after the x."""
    height, x, rest = text.partition("x")
    return f"{height:>{width}}{x}{rest:<2}"


def _total(summary: Summary) -> float:
    return (summary.input_bytes + summary.output_bytes + summary.params_bytes) / MEGABYTE
