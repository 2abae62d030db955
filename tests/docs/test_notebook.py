"""The quick-start notebook runs from top to bottom, and shows what it promises."""

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

DOCS = Path(__file__).parents[2] / "docs"
PATH = DOCS / "notebooks" / "quickstart.ipynb"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Every output of the notebook, run with one epoch in an empty folder."""
    notebook = nbformat.read(PATH, as_version=4)
    nbformat.validate(notebook)
    (cell,) = [c for c in notebook.cells if "EPOCHS = 3" in c.source]
    cell.source = cell.source.replace("EPOCHS = 3", "EPOCHS = 1")
    folder = str(tmp_path_factory.mktemp("notebook"))
    client = NotebookClient(
        notebook, timeout=240, kernel_name="python3", resources={"metadata": {"path": folder}}
    )
    client.execute()
    return [output for c in notebook.cells for output in c.get("outputs", [])]


def shown(outputs: list[Any], kind: str) -> list[str]:
    return [output.data[kind] for output in outputs if kind in output.get("data", {})]


@pytest.mark.filterwarnings("default")
def test_the_notebook_shows_summary_progress_and_pictures(outputs: list[Any]) -> None:
    tables = [html for html in shown(outputs, "text/html") if "<table" in html]
    assert len(tables) == 1 and "7,753" in tables[0] and "28x28" in tables[0]
    assert len(shown(outputs, "image/png")) == 2  # mistakes and fields, each once
    printed = "".join(output.get("text", "") for output in outputs)
    assert "(8, 8)" in printed and "epoch 1  train" in printed
    bars = printed + "".join(shown(outputs, "text/plain"))
    assert "1/1" in bars or "100%" in bars


COURSE = tomllib.loads((DOCS / "exercises" / "course.toml").read_text())
LESSONS = [one["name"] for one in COURSE["lesson"]]


@pytest.mark.parametrize("name", LESSONS)
def test_a_lessons_notebook_runs_the_blocks_that_its_page_runs(name: str) -> None:
    """So what test_snippets executes is what a reader of the notebook executes."""
    page = (DOCS / "lessons" / f"{name}.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?ms)^```python\n(.*?)^```$", page)
    made = nbformat.read(DOCS / "notebooks" / f"lesson-{name}.ipynb", as_version=4)
    nbformat.validate(made)
    code = [cell.source for cell in made.cells if cell.cell_type == "code"]
    assert code[0].endswith("%pip install -q eva-course")
    assert code[1:] == [block.rstrip() for block in blocks]
    prose = "".join(cell.source for cell in made.cells if cell.cell_type == "markdown")
    assert not re.search(r"--8<--|\{\{|<script|\?\?\? |\]\((?!http)", prose)
