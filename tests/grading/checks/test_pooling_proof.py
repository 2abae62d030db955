"""The proof of pooling against what was built, and against what was planted."""

import json
from pathlib import Path

import pytest
from pooling_graphs import BEFORE, BESIDE, BLOCKS, MEANS, SIZE, case

from eva.grading.checks.pooling import decide_pooling
from eva.grading.checks.pooling_proof import prove_pooling

SEEDS = range(40)
RECORD = Path(__file__).parents[3] / "docs" / "records" / "pooling_property_10000.json"


@pytest.mark.parametrize("seed", SEEDS)
def test_proof_finds_a_way_round_the_mean_where_one_was_planted_and_only_there(seed: int) -> None:
    one = case(seed)
    proof = prove_pooling(one.graph, SIZE, training=False)
    assert (proof.holds is True) == (one.planted == ""), (one.planted, one.mean, proof.reason)


def test_every_mean_and_every_way_round_comes_up() -> None:
    cases = [case(seed) for seed in range(200)]
    assert {one.mean for one in cases} == set(MEANS)
    assert {one.planted for one in cases} == {"", *BEFORE, *BESIDE}


def test_trial_agrees_with_the_proof_of_an_honest_graph() -> None:
    found = decide_pooling(case(0).graph, SIZE)
    assert found.holds is True and found.mixes is None
    assert found.reason.startswith("a mean over ")


def test_the_record_is_of_10_000_graphs_of_these_kinds_and_none_got_a_wrong_answer() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    assert (record["graphs"], record["wrong"]) == (10_000, [])
    assert record["planted"].keys() == {"nothing", *BEFORE, *BESIDE}
    assert record["blocks"].keys() == {block.__name__ for block in BLOCKS}
    assert record["means"].keys() == MEANS.keys()
