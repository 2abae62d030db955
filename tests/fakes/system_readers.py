"""Imports of grades as course systems describe them: what has another form is refused.

References:
    Canvas, "How do I import grades in the Gradebook?"; Moodle, "Offline grading worksheet";
    Brightspace, "Import grades from a CSV file".
"""

import csv
import io
import re

Grades = dict[str, float | None]


def canvas(content: bytes, possible: float) -> Grades:
    """Points by the ID of Canvas."""
    head, *rows = _rows(content)
    assert head[:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"], head
    assert len(head) == 6 and head[5]
    limits = [row for row in rows if row[0].strip() == "Points Possible"]
    assert limits == rows[:1], "one line of points, and before the students"
    assert float(limits[0][5]) == possible
    assert all(row[0] and row[1].isdecimal() for row in rows[1:])
    return _once([(row[1], _number(row[5], possible)) for row in rows[1:]])


def moodle(content: bytes, possible: float) -> Grades:
    """Points by the number of a participant."""
    head, *rows = _rows(content)
    needed = ["Identifier", "Full name", "Email address", "Grade", "Maximum Grade"]
    assert head[:5] == needed and head[5:] == ["Feedback comments"], head
    found = []
    for identifier, name, _, grade, maximum, _ in rows:
        number = re.fullmatch(r"Participant (\d+)", identifier)
        assert number is not None and name, identifier
        assert float(maximum) == possible
        found.append((number[1], _number(grade, possible)))
    return _once(found)


def brightspace(content: bytes, possible: float) -> Grades:
    """Points by user name or id."""
    head, *rows = _rows(content)
    who, points, end = head
    assert who in ("Username", "OrgDefinedId")
    assert points.endswith(" Points Grade") and end == "End-of-Line Indicator"
    assert all(row[0].startswith("#") and row[2] == "#" for row in rows)
    return _once([(row[0][1:], _number(row[1], possible)) for row in rows])


def _rows(content: bytes) -> list[list[str]]:
    rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    assert all(len(row) == len(rows[0]) for row in rows), "as many cells in every line"
    return rows


def _number(text: str, possible: float) -> float | None:
    if text == "":
        return None  # nothing changes there
    assert re.fullmatch(r"\d+(\.\d+)?", text), text
    assert 0 <= float(text) <= possible
    return float(text)


def _once(grades: list[tuple[str, float | None]]) -> Grades:
    assert len(dict(grades)) == len(grades), "nobody comes twice"
    return dict(grades)
