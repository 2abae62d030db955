"""The gradebook: what the class has earned, made from a journal's contents and nothing else.

Neither times nor names of machines go in, and the order is fixed: the same results give the same
gradebook to the last byte, however often their grading was interrupted.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol

from eva.grading.checks.accuracy import Measured
from eva.grading.checks.plausible import too_good
from eva.grading.checks.report import Report
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.cohort.journal import Contents
from eva.grading.cohort.known import Known
from eva.grading.cohort.late import Lateness, lateness
from eva.json_types import Json

GRADEBOOK_SCHEMA = 1
_NAMED = 5  # students named in a flag; more are counted


class Outcome(StrEnum):
    """Where a submission stands."""

    GRADED = "graded"
    NEEDS_REVIEW = "needs-review"
    REFUSED = "refused"
    UNFINISHED = "unfinished"


class Seeds(Protocol):
    """What :mod:`eva.grading.judge.statistics` says about trainings."""

    def wanted(self, results: Sequence[dict[str, Any]]) -> int:
        """How many seeds these results ask for."""

    def decide(self, results: Sequence[dict[str, Any]]) -> dict[str, Verdict]:
        """The checks of training."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """One training of a submission.

    Attributes:
        index: Of the seed.
        accuracies: On the test images, in percent, one an epoch.
        lowest: What decides, in percent: for mnist_8k the lowest of the last epochs, 0 where there
            are too few of them.
    """

    index: int
    accuracies: tuple[float, ...]
    lowest: float


@dataclass(frozen=True, kw_only=True)
class Grade:
    """One line of the gradebook.

    Attributes:
        student: Id. Text of a stranger, as are messages and traces: escape them.
        source: What was graded.
        outcome: Where it stands.
        reason: Why it is not simply graded; empty where it is.
        report: Check by check.
        lateness: Dates and penalty.
        trained: One a seed, in order.
        parameters: Of the model; None where they could not be counted.
        tier: Isolation that the student's code ran under; empty where it did not run.
        digest: Of graph, weights and recipe; empty without a graph.
        flags: What an instructor should look at.
        roster: First name, last name and email, where a roster has them.
        columns: The roster's line as it was.
        structure: Digest of what the model computes, whatever its names; empty without a graph.
    """

    student: str
    source: str
    outcome: Outcome
    reason: str
    report: Report
    lateness: Lateness
    trained: tuple[Trained, ...] = ()
    parameters: int | None = None
    tier: str = ""
    digest: str = ""
    flags: tuple[str, ...] = ()
    roster: dict[str, str]
    columns: dict[str, str] = field(default_factory=dict)
    structure: str = ""

    @property
    def raw(self) -> float:
        """Points before lateness; an open check has none yet."""
        return float(self.report.points)

    @property
    def score(self) -> float:
        """Points after lateness."""
        return round(self.raw - self.lateness.penalty, 2)

    @property
    def median(self) -> float | None:
        """Median over the seeds of what decides, in percent."""
        return statistics.median(t.lowest for t in self.trained) if self.trained else None

    @property
    def mean(self) -> float | None:
        """Mean of the same, in percent."""
        if not self.trained:
            return None
        return round(statistics.fmean(t.lowest for t in self.trained), 4)

    @property
    def minimum(self) -> float | None:
        """Minimum of the same, in percent."""
        return min((t.lowest for t in self.trained), default=None)


@dataclass(frozen=True, kw_only=True)
class Gradebook:
    """A class, graded.

    Attributes:
        assignment: That was graded by.
        grades: Sorted by student.
        facts: Of the grading: versions, seeds, a fingerprint of the secret; nothing of a machine.
        official: Whether secret seeds and a sandbox were used.
        seconds: Of computing that all trainings took together; None where nobody asked.
    """

    assignment: Assignment
    grades: tuple[Grade, ...]
    facts: dict[str, Json]
    official: bool = True
    seconds: float | None = None

    def count(self, outcome: Outcome) -> int:
        """Submissions with this outcome."""
        return sum(grade.outcome is outcome for grade in self.grades)

    @property
    def exit_code(self) -> int:
        """0 where all passed; 3 where something is unfinished; else 1."""
        if self.count(Outcome.UNFINISHED):
            return 3
        return 0 if all(grade.report.passed for grade in self.grades) else 1


def make_gradebook(
    contents: Contents, assignment: Assignment, seeds: Seeds, known: Known | None = None
) -> Gradebook:
    """Draw the gradebook of a class from a journal.

    Args:
        contents: Of one journal or of all shards'.
        assignment: The one that was graded by.
        seeds: The statistics.
        known: What was handed in before; copies of it are flagged.
    """
    students = sorted(contents.students, key=lambda one: (one["student"], one["source"]))
    flags = _relations(students, contents)
    known = known or Known()
    grades = [_grade(one, contents, assignment, seeds, flags, known) for one in students]
    tries = [str(one.get("attempt", "")) for one in students]
    grades = _best(grades, tries)
    return Gradebook(assignment=assignment, grades=tuple(grades), facts=contents.facts)


def trains(static: dict[str, Any]) -> bool:
    """Whether a submission goes on to training: it has a graph, and no check failed."""
    failed = any(value["status"] == Status.FAILED.value for value in static["verdicts"])
    return bool(static["digest"]) and not failed


def trainings_wanted(results: Sequence[dict[str, Any]], seeds: Seeds) -> int:
    """How many trainings these results ask for; none more after one that broke."""
    return len(results) if _broken(results) else seeds.wanted(results)


def _broken(results: Sequence[dict[str, Any]]) -> str:
    """Why a training could not be done; empty where all could."""
    return next((str(result["broken"]) for result in results if "broken" in result), "")


def results_of(contents: Contents, digest: str) -> list[dict[str, Any]]:
    """Results of a graph's seeds from 0 on, up to the first that is not there."""
    found: list[dict[str, Any]] = []
    while (result := contents.seeds.get((digest, len(found)))) is not None:
        found.append(result)
    return found


def _grade(
    one: dict[str, Any],
    contents: Contents,
    assignment: Assignment,
    seeds: Seeds,
    relations: dict[str, list[str]],
    known: Known,
) -> Grade:
    static = contents.static.get(one["digest"]) if one["digest"] else None
    verdicts: dict[str, Verdict] = {}
    outcome, reason, skipped = Outcome.GRADED, "", "not looked at"
    results: list[dict[str, Any]] = []
    if one["refusal"] is not None:
        outcome, reason = Outcome.REFUSED, one["refusal"]
    elif static is None:
        outcome, reason = Outcome.UNFINISHED, "not looked at yet"
    else:
        found = map(Verdict.from_json, static["verdicts"])
        verdicts = {verdict.check: verdict for verdict in found}
        open_ = [v.message for v in verdicts.values() if v.status is Status.NEEDS_REVIEW]
        if trains(static):
            results = results_of(contents, static["digest"])
            if not results or len(results) < trainings_wanted(results, seeds):
                outcome, reason = Outcome.UNFINISHED, f"{len(results)} seeds are trained so far"
                skipped = "not trained yet"
            elif why := _broken(results):
                open_.append(why)
                skipped = "a training could not be done"
                results = [result for result in results if "broken" not in result]
            else:
                verdicts |= seeds.decide(results)
        else:
            failed = any(v.status is Status.FAILED for v in verdicts.values())
            skipped = "training waits for the checks above"
            if not failed and not open_:
                open_ = ["there is no graph to train"]
        if open_ and outcome is Outcome.GRADED:
            outcome, reason = Outcome.NEEDS_REVIEW, open_[0].splitlines()[0]
    report = Report.of(assignment, one["student"], verdicts, skipped=skipped)
    roster = one["roster"] or {}
    parameters = _parameters(verdicts)
    best = max((a for result in results for a in result["accuracies"]), default=0.0)
    good = too_good(parameters, best) if parameters is not None else None
    return Grade(
        student=one["student"],
        source=one["source"],
        outcome=outcome,
        reason=reason,
        report=report,
        lateness=lateness(one["roster"], assignment, float(report.points)),
        trained=tuple(_trained(result, assignment) for result in results),
        parameters=parameters,
        tier=static["tier"] if static else "",
        digest=static["digest"] if static else "",
        flags=(
            *one["flags"],
            *relations.get(one["student"], ()),
            *filter(None, [_course(static), known.flag(one["digest"], static or {}), good]),
        ),
        roster={name: roster.get(name, "") for name in ("first_name", "last_name", "email")},
        columns=roster.get("columns", {}),
        structure=static.get("structure", "") if static else "",
    )


def _course(static: dict[str, Any] | None) -> str | None:
    """Flag of a network that is the course's own."""
    name = (static or {}).get("course", "")
    return f"same operations as {name}, which is the course's own" if name else None


def _best(grades: list[Grade], tries: list[str]) -> list[Grade]:
    """Of several attempts of one student the best, and of equals the last."""
    mine: dict[str, list[tuple[Grade, str]]] = {}
    for grade, attempt in zip(grades, tries, strict=True):
        mine.setdefault(grade.student, []).append((grade, attempt))
    found: list[Grade] = []
    for several in mine.values():
        if len(several) == 1 or not all(attempt for _, attempt in several):
            found += [grade for grade, _ in several]
            continue
        open_ = [g for g, _ in several if g.outcome is Outcome.UNFINISHED]
        best, _ = max(several, key=lambda each: (each[0].score, each[1]))
        flag = f"the best of {len(several)} attempts"
        found.append(open_[0] if open_ else replace(best, flags=(*best.flags, flag)))
    return found


def _trained(result: dict[str, Any], assignment: Assignment) -> Trained:
    return trained_of(result["index"], tuple(result["accuracies"]), assignment)


def trained_of(index: int, accuracies: tuple[float, ...], assignment: Assignment) -> Trained:
    """One training with what decides by this assignment; without such a check, its last epoch."""
    decisive, lowest = assignment.decisive, accuracies[-1] if accuracies else 0.0
    if decisive is not None:
        lowest = decisive.value(Measured(accuracies=accuracies)) or 0.0
    return Trained(index=index, accuracies=accuracies, lowest=lowest)


def _parameters(verdicts: dict[str, Verdict]) -> int | None:
    for verdict in verdicts.values():
        match verdict.details:
            case {"parameters": int(count)}:
                return count
    return None


def _relations(students: list[dict[str, Any]], contents: Contents) -> dict[str, list[str]]:
    """Who handed in the same file, the same model, or the same operations under other names."""

    def of_static(name: str) -> Callable[[dict[str, Any]], str]:
        return lambda one: str((contents.static.get(one["digest"]) or {}).get(name, ""))

    keys: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("same file as", lambda one: one["digest"]),
        ("same model and recipe as", of_static("digest")),
        ("same operations as", of_static("structure")),
    ]
    flags: dict[str, list[str]] = {}
    told: dict[str, set[str]] = {}
    for words, key in keys:
        groups: dict[str, list[str]] = {}
        for one in students:
            if key(one):
                groups.setdefault(key(one), []).append(one["student"])
        for group in groups.values():
            for student in group:
                seen = told.setdefault(student, {student})
                new = [other for other in dict.fromkeys(group) if other not in seen]
                if new:
                    more = f" and {len(new) - _NAMED} more" if len(new) > _NAMED else ""
                    names = f"{', '.join(new[:_NAMED])}{more}"
                    flags.setdefault(student, []).append(f"{words} {names}")
                seen.update(new)
    return flags
