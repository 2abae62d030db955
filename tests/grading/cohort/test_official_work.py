"""The official worker: what a slow or broken machine does to a submission."""

from typing import Any

import pytest

from eva.data import Images
from eva.errors import DataError, GradingError
from eva.grading.checks.rubric import load_assignment
from eva.grading.cohort.official_work import OfficialWork
from eva.grading.cohort.terms import Terms, static_task
from eva.grading.judge.admitted import Admitted
from eva.grading.sandbox.outcome import Extraction, SandboxLimits
from eva.grading.sandbox.tiers import Tier
from eva.jobs import perform

PACKED = {"tier": "A", "status": "done", "captured": "", "message": "", "trace": None}
TASK: dict[str, Any] = static_task({"submission.py": b"x = 1\n"})


class FakeSandbox:
    """Ends as it is told, in turn."""

    def __init__(self, *ends: str) -> None:
        self.limits = SandboxLimits()
        self.walls: list[float] = []
        self._ends = list(ends)

    def extract(
        self, files: object, *, images: Images, limits: SandboxLimits | None = None
    ) -> Extraction:
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


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError(), ZeroDivisionError(), ValueError()]
)
def test_whatever_a_graph_raises_is_a_verdict(
    worker: OfficialWork, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def stumble(*args: object, **kwargs: object) -> None:
        raise error

    give(worker, monkeypatch, "done")
    monkeypatch.setitem(vars(worker), "_data", None)
    monkeypatch.setattr("eva.grading.cohort.official_work.judge_static", stumble)
    static: Any = worker(dict(TASK))
    assert [verdict["status"] for verdict in static["verdicts"]] == ["needs-review"] + 5 * [
        "skipped"
    ]
    assert type(error).__name__ in static["verdicts"][0]["message"]
    monkeypatch.setattr("eva.grading.cohort.official_work.read_record", stumble)
    seed: Any = worker({"kind": "seed", "capture": PACKED, "verdicts": [], "index": 1})
    assert seed["index"] == 1 and type(error).__name__ in seed["broken"]


@pytest.mark.parametrize("error", [DataError("no MNIST"), OSError(28, "no space left")])
def test_what_the_machine_does_is_no_verdict(
    worker: OfficialWork, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def stumble(*args: object, **kwargs: object) -> None:
        raise error

    give(worker, monkeypatch, "done")
    monkeypatch.setattr("eva.grading.cohort.official_work.judge_static", stumble)
    with pytest.raises(type(error)):
        worker(dict(TASK))


def test_a_seed_does_not_ask_the_static_checks_again(
    worker: OfficialWork, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    for name in ("judge_static", "read_record", "digest_of", "judge_seed"):
        monkeypatch.setattr(
            f"eva.grading.cohort.official_work.{name}",
            lambda *args, name=name, **kwargs: asked.append(name) or Admitted(),
        )
    monkeypatch.setitem(vars(worker), "_data", None)
    worker({"kind": "seed", "capture": PACKED, "verdicts": [], "index": 0})
    assert asked == ["read_record", "digest_of", "judge_seed"]


def test_text_of_a_record_is_capped(worker: OfficialWork, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = give(worker, monkeypatch, "x" * 100_000)
    result: Any = worker(dict(TASK))
    assert fake.walls == [60]
    assert len(result["verdicts"][0]["message"].encode()) <= 2000
