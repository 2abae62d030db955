"""Reports of a gradebook, one format a file; :data:`FORMATS` lists them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from eva.errors import GradingError
from eva.grading.cohort.gradebook import Grade, Gradebook
from eva.grading.reports import (
    check50_json,
    class_html,
    classroom,
    feedback_html,
    gradebook_csv,
    gradebook_json,
    gradescope,
    junit,
    systems,
    workflow_summary,
)
from eva.grading.reports.escape import file_name
from eva.record import write_atomically

__all__ = ["FORMATS", "Target", "parse_target", "write_report"]

OfClass = Callable[[Gradebook], str]
OfStudent = Callable[[Gradebook, Grade], str]


@dataclass(frozen=True, kw_only=True)
class Form:
    """A format of reports.

    Attributes:
        about: For people, in a few words.
        suffix: Of a file of one student.
        whole: Makes the text of a class; None where each student has a file of their own.
        each: Makes the text of one student; None where the class has one.
    """

    about: str
    suffix: str = ""
    whole: OfClass | None = None
    each: OfStudent | None = None


FORMATS = {
    "json": Form(about="everything, by our schema", whole=gradebook_json.render),
    "csv": Form(about="gradebook with nbgrader's columns", whole=gradebook_csv.render),
    "html": Form(about="the class on one page", whole=class_html.render),
    "junit": Form(about="JUnit XML, a suite a student", whole=junit.render),
    "summary": Form(about="markdown for a workflow's summary", whole=workflow_summary.render),
    "canvas": Form(about="for an import in Canvas", whole=systems.canvas),
    "moodle": Form(about="grading worksheet of Moodle", whole=systems.moodle),
    "brightspace": Form(about="for an import in Brightspace", whole=systems.brightspace),
    "feedback": Form(about="a page for each student", suffix=".html", each=feedback_html.render),
    "gradescope": Form(
        about="results.json for each student", suffix=".json", each=gradescope.render
    ),
    "classroom": Form(
        about="GitHub Classroom's runner result", suffix=".json", each=classroom.render
    ),
    "check50": Form(
        about="check50's JSON for each student", suffix=".json", each=check50_json.render
    ),
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where a report goes: a file, or a folder with a file a student."""

    format: str
    path: Path


def parse_target(text: str) -> Target:
    """Read "csv=gradebook.csv".

    Raises:
        GradingError: There is no such format, or no file.
    """
    name, equals, path = text.partition("=")
    if name not in FORMATS or not equals or not path:
        known = ", ".join(FORMATS)
        raise GradingError(
            f"a report is FORMAT=FILE, such as csv=gradebook.csv; came {text!r}.",
            f"Formats: {known}.",
        )
    return Target(format=name, path=Path(path))


def write_report(gradebook: Gradebook, target: Target) -> list[Path]:
    """Write a report and return its files.

    Of a format that has a file a student, ``path`` is a folder; with one student in the class it
    may be the file itself, told by its suffix.

    Raises:
        GradingError: Nothing can be written there, or a file was named for many students.
    """
    form = FORMATS[target.format]
    try:
        if form.whole is not None:
            return [write_atomically(target.path, form.whole(gradebook).encode())]
        assert form.each is not None, "a format is of a class or of a student"
        if target.path.suffix == form.suffix:
            if len(gradebook.grades) > 1:
                raise GradingError(
                    f"{target.format} writes a file for each of {len(gradebook.grades)} students, "
                    f"and {target.path} is one file.",
                    f"Name a folder: {target.format}={target.path.with_suffix('')}.",
                )
            text = form.each(gradebook, gradebook.grades[0])
            return [write_atomically(target.path, text.encode())]
        return [
            write_atomically(target.path / f"{name}{form.suffix}", text.encode())
            for grade, name in zip(gradebook.grades, _names(gradebook), strict=True)
            for text in [form.each(gradebook, grade)]
        ]
    except OSError as error:
        raise GradingError(f"{target.path} can't be written: {error.strerror}.") from error


def _names(gradebook: Gradebook) -> list[str]:
    """Names of the students' files; where several claim one id, their source is in it too."""
    count = Counter(grade.student for grade in gradebook.grades)
    return [
        file_name(g.student if count[g.student] == 1 else f"{g.student} {g.source}")
        for g in gradebook.grades
    ]
