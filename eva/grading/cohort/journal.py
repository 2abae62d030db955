"""The journal: every finished piece of work as one line, on the disk before anything goes on.

A line is ``{"entry": {...}, "sha256": "..."}`` with the digest of the entry's canonical JSON. A
process may be killed between any two instructions: what was appended is there, and half a line is
seen by its checksum and counts as never written, so that its work is done again.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from eva.errors import GradingError
from eva.json_types import Json

SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Contents:
    """What journals hold.

    Attributes:
        facts: What the grading is; equal for every line that counts. Empty without a header.
        students: The class as it was staged last, as JSON of candidates.
        static: Result of extraction and checks 1 to 6, by the digest of the source.
        seeds: Result of one training, by digest of the graph and index of the seed.
        damaged: Lines that could not be read.
    """

    facts: dict[str, Json] = field(default_factory=dict)
    students: list[dict[str, Any]] = field(default_factory=list)
    static: dict[str, dict[str, Any]] = field(default_factory=dict)
    seeds: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    damaged: int = 0


class Journal:
    """A journal opened for writing, by one process at a time.

    Args:
        path: Of the file; made where it is missing, with the folders above.
        facts: What is graded and how; a journal of another grading is refused.

    Raises:
        GradingError: It belongs to another grading, another process writes it, or the disk fails.
    """

    def __init__(self, path: Path, facts: dict[str, Json]) -> None:
        self.path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _disk(path, error) from error
        try:
            self._lock()
            self.contents = read_journals([path])
            if self.contents.facts:
                _require_same(path, self.contents.facts, facts)
            self._size = os.lseek(self._handle, 0, os.SEEK_END)
            if self._size and os.pread(self._handle, 1, self._size - 1) != b"\n":
                self._write(b"\n")  # what was cut off stays a line of its own
            if not self.contents.facts:
                self.append({"kind": "grading", "schema": SCHEMA, "facts": facts})
                self.contents.facts.update(facts)
        except BaseException:
            os.close(self._handle)
            raise

    def append(self, entry: dict[str, Json]) -> None:
        """Write a line and wait until the disk has it.

        Raises:
            GradingError: The disk is full or failed; what was written before is untouched.
        """
        self._write(line_of(entry))

    def close(self) -> None:
        """Let others write."""
        os.close(self._handle)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GradingError(
                f"another process is writing the journal {self.path}.",
                "Wait for it, or name another with --journal.",
            ) from error

    def _write(self, content: bytes) -> None:
        try:
            left = memoryview(content)
            while left:
                left = left[os.pwrite(self._handle, left, self._size + len(content) - len(left)) :]
            os.fsync(self._handle)
        except OSError as error:
            os.ftruncate(self._handle, self._size)  # shrinking needs no space
            raise _disk(self.path, error) from error
        self._size += len(content)


def read_journals(paths: Sequence[Path]) -> Contents:
    """Read journals, several as one: of a result that two of them hold, the first counts.

    Raises:
        GradingError: A file can't be read, is of a newer schema, or belongs to another grading.
    """
    contents = Contents()
    damaged = 0
    for path in paths:
        for entry in _entries(path):
            match entry:
                case {"kind": "grading", "schema": int(schema), "facts": dict(facts)}:
                    if schema > SCHEMA:
                        raise GradingError(
                            f"{path} has schema {schema}; this eva reads up to {SCHEMA}."
                        )
                    if contents.facts:
                        _require_same(path, contents.facts, facts)
                    contents.facts.update(facts)
                case {"kind": "class", "students": list(students)}:
                    contents.students[:] = students
                case {"kind": "static", "key": str(key), "result": dict(result)}:
                    contents.static.setdefault(key, result)
                case {"kind": "seed", "key": str(key), "index": int(i), "result": dict(result)}:
                    contents.seeds.setdefault((key, i), result)
                case _:
                    damaged += 1
    return Contents(**vars(contents) | {"damaged": damaged})


def line_of(entry: dict[str, Json]) -> bytes:
    """The line of an entry, with its checksum."""
    return json.dumps({"entry": entry, "sha256": _checksum(entry)}, sort_keys=True).encode() + b"\n"


def _checksum(entry: object) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _entries(path: Path) -> Iterator[Any]:
    """Entry of each line; None for a line that is damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise GradingError(f"the journal {path} can't be read: {error.strerror}.") from error
    for line in content.split(b"\n"):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            entry = value["entry"] if value["sha256"] == _checksum(value["entry"]) else None
        except (ValueError, KeyError, TypeError, RecursionError):
            entry = None
        yield entry


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
