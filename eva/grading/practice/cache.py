"""Trainings that were done before, kept by what they depend on.

An entry is a folder ``grades/KEY`` in the user's cache: the record, the pictures and, written last
and atomically, ``result.json`` with the facts that KEY is made of and a checksum of the record. An
entry that is not whole is as good as none. While a training runs, its checkpoint lies in the same
folder, so that one that was interrupted goes on.

This cache serves practice alone: whoever owns it can change it, so no official grade reads it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from filelock import FileLock, Timeout

import eva
from eva.data import Dataset
from eva.errors import GradingError, RecordError
from eva.grading.graph.candidate import Candidate
from eva.record import Run, write_atomically
from eva.user_cache import writable_cache

CACHE_SCHEMA = 1


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that a training depends on; two trainings with the same facts are the same.

    Attributes:
        submission: Digest of graph, first weights and recipe.
        data: Checksum of the data set.
        seed: Of the training.
        eva: Version.
        torch: Version.
    """

    submission: str
    data: str
    seed: int
    eva: str
    torch: str

    @classmethod
    def of(cls, candidate: Candidate, data: Dataset, seed: int) -> Facts:
        """Collect the facts of a training; the submission must have a graph."""
        if not candidate.digest:
            raise GradingError("the submission has no graph to remember a training by.")
        return cls(
            submission=candidate.digest,
            data=data.checksum,
            seed=seed,
            eva=eva.__version__,
            torch=str(torch.__version__),
        )

    @property
    def key(self) -> str:
        """Name of the entry: 24 hexadecimal digits of a SHA-256 over all facts."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:24]


@dataclass(frozen=True, kw_only=True)
class CachedRun:
    """A finished training: its record, and the files beside it, the record's own first."""

    run: Run
    files: tuple[Path, ...]

    def copy_to(self, folder: Path) -> CachedRun:
        """Copy the files to a folder, which is made where it is missing.

        Raises:
            GradingError: The folder can't be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            copies = tuple(Path(shutil.copy(file, folder)) for file in self.files)
        except OSError as error:
            raise GradingError(f"{folder} can't be written: {error.strerror}.") from error
        return CachedRun(run=self.run, files=copies)


class RunCache:
    """Finished trainings in a folder; the default is the user's cache, where it can be written."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root or writable_cache() / "grades"

    def folder(self, facts: Facts) -> Path:
        """Where a training with these facts writes its record and checkpoint."""
        return self.root / facts.key

    @contextmanager
    def only_one(self, facts: Facts, waiting: Callable[[], None]) -> Iterator[None]:
        """Let one process train at a time; ``waiting`` is called where another one does."""
        lock = FileLock(self.root / f"{facts.key}.lock")
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire(timeout=0)
            except Timeout:
                waiting()
                lock.acquire()
        except OSError:  # no place for a lock: whoever writes next says so
            yield
            return
        try:
            yield
        finally:
            lock.release()

    def find(self, facts: Facts) -> CachedRun | None:
        """Return a finished training; None where there is none, or where it is damaged."""
        folder = self.folder(facts)
        try:
            result = json.loads((folder / "result.json").read_bytes())
            record = (folder / "record.json").read_bytes()
            whole = (
                result["schema"] == CACHE_SCHEMA
                and result["facts"] == asdict(facts)
                and result["record"] == hashlib.sha256(record).hexdigest()
            )
            run = Run.load(folder / "record.json")
            files = [folder / str(name) for name in result["files"]]
        except (OSError, ValueError, KeyError, TypeError, RecordError):
            return None
        if not whole or run.status != "finished" or not all(file.is_file() for file in files):
            return None
        return CachedRun(run=run, files=tuple(files))

    def store(self, facts: Facts, run: Run, pictures: list[Path]) -> CachedRun:
        """Declare the training in this entry's folder finished; its checkpoint is dropped."""
        folder = self.folder(facts)
        record = folder / "record.json"
        content = run.to_json().encode()
        write_atomically(record, content)
        files = (record, *pictures)
        result = {
            "schema": CACHE_SCHEMA,
            "facts": asdict(facts),
            "record": hashlib.sha256(content).hexdigest(),
            "files": [file.name for file in files],
        }
        write_atomically(folder / "result.json", json.dumps(result, indent=1).encode())
        (folder / "checkpoint.pt").unlink(missing_ok=True)
        return CachedRun(run=run, files=files)

    def forget(self, facts: Facts) -> None:
        """Take an entry back, with any checkpoint, before it is made anew."""
        for name in ("result.json", "checkpoint.pt"):
            (self.folder(facts) / name).unlink(missing_ok=True)
