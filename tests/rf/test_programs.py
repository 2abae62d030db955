"""Random programs of tensor operations: no field that claims to be exact is wrong."""

import random

import pytest
import torch
from random_programs import Program, compare, write_program

from eva import rf


@pytest.mark.parametrize("block", range(12))
def test_no_program_is_silently_wrong(block: int) -> None:
    for seed in range(25 * block, 25 * (block + 1)):
        torch.manual_seed(seed)
        pick = random.Random(seed).choice
        program, _ = write_program(pick)
        result = compare(program, pick)
        assert not result.differences, f"seed {seed}, {program}: {result.differences[:2]}"


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("aten.view", lambda op: rf.Whole(status=rf.FieldStatus.EXACT)),
        ("aten.roll", lambda op: rf.Pointwise()),
        ("aten.bmm", lambda op: rf.Whole(status=rf.FieldStatus.EXACT)),
    ],
)
def test_a_planted_false_rule_is_found(name: str, rule: object) -> None:
    with rf.register_rule(name, rule):  # type: ignore[arg-type]
        for seed in range(120):
            torch.manual_seed(seed)
            pick = random.Random(seed).choice
            program, _ = write_program(pick)
            if compare(program, pick).differences:
                return
    pytest.fail(f"a false rule for {name} went unnoticed in 120 programs")


def test_a_program_says_what_it_does() -> None:
    program, kinds = write_program(random.Random(1).choice)
    assert isinstance(program, Program)
    assert sum(kinds.values()) == len(program.steps)
