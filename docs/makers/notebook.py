"""Notebooks for Jupyter and Colab: the quick start, also as a page, and one for each lesson."""

from __future__ import annotations

import json
import re
import textwrap
from typing import Any

import jupytext

from makers.glossary import lessons
from makers.records import DOCS, numbers

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


def lesson_cells(markdown: str) -> Cells:
    """Cells of a lesson: its Python blocks in order, and its prose without what only a page shows.

    Outputs are left out: the notebook makes them. So are pictures, widgets and folded solutions.
    """
    install = "# On Colab, this installs the course; elsewhere it may be there already.\n"
    found: Cells = [{"cell_type": "code", "source": f"{install}%pip install -q eva-course"}]
    parts = re.split(r"(?ms)^```(\S*)([^\n]*)\n(.*?)^```$", markdown)
    for index in range(0, len(parts), 4):
        prose = _plain(parts[index])
        if prose:
            found.append({"cell_type": "markdown", "source": prose})
        if index + 3 >= len(parts):
            break
        language, title, text = parts[index + 1 : index + 4]
        if language == "python":
            found.append({"cell_type": "code", "source": text.rstrip()})
        elif "Output" not in title and "--8<--" not in text:
            found.append({"cell_type": "markdown", "source": f"```text\n{text.rstrip()}\n```"})
    return found


def _plain(prose: str) -> str:
    """Prose for a notebook: numbers put in, tables included, links to pages as words."""
    known = numbers()
    prose = re.sub(r"(?ms)^---$.*?^---$|^<div class=\"widget.*?^</div>$", "", prose)
    prose = re.sub(r"(?m)^<(?:link|script).*$", "", prose)
    prose = re.sub(r"(?m)^\?\?\? example .*\n(?:(?: {4}.*)?\n)*", "", prose)
    prose = re.sub(r'(?m)^\?\?\? \w+ "(.*)"\n((?:(?: {4}.*)?\n)*)', _folded, prose)
    prose = re.sub(r'(?m)^--8<-- "(generated/[\w-]+\.md)"$', _included, prose)
    prose = re.sub(r"(?m)^--8<-- .*$", "", prose)
    prose = re.sub(r"\{\{ ([\w.]+) \}\}", lambda match: known[match[1]], prose)
    prose = re.sub(r"\[([^\]]+)\]\((?!https?:)[^)]*\)", r"\1", prose)
    prose = re.sub(r" \{ #[\w-]+ \}$", "", prose, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", prose).strip()


def _folded(match: re.Match[str]) -> str:
    answer = textwrap.dedent(match[2]).strip()
    return f"<details><summary>{match[1]}</summary>\n\n{answer}\n\n</details>\n\n"


def _included(match: re.Match[str]) -> str:
    text = (DOCS / match[1]).read_text().strip()
    return text if text.startswith("|") else ""


def texts() -> dict[str, str]:
    """All that this file makes."""
    found = cells()
    pages = {name: (DOCS / "lessons" / f"{name}.md").read_text() for name in lessons()}
    made = {
        f"notebooks/lesson-{name}.ipynb": as_notebook(lesson_cells(page))
        for name, page in pages.items()
    }
    return made | {
        "notebooks/quickstart.ipynb": as_notebook(found),
        "generated/quickstart.md": as_page(found),
    }
