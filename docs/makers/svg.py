"""Pieces of SVG, drawn by hand, so that the same record gives the same bytes everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, LEFT, RIGHT, TOP = 560, 88, 16, 16
Point = tuple[float, float]


def line(points: Sequence[Point], css: str) -> str:
    """A line through points."""
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    return f'<path class="{css}" d="M{path}"/>'


def label(x: float, y: float, text: str, anchor: str) -> str:
    """A text at a point; ``anchor`` as in SVG."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def picture(title: str, description: str, body: Sequence[str], height: int) -> str:
    """The whole picture; its description is read out in its place."""
    words = escape(f"{title}. {description}", quote=True)
    inner = "\n".join(body)
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{words}">\n'
        f"{inner}\n</svg>"
    )


def figure(drawn: str, keys: Sequence[tuple[str, str]]) -> str:
    """A picture and its key: pairs of the class of a line and what it stands for."""
    legend = " ".join(
        f'<span class="key"><svg viewBox="0 0 28 8" aria-hidden="true">'
        f'<path class="line mean {css}" d="M0 4H28"/></svg>{escape(words)}</span>'
        for css, words in keys
    )
    return f'<figure class="curves">\n{drawn}\n<figcaption>{legend}</figcaption>\n</figure>'
