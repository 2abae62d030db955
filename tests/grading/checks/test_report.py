import json

import pytest
from rich.console import Console

from eva.grading.checks.report import REPORT_WIDTH, Report
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.json_types import Json

ASSIGNMENT = load_assignment("mnist_8k")

TABLE = """\
mnist_8k  net.py
  #  check                                 points  status
  1  imports, and builds a module               -  passed
  2  (batch, 10) finite numbers               1/1  passed
  3  fewer than 10,000 parameters             0/1  failed: 13,914
  4  fewer than 8,000 parameters              0/2  failed: 13,914
  5  global average pooling                   ?/2  needs-review
  6  a legal recipe                           1/1  passed: 15 epochs
  7  99.4 % in some epoch                     0/1  skipped: needs 3, 4
  8  99.4 % in each of the last 4 epochs      0/2  skipped: not run
     total                                   2/10
Next: check 3, fewer than 10,000 parameters (1 point). A further question comes
  with --hints."""


def verdicts(status: Status = Status.PASSED) -> dict[str, Verdict]:
    return {
        name: Verdict(check=name, status=status, message="as it is.")
        for name in load_assignment("mnist_8k").asked()
    }


def one(check: str, status: Status, message: str = "m", **details: Json) -> dict[str, Verdict]:
    return {check: Verdict(check=check, status=status, message=message, details=details)}


def mixed() -> dict[str, Verdict]:
    many = (
        "parameters under 10,000: your model has 13,914.\n"
        "  The three largest: conv_block_3.3 (2,320), fc (2,250), conv_block_3.0 (1,168)."
    )
    given = verdicts()
    given |= one("under_10k", Status.FAILED, many, parameters=13914)
    given |= one("under_8k", Status.FAILED, many, parameters=13914)
    given |= one("pooling", Status.NEEDS_REVIEW, "global average pooling: can't be decided.")
    given |= one("recipe", Status.PASSED, "recipe: 15 epochs.", epochs=15)
    given |= one("reaches", Status.SKIPPED, "waits", note="needs 3, 4")
    del given["holds"]
    return given


def test_the_table_has_a_line_a_check_and_the_next_step() -> None:
    report = Report.of(ASSIGNMENT, "net.py", mixed())
    assert report.table().plain == TABLE
    assert str(report).endswith(f"\n\n{TABLE}")


def test_a_failure_has_their_numbers_and_asks() -> None:
    report = Report.of(ASSIGNMENT, "net.py", mixed())
    assert report.explanations()[0] == (
        "FAILED parameters under 10,000: your model has 13,914.\n"
        "  The three largest: conv_block_3.3 (2,320), fc (2,250), conv_block_3.0 (1,168).\n"
        "  Hint: which layer has the most parameters? What does its count depend on?"
    )
    assert report.explanations()[2] == ("NEEDS-REVIEW global average pooling: can't be decided.")


@pytest.mark.parametrize(("hints", "shown", "more"), [(0, 1, ""), (1, 2, "1 more"), (9, 3, "")])
def test_hints_come_one_by_one(hints: int, shown: int, more: str) -> None:
    row = Report.of(ASSIGNMENT, "net.py", mixed()).rows[2]
    text = row.explain(hints)
    assert text.count("Hint: ") == shown
    assert ("more: --hints --hints" in text) is bool(more)


def test_their_own_traceback_stays_whole() -> None:
    trace = 'Traceback:\n  File "net.py", line 3, in forward\n    ' + "x" * 100
    verdict = Verdict(check="shapes", status=Status.FAILED, message="raised", trace=trace)
    report = Report.of(ASSIGNMENT, "net.py", verdicts() | {"shapes": verdict})
    assert '    File "net.py", line 3, in forward\n      ' + "x" * 100 in str(report)


def test_everything_fits_eighty_columns() -> None:
    long = "a word " * 60
    given = {
        name: Verdict(check=name, status=Status.NEEDS_REVIEW, message=long, details={"note": long})
        for name in load_assignment("mnist_8k").asked()
    }
    report = Report.of(ASSIGNMENT, "net.py", given, hints=3)
    failed = Report.of(ASSIGNMENT, "net.py", verdicts(Status.FAILED), hints=3)
    for text in (str(report), str(failed)):
        assert max(map(len, text.splitlines())) <= REPORT_WIDTH


def test_points_are_earned_only_by_what_passed() -> None:
    assert Report.of(ASSIGNMENT, "net.py", verdicts()).points == 10
    for status in (Status.FAILED, Status.SKIPPED, Status.NEEDS_REVIEW):
        report = Report.of(ASSIGNMENT, "net.py", verdicts() | one("holds", status))
        assert report.points == 8
        assert not report.passed


@pytest.mark.parametrize(
    ("changes", "outside", "code"),
    [
        ({}, None, 0),
        (one("holds", Status.SKIPPED), None, 0),
        (one("holds", Status.SKIPPED), "no data", 3),
        (one("holds", Status.FAILED), None, 1),
        (one("holds", Status.FAILED), "no data", 1),
        (one("pooling", Status.NEEDS_REVIEW), None, 1),
    ],
)
def test_exit_codes(changes: dict[str, Verdict], outside: str | None, code: int) -> None:
    report = Report.of(ASSIGNMENT, "net.py", verdicts() | changes, outside=outside)
    assert report.exit_code == code


def test_the_next_step_depends_on_what_is_open() -> None:
    def step(changes: dict[str, Verdict], outside: str | None = None) -> str:
        return Report.of(ASSIGNMENT, "net.py", verdicts() | changes, outside=outside).next_step()

    assert "all 10 points" in step({})
    assert "instructor" in step(one("pooling", Status.NEEDS_REVIEW))
    assert step(one("holds", Status.SKIPPED), "Run `eva data fetch`.") == "Run `eva data fetch`."
    assert "`eva grade net.py`" in step(one("holds", Status.SKIPPED))
    other = load_assignment("receptive_field")
    assert "eva grade" not in Report.of(other, "net.py", {}).next_step()


def test_colors_change_no_word() -> None:
    report = Report.of(ASSIGNMENT, "net.py", mixed())
    console = Console(force_terminal=True, color_system="standard", width=REPORT_WIDTH)
    with console.capture() as captured:
        console.print(report, highlight=False)
    assert "\x1b[1;31mfailed\x1b[0m" in captured.get()
    plain = Console(color_system=None, width=REPORT_WIDTH)
    with plain.capture() as captured:
        plain.print(report, highlight=False)
    assert captured.get().rstrip("\n") == str(report)


def test_json_says_the_same() -> None:
    report = Report.of(ASSIGNMENT, "net.py", mixed(), outside="no data")
    value = json.loads(json.dumps(report.to_json()))
    assert (value["points"], value["possible"], value["passed"]) == (2, 10, False)
    assert value["outside"] == "no data"
    third = value["checks"][2]
    assert third["status"] == "failed"
    assert third["details"] == {"parameters": 13914}
    assert (third["points"], third["possible"]) == (0, 1)
