"""The quick-start notebook, as a file for Jupyter and Colab and as a page, from one source."""

from __future__ import annotations

import json
from typing import Any

import jupytext

from makers.records import DOCS

SOURCE = DOCS / "notebooks" / "quickstart.py"
KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}
Cells = list[dict[str, Any]]


def cells() -> Cells:
    """Cells of the source, in order."""
    found: Cells = jupytext.reads(SOURCE.read_text(), fmt="py:percent")["cells"]
    return found


def as_notebook(found: Cells) -> str:
    """Notebook format 4.5 without outputs; nothing in it depends on who made it, or when."""
    written = []
    for index, cell in enumerate(found):
        entry = {"cell_type": cell["cell_type"], "id": f"cell-{index}", "metadata": {}}
        entry["source"] = cell["source"].splitlines(keepends=True)
        if cell["cell_type"] == "code":
            entry |= {"execution_count": None, "outputs": []}
        written.append(entry)
    metadata = {"kernelspec": KERNEL, "colab": {"provenance": []}}
    notebook = {"cells": written, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, indent=1, ensure_ascii=False)


def as_page(found: Cells) -> str:
    """Markdown as it is, code in fences; the title is the page's own."""
    parts = [
        f"```python\n{cell['source']}\n```" if cell["cell_type"] == "code" else cell["source"]
        for cell in found
    ]
    return "\n\n".join(parts).removeprefix("# Quick start\n\n")


def texts() -> dict[str, str]:
    """All that this file makes."""
    found = cells()
    return {
        "notebooks/quickstart.ipynb": as_notebook(found),
        "generated/quickstart.md": as_page(found),
    }
