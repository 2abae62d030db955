"""Downloads of course systems: whose work a file or folder is, from the forms of their names.

Canvas, Moodle, Blackboard and Brightspace write the student into the name of each file or folder;
Gradescope into a list beside them; GitHub Classroom's clones carry the assignment's name in front.
A download is recognized where more than half of its names have one system's form. What has another
form keeps its name as its id, and is a row of its own.

References:
    Canvas, "How do I download all student submissions for an assignment?"; Moodle, Assignment
    "Download all submissions"; Blackboard, "Download assignments"; Brightspace, "Download
    submissions"; Gradescope, "Export submissions"; ``gh classroom clone student-repos``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath

from eva.grading.cohort.uploads import ArchiveEntry, EntryKind, Named, Upload

_CANVAS = re.compile(r"(?P<name>[^_]+)_(?P<late>LATE_)?(?P<id>\d+)_(?P<at>\d+)_(?P<file>.+)")
_MOODLE = re.compile(r"(?P<name>.+)_(?P<id>\d+)_assignsubmission_(?:file|onlinetext)_?(?P<file>.*)")
_BLACKBOARD = re.compile(
    r".+?_(?P<id>[^_]+)_attempt_(?P<at>\d{4}(?:-\d\d){5})(?:_(?P<file>.+)|(?P<receipt>\.txt))"
)
_BRIGHTSPACE = re.compile(
    r"(?P<id>\d+)-\d+ ?- ?(?P<name>.+?) ?- ?(?P<at>\w{3,9}\.? \d{1,2}, \d{4} \d{1,2}:?\d\d ?[AP]M)"
)
_AGAIN = re.compile(r"-\d+(?=\.\w+$)")  # Canvas numbers files that were handed in again
METADATA = "submission_metadata.yml"  # Gradescope's list of who each folder is
_GRADESCOPE = re.compile(r"submission_\d+")
_LISTS = {"index.html", METADATA}  # that systems put beside the students' work


NameForm = Callable[[str], Named | None]


def identify(uploads: Sequence[Upload], text: str | None = None) -> list[Upload]:
    """The same uploads with ids; files of one attempt of a student become one upload.

    Args:
        uploads: Opened, all of one folder or archive.
        text: Of Gradescope's list, where there is one.
    """
    works = [one for one in uploads if one.top_name not in _LISTS]
    forms = [_gradescope(text)] if text is not None else []
    forms += [_canvas, _moodle, _blackboard, _brightspace, _classroom(works)]
    for form in forms:
        named = [form(one.top_name) for one in works]
        if 2 * sum(one is not None for one in named) > len(works):
            return _joined(works, named)
    return list(works)


def _joined(works: Sequence[Upload], named: Sequence[Named | None]) -> list[Upload]:
    """One upload an attempt."""
    groups: dict[tuple[str, str], list[tuple[Upload, Named]]] = {}
    found: list[Upload] = []
    for one, said in zip(works, named, strict=True):
        if said is None or one.line is not None:
            found.append(one)
        else:
            groups.setdefault((said.id, said.attempt), []).append((one, said))
    for parts in groups.values():
        real = [part for part in parts if not part[1].receipt] or parts
        first, said = real[0]
        whole = replace(first, said=said)
        if len(real) == 1 and not said.file:
            found.append(whole)
            continue
        refusal = next((one.refusal for one, _ in real if one.refusal is not None), None)
        entries = tuple(entry for one, part in real for entry in _renamed(one, part.file))
        found.append(replace(whole, entries=entries, refusal=refusal))
    return found


def _renamed(upload: Upload, name: str) -> list[ArchiveEntry]:
    """Entries of an upload; a single file under the name that the student gave it."""
    entries = list(upload.entries)
    if name and len(entries) == 1 and entries[0].kind is EntryKind.FILE:
        path = entries[0].path
        if len(path.parts) == 1 and path.name == upload.top_name:
            return [replace(entries[0], path=PurePosixPath(_AGAIN.sub("", name)))]
    return entries


def _canvas(name: str) -> Named | None:
    found = _CANVAS.fullmatch(name)
    if found is None:
        return None
    return Named(id=found["id"], name=found["name"], file=found["file"])


def _moodle(name: str) -> Named | None:
    found = _MOODLE.fullmatch(name)
    if found is None:
        return None
    return Named(id=found["id"], name=found["name"], file=found["file"])


def _blackboard(name: str) -> Named | None:
    found = _BLACKBOARD.fullmatch(name)
    if found is None:
        return None
    file, receipt = found["file"] or found["id"], found["receipt"] is not None
    return Named(id=found["id"], attempt=found["at"], file=file, receipt=receipt)


def _brightspace(name: str) -> Named | None:
    found = _BRIGHTSPACE.fullmatch(name)
    if found is None:
        return None
    clock = re.sub(r"[.:]", "", found["at"]).replace("AM", " AM").replace("PM", " PM")
    month, day, year, hour, half = clock.replace(",", " ").split()
    try:
        at = datetime.strptime(f"{month[:3]} {day} {year} {hour:>04} {half}", "%b %d %Y %I%M %p")
    except ValueError:
        return None
    return Named(id=found["id"], name=found["name"], attempt=at.isoformat())


def _classroom(works: Sequence[Upload]) -> NameForm:
    """Folders ``SLUG-submissions/SLUG-STUDENT``, as GitHub's command clones them."""
    around = {one.around.removesuffix("-submissions") for one in works}
    slug = around.pop() if len(around) == 1 else ""
    ours = all(one.around.endswith("-submissions") for one in works)

    def form(name: str) -> Named | None:
        if not ours or not slug or not name.startswith(f"{slug}-") or name == f"{slug}-":
            return None
        return Named(id=name.removeprefix(f"{slug}-"))

    return form


def _gradescope(text: str) -> NameForm:
    """Folders ``submission_N``, and a list of who each of them is."""
    known: dict[str, Named] = {}
    folder, values = "", dict[str, str]()
    for line in text.splitlines():
        if (head := re.fullmatch(rf"({_GRADESCOPE.pattern}):\s*", line)) is not None:
            folder, values = head[1], {}
        found = re.fullmatch(r"\s*-?\s*:(name|sid|email):\s*(.*?)\s*", line)
        if found is not None and folder:
            values.setdefault(found[1], found[2].strip("'\""))
            id_ = values.get("sid") or values.get("email") or values.get("name", "")
            known[folder] = Named(id=id_, name=values.get("name", ""))
    return lambda name: known.get(name)
