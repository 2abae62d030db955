"""The journal: every finished piece of work as one line, on the disk before anything goes on.

A line is ``{"entry": {...}, "hmac": "..."}`` with a digest of the entry's canonical JSON, keyed by
the instructor's secret. A process may be killed between any two instructions: what was appended is
there, and half a line is no JSON and counts as never written, so that its work is done again. A
whole line whose digest is wrong was written by somebody else, and the journal is refused.
"""

from __future__ import annotations

import hmac
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn, Self

from filelock import FileLock, Timeout

from eva.errors import GradingError
from eva.grading.cohort.handed_in import HandedIn
from eva.json_types import Json

JOURNAL_SCHEMA = 3


class Seal:
    """What marks a line as written by somebody who knows the secret.

    Args:
        secret: Of the instructor.

    Attributes:
        fingerprint: Tells secrets apart and gives none away; it is among a journal's facts.
    """

    def __init__(self, secret: bytes) -> None:
        self.fingerprint = hmac.new(secret, b"eva journal", "sha256").hexdigest()[:16]
        self._key = hmac.digest(secret, b"eva journal lines", "sha256")

    def of(self, entry: object) -> str:
        """Digest of an entry's canonical JSON."""
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
        return hmac.new(self._key, text.encode(), "sha256").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What journals hold.

    Attributes:
        facts: What the grading is; equal for every line that counts. Empty without a header.
        students: The class as it was staged last, as JSON of candidates.
        static: Result of extraction and of the checks without training, by the digest of the
            source; of the checks that were asked for, and of no others.
        seeds: Result of one training, by digest of the graph and index of the seed.
        damaged: Lines that could not be read.
        other_checks: Results that other checks gave.
    """

    facts: dict[str, Json] = field(default_factory=dict)
    students: list[dict[str, Any]] = field(default_factory=list)
    static: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    damaged: int = 0
    other_checks: int = 0


class Journal:
    """A journal opened for writing, by one process at a time.

    Args:
        path: Of the file; made where it is missing, with the folders above.
        facts: What is graded and how; a journal of another grading is refused.
        seal: Of the secret that it is graded with.
        checks: Digest of the checks that need no training. What others gave is not read, so that
            a changed rubric checks again and trains nothing again.

    Raises:
        GradingError: It belongs to another grading, was changed, another process writes it, or the
            disk fails.
    """

    def __init__(self, path: Path, facts: dict[str, Json], seal: Seal, *, checks: str = "") -> None:
        self.path = path
        self._checks = checks
        self._seal = seal
        self._lock = FileLock(f"{path}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _disk(path, error) from error
        try:
            self._take_lock()
            self.contents = read_journals([path], seal, checks=checks)
            if self.contents.facts:
                _require_same(path, self.contents.facts, facts)
            self._size = os.lseek(self._handle, 0, os.SEEK_END)
            if self._size and not path.read_bytes().endswith(b"\n"):
                self._write(b"\n")  # what was cut off stays a line of its own
            if not self.contents.facts:
                self.append({"kind": "grading", "schema": JOURNAL_SCHEMA, "facts": facts})
                self.contents.facts.update(facts)
        except BaseException:
            self.close()
            raise

    def enroll(self, hand_ins: Sequence[HandedIn]) -> None:
        """Keep the class as it was staged, where that is news; errors as :meth:`append`."""
        students = [hand_in.to_json() for hand_in in hand_ins]
        if self.contents.students != students:
            self.append({"kind": "class", "students": list(students)})
            self.contents.students[:] = students

    def keep_static(self, key: str, result: dict[str, Any]) -> None:
        """Keep what extraction and the first checks gave for the source with this digest."""
        self.append({"kind": "static", "key": key, "checks": self._checks, "result": result})
        self.contents.static[key] = result

    def keep_seed(self, key: str, index: int, result: dict[str, Any]) -> None:
        """Keep one training of the graph with this digest."""
        self.append({"kind": "seed", "key": key, "index": index, "result": result})
        self.contents.seeds[key, index] = result

    def append(self, entry: dict[str, Json]) -> None:
        """Write a line and wait until the disk has it.

        Raises:
            GradingError: The disk is full or failed; what was written before is untouched.
        """
        self._write(line_of(entry, self._seal))

    def close(self) -> None:
        """Let others write."""
        os.close(self._handle)
        self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _take_lock(self) -> None:
        try:
            self._lock.acquire(timeout=0)
        except Timeout as error:
            raise GradingError(
                f"another process is writing the journal {self.path}.",
                "Wait for it, or name another with --journal.",
            ) from error
        except OSError as error:
            raise _disk(self.path, error) from error

    def _write(self, content: bytes) -> None:
        try:
            os.lseek(self._handle, self._size, os.SEEK_SET)
            left = memoryview(content)
            while left:
                left = left[os.write(self._handle, left) :]
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._size)  # shrinking needs no space
            raise _disk(self.path, error) from error
        self._size += len(content)


def read_journals(paths: Sequence[Path], seal: Seal, *, checks: str = "") -> Contents:
    """Read journals, several as one: of a result that two of them hold, the first counts.

    Raises:
        GradingError: A file can't be read, was changed, is of another schema, or belongs to another
            grading.
    """
    contents = Contents()
    damaged = other = 0
    for path in paths:
        for entry in _entries(path, seal):
            match entry:
                case {"kind": "grading", "facts": dict(facts)}:
                    if contents.facts:
                        _require_same(path, contents.facts, facts)
                    contents.facts.update(facts)
                case {"kind": "class", "students": list(students)}:
                    contents.students[:] = students
                case {"kind": "static", "checks": str(by), "key": str(key), "result": dict(result)}:
                    if by == checks:
                        contents.static.setdefault(key, result)
                    else:
                        other += 1
                case {"kind": "seed", "key": str(key), "index": int(i), "result": dict(result)}:
                    contents.seeds.setdefault((key, i), result)
                case _:
                    damaged += 1
    return Contents(**vars(contents) | {"damaged": damaged, "other_checks": other})


def line_of(entry: dict[str, Json], seal: Seal) -> bytes:
    """The line of an entry, with its digest."""
    return json.dumps({"entry": entry, "hmac": seal.of(entry)}, sort_keys=True).encode() + b"\n"


def _entries(path: Path, seal: Seal) -> Iterator[Any]:
    """Entry of each line; None for one that was cut off."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GradingError(f"the journal {path} can't be read: {error.strerror}.") from error
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            yield None
            continue
        entry, digest = value.get("entry"), value.get("hmac")
        if not (isinstance(digest, str) and hmac.compare_digest(_ascii(digest), seal.of(entry))):
            _refuse(path, number, entry, seal)
        yield entry


def _ascii(text: str) -> str:
    return text if text.isascii() else ""


def _refuse(path: Path, number: int, entry: object, seal: Seal) -> NoReturn:
    """Say why a line does not count: another schema, another secret, or another hand."""
    match entry:
        case {"kind": "grading", "schema": int(schema)} if schema != JOURNAL_SCHEMA:
            raise GradingError(
                f"{path} has schema {schema}; this eva reads {JOURNAL_SCHEMA}.",
                "Name another journal.",
            )
        case {"kind": "grading", "facts": {"secret": str(other)}} if other != seal.fingerprint:
            _require_same(path, {"secret": other}, {"secret": seal.fingerprint})
    raise GradingError(
        f"the journal {path} was changed by somebody else: line {number} does not carry the digest "
        "that the secret gives it.",
        "Take a copy of it that is whole, or delete the line: its work is then done again.",
    )


def _require_same(path: Path, known: dict[str, Json], facts: dict[str, Json]) -> None:
    different = [name for name in sorted({*known, *facts}) if known.get(name) != facts.get(name)]
    if different:
        raise GradingError(
            f"the journal {path} belongs to another grading: {', '.join(different)} "
            f"{'differ' if len(different) > 1 else 'differs'}.",
            "Go on with the same assignment, secret, seeds and versions, or name another journal.",
        )


def _disk(path: Path, error: OSError) -> GradingError:
    return GradingError(
        f"the journal {path} can't be written: {error.strerror}.",
        "What it holds is safe. Make room, then the same command goes on.",
    )
