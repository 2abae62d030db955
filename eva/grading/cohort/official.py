"""An official grading from its options to a gradebook; the command line and scripts call it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

import eva
from eva.data.mnist_files import fetch, find, verify
from eva.errors import GradingError
from eva.grading.checks.rubric import Assignment
from eva.grading.checks.verdict import Verdict
from eva.grading.cohort.cohort import Cohort, Progress, Shard
from eva.grading.cohort.gradebook import Gradebook, make_gradebook
from eva.grading.cohort.journal import Journal, Seal, read_journals
from eva.grading.cohort.official_work import official_plan, require_sandbox
from eva.grading.cohort.staging import stage
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
        self._limits = assignment.network_limits()
        self._base = base

    def wanted(self, results: Sequence[dict[str, Any]]) -> int:
        """See :class:`eva.grading.cohort.gradebook.Seeds`."""
        if len(results) < self._base:
            return self._base
        return seeds_wanted(self._read(results), self._limits, base=self._base)

    def decide(self, results: Sequence[dict[str, Any]]) -> dict[str, Verdict]:
        """See :class:`eva.grading.cohort.gradebook.Seeds`."""
        return decide(self._read(results), self._limits)

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
        show: Called with progress.

    Returns:
        The gradebook, and the cohort with what could not be done.

    Raises:
        GradingError: No submission, no sandbox, or the journal can't be used.
        DataError: There is no MNIST.
        DeviceError: There is no such device.
    """
    if engine is EngineName.LOCAL:
        require_sandbox(allow_tier_c=terms.allow_tier_c)
    hand_ins = stage(paths)
    if engine is EngineName.LOCAL:
        device = select_device(terms.device).type
        folder = find(terms.data_dir) or fetch()  # once, before all workers look for it
        verify(folder)
        terms = replace(terms, device=device, data_dir=str(folder))
    elif terms.device == "auto":
        terms = replace(terms, device="cuda" if gpus else "cpu")
    seeds = OfficialSeeds(terms.assignment, terms.seeds)
    with Journal(journal, facts_of(terms), Seal(terms.secret)) as opened:
        opened.enroll(hand_ins)
        work = select_engine(engine, official_plan(terms), jobs=jobs, address=address, gpus=gpus)
        cohort = Cohort(hand_ins, seeds=seeds, journal=opened, engine=work, shard=shard, show=show)
        cohort.run()
        return make_gradebook(opened.contents, terms.assignment, seeds), cohort


def merge_journals(journals: Sequence[Path], assignment: Assignment, secret: bytes) -> Gradebook:
    """The gradebook of a class that was graded in shards; no data are needed.

    Args:
        journals: Of all shards.
        assignment: That they were graded by.
        secret: That they were graded with; it shows that nobody has changed them.

    Raises:
        GradingError: The journals are not of one grading by this assignment, or were changed.
    """
    contents = read_journals(journals, Seal(secret))
    if contents.facts.get("rubric") != _rubric_digest(assignment):
        raise GradingError(
            f"these journals were not made by the assignment {assignment.name} as it is now.",
            "Name with --assignment what they were graded by.",
        )
    base = contents.facts["seeds"]
    assert isinstance(base, int), "this eva wrote it"
    return make_gradebook(contents, assignment, OfficialSeeds(assignment, base))


def facts_of(terms: Terms) -> dict[str, Json]:
    """All that decides a grade beside the submissions; of the secret only a fingerprint."""
    return {
        "assignment": terms.assignment.name,
        "rubric": _rubric_digest(terms.assignment),
        "secret": Seal(terms.secret).fingerprint,
        "seeds": terms.seeds,
        "tier_c": terms.allow_tier_c,
        "device": terms.device,
        "data": "mnist",
        "eva": eva.__version__,
        "torch": str(torch.__version__),
    }


def _rubric_digest(assignment: Assignment) -> str:
    return hashlib.sha256(assignment.model_dump_json().encode()).hexdigest()[:16]
