"""A cluster of two nodes on this machine, of which one is killed in mid-run."""

import importlib
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cohort_fakes import fake_plan, grade_class, write_class
from tiny_core import HONEST, grade_tiny, tiny_plan, tiny_terms

from eva.errors import JobError
from eva.grading.reports import gradebook_json
from eva.jobs.engine import Answer
from eva.jobs.processes import LocalEngine
from eva.jobs.ray_cluster import RayEngine

CLASS = {f"s{i}": f"honest {7000 + i} {99.2 + i / 20:.2f}" for i in range(6)} | {"odd": "odd"}


@pytest.fixture(scope="module")
def cluster(one_ray: None) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray about itself
        utils = importlib.import_module("ray.cluster_utils")
        ray = importlib.import_module("ray")
        made = utils.Cluster(
            initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False}
        )
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


class Killing:
    """An engine that kills a node as soon as it has brought two answers, so in mid-run."""

    def __init__(self, engine: RayEngine, cluster: Any, node: Any) -> None:
        self.slots = engine.slots
        self.submit, self.close = engine.submit, engine.close
        self._engine, self._cluster, self._node = engine, cluster, node
        self.answers = 0
        self.killed_after = 0

    def wait(self, seconds: float) -> list[Answer]:
        found = self._engine.wait(seconds)
        self.answers += len(found)
        if self.answers >= 2 and not self.killed_after:
            self._cluster.remove_node(self._node, allow_graceful=False)
            self.killed_after = self.answers
        return found


@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_in_mid_run_costs_no_result(tmp_path: Path, cluster: Any) -> None:
    doomed = cluster.add_node(num_cpus=1)
    folder = write_class(tmp_path / "class", CLASS)
    whole, _ = grade_class([folder], tmp_path / "whole.jsonl")
    journal, log = tmp_path / "journal.jsonl", tmp_path / "log"
    plan = fake_plan(log=str(log), pause=0.4)
    engine = Killing(RayEngine(plan, jobs=2, address=cluster.address), cluster, doomed)
    book, cohort = grade_class([folder], journal, engine)
    assert cohort.errors == {}
    assert gradebook_json.render(book) == gradebook_json.render(whole)
    assert 2 <= engine.killed_after < engine.answers, "it was killed in mid-run"
    done = log.read_text().splitlines()
    assert len(set(done)) <= len(done) <= len(set(done)) + 2, "only what it was doing is repeated"


@pytest.mark.filterwarnings("ignore")
def test_the_real_core_loses_no_result_with_a_node_either(tmp_path: Path, cluster: Any) -> None:
    """Sandbox, checks and training; the gradebook is that of this machine alone."""
    doomed = cluster.add_node(num_cpus=1)
    widths = (5, 6)
    texts = {f"w{n}": HONEST.replace("8,", f"{n},").replace("(8", f"({n}") for n in widths}
    folder = write_class(tmp_path / "class", texts | {"exits": "import os\nos._exit(0)"})
    journal, terms = tmp_path / "journal.jsonl", tiny_terms()
    engine = Killing(RayEngine(tiny_plan(terms), jobs=2, address=cluster.address), cluster, doomed)
    book = grade_tiny(folder, journal, engine, terms)
    assert 2 <= engine.killed_after < engine.answers, "it was killed in mid-run"
    assert {grade.student for grade in book.grades if grade.report.passed} == set(texts)
    local = LocalEngine(tiny_plan(terms), jobs=2)
    whole = grade_tiny(folder, tmp_path / "whole.jsonl", local, terms)
    assert gradebook_json.render(book) == gradebook_json.render(whole)


@pytest.mark.filterwarnings("ignore")
def test_no_cluster_is_a_clear_error() -> None:
    plan = fake_plan()
    with pytest.raises(JobError, match="there is no Ray cluster at"):
        RayEngine(plan, address="nonsense://")
