"""What MkDocs does to our pages: measured numbers put in, Sphinx roles turned into links.

``{{ exp5.test }}`` in a page stands for an entry of docs/generated/numbers.json, which
`python docs/generate.py` makes from the records. An unknown name stops the build.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

NUMBERS = Path(__file__).parent / "generated" / "numbers.json"
NAME = re.compile(r"\{\{ ([\w.]+) \}\}")
# Code, signatures, attributes, folded notes, and a table's heads and all cells but a row's first.
UNSEARCHED = re.compile(
    r'(<div(?= class="(?:\S+ )*(?:highlight|doc-attribute)")|<details(?=[ >])'
    r"|<th(?=[ >])|(?<!<tr>\n)<td(?=[ >]))"
)
PROSE = re.compile(r"(<p|<ul)(?=>)")  # of the API reference, which is found by its names
ROLE = re.compile(r":(?:class|func|meth|attr|exc|mod):<code>~?([\w.]+)</code>")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace every ``{{ name }}`` by the number of that name."""
    numbers: dict[str, str] = json.loads(NUMBERS.read_text())

    def number(match: re.Match[str]) -> str:
        if match[1] not in numbers:
            raise KeyError(f"{page.file.src_path}: {NUMBERS.name} has no number {match[1]!r}")
        return numbers[match[1]]

    return NAME.sub(number, markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Turn roles into references that mkdocs-autorefs resolves; keep details out of the search.

    The index of the search is loaded with every page, so it has to be small.
    """

    def reference(match: re.Match[str]) -> str:
        short = match[1].rpartition(".")[2]
        return f'<autoref identifier="{match[1]}" optional><code>{short}</code></autoref>'

    patterns = [UNSEARCHED] + [PROSE] * ("doc-object" in html)
    for pattern in patterns:
        html = pattern.sub(r"\1 data-search-exclude", html)
    return ROLE.sub(reference, html)
