"""What the HTML reports share: a page without scripts or foreign files, and small drawings."""

from __future__ import annotations

from collections.abc import Sequence

from eva.grading.reports.escape import html_text

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;
color:#1a1a1a}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.3rem .6rem;
border-bottom:1px solid #ddd;vertical-align:top}td.n,th.n{text-align:right;font-variant-numeric:
tabular-nums}pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f6f6f6;padding:.6rem}
td{overflow-wrap:anywhere}td pre{margin:0}
.passed,.graded{color:#176b2c}.failed,.refused{color:#a31515}
.needs-review,.unfinished{color:#8a5a00}.skipped{color:#666}svg{max-width:100%;height:auto}
"""
# Nothing may be loaded or run, whatever an escape might let through.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_COLORS = ("#1f5fa8", "#c05a00", "#2c7a3f", "#8b3a8b", "#666666")
_WIDTH, _HEIGHT, _MARGIN = 640, 280, 48  # pixels


def page(title: str, body: Sequence[str]) -> str:
    """An HTML document; ``body`` is HTML, ``title`` is text."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], numbers: Sequence[int] = ()) -> str:
    """A table; heads are text, cells are HTML, columns in ``numbers`` are set to the right."""

    def cell(tag: str, index: int, content: str) -> str:
        kind = ' class="n"' if index in numbers else ""
        return f"<{tag}{kind}>{content}</{tag}>"

    head = "".join(cell("th", i, html_text(text)) for i, text in enumerate(heads))
    lines = ["".join(cell("td", i, text) for i, text in enumerate(row)) for row in rows]
    body = "\n".join(f"<tr>{line}</tr>" for line in lines)
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>"


def curves(series: Sequence[tuple[str, Sequence[float]]], target: float) -> str:
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
    parts += [_label(x(e), _HEIGHT - 28, str(e), "middle") for e in range(0, epochs, 2)]
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


def bars(counts: Sequence[tuple[str, int]], about: str) -> str:
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


def _svg(about: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html_text(about)}">\n'
        f"<title>{html_text(about)}</title>\n" + "\n".join(parts) + "\n</svg>"
    )
