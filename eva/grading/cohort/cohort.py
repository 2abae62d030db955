"""The coordinator: takes a class through checks and training, and survives being killed.

It imports no student code and unpickles nothing: students' files go to workers as bytes, and what
comes back is JSON. Every result is in the journal before the next step is planned from it, so a
second start with the same journal goes on where the first one was ended.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from eva.errors import GradingError
from eva.grading.cohort.gradebook import Seeds, results_of, trainings_wanted, trains
from eva.grading.cohort.handed_in import HandedIn
from eva.grading.cohort.journal import Contents, Journal
from eva.grading.cohort.terms import (
    broken_seed,
    broken_static,
    seed_task,
    static_task,
    timing_task,
)
from eva.jobs import Answer, Engine, Task

_POLL = 5.0  # seconds to wait for an answer before saying again how far it is


@dataclass(frozen=True, kw_only=True)
class Shard:
    """One of ``of`` parts of a class, counted from 1; identical files are in the same part."""

    index: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read "2/8".

        Raises:
            GradingError: It is not two numbers, or the first is not among the second.
        """
        first, _, second = text.partition("/")
        if not (first.isdecimal() and second.isdecimal() and 1 <= int(first) <= int(second)):
            raise GradingError(f"a shard is such as 2/8, the second of eight; came {text!r}.")
        return cls(index=int(first), of=int(second))

    def holds(self, hand_in: HandedIn) -> bool:
        """Whether a submission is in this part, which its files alone decide."""
        number = int(hashlib.sha256(hand_in.digest.encode()).hexdigest()[:12], 16)
        return number % self.of == self.index - 1


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a class is.

    Attributes:
        looked_at: Different files that went through the checks without training, of ``files``.
        files: Different files of this shard.
        trained: Trainings that are done, of ``trainings``; the latter grows near the line.
        trainings: Trainings known to be needed.
        eta: Seconds to go; None before the first training or check was timed.
        news: What has just ended; empty where nothing did.
    """

    looked_at: int
    files: int
    trained: int
    trainings: int
    eta: float | None
    news: str = ""


class Cohort:
    """A class on its way through checks and trainings.

    Args:
        hand_ins: From :func:`eva.grading.cohort.staging.stage`.
        seeds: The statistics.
        journal: Opened for this grading.
        engine: Does the work.
        static_checks: Ids of the checks without training, for a submission that ends its worker.
        shard: The part to grade; None for all.
        dry: Check, and time a training of each network in place of training it; see ``seconds``.
        show: Called with progress, about every few seconds and after each result.
    """

    def __init__(
        self,
        hand_ins: Sequence[HandedIn],
        *,
        seeds: Seeds,
        journal: Journal,
        engine: Engine,
        static_checks: Sequence[str],
        shard: Shard | None = None,
        dry: bool = False,
        show: Callable[[Progress], None] = lambda progress: None,
    ) -> None:
        self._dry = dry
        self._seeds = seeds
        self._journal = journal
        self._engine = engine
        self._static_checks = static_checks
        self._show = show
        self._first: dict[str, HandedIn] = {}
        for hand_in in hand_ins:
            if hand_in.refusal is None and (shard is None or shard.holds(hand_in)):
                self._first.setdefault(hand_in.digest, hand_in)
        self._running: dict[str, tuple[str, str, int]] = {}
        self._seconds: dict[str, list[float]] = {"static": [], "seed": [], "timing": []}
        self._timed: dict[str, float | None] = {}
        self.errors: dict[str, str] = {}

    def run(self) -> None:
        """Do all that is missing, into the journal; what the machine could not is in ``errors``.

        Raises:
            GradingError: The journal can't be written.
        """
        try:
            self._feed()
            while self._running:
                for answer in self._engine.wait(_POLL):
                    self._take(answer)
                self._feed()
                self._show(self._progress())
        finally:
            self._engine.close()

    @property
    def trainings(self) -> int:
        """How many are still to do, as far as is known; near the line there are more."""
        return sum(map(self._missing, self._graphs()))

    @property
    def seconds(self) -> float | None:
        """How long these would take, after a dry run; None where none could be timed."""
        known = [value for value in self._timed.values() if value is not None]
        if not known:
            return None
        mean, total = sum(known) / len(known), 0.0
        for digest, seconds in self._timed.items():
            total += self._missing(digest) * (mean if seconds is None else seconds)
        return total / self._engine.slots

    @property
    def _contents(self) -> Contents:
        return self._journal.contents

    def _feed(self) -> None:
        """Give the engine as much as it can run: checks first, then trainings."""
        for name, (kind, key, index) in self._needed().items():
            if len(self._running) >= self._engine.slots:
                return
            if name not in self._running and name not in self.errors:
                self._running[name] = (kind, key, index)
                self._engine.submit(name, self._task(kind, key, index))

    def _needed(self) -> dict[str, tuple[str, str, int]]:
        """Everything that is not in the journal and that can be started now, by name."""
        needed = {
            f"static {digest}": ("static", digest, 0)
            for digest in self._first
            if digest not in self._contents.static
        }
        for digest in self._graphs():
            if self._dry:
                done = digest in self._timed or not self._missing(digest)
                needed |= {} if done else {f"timing {digest}": ("timing", digest, 0)}
                continue
            for index in range(self._wanted(digest)):
                if (digest, index) not in self._contents.seeds:
                    needed[f"seed {digest} {index}"] = ("seed", digest, index)
        return needed

    def _graphs(self) -> dict[str, dict[str, Any]]:
        """Static results that go on to training, one a graph, in the order of the class."""
        found: dict[str, dict[str, Any]] = {}
        for source in self._first:
            static = self._contents.static.get(source)
            if static is not None and trains(static):
                found.setdefault(static["digest"], static)
        return found

    def _wanted(self, digest: str) -> int:
        return trainings_wanted(results_of(self._contents, digest), self._seeds)

    def _missing(self, digest: str) -> int:
        """Trainings of a graph that are still to do."""
        return self._wanted(digest) - len(results_of(self._contents, digest))

    def _task(self, kind: str, key: str, index: int) -> Task:
        if kind == "static":
            return static_task(self._first[key].files)
        graph = self._graphs()[key]
        return timing_task(graph) if kind == "timing" else seed_task(graph, index)

    def _take(self, answer: Answer) -> None:
        """Journal an answer before anything is planned from it."""
        kind, key, index = self._running.pop(answer.task)
        name, error = self._name(kind, key), answer.error or "no answer"
        if answer.result is not None:
            result = answer.result
            self._seconds[kind].append(answer.seconds)
            told = {"static": "checked", "timing": "timed"}
            news = told.get(kind, f"trained with seed {index + 1}")
        elif (
            answer.lost and kind != "timing"
        ):  # whoever ends its worker each time will do it again: a person must look
            result = (
                broken_static(error, self._static_checks)
                if kind == "static"
                else broken_seed(index, error)
            )
            news = error
        else:
            self.errors[answer.task] = error
            self._show(self._progress(f"{name}: {error}"))
            return
        if kind == "static":
            self._journal.keep_static(key, result)
        elif kind == "timing":
            seconds = result["seconds"]
            self._timed[key] = float(seconds) if isinstance(seconds, int | float) else None
        else:
            self._journal.keep_seed(key, index, result)
        self._show(self._progress(f"{name} {news}"))

    def _name(self, kind: str, key: str) -> str:
        """A student to name in progress."""
        if kind == "static":
            return self._first[key].student
        statics = self._contents.static
        return next(
            hand_in.student
            for source, hand_in in self._first.items()
            if source in statics and statics[source]["digest"] == key
        )

    def _progress(self, news: str = "") -> Progress:
        looked_at = sum(digest in self._contents.static for digest in self._first)
        graphs = self._graphs()
        trainings = sum(self._wanted(digest) for digest in graphs)
        trained = sum(len(results_of(self._contents, digest)) for digest in graphs)
        return Progress(
            looked_at=looked_at,
            files=len(self._first),
            trained=trained,
            trainings=trainings,
            eta=self._eta(looked_at, trainings - trained, len(graphs)),
            news=news,
        )

    def _eta(self, looked_at: int, trainings: int, graphs: int) -> float | None:
        """Mean seconds of what was done, times what is to do, over the workers."""
        if self._dry:
            return None
        left = len(self._first) - looked_at
        share = graphs / looked_at if looked_at else 0.0
        trainings += round(left * share) * self._seeds.wanted([])
        total = 0.0
        for count, seconds in ((left, self._seconds["static"]), (trainings, self._seconds["seed"])):
            if count and not seconds:
                return None
            total += count * sum(seconds) / len(seconds) if count else 0.0
        return total / self._engine.slots


def require_finished(cohort: Cohort) -> None:
    """Complain about what no worker could do.

    Raises:
        GradingError: The message names the first; the same command tries again.
    """
    if cohort.errors:
        first = next(iter(cohort.errors.values()))
        raise GradingError(
            f"{len(cohort.errors)} tasks could not be done; the first: {first}.",
            "Everything else is graded and kept; the same command tries these again.",
        )


def seconds_in_words(seconds: float) -> str:
    """Such as "1 h 12 min", "3 min" or "40 s"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
