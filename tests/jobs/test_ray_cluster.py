"""A cluster of two nodes on this machine, of which one is killed in mid-run."""

import importlib
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cohort_fakes import fake_plan, grade_class, write_class
from tiny_core import HONEST, grade_tiny, tiny_plan, tiny_terms

from eva.errors import JobError
from eva.grading.cohort.journal import read_journals
from eva.grading.reports import gradebook_json
from eva.jobs.processes import LocalEngine
from eva.jobs.ray_cluster import RayEngine

CLASS = {f"s{i}": f"honest {7000 + i} {99.2 + i / 20:.2f}" for i in range(6)} | {"odd": "odd"}


@pytest.fixture(scope="module")
def cluster(one_ray: None) -> Iterator[Any]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Ray about itself
        utils = importlib.import_module("ray.cluster_utils")
        ray = importlib.import_module("ray")
        made = utils.Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


def kill_in_mid_run(cluster: Any, node: Any, journal: Path) -> tuple[threading.Thread, list[int]]:
    """A thread that kills a node when two trainings are done, and how many were by then."""
    killed_at: list[int] = []

    def kill() -> None:
        while not journal.exists() or len(read_journals([journal]).seeds) < 2:
            time.sleep(0.05)
        cluster.remove_node(node, allow_graceful=False)
        killed_at.append(len(read_journals([journal]).seeds))

    killer = threading.Thread(target=kill)
    killer.start()
    return killer, killed_at


@pytest.mark.filterwarnings("ignore")
def test_a_node_that_is_killed_in_mid_run_costs_no_result(tmp_path: Path, cluster: Any) -> None:
    doomed = cluster.add_node(num_cpus=1)
    folder = write_class(tmp_path / "class", CLASS)
    whole, _ = grade_class([folder], tmp_path / "whole.jsonl")
    journal, log = tmp_path / "journal.jsonl", tmp_path / "log"
    killer, killed_at = kill_in_mid_run(cluster, doomed, journal)
    plan = fake_plan(log=str(log), pause=0.4)
    engine = RayEngine(plan, jobs=2, address=cluster.address)
    book, cohort = grade_class([folder], journal, engine)
    killer.join()
    assert cohort.errors == {}
    assert gradebook_json.render(book) == gradebook_json.render(whole)
    total = len(read_journals([journal]).seeds)
    assert 2 <= killed_at[0] < total, "it was killed in mid-run"
    done = log.read_text().splitlines()
    assert len(set(done)) <= len(done) <= len(set(done)) + 2, "only what it was doing is repeated"


@pytest.mark.filterwarnings("ignore")
def test_the_real_core_loses_no_result_with_a_node_either(tmp_path: Path, cluster: Any) -> None:
    """Sandbox, checks and training; the gradebook is that of this machine alone."""
    doomed = cluster.add_node(num_cpus=1)
    widths = (5, 6, 7)
    texts = {f"w{n}": HONEST.replace("8,", f"{n},").replace("(8", f"({n}") for n in widths}
    folder = write_class(tmp_path / "class", texts | {"exits": "import os\nos._exit(0)"})
    journal, terms = tmp_path / "journal.jsonl", tiny_terms()
    killer, killed_at = kill_in_mid_run(cluster, doomed, journal)
    engine = RayEngine(tiny_plan(terms), jobs=2, address=cluster.address)
    book = grade_tiny(folder, journal, engine, terms)
    killer.join()
    assert 2 <= killed_at[0] < len(read_journals([journal]).seeds) == 3 * len(widths)
    assert {grade.student for grade in book.grades if grade.report.passed} == set(texts)
    local = LocalEngine(tiny_plan(terms), jobs=2)
    whole = grade_tiny(folder, tmp_path / "whole.jsonl", local, terms)
    assert gradebook_json.render(book) == gradebook_json.render(whole)


@pytest.mark.filterwarnings("ignore")
def test_no_cluster_is_a_clear_error() -> None:
    plan = fake_plan()
    with pytest.raises(JobError, match="there is no Ray cluster at"):
        RayEngine(plan, address="nonsense://")
