"""The picture that a link to a page shows elsewhere: its title on a plain ground."""

from __future__ import annotations

import textwrap
from pathlib import Path

SIZE = (1200, 630)
GROUND, INK, PALE = "#1d4a63", "#ffffff", "#c5d8e2"


def card(title: str, description: str, path: Path) -> None:
    """Write a PNG of 1200 x 630 pixels; the font comes with matplotlib."""
    from matplotlib import font_manager
    from PIL import Image, ImageDraw, ImageFont

    font = font_manager.findfont("DejaVu Sans")
    image = Image.new("RGB", SIZE, GROUND)
    draw = ImageDraw.Draw(image)
    draw.text((80, 70), "eva", font=ImageFont.truetype(font, 44), fill=PALE)
    lines = textwrap.wrap(title, 28)[:3]
    large, small = ImageFont.truetype(font, 68), ImageFont.truetype(font, 34)
    for row, line in enumerate(lines):
        draw.text((80, 170 + 88 * row), line, font=large, fill=INK)
    for row, line in enumerate(textwrap.wrap(description, 56)[:3]):
        draw.text((80, 210 + 88 * len(lines) + 46 * row), line, font=small, fill=PALE)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
