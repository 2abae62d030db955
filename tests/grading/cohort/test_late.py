from datetime import UTC, datetime, timedelta

import pytest
from cohort_fakes import rubric
from hypothesis import given
from hypothesis import strategies as st

from eva.errors import GradingError
from eva.grading.checks.rubric import Assignment, load_assignment
from eva.grading.cohort.late import lateness

DUE = datetime(2026, 3, 1, 12, tzinfo=UTC)


def _with(**late: object) -> Assignment:
    return Assignment.model_validate(rubric().model_dump() | {"late": late})


def _days(assignment: Assignment, **after: float) -> tuple[int, float]:
    submitted = (DUE + timedelta(**after)).isoformat()
    line = {"submitted": submitted, "due": DUE.isoformat(), "late": None}
    found = lateness(line, assignment, 10.0)
    return found.days, found.penalty


def test_each_begun_day_costs_its_share_after_the_grace() -> None:
    policy = _with(percent_per_day=10, grace_minutes=15, maximum_days=3)
    assert _days(policy, hours=-1) == (0, 0)
    assert _days(policy, minutes=15) == (0, 0)
    assert _days(policy, minutes=16) == (1, 1)
    assert _days(policy, days=1, minutes=14) == (1, 1)
    assert _days(policy, days=2, minutes=16) == (3, 3)
    assert _days(policy, days=3, minutes=16) == (4, 10), "later than that earns nothing"


def test_without_a_policy_lateness_is_shown_and_free() -> None:
    assert _days(rubric(), days=2) == (2, 0)


def test_the_assignments_own_date_counts_where_the_roster_has_none() -> None:
    policy = _with(due=DUE.replace(tzinfo=None), percent_per_day=50)
    line = {"submitted": "2026-03-01T13:00:00+00:00", "due": "", "late": None}
    assert (lateness(line, policy, 10.0).days, lateness(line, policy, 10.0).penalty) == (1, 5)
    own = line | {"due": "2026-03-05T00:00:00+00:00"}
    assert lateness(own, policy, 10.0).days == 0


def test_an_instructors_number_of_days_beats_the_dates() -> None:
    line = {"submitted": "2026-03-09", "due": "2026-03-01", "late": 0.0}
    assert lateness(line, _with(), 10.0).days == 0
    assert lateness(line | {"late": 1.2}, _with(), 10.0).days == 2


@given(st.floats(0, 10), st.integers(0, 40), st.floats(0, 100))
def test_a_penalty_never_takes_more_than_was_earned(raw: float, days: int, percent: float) -> None:
    line = {"submitted": "", "due": "", "late": float(days)}
    found = lateness(line, _with(percent_per_day=percent), raw)
    assert 0 <= found.penalty <= round(raw, 2)


@pytest.mark.parametrize("text", ["percent_per_day = 200", "grace_minutes = -1", "x = 1"])
def test_a_wrong_policy_is_a_clear_error(tmp_path_factory, text: str) -> None:
    folder = tmp_path_factory.mktemp("rubric")
    source = 'name = "a"\ntitle = "b"\n[checks.x]\ntitle = "t"\npoints = 1\nhints = ["h"]\n[late]\n'
    (folder / "assignment.toml").write_text(source + text)
    with pytest.raises(GradingError, match="late"):
        load_assignment(folder)


def test_a_policy_is_read_from_toml(tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("rubric")
    (folder / "assignment.toml").write_text(
        'name = "a"\ntitle = "b"\n[checks.x]\ntitle = "t"\npoints = 1\nhints = ["h"]\n'
        "hidden = true\n[late]\ndue = 2026-03-01T12:00:00Z\npercent_per_day = 25\n"
    )
    assignment = load_assignment(folder)
    assert assignment.checks["x"].hidden
    assert assignment.late is not None and assignment.late.due == DUE
