"""Rosters: a CSV file that says who is in the class, when they handed in and what was due."""

from __future__ import annotations

import codecs
import csv
import io
from collections import Counter
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from eva.errors import GradingError
from eva.json_types import Json

COLUMNS = ("id", "path", "submitted", "due", "late", "first_name", "last_name", "email")
_ALSO = {"student_id": "id", "timestamp": "submitted", "duedate": "due", "file": "path"}
_MAX_BYTES = 20_000_000


@dataclass(frozen=True, kw_only=True)
class RosterLine:
    """One line of a roster.

    Attributes:
        student: Id.
        place: File and line, for messages.
        path: Of the submission, relative to the roster; empty where it is found by the id.
        submitted: When it was handed in, ISO 8601 with a zone; empty where unknown.
        due: Until when it was due, likewise; empty for the assignment's own date.
        late: Days late, given by hand; None where the two dates decide.
        problem: Why this line can't be used; None where it can.
    """

    student: str
    place: str
    path: str = ""
    submitted: str = ""
    due: str = ""
    late: float | None = None
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    problem: str | None = None

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return asdict(self)


def read_roster(path: Path) -> list[RosterLine]:
    """Read a roster; a line with a bad date or a second line of one student is a problem.

    Columns: ``id`` and any of :data:`COLUMNS`, in any order; further columns are not looked at.

    Raises:
        GradingError: The file can't be read, is not CSV, or has no column ``id``.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise GradingError(f"the roster {path} can't be read: {error.strerror}.") from error
    if len(content) > _MAX_BYTES:
        raise GradingError(f"the roster {path} has more than {_MAX_BYTES:,} bytes.")
    try:
        lines = _rows(_text(content))
    except csv.Error as error:
        raise GradingError(f"the roster {path} is not CSV: {error}.") from error
    entries = [_entry(line, f"{path.name}:{n}") for n, line in enumerate(lines, start=2)]
    if not entries:
        raise GradingError(f"the roster {path} names no student.", f"Columns: {_columns()}.")
    if all("id" not in _named(line) for line in lines):
        raise GradingError(f"the roster {path} has no column `id`.", f"Columns: {_columns()}.")
    count = Counter(entry.student for entry in entries)
    return [
        entry
        if count[entry.student] == 1
        else RosterLine(
            student=entry.student,
            place=entry.place,
            problem=f"the roster names this id {count[entry.student]} times",
        )
        for entry in entries
    ]


def _text(content: bytes) -> str:
    """Text in the encodings that spreadsheets write, told by their marks or else tried out."""
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    if content[1:2] == b"\0":  # no mark, and every other byte of plain letters is zero
        return content.decode("utf-16-le", "replace")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _rows(text: str) -> list[dict[str, str]]:
    """Rows by column; the header shows which of the three delimiters it is."""
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter))


def parse_date(text: str) -> datetime:
    """ISO 8601 to a moment; without a zone it is UTC.

    Raises:
        ValueError: It is not a date.
    """
    moment = datetime.fromisoformat(text.strip())
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _columns() -> str:
    return ", ".join(COLUMNS)


def _named(line: dict[str, str]) -> dict[str, str]:
    """Values by our column names; what a line lacks is empty, what it has too much is dropped."""
    named: dict[str, str] = {}
    for column, value in line.items():
        if isinstance(column, str):
            name = column.strip().lower().replace(" ", "_")
            named[_ALSO.get(name, name)] = (value or "").strip()
    return named


def _entry(line: dict[str, str], place: str) -> RosterLine:
    values = _named(line)
    student = values.get("id", "")
    problem = None if student else "the roster's line has no id"
    dates = {}
    for column in ("submitted", "due"):
        text = values.get(column, "")
        try:
            dates[column] = parse_date(text).isoformat() if text else ""
        except ValueError:
            dates[column] = ""
            problem = problem or f"{column} is {text!r} in the roster, not a date such as {_DATE}"
    late = None
    text = values.get("late", "")
    if text:
        try:
            late = float(text)
            if not 0 <= late < 10_000:
                raise ValueError
        except ValueError:
            late = None
            problem = problem or f"late is {text!r} in the roster, not a number of days"
    return RosterLine(
        student=student or place,
        place=place,
        path=values.get("path", ""),
        late=late,
        first_name=values.get("first_name", ""),
        last_name=values.get("last_name", ""),
        email=values.get("email", ""),
        problem=problem,
        **dates,
    )


_DATE = "2026-03-01T23:59:00Z"
