"""JUnit XML, which every continuous integration shows: a suite a student, a case a check."""

from __future__ import annotations

from junitparser import Error, Failure, JUnitXml, Skipped, TestCase, TestSuite

from eva.grading.checks.report import ReportRow
from eva.grading.checks.verdict import Status
from eva.grading.cohort.gradebook import Grade, Gradebook, Outcome
from eva.grading.reports.escape import lines, plain


def render(gradebook: Gradebook) -> str:
    """XML text, indented; what can't be graded is an error of its suite."""
    xml = JUnitXml(plain(gradebook.assignment.name))
    for grade in gradebook.grades:
        xml.add_testsuite(_suite(grade))
    xml.update_statistics()  # type: ignore[no-untyped-call]
    text: bytes = xml.tostring()  # type: ignore[no-untyped-call]
    return text.decode() + "\n"


def _suite(grade: Grade) -> TestSuite:
    suite = TestSuite(plain(grade.student))
    suite.add_property("score", f"{grade.score:g}")
    suite.add_property("outcome", grade.outcome.value)
    for flag in grade.flags:
        suite.add_property("flag", plain(flag))
    if grade.outcome in (Outcome.REFUSED, Outcome.UNFINISHED):
        case = TestCase("graded", plain(grade.student))
        case.result = [Error(plain(grade.reason), grade.outcome.value)]
        suite.add_testcase(case)
    else:
        for row in grade.report.rows:
            suite.add_testcase(_case(grade, row))
    return suite


def _case(grade: Grade, row: ReportRow) -> TestCase:
    case = TestCase(row.verdict.check, plain(grade.student))
    message = plain(row.verdict.message.split("\n")[0])
    match row.verdict.status:
        case Status.FAILED:
            result = Failure(message, row.spec.title)
            result.text = lines(row.explain())
            case.result = [result]
        case Status.SKIPPED | Status.NEEDS_REVIEW:
            case.result = [Skipped(message, row.verdict.status.value)]
    return case
