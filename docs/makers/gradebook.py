"""What an instructor sees of a class: the bars and the table of the class's page, in a figure."""

from __future__ import annotations

import re

from makers.records import ROOT

# The page of the made-up class of tests/grading/reports, where it is held to the code.
PAGE = ROOT / "tests" / "golden" / "grading" / "html.html"


def figure() -> str:
    """The bars of points and the table of everybody, as `--report html=class.html` writes them."""
    page = PAGE.read_text(encoding="utf-8")
    bars = re.search(r"<svg.*?</svg>", page, re.DOTALL)
    table = re.search(r"<h2>Everybody</h2>\s*(<table>.*?</table>)", page, re.DOTALL)
    assert bars and table, f"{PAGE} has no bars or no table"
    rows = table[1].replace('class="n"', 'style="text-align: right"')
    rows = re.sub(r'<span class="[\w-]+">|</span>', "", rows)
    return "\n".join(
        [
            '<figure class="gradebook">',
            bars[0],
            " ".join(rows.split()),
            "<figcaption>Two parts of a class's page, of a made-up class of "
            f"{rows.count('<tr>') - 1}: how many students have how many points, and everybody. "
            "Median and lowest are those of the last four epochs, over the seeds.</figcaption>",
            "</figure>",
        ]
    )


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {"generated/gradebook.html": figure()}
