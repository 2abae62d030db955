"""Small drawings for the HTML reports, as SVG inside of the page."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from eva.grading.reports.escape import html_text

_COLORS = ("#1f5fa8", "#c05a00", "#2c7a3f", "#8b3a8b", "#666666")
_WIDTH, _HEIGHT, _MARGIN = 640, 280, 48  # pixels


def accuracy_curves(series: Sequence[tuple[str, Sequence[float]]], target: float) -> Markup:
    """Accuracy in percent over epochs, one line a series, with the target as a dashed line."""
    values = [value for _, line in series for value in line]
    epochs = max(len(line) for _, line in series)
    low = max(min(*values, target) - 0.1, min(target, max(values)) - 2.5)
    high = max(*values, target) + 0.1

    def x(epoch: int) -> float:
        return _MARGIN + epoch * (_WIDTH - 2 * _MARGIN) / max(epochs - 1, 1)

    def y(value: float) -> float:
        inside = min(max(value, low), high)
        return _HEIGHT - _MARGIN - (inside - low) / (high - low) * (_HEIGHT - 2 * _MARGIN)

    parts = [_axis(low, high, y), _label(_WIDTH / 2, _HEIGHT - 8, "epoch", "middle")]
    parts += [_label(x(e), _HEIGHT - 28, str(e + 1), "middle") for e in range(0, epochs, 2)]
    parts.append(
        f'<line x1="{_MARGIN}" x2="{_WIDTH - _MARGIN}" y1="{y(target):.1f}" '
        f'y2="{y(target):.1f}" stroke="#a31515" stroke-dasharray="6 4"/>'
    )
    for number, (name, line) in enumerate(series):
        color = _COLORS[number % len(_COLORS)]
        points = " ".join(f"{x(e):.1f},{y(value):.1f}" for e, value in enumerate(line))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{color}"/>')
        parts.append(_label(_WIDTH - 4, 16 + 16 * number, name, "end", color))
    return _svg(f"Test accuracy over {epochs} epochs; the target is {target:g} %", parts)


def bars(counts: Sequence[tuple[str, int]], about: str) -> Markup:
    """A bar chart of counts, each with its label below and its number above."""
    top = max((count for _, count in counts), default=0) or 1
    step = (_WIDTH - 2 * _MARGIN) / max(len(counts), 1)
    parts = []
    for index, (name, count) in enumerate(counts):
        height = count / top * (_HEIGHT - 2 * _MARGIN)
        left = _MARGIN + index * step
        parts.append(
            f'<rect x="{left + 2:.1f}" y="{_HEIGHT - _MARGIN - height:.1f}" '
            f'width="{step - 4:.1f}" height="{height:.1f}" fill="{_COLORS[0]}"/>'
        )
        middle = left + step / 2
        parts.append(_label(middle, _HEIGHT - _MARGIN + 18, name, "middle"))
        if count:
            parts.append(_label(middle, _HEIGHT - _MARGIN - height - 6, str(count), "middle"))
    return _svg(about, parts)


def _axis(low: float, high: float, y: object) -> str:
    assert callable(y)
    ticks = [low + (high - low) * part / 4 for part in range(5)]
    return "".join(_label(_MARGIN - 6, y(tick) + 4, f"{tick:.2f}", "end") for tick in ticks)


def _label(x: float, y: float, text: str, anchor: str, color: str = "#333") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="12" text-anchor="{anchor}" '
        f'fill="{color}">{html_text(text)}</text>'
    )


def _svg(about: str, parts: Sequence[str]) -> Markup:
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html_text(about)}">\n'
        f"<title>{html_text(about)}</title>\n" + "\n".join(parts) + "\n</svg>"
    )
