import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cohort_fakes import KINDS, SEAL, fake_plan, grade_class, rubric, write_class

from eva.errors import JobError
from eva.grading.cohort.gradebook import Outcome
from eva.grading.cohort.journal import read_journals
from eva.grading.cohort.terms import Terms
from eva.grading.reports import gradebook_json
from eva.jobs import Kind, Plan, processes
from eva.jobs.engine import ATTEMPTS
from eva.jobs.processes import LocalEngine
from eva.json_types import Json

CLASS = {
    "anna": "honest 7000 99.5",
    "bert": "honest 7900 99.39",
    "dora": "broken",
    "emil": "odd",
    "finn": "honest 7000 99.5",
    "slow": "slow 0.3",
}


def _engine(jobs: int = 2, **config: Json) -> LocalEngine:
    return LocalEngine(fake_plan(**config), jobs=jobs)


def test_processes_give_the_same_gradebook_as_one_process(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    one, _ = grade_class([folder], tmp_path / "one.jsonl")
    two, _ = grade_class([folder], tmp_path / "two.jsonl", _engine(2))
    assert gradebook_json.render(one) == gradebook_json.render(two)


def test_a_task_whose_worker_dies_is_done_by_another(tmp_path: Path) -> None:
    marks = tmp_path / "marks"
    marks.mkdir()
    folder = write_class(tmp_path / "class", {"anna": "honest 7000 99.5", "k": f"kills 2 {marks}"})
    book, cohort = grade_class([folder], tmp_path / "journal.jsonl", _engine(1))
    assert cohort.errors == {}
    assert [grade.outcome for grade in book.grades] == [Outcome.GRADED, Outcome.GRADED]
    assert len(list(marks.iterdir())) == 2


def test_a_task_that_kills_every_worker_is_for_a_person_to_look_at(tmp_path: Path) -> None:
    """It would do so again: it is no longer asked for, and no machine is at fault."""
    marks = tmp_path / "marks"
    marks.mkdir()
    lines = {"anna": "honest 7000 99.5", "k": f"kills 9 {marks}", "t": f"training kills 9 {marks}"}
    folder = write_class(tmp_path / "class", lines)
    book, cohort = grade_class([folder], tmp_path / "journal.jsonl", _engine(1))
    assert cohort.errors == {} and book.exit_code == 1
    outcomes = [Outcome.GRADED, Outcome.NEEDS_REVIEW, Outcome.NEEDS_REVIEW]
    assert [grade.outcome for grade in book.grades] == outcomes
    for grade in book.grades[1:]:
        assert "the worker was lost 3 times under this task" in grade.reason
    assert book.grades[1].score == 0 < book.grades[2].score, "what is certain counts"
    assert len(list(marks.iterdir())) == 2 * ATTEMPTS
    again, _ = grade_class([folder], tmp_path / "journal.jsonl", _engine(1))
    assert gradebook_json.render(again) == gradebook_json.render(book)
    assert len(list(marks.iterdir())) == 2 * ATTEMPTS


def test_a_worker_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_class(tmp_path / "class", {"slow": "slow 3600"})
    monkeypatch.setattr(processes, "ATTEMPTS", 1)
    engine = LocalEngine(fake_plan(KINDS | {"static": Kind(seconds=0.5)}), jobs=1)
    book, _ = grade_class([folder], tmp_path / "journal.jsonl", engine)
    assert book.grades[0].outcome is Outcome.NEEDS_REVIEW


def test_no_job_is_no_engine() -> None:
    with pytest.raises(JobError, match="0 jobs"):
        _engine(0)


_COORDINATOR = """
import sys
from pathlib import Path
from cohort_fakes import fake_plan, grade_class
from eva.jobs.processes import LocalEngine
from eva.grading.reports import gradebook_json
folder, journal, log, out = map(Path, sys.argv[1:5])
plan = fake_plan(log=str(log), stops_at=int(sys.argv[5]))
book, _ = grade_class([folder], journal, LocalEngine(plan, jobs=2))
out.write_text(gradebook_json.render(book))
"""


def _start(*paths: Path, stops_at: int) -> subprocess.Popen[bytes]:
    """A coordinator whose workers wait for ever once so many tasks were begun."""
    return subprocess.Popen(
        [sys.executable, "-c", _COORDINATOR, *map(str, paths), str(stops_at)],
        env=os.environ | {"EVA_TEST_MARK": str(paths[1])},
    )


def test_a_coordinator_that_is_killed_resumes_byte_for_byte_and_leaves_no_worker(
    tmp_path: Path,
) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    whole, _ = grade_class([folder], tmp_path / "whole.jsonl")
    journal, log, out = tmp_path / "journal.jsonl", tmp_path / "log", tmp_path / "out.json"
    for results in (1, 6):
        process = _start(folder, journal, log, out, stops_at=results + 4)
        while _results(journal) < results and process.poll() is None:
            time.sleep(0.01)
        assert len(_workers(journal)) > 0
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert not out.exists()
    while _workers(journal):
        time.sleep(0.05)
    assert _start(folder, journal, log, out, stops_at=10**9).wait() == 0
    assert out.read_text() == gradebook_json.render(whole)
    done = log.read_text().splitlines()
    assert len(done) <= len(set(done)) + 2 * 2, "only what ran when it was killed is done again"


def _results(journal: Path) -> int:
    if not journal.exists():
        return 0
    contents = read_journals([journal], SEAL)
    return len(contents.static) + len(contents.seeds)


def _workers(journal: Path) -> list[int]:
    """Worker processes that were started by this test's coordinators and still live."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes()
            ours = f"EVA_TEST_MARK={journal}".encode() in (entry / "environ").read_bytes()
        except OSError:
            continue
        if b"eva.jobs.worker" in command and ours:
            found.append(int(entry.name))
    return found


def test_what_a_worker_prints_does_not_disturb_its_answers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_class(tmp_path / "class", {"a": "honest 7000 99.5"})
    plan = Plan(make="cohort_noise:make_work", config={}, kinds=KINDS)
    (tmp_path / "cohort_noise.py").write_text(
        "import os\n"
        "from cohort_fakes import make_work as quiet\n"
        "def make_work(config):\n"
        "    work = quiet(config)\n"
        "    def noisy(task):\n"
        "        print('noise'); os.write(1, b'{\"id\": \"noise\"}\\n'); return work(task)\n"
        "    return noisy\n"
    )
    os.environ["PYTHONPATH"] += os.pathsep + str(tmp_path)
    book, _ = grade_class([folder], tmp_path / "j", LocalEngine(plan, jobs=1))
    assert book.grades[0].score == 10
    assert "noise" in capfd.readouterr().err


def test_a_plan_keeps_the_order_of_the_checks() -> None:
    terms = Terms(assignment=rubric(), secret=b"0123456789abcdef")
    config = json.loads(Plan(make="a:b", config=terms.to_json(), kinds={}).to_json())["config"]
    assert Terms.from_json(config) == terms
    assert tuple(Terms.from_json(config).assignment.checks) == tuple(terms.assignment.asked())
