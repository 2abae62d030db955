"""The quick-start notebook runs from top to bottom, and shows what it promises."""

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from eva.submission import load_submission

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
    summary, curves, report = shown(outputs, "text/html")
    assert "<table" in summary and "7,753" in summary and "28x28" in summary
    assert curves.count("<polyline") == 2 and "not an official result" in curves
    assert "fewer than 8,000 parameters" in report and "failed" in report
    assert len(shown(outputs, "image/png")) == 2  # mistakes and fields, each once
    printed = "".join(output.get("text", "") for output in outputs)
    assert "(8, 8)" in printed
    assert "epoch  1:" in printed, "the bar"
    assert "epoch  1  lr 0.1" in printed, "the line of an epoch"
    assert "TqdmWarning" not in printed


def test_the_notebook_is_a_submission_itself() -> None:
    loaded = load_submission(PATH)
    assert loaded.recipe.epochs == 15
    assert sum(p.numel() for p in loaded.build().parameters()) > 8000


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
