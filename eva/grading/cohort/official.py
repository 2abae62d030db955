"""An official grading from its options to a gradebook; the command line and scripts call it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import eva
from eva.data import fetch_data, find_data, verify_data
from eva.errors import GradingError
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Verdict
from eva.grading.cohort.cohort import Cohort, Progress, Shard
from eva.grading.cohort.gradebook import Gradebook, Seeds, make_gradebook
from eva.grading.cohort.journal import Contents, Journal, Seal, read_journals
from eva.grading.cohort.known import Known, read_known
from eva.grading.cohort.official_work import official_plan, require_sandbox
from eva.grading.cohort.staging import Attempt, stage
from eva.grading.cohort.terms import Terms
from eva.grading.judge.judge import SeedResult
from eva.grading.judge.statistics import decide, seeds_wanted
from eva.jobs import EngineName, select_engine
from eva.json_types import Json
from eva.training.device import select_device


class OfficialSeeds:
    """The real statistics, over results as the journal holds them.

    Args:
        assignment: Whose limits decide.
        base: Seeds of a submission that is not near the line.
    """

    def __init__(self, assignment: Assignment, base: int) -> None:
        self._assignment = assignment
        self._base = base

    def wanted(self, results: Sequence[dict[str, Any]]) -> int:
        """See :class:`eva.grading.cohort.gradebook.Seeds`."""
        return seeds_wanted(self._read(results), self._assignment, base=self._base)

    def decide(self, results: Sequence[dict[str, Any]]) -> dict[str, Verdict]:
        """See :class:`eva.grading.cohort.gradebook.Seeds`."""
        return decide(self._read(results), self._assignment, base=self._base)

    @staticmethod
    def _read(results: Sequence[dict[str, Any]]) -> list[SeedResult]:
        return [SeedResult.from_json(result) for result in results]


def grade_class(
    paths: Sequence[str | Path],
    terms: Terms,
    *,
    journal: Path,
    engine: EngineName = EngineName.LOCAL,
    jobs: int = 1,
    address: str | None = None,
    gpus: float = 0.0,
    shard: Shard | None = None,
    attempt: Attempt = Attempt.LAST,
    columns: Mapping[str, str] | None = None,
    known: Sequence[Path] = (),
    dry: bool = False,
    show: Callable[[Progress], None] = lambda progress: None,
) -> tuple[Gradebook, Cohort]:
    """Grade a class, or go on with it.

    Args:
        paths: See :func:`eva.grading.cohort.staging.stage`.
        terms: What is graded and how.
        journal: File that every result is kept in.
        engine: Processes of this machine, or a Ray cluster.
        jobs: Tasks at once.
        address: Of a Ray cluster.
        gpus: Share of a GPU that a training reserves there.
        shard: The part of the class to grade.
        attempt: Which of several attempts of one student counts.
        columns: Of the roster; see :func:`~eva.grading.cohort.roster.read_roster`.
        known: Journals of other years, whose copies are flagged.
        dry: Check, and time a few batches of each network; no data are needed, nothing is trained.
        show: Called with progress.

    Returns:
        The gradebook, and the cohort with what could not be done.

    Raises:
        GradingError: No submission, no sandbox, or the journal can't be used.
        DataError: The assignment's data are not there.
        DeviceError: There is no such device.
    """
    if engine is EngineName.LOCAL:
        require_sandbox(allow_tier_c=terms.allow_tier_c)
    before = read_known(known)
    hand_ins = stage(paths, attempt=attempt, columns=columns, zone=terms.assignment.zone)
    if engine is EngineName.LOCAL:
        terms = replace(terms, device=select_device(terms.device).type)
        if not dry:
            name = terms.assignment.data
            # Once, before all workers look for it.
            folder = find_data(name, terms.data_dir) or fetch_data(name)
            verify_data(name, folder)
            terms = replace(terms, data_dir=str(folder))
    elif terms.device == "auto":
        terms = replace(terms, device="cuda" if gpus else "cpu")
    seeds = OfficialSeeds(terms.assignment, terms.seeds)
    checks = terms.assignment.checks_digest
    with Journal(journal, facts_of(terms), Seal(terms.secret), checks=checks) as opened:
        opened.enroll(hand_ins)
        work = select_engine(engine, official_plan(terms), jobs=jobs, address=address, gpus=gpus)
        cohort = Cohort(
            hand_ins,
            seeds=seeds,
            journal=opened,
            engine=work,
            static_checks=list(terms.assignment.asked(trains=False)),
            shard=shard,
            dry=dry,
            show=show,
        )
        cohort.run()
        return _gradebook(opened.contents, terms.assignment, seeds, before), cohort


def merge_journals(
    journals: Sequence[Path],
    assignment: Assignment,
    secret: bytes,
    known: Sequence[Path] = (),
) -> Gradebook:
    """The gradebook of a class that was graded in shards; no data are needed.

    Args:
        journals: Of all shards.
        assignment: That they were graded by.
        secret: That they were graded with; it shows that nobody has changed them.
        known: Journals of other years, whose copies are flagged.

    Raises:
        GradingError: The journals are not of one grading by this assignment, or were changed.
    """
    contents = read_journals(journals, Seal(secret), checks=assignment.checks_digest)
    if contents.facts.get("assignment") != assignment.name:
        raise GradingError(
            f"these journals were not made by the assignment {assignment.name}, but by "
            f"{contents.facts.get('assignment')}.",
            "Name with --assignment what they were graded by.",
        )
    if contents.other_checks and not contents.static:
        raise GradingError(
            f"these journals were not made by the checks that {assignment.name} has now.",
            "Grade once more with the same journal: the checks run again, and no training does.",
        )
    base = contents.facts["seeds"]
    assert isinstance(base, int), "this eva wrote it"
    return _gradebook(contents, assignment, OfficialSeeds(assignment, base), read_known(known))


def _gradebook(contents: Contents, assignment: Assignment, seeds: Seeds, known: Known) -> Gradebook:
    """The gradebook, with a digest of the rubric that decided, and how long trainings took."""
    book = make_gradebook(contents, assignment, seeds, known)
    seconds = sum(float(result.get("seconds", 0.0)) for result in contents.seeds.values())
    facts: dict[str, Json] = {**book.facts, "rubric": assignment.digest}
    return replace(book, facts=facts, seconds=seconds)


def facts_of(terms: Terms) -> dict[str, Json]:
    """All that decides a grade beside the submissions; of the secret only a fingerprint."""
    return {
        "assignment": terms.assignment.name,
        "secret": Seal(terms.secret).fingerprint,
        "seeds": terms.seeds,
        "tier_c": terms.allow_tier_c,
        "device": terms.device,
        "data": terms.assignment.data,
        "eva": eva.__version__,
        "torch": str(torch.__version__),
    }
