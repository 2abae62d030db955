"""A core that takes no time: a submission is one line that says what the judge will find.

``honest PARAMETERS ACCURACY``, ``broken``, ``odd`` (needs a person), ``slow SECONDS``,
``kills TIMES FOLDER`` (ends its worker so often), ``training kills TIMES FOLDER``, ``raises``.
With ``stops_at`` in its config a task waits for ever once the log has so many lines.
"""

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from eva.grading.checks.rubric import Assignment, load_assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.cohort.cohort import Cohort
from eva.grading.cohort.gradebook import Gradebook, make_gradebook
from eva.grading.cohort.journal import Journal, Seal
from eva.grading.cohort.staging import stage
from eva.grading.cohort.terms import decode, encode
from eva.jobs.engine import Answer
from eva.jobs.plan import Kind, Plan, perform
from eva.json_types import Json

SEAL = Seal(b"a secret of the tests")
SEAL.fingerprint = "fingerprint"  # as the golden files have it
FACTS = {"assignment": "mnist_8k", "seeds": 3, "secret": SEAL.fingerprint}
EPOCHS = 15


KINDS = {name: Kind(seconds=600, trains=name != "static") for name in ("static", "seed", "timing")}


def fake_plan(kinds: dict[str, Kind] = KINDS, **config: Json) -> Plan:
    """Plan of the work below."""
    return Plan(make="cohort_fakes:make_work", config=config, kinds=kinds)


def make_work(config: dict[str, Any]):
    def work(task: dict[str, Any]) -> dict[str, Any]:
        if task["kind"] == "static":
            return _static(decode(task["files"]["submission.py"]).decode(), config)
        text = decode(task["capture"]).decode()
        if task["kind"] == "timing":
            _log(config, f"timing {text}")
            return {"seconds": None if "odd time" in text else 60.0}
        return _seed(text, task["index"], config)

    return work


def _static(text: str, config: dict[str, Any]) -> dict[str, Any]:
    _log(config, f"static {text}")
    kind, *words = text.split("#")[0].split() or ["broken"]
    statuses = dict.fromkeys(rubric().asked(trains=False), Status.PASSED)
    details: dict[str, Any] = {}
    if kind == "kills":
        _kill("static", *words)
    elif kind == "slow":
        time.sleep(float(words[0]))
    elif kind == "raises":
        raise RuntimeError("the judge stumbled")
    elif kind == "broken":
        statuses = dict.fromkeys(rubric().asked(trains=False), Status.SKIPPED) | {
            "imports": Status.FAILED
        }
    elif kind == "odd":
        statuses["pooling"] = Status.NEEDS_REVIEW
    if kind == "honest":
        details = {"parameters": int(words[0])}
        statuses["under_8k"] = Status.PASSED if int(words[0]) < 8000 else Status.FAILED
    graph = kind in ("honest", "slow", "kills", "training")
    return {
        "tier": "A",
        "status": "done",
        "digest": hashlib.sha256(text.strip().encode()).hexdigest() if graph else "",
        "structure": f"structure of {words[0]}" if kind == "honest" else "",
        "capture": encode(text.encode()),
        "verdicts": [
            Verdict(
                check=check,
                status=status,
                message=f"{check}: {text.strip()}",
                details=details if check == "under_8k" else {},
            ).to_json()
            for check, status in statuses.items()
        ],
    }


def _seed(text: str, index: int, config: dict[str, Any]) -> dict[str, Any]:
    _log(config, f"seed {index} {text}")
    time.sleep(config.get("pause", 0.0))
    words = text.split("#")[0].split()
    if words[0] == "training":
        _kill("seed", *words[2:])
    accuracy = float(words[2]) if words[0] == "honest" else 99.5
    number = int(hashlib.sha256(f"{text} {index}".encode()).hexdigest()[:4], 16)
    wobble = number % 5 / 100
    accuracies = [90 + epoch / 2 for epoch in range(EPOCHS - 4)]
    return {
        "index": index,
        "accuracies": [*accuracies, *(round(accuracy + wobble, 2) for _ in range(4))],
        "seconds": time.time() % 7,
        "parameters": 7000,
    }


def _kill(what: str, times: str, folder: str) -> None:
    count = len(list(Path(folder).glob(f"{what}*")))
    if count < int(times):
        (Path(folder) / f"{what}{count}").touch()
        os._exit(9)


def _log(config: dict[str, Any], line: str) -> None:
    """So that a test can count what was really done."""
    if "log" in config:
        with open(config["log"], "a") as file:
            file.write(line.strip() + "\n")
        while len(Path(config["log"]).read_text().splitlines()) >= config.get("stops_at", 10**9):
            time.sleep(0.01)


class FakeSeeds:
    """The rule of the real statistics in ten lines: median of lowest, two more near the line."""

    def __init__(self, base: int = 3) -> None:
        self.base = base

    def _lowest(self, results: Any) -> list[float]:
        return sorted(min(result["accuracies"][-4:]) for result in results)

    def wanted(self, results: Any) -> int:
        if len(results) < self.base:
            return self.base
        lowest = self._lowest(results[: self.base])
        return self.base + 2 * (abs(lowest[len(lowest) // 2] - 99.4) <= 0.05)

    def decide(self, results: Any) -> dict[str, Verdict]:
        lowest = self._lowest(results)
        status = Status.PASSED if lowest[len(lowest) // 2] >= 99.4 else Status.FAILED
        return {
            check: Verdict(check=check, status=status, message=f"median {lowest}")
            for check in ("reaches", "holds")
        }


class InlineEngine:
    """Does a task when its answer is asked for, in this process; may be told when to die."""

    slots = 2

    def __init__(self, config: dict[str, Any], *, dies_after: int = 10**9) -> None:
        self._plan = fake_plan(**config).to_json()
        self._waiting: list[tuple[str, Any]] = []
        self._left = dies_after

    def submit(self, name: str, task: Any) -> None:
        self._waiting.append((name, json.loads(json.dumps(task))))

    def wait(self, seconds: float) -> list[Answer]:
        if self._left == 0:
            raise KeyboardInterrupt
        self._left -= 1
        name, task = self._waiting.pop()
        value = perform(self._plan, task)
        return [Answer(task=name, seconds=1.0, **value)]

    def close(self) -> None:
        self._waiting.clear()


def rubric() -> Assignment:
    return load_assignment("mnist_8k")


def write_class(folder: Path, lines: dict[str, str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, line in lines.items():
        (folder / f"{name}.py").write_text(line + "\n")
    return folder


def grade_class(
    paths: list[Any], journal: Path, engine: Any = None, **more: Any
) -> tuple[Gradebook, Cohort]:
    """Grade with fakes; the journal is opened and closed again."""
    assignment = more.pop("assignment", None) or rubric()
    config = more.pop("config", {})
    seeds = FakeSeeds()
    with Journal(journal, dict(FACTS), SEAL) as opened:
        hand_ins = stage(paths)
        opened.enroll(hand_ins)
        cohort = Cohort(
            hand_ins,
            seeds=seeds,
            journal=opened,
            static_checks=list(assignment.asked(trains=False)),
            engine=engine or InlineEngine(config),
            **more,
        )
        cohort.run()
        return make_gradebook(opened.contents, assignment, seeds), cohort
