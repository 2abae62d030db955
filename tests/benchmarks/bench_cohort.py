"""A class of 60 graded end to end, then killed at random moments and resumed.

    python tests/benchmarks/bench_cohort.py [--kills 20] [--jobs 2] [--work DIR]

Everything is real (sandbox, judge, statistics, journal, workers); only training is shortened, by
fewer images and epochs. Writes docs/records/benchmarks/cohort.json. A run that is killed gets
SIGKILL when its journal has grown by a random number of results and a random time more has passed,
and is started again until it ends; then its gradebook must be the undisturbed one to the last
byte, in every report of the class. In DIR the undisturbed run is kept for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import torch
from cohort_class import EPOCHS, TEST, TRAIN, short_assignment, write_class

from eva.grading.cohort.cohort import Cohort
from eva.grading.cohort.gradebook import Gradebook, Outcome, make_gradebook
from eva.grading.cohort.journal import Journal, Seal, read_journals
from eva.grading.cohort.official import OfficialSeeds, facts_of
from eva.grading.cohort.official_work import official_plan
from eva.grading.cohort.staging import stage
from eva.grading.cohort.terms import Terms
from eva.grading.reports import FORMATS
from eva.jobs.processes import LocalEngine
from eva.training.machine import describe_device, describe_versions

OUT = Path(__file__).parents[2] / "docs" / "records" / "benchmarks" / "cohort.json"
SECRET = b"the benchmark's secret is no secret"
SEED = 0  # of the moments


def grade(folder: Path, journal: Path, jobs: int) -> Gradebook:
    """Grade the class, or go on with it."""
    terms = Terms(assignment=short_assignment(), secret=SECRET, data_dir=os.environ["EVA_DATA"])
    plan = replace(official_plan(terms), make="cohort_class:short")
    seeds = OfficialSeeds(terms.assignment, terms.seeds)
    with Journal(journal, facts_of(terms), Seal(SECRET)) as opened:
        hand_ins = stage([folder])
        opened.enroll(hand_ins)
        engine = LocalEngine(plan, jobs=jobs)
        checks = list(terms.assignment.asked(trains=False))
        Cohort(hand_ins, seeds=seeds, journal=opened, engine=engine, static_checks=checks).run()
        return make_gradebook(opened.contents, terms.assignment, seeds)


def whole_reports(book: Gradebook) -> str:
    """All reports of a class, one after the other."""
    return "\n".join(form.whole(book) for form in FORMATS.values() if form.whole is not None)


def start(folder: Path, journal: Path, out: Path, jobs: int) -> subprocess.Popen[bytes]:
    """A coordinator in a process of its own."""
    command = [sys.executable, __file__, "--one", str(folder), str(journal), str(out)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    return subprocess.Popen([*command, "--jobs", str(jobs)], env=environment)


def main() -> int:
    """Run the benchmark; 1 where a gradebook differed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--work", type=Path, default=None)
    parser.add_argument("--one", nargs=3, type=Path, default=None)
    options = parser.parse_args()
    if options.one:
        folder, journal, out = options.one
        out.write_text(whole_reports(grade(folder, journal, options.jobs)))
        return 0
    if options.work:
        return measure(options.work, options.kills, options.jobs)
    with tempfile.TemporaryDirectory() as work:
        return measure(Path(work), options.kills, options.jobs)


def undisturbed(work: Path, jobs: int) -> float:
    """Seconds of a grading that nothing disturbs; its reports are in ``whole.txt``."""
    kept = work / "seconds.json"
    if not kept.exists():
        write_class(work / "class")
        begin = time.monotonic()
        process = start(work / "class", work / "whole.jsonl", work / "whole.txt", jobs)
        assert process.wait() == 0
        kept.write_text(json.dumps(time.monotonic() - begin))
    return float(json.loads(kept.read_text()))


def results(journal: Path) -> int:
    """How many results a journal holds."""
    contents = read_journals([journal], Seal(SECRET)) if journal.exists() else None
    return 0 if contents is None else len(contents.static) + len(contents.seeds)


def measure(work: Path, kills: int, jobs: int) -> int:
    """Grade undisturbed, then disturbed; write the record."""
    seconds = undisturbed(work, jobs)
    wanted = (work / "whole.txt").read_bytes()
    book = grade(work / "class", work / "whole.jsonl", jobs)  # from the journal: nothing runs
    kinds = Counter(grade.student.split()[0] for grade in book.grades)
    total = results(work / "whole.jsonl")
    sys.stdout.write(f"undisturbed: {seconds:.1f} s, {len(book.grades)} submissions\n")

    moments = random.Random(SEED)
    journal, out = work / "killed.jsonl", work / "killed.txt"
    begin, rows = time.monotonic(), []
    rounds, identical, twice = 0, 0, 0
    while len(rows) < kills:
        rounds += 1
        journal.unlink(missing_ok=True)
        out.unlink(missing_ok=True)
        while not out.exists():
            process = start(work / "class", journal, out, jobs)
            if len(rows) < kills:
                aim = results(journal) + moments.randint(0, 2 * total // kills)
                while process.poll() is None and results(journal) < aim:
                    time.sleep(0.05)
                time.sleep(moments.uniform(0, 2))
                if process.poll() is None:
                    process.send_signal(signal.SIGKILL)
                    rows.append({"results_aimed_at": aim, "results": results(journal)})
            process.wait()
        identical += out.read_bytes() == wanted
        lines = len(journal.read_bytes().splitlines())
        twice += lines - results(journal) - 2  # beside the grading and the class
        sys.stdout.write(f"{len(rows)} kills, {identical} of {rounds} gradebooks identical\n")

    device = describe_device(torch.device("cpu"), bf16=False, compiled=False)
    record = {
        "what": "a class graded end to end with shortened training, undisturbed and killed",
        "submissions": len(book.grades),
        "kinds": dict(kinds),
        "outcomes": {each.value: book.count(each) for each in Outcome},
        "passed": sum(grade.report.passed for grade in book.grades),
        "cheats_that_passed": sorted(
            grade.student
            for grade in book.grades
            if grade.student.startswith("cheat") and grade.report.passed
        ),
        "tiers": sorted({grade.tier for grade in book.grades if grade.tier}),
        "training": {"train_images": TRAIN, "test_images": TEST, "epochs": EPOCHS, "seeds": 3},
        "jobs": jobs,
        "seconds_undisturbed": round(seconds, 1),
        "kills": rows,
        "gradings_with_kills": rounds,
        "identical_gradebooks": identical,
        "results": total,
        "lines_beside_results": twice,
        "seconds_with_kills": round(time.monotonic() - begin, 1),
        "peak_memory_mb_of_the_largest_process": resource.getrusage(
            resource.RUSAGE_CHILDREN
        ).ru_maxrss
        // 1024,
        "device": device.model_dump(),
        "cores": os.cpu_count(),
        "versions": describe_versions(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text(json.dumps(record, indent=1) + "\n")
    return 0 if identical == rounds else 1


if __name__ == "__main__":
    sys.exit(main())
