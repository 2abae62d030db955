"""The real core end to end: sandbox, judge and statistics, on a few hundred images."""

import json
from pathlib import Path

import pytest
from tiny_core import HONEST, SECRET, grade_tiny, tiny_plan, tiny_terms

from eva.grading.cohort.gradebook import Gradebook, Outcome
from eva.grading.reports import gradebook_json
from eva.jobs.processes import LocalEngine


def _grade(folder: Path, journal: Path, secret: bytes = SECRET) -> Gradebook:
    terms = tiny_terms(secret)
    return grade_tiny(folder, journal, LocalEngine(tiny_plan(terms), jobs=1), terms)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("class")
    for name, text in {
        "anna": HONEST,
        "copy": "# the same network, other text\n" + HONEST,
        "exits": "import os\nos._exit(0)\n",
        "large": HONEST.replace("8,", "800,").replace("(8", "(800"),
    }.items():
        (made / f"{name}.py").write_text(text)
    return made


def test_a_class_goes_through_the_sandbox_to_a_gradebook(folder: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    book = _grade(folder, journal)
    grades = {grade.student: grade for grade in book.grades}
    assert {grade.outcome for grade in book.grades} == {Outcome.GRADED}
    assert {name for name, grade in grades.items() if grade.report.passed} == {"anna", "copy"}
    assert grades["exits"].score == 0
    assert grades["large"].score < 10
    assert len(grades["anna"].trained) == 2, "two that agree decide"
    assert len({t.accuracies for t in grades["anna"].trained}) > 1, "seeds differ"
    assert grades["anna"].trained == grades["copy"].trained
    assert grades["anna"].flags == ("same model and recipe as copy",)
    assert grades["anna"].tier in ("A", "B", "C")

    lines = journal.read_text().splitlines()
    kinds = [json.loads(line)["entry"]["kind"] for line in lines]
    assert (kinds.count("static"), kinds.count("seed")) == (4, 2)
    half = lines[-1][:40]
    journal.write_text("\n".join(lines[:-1]) + f"\n{half}")
    again = _grade(folder, journal)
    assert gradebook_json.render(again) == gradebook_json.render(book)

    other = tmp_path / "other.jsonl"
    for name in ("copy", "exits", "large"):
        (folder / f"{name}.py").unlink()
    drawn = _grade(folder, other, b"another secret, long enough")
    assert drawn.grades[0].trained != grades["anna"].trained, "the secret draws the seeds"
