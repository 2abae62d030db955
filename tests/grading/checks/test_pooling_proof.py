"""The proof of pooling against what was built, and against what was planted."""

import pytest
from pooling_graphs import BEFORE, BESIDE, MEANS, SIZE, case

from eva.grading.checks.pooling import decide_pooling
from eva.grading.checks.pooling_proof import prove_pooling

SEEDS = range(40)


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
