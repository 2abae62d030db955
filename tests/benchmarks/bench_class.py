"""What a class costs: core-seconds of a submission by stage, and how the coordinator's share grows.

    python tests/benchmarks/bench_class.py [--only stages|growth] [--out FILE]

Writes docs/records/benchmarks/class.json, in less than five minutes. Nothing is trained to its end.

*Stages.* Each network of a mixed class is taken through staging, sandbox and checks as an official
grading does it; then the judge's trainer is made for it and trains one epoch of full MNIST. The
core-seconds of a seed are those of making the trainer, and of the epoch times the epochs of the
recipe. Core-seconds are processor time of this process. The sandbox's processes die where nobody
counts theirs: for them it is the wall time of the extraction. A class of 40 is composed of these
samples, see COMPOSITION, and scaled to 300 students. Beside it stands the time that the
multiplications of the same seeds take at the rate of this machine's own sgemm.

*Growth.* The coordinator grades classes of 1 to 1,000 students, every one with a network of its
own, by an engine whose clock is simulated: a check takes CHECK_SECONDS and a training the mean of
the samples. Its share is its processor time over that of all jobs together.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from contestants import conditions, keep, say

from eva import summary
from eva.data import Dataset, load_data
from eva.grading.checks.rubric import load_assignment
from eva.grading.cohort.cohort import Cohort
from eva.grading.cohort.handed_in import HandedIn
from eva.grading.cohort.journal import Journal, Seal
from eva.grading.cohort.staging import stage
from eva.grading.graph.execution import GraphModule
from eva.grading.judge.admitted import Admitted
from eva.grading.judge.initial_weights import draw_initial
from eva.grading.judge.judge import SeedResult, judge_static
from eva.grading.judge.statistics import seeds_wanted
from eva.grading.sandbox.sandbox import Sandbox
from eva.grading.sandbox.tiers import best_tier
from eva.jobs import Answer, Task
from eva.training.callbacks import Callback, StopTraining
from eva.training.trainer import Trainer

ROOT = Path(__file__).parents[2]
OUT = ROOT / "docs" / "records" / "benchmarks" / "class.json"
sys.path.insert(0, str(ROOT / "tests" / "fakes"))

# Of 40: what the course's ladder and its answer are like, an assignment's wider network, work that
# fails a fast check, and copies of another's network, which are trained once.
COMPOSITION = {"exp4": 8, "exp5": 12, "reference": 8, "exp3": 4, "broken": 4, "copy": 4}
FACTS = {"assignment": "mnist_8k", "seeds": 3, "secret": "benchmark"}
CHECK_SECONDS = 3.0
GROWTH = [(students, jobs) for students in (1, 10, 100) for jobs in (1, 4, 16)] + [(1000, 16)]


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """What it gives, and its core-seconds."""
    begin = time.process_time()
    return work(), time.process_time() - begin


class _OneEpoch(Callback):
    def on_epoch_end(self, trainer: Trainer, row: object) -> None:
        raise StopTraining


def sample(name: str, data: Dataset, folder: Path) -> dict[str, Any]:
    """Core-seconds of each stage of one network."""
    text = (ROOT / "eva" / "experiments" / f"{name}.py").read_text()
    (folder / f"{name}.py").write_text(text)
    (hand_in,), staging = timed(lambda: stage([folder / f"{name}.py"]))
    assignment = load_assignment("mnist_8k")
    with Sandbox(tier=best_tier()) as sandbox:
        sandbox.extract(hand_in.files)  # a worker keeps its sandbox: starting it is left out
        extraction = sandbox.extract(hand_in.files)
    admitted, checks = timed(lambda: judge_static(extraction, assignment))
    seed = of_a_seed(admitted, data)
    return {"staging": staging, "sandbox": extraction.seconds, "checks": checks, **seed}


def of_a_seed(admitted: Admitted, data: Dataset) -> dict[str, Any]:
    """Core-seconds of a training as the judge makes it, from one epoch of it."""
    graph, recipe = admitted.graph, admitted.recipe
    assert graph is not None and recipe is not None, "it was admitted"
    with redirect_stderr(StringIO()):
        trainer, making = timed(
            lambda: Trainer(
                GraphModule(draw_initial(graph, 1)),
                recipe,
                data,
                device="cpu",
                callbacks=[_OneEpoch()],
            )
        )
        run, epoch = timed(trainer.fit)
    images = len(data.train_labels) * 3 + len(data.test_labels)  # back costs two forward passes
    products = summary(GraphModule(graph), (1, 28, 28)).mult_adds or 0
    return {
        "trainer": making,
        "epoch": epoch,
        "epochs": recipe.epochs,
        "seed": making + epoch * recipe.epochs,
        "path": run.path,
        "products": products * images * recipe.epochs,
    }


def sgemm_rate(size: int = 1024, rounds: int = 8) -> float:
    """Multiplications with an addition a second, of one core; the best of some rounds."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    a @ b
    return size**3 / min(timed(lambda: a @ b)[1] for _ in range(rounds))


def seeds_that_decide() -> int:
    """Trainings of a submission that is not near the line, by the statistics of the judge."""
    assignment, results = load_assignment("mnist_8k"), []
    while seeds_wanted(results, assignment) > len(results):
        far = tuple([99.0] * 15)
        results.append(SeedResult(index=len(results), accuracies=far, seconds=1.0, parameters=7000))
    return len(results)


def class_cost(samples: dict[str, dict[str, Any]], rate: float) -> dict[str, Any]:
    """What 40 and 300 such students cost, and what their multiplications alone would."""
    trained = {name: many for name, many in COMPOSITION.items() if name in samples}
    everybody, seeds = sum(COMPOSITION.values()), seeds_that_decide()
    before = sum(
        sum(each[part] for part in ("staging", "sandbox", "checks")) for each in samples.values()
    ) / len(samples)
    training = sum(seeds * samples[name]["seed"] * many for name, many in trained.items())
    products = sum(seeds * samples[name]["products"] * many for name, many in trained.items())
    total = everybody * before + training
    return {
        "composition_of_40": COMPOSITION,
        "seeds_that_decide": seeds,
        "core_seconds_40": total,
        "core_hours_300": total * 300 / everybody / 3600,
        "sgemm_hours_300": products / rate * 300 / everybody / 3600,
    }


class Simulated:
    """An engine whose jobs take no time but on its own clock."""

    def __init__(self, jobs: int, seed_seconds: float) -> None:
        import cohort_fakes

        self.slots = jobs
        self.clock = self.own = 0.0
        self._seconds = {"static": CHECK_SECONDS, "seed": seed_seconds}
        self._work = cohort_fakes.make_work({})
        self._running: list[tuple[float, str, dict[str, Any], float]] = []

    def submit(self, name: str, task: Task) -> None:
        begin = time.process_time()
        seconds = self._seconds[str(task["kind"])]
        result = self._work(dict(task))
        heapq.heappush(self._running, (self.clock + seconds, name, result, seconds))
        self.own += time.process_time() - begin

    def wait(self, seconds: float) -> list[Answer]:
        self.clock, name, result, took = heapq.heappop(self._running)
        return [Answer(task=name, result=result, seconds=took)]

    def close(self) -> None:
        pass


def growth_of(students: int, jobs: int, seed_seconds: float) -> dict[str, float]:
    """The coordinator's processor time for a class, and the time of the jobs that it led."""
    from cohort_fakes import FakeSeeds, rubric

    hand_ins = [
        HandedIn(
            student=f"s{number:04}",
            source="class",
            files={"submission.py": f"honest 7000 99.5 # {number}\n".encode()},
        )
        for number in range(students)
    ]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.process_time()
        with Journal(Path(folder) / "journal.jsonl", FACTS, Seal(b"of a benchmark")) as journal:
            journal.enroll(hand_ins)
            engine = Simulated(jobs, seed_seconds)
            Cohort(
                hand_ins,
                seeds=FakeSeeds(),
                journal=journal,
                engine=engine,
                static_checks=list(rubric().asked(trains=False)),
            ).run()
        own = time.process_time() - begin - engine.own
    wall = engine.clock
    return {
        "students": students,
        "jobs": jobs,
        "coordinator_seconds": own,
        "hours_of_the_class": wall / 3600,
        "share_of_all_jobs": own / (wall * jobs),
        "share_of_wall_time": own / wall,
    }


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=("stages", "growth"), default=None)
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    record: dict[str, Any] = json.loads(chosen.out.read_text()) if chosen.out.exists() else {}
    keep(record, chosen.out, **conditions("bench_class.py", torch.device("cpu")))
    if chosen.only != "growth":
        data, rate = load_data("mnist"), sgemm_rate()
        names = [name for name in COMPOSITION if name.startswith(("exp", "ref"))]
        samples = {}
        with tempfile.TemporaryDirectory() as folder:
            for name in names:
                samples[name] = sample(name, data, Path(folder))
                say(f"{name}: {samples[name]}")
        rate = max(rate, sgemm_rate())
        cost = class_cost(samples, rate)
        keep(record, chosen.out, samples=samples, sgemm_rate=rate, **cost)
        say(json.dumps(cost))
    if chosen.only != "stages":
        seeds = [one["seed"] for one in record.get("samples", {}).values()] or [200.0]
        rows = []
        for students, jobs in GROWTH:
            rows.append(growth_of(students, jobs, sum(seeds) / len(seeds)))
            say(str(rows[-1]))
        keep(record, chosen.out, check_seconds=CHECK_SECONDS, growth=rows)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
