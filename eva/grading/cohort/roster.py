"""Rosters: a CSV file that says who is in the class, when they handed in and what was due."""

from __future__ import annotations

import codecs
import csv
import io
import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, date, datetime, time, tzinfo
from pathlib import Path

from eva.errors import GradingError
from eva.json_types import Json

COLUMNS = (
    "id", "path", "submitted", "due", "late", "group", "first_name", "last_name", "name", "email",
)  # fmt: skip
_IDS = (
    "id", "github_username", "username", "sid", "student_id", "id_number", "orgdefinedid",
    "identifier", "sis_user_id", "sis_login_id", "login_id",
)  # fmt: skip
"""Columns that systems call an id: the first that a roster has is it."""
_ALSO = {
    "timestamp": "submitted", "duedate": "due", "file": "path", "student": "name",
    "full_name": "name", "email_address": "email", "e-mail": "email", "group_name": "group",
    "groups": "group", "firstname": "first_name", "lastname": "last_name", "surname": "last_name",
    "last_modified_(submission)": "submitted",
}  # fmt: skip
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
        group: That hands in one work for all its members; empty without one.
        name: First and last name together, where the roster has them so.
        columns: The line as it was, by the roster's own names: reports for a system repeat them.
        problem: Why this line can't be used; None where it can.
    """

    student: str
    place: str
    path: str = ""
    submitted: str = ""
    due: str = ""
    late: float | None = None
    group: str = ""
    first_name: str = ""
    last_name: str = ""
    name: str = ""
    email: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    problem: str | None = None

    def to_json(self) -> dict[str, Json]:
        """All fields."""
        return asdict(self)


def read_roster(
    path: Path, *, columns: Mapping[str, str] | None = None, zone: tzinfo = UTC
) -> list[RosterLine]:
    """Read a roster; a line with a bad date or a second line of one student is a problem.

    Columns: ``id`` and any of :data:`COLUMNS`, in any order, or those of a course system's export;
    further columns are not looked at.

    Args:
        path: Of a CSV file.
        columns: Ours by the roster's own names, such as ``{"id": "Matrikelnummer"}``.
        zone: Of dates that name none; a date without a time is the end of that day.

    Raises:
        GradingError: The file can't be read, is not CSV, or has no column for the id.
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
    lines = _without_heads(lines)
    if not lines:
        raise GradingError(f"the roster {path} names no student.", f"Columns: {_columns()}.")
    names = _names(path, lines[0][1], columns or {})
    entries = [_entry(line, f"{path.name}:{n}", names, zone) for n, line in lines]
    count = Counter(entry.student for entry in entries)
    return [
        entry
        if count[entry.student] == 1
        else replace(entry, problem=f"the roster names this id {count[entry.student]} times")
        for entry in entries
    ]


NumberedRow = tuple[int, dict[str, str]]


def _without_heads(lines: list[NumberedRow]) -> list[NumberedRow]:
    """The lines of students: Canvas writes "Points Possible" in one, and a blank one above it."""
    for index, (_, line) in enumerate(lines[:3]):
        if next(iter(line.values()), "").strip().lower() == "points possible":
            return lines[index + 1 :]
    return lines


def _names(path: Path, line: dict[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Our name of each of the roster's columns that we know."""
    known = {column: _plain(column) for column in line}
    names: dict[str, str] = {}
    for ours, theirs in given.items():
        found = [column for column in line if column.strip() == theirs.strip()]
        found = found or [column for column, plain in known.items() if plain == _plain(theirs)]
        if not found:
            heads = ", ".join(column.strip() for column in line)
            raise GradingError(f"the roster {path} has no column {theirs!r}.", f"It has: {heads}.")
        names[found[0]] = ours
    ids = [one for one in _IDS if one in known.values()]
    for column, plain in known.items():
        ours = "id" if ids[:1] == [plain] else _ALSO.get(plain, plain)
        if ours in COLUMNS and ours not in names.values() and column not in names:
            names[column] = ours
    if "id" not in names.values():
        raise GradingError(
            f"the roster {path} has no column `id`.",
            f"Columns: {_columns()}. Or say which it is: --column id=NAME.",
        )
    return names


def _plain(column: str) -> str:
    return column.strip().lower().replace(" ", "_")


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


def _rows(text: str) -> list[NumberedRow]:
    """Rows by column, with their lines; the header shows which of the three delimiters it is."""
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    return [
        (reader.line_num, {c: v or "" for c, v in line.items() if isinstance(c, str)})
        for line in reader
    ]


def parse_date(text: str, zone: tzinfo = UTC) -> datetime:
    """ISO 8601 to a moment; without a zone it is that of the course.

    A date without a time is the end of that day.

    Raises:
        ValueError: It is not a date.
    """
    clean = text.strip()
    try:
        moment = datetime.combine(date.fromisoformat(clean), END_OF_DAY)
    except ValueError:
        moment = datetime.fromisoformat(clean)
    return moment if moment.tzinfo else moment.replace(tzinfo=zone)


END_OF_DAY = time(23, 59, 59)


def _columns() -> str:
    return ", ".join(COLUMNS)


def _entry(line: dict[str, str], place: str, names: dict[str, str], zone: tzinfo) -> RosterLine:
    """One line; what it lacks is empty, what it has too much was dropped."""
    values = {ours: line[column].strip() for column, ours in names.items()}
    student = values.get("id", "").removeprefix("Participant ").lstrip("#")
    student = unicodedata.normalize("NFC", student)
    problem = None if student else "the roster's line has no id"
    dates = {}
    for column in ("submitted", "due"):
        text = values.get(column, "")
        try:
            dates[column] = parse_date(text, zone).isoformat() if text not in _NO_DATE else ""
        except ValueError:
            dates[column] = ""
            problem = problem or f"{column} is {text!r} in the roster, not a date such as {_DATE}"
    late = None
    text = values.get("late", "")
    if text:
        try:
            late = float(text.replace(",", "."))
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
        group=unicodedata.normalize("NFC", values.get("group", "")),
        first_name=values.get("first_name", ""),
        last_name=values.get("last_name", ""),
        name=values.get("name", ""),
        email=values.get("email", ""),
        columns={column.strip(): value for column, value in line.items() if value},
        problem=problem,
        **dates,
    )


_NO_DATE = ("", "-")
_DATE = "2026-03-01T23:59:00Z"
