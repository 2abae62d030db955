"""The official worker: what a slow or broken machine does to a submission."""

from pathlib import Path
from typing import Any

import pytest

from eva.errors import GradingError
from eva.grading.checks.rubric import load_assignment
from eva.grading.cohort.official_work import OfficialWork
from eva.grading.cohort.terms import Terms, static_task
from eva.grading.sandbox.outcome import Extraction, SandboxLimits
from eva.grading.sandbox.tiers import Tier
from eva.jobs.plan import perform

TASK: dict[str, Any] = static_task({"submission.py": b"x = 1\n"})


class FakeSandbox:
    """Ends as it is told, in turn."""

    def __init__(self, *ends: str) -> None:
        self.limits = SandboxLimits()
        self.walls: list[float] = []
        self._ends = list(ends)

    def extract(self, folder: Path, *, limits: SandboxLimits | None = None) -> Extraction:
        self.walls.append((limits or self.limits).wall_seconds)
        end = self._ends.pop(0)
        if end == "lost":
            raise GradingError("the sandbox lost the program.")
        return Extraction(
            tier=Tier.A, status=end, captured=b"", message=end, trace=None, seconds=0.0
        )


@pytest.fixture
def worker() -> OfficialWork:
    return OfficialWork(Terms(assignment=load_assignment("mnist_8k"), secret=bytes(16)))


def give(worker: OfficialWork, monkeypatch: pytest.MonkeyPatch, *ends: str) -> FakeSandbox:
    fake = FakeSandbox(*ends)
    monkeypatch.setitem(vars(worker), "_sandbox", fake)
    return fake


def test_a_submission_that_stalled_has_another_try_with_twice_the_time(
    worker: OfficialWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = give(worker, monkeypatch, "stalled", "crashed")
    result: Any = worker(dict(TASK))
    assert fake.walls == [60, 120]
    assert result["verdicts"][0]["status"] == "failed"


def test_a_submission_that_stalls_twice_needs_a_person(
    worker: OfficialWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(worker, monkeypatch, "stalled", "stalled")
    result: Any = worker(dict(TASK))
    assert result["verdicts"][0]["status"] == "needs-review"
    assert result["memory_limit"] == "address space"


def test_a_sandbox_that_fails_gives_no_result(
    worker: OfficialWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(worker, monkeypatch, "lost")
    monkeypatch.setattr("eva.jobs.plan.work_of", lambda plan: worker)
    assert perform("", dict(TASK)) == {"error": "GradingError: the sandbox lost the program."}
