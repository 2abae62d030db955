import base64
import csv
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from cohort_fakes import grade_class, rubric, write_class
from junitparser import JUnitXml
from rich.console import Console
from rich.markdown import Markdown

from eva.errors import GradingError
from eva.grading.checks.rubric import Assignment
from eva.grading.cohort.gradebook import Gradebook
from eva.grading.reports import FORMATS, parse_target, write_report
from eva.grading.reports.escape import csv_cell, file_name, lines, markdown, plain

CLASS = {
    "anna": "honest 7000 99.5",
    "bert": "honest 7900 99.1",
    "dora": "broken",
    "emil": "odd",
    "finn": "honest 7000 99.5",
    "gina": "honest 7100 99.39",
}
ROSTER = (
    "id,submitted,due,first_name,last_name,email\n"
    "anna,2026-03-01T09:00:00Z,2026-03-01T10:00:00Z,Anna,Arnold,anna@example.org\n"
    "bert,2026-03-02T11:00:00Z,2026-03-01T10:00:00Z,Bert,Brown,bert@example.org\n"
    "cleo,,,Cleo,Clark,cleo@example.org\n"
)
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": "\"' onmouseover=alert(1) x='",
    "formula": "=cmd|'/c calc'!A0",
    "plus": "+1+1",
    "at": "@SUM(A1)",
    "hidden formula": "\t=1+1",
    "markdown": "| [x](javascript:alert(1)) ![](http://e.x/p.png) `c` **b** @all #1 |",
    "terminal": "\x1b[2J\x1b]0;title\x07\x9b31m",
    "lines": "two\nlines\r\nthree",
    "bidi": "abc\u202etxt.exe\u2066",
    "null": "nul\x00l\ufffe",
    "entity": "&lt;b&gt;&#60;",
    "cdata": "]]><x/>",
    "path": "../../etc/passwd",
    "comma": 'a,"b";c',
}


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Gradebook:
    tmp = tmp_path_factory.mktemp("reports")
    folder = write_class(tmp / "class", CLASS)
    (tmp / "roster.csv").write_text(ROSTER)
    made, _ = grade_class([folder, tmp / "roster.csv"], tmp / "journal.jsonl", assignment=_late())
    text = str(tmp)
    grades = [_moved(grade, text) for grade in made.grades]
    return Gradebook(**vars(made) | {"grades": tuple(grades)})


def _moved(grade: Any, folder: str) -> Any:
    """Without the folder of this run, so that golden files know no machine."""
    return type(grade)(**vars(grade) | {"source": grade.source.replace(folder, "")})


def _late(**hidden: bool) -> Assignment:
    """mnist_8k where lateness costs, and some checks are hidden."""
    value = rubric().model_dump()
    value["late"] = {"percent_per_day": 10, "maximum_days": 3}
    for name in hidden:
        value["checks"][name]["hidden"] = True
    return Assignment.model_validate(value)


def _texts(book: Gradebook, name: str) -> list[str]:
    form = FORMATS[name]
    if form.whole is not None:
        return [form.whole(book)]
    assert form.each is not None
    return [form.each(book, grade) for grade in book.grades]


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_each_format_is_as_its_golden_file(
    name: str, book: Gradebook, golden: Callable[[str, str], None]
) -> None:
    suffix = {"csv": "csv", "html": "html", "feedback": "html", "junit": "xml", "summary": "md"}
    text = "\n".join(_texts(book, name)[:3])
    golden(f"grading/{name}.{suffix.get(name, 'json')}", text)


def test_csv_has_nbgraders_columns_and_says_what_the_policy_takes(book: Gradebook) -> None:
    (text,) = _texts(book, "csv")
    assert text.startswith(
        "assignment,duedate,timestamp,student_id,last_name,first_name,email,"
        "raw_score,late_submission_penalty,score,max_score,"
    )
    rows = {row["student_id"]: row for row in csv.DictReader(io.StringIO(text))}
    assert list(rows) == ["anna", "bert", "cleo", "dora", "emil", "finn", "gina"]
    bert = rows["bert"]
    assert (bert["raw_score"], bert["late_submission_penalty"], bert["score"]) == ("7", "2", "5")
    assert rows["anna"]["late_submission_penalty"] == "0"
    assert (rows["cleo"]["outcome"], rows["cleo"]["score"]) == ("refused", "0")
    assert rows["emil"]["outcome"] == "needs-review"


def test_junit_is_read_back_with_its_counts(book: Gradebook) -> None:
    xml = JUnitXml.fromstring(_texts(book, "junit")[0].encode())
    suites = {suite.name: suite for suite in xml}
    assert (suites["anna"].tests, suites["anna"].failures) == (8, 0)
    assert suites["bert"].failures == 2
    assert suites["cleo"].errors == 1
    assert suites["emil"].skipped == 3


def test_gradescope_scores_its_tests_and_has_a_leaderboard(book: Gradebook) -> None:
    anna, bert, *_ = [json.loads(text) for text in _texts(book, "gradescope")]
    assert sum(test["score"] for test in anna["tests"]) == 10
    assert sum(test["score"] for test in bert["tests"]) == 5
    assert {test["status"] for test in bert["tests"]} == {"passed", "failed"}
    assert {test["visibility"] for test in anna["tests"]} == {"visible"}
    board = {entry["name"]: entry["value"] for entry in anna["leaderboard"]}
    assert board["parameters"] == 7000


def test_classroom_is_what_its_reporter_decodes(book: Gradebook) -> None:
    anna, bert, cleo, *_ = _texts(book, "classroom")
    value = json.loads(base64.b64decode(base64.b64encode(anna.encode())))
    assert (value["version"], value["status"], value["max_score"]) == (1, "pass", 10)
    assert sum(test["score"] for test in json.loads(bert)["tests"]) == 5
    assert json.loads(cleo)["status"] == "error"


def test_check50_says_null_where_nobody_knows(book: Gradebook) -> None:
    emil = json.loads(_texts(book, "check50")[4])
    by_name = {result["name"]: result for result in emil["results"]}
    assert by_name["imports"]["passed"] is True
    assert by_name["pooling"]["passed"] is None
    assert by_name["pooling"]["cause"]["rationale"] == "pooling: odd"


def test_feedback_shows_every_seed_and_how_close_it_was(book: Gradebook) -> None:
    gina = _texts(book, "feedback")[6]
    assert gina.count("<polyline") == 5
    assert re.search(r"median of the lowest is 99\.4\d %, 0\.0\d points above 99\.4 %", gina)


def test_the_class_page_shows_points_leaders_and_flags(book: Gradebook) -> None:
    (text,) = _texts(book, "html")
    assert "same file as finn" in text
    assert "nothing was handed in" in text
    assert text.index("anna") < text.index("gina")
    assert text.count("<rect") == 11


@pytest.mark.parametrize(
    ("line", "check", "secret"),
    [
        ("honest 7900 99.1", "holds", "median "),
        ("honest 7900 99.5", "reaches", "median "),
        ("odd", "pooling", "pooling: odd"),
        ("honest 9000 99.5", "under_8k", "under_8k: honest"),
    ],
)
def test_no_student_learns_what_a_hidden_check_found(
    tmp_path: Path, line: str, check: str, secret: str
) -> None:
    folder = write_class(tmp_path / "class", {"bert": line})
    journal = tmp_path / "journal.jsonl"
    hidden = {check: True} | ({"reaches": True, "holds": True} if secret == "median " else {})
    book, _ = grade_class([folder], journal, assignment=_late(**hidden))
    shown, _ = grade_class([folder], journal, assignment=_late())
    for name in ("feedback", "classroom", "check50"):
        if name != "check50":  # which says nothing of what passed
            assert secret in _texts(shown, name)[0], "the test can fail"
        assert secret not in _texts(book, name)[0], name
        if secret == "median ":
            assert "<polyline" not in _texts(book, name)[0]
    tests = json.loads(_texts(book, "gradescope")[0])
    by_name = {test["name"]: test for test in tests["tests"]}
    assert by_name[_late().checks[check].title]["visibility"] == "after_published"
    tests["tests"] = [t for t in tests["tests"] if t["visibility"] == "visible"]
    assert secret not in json.dumps(tests)
    assert "score" not in tests
    assert secret in _texts(book, "json")[0], "the instructor sees it"


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Gradebook:
    """Every hostile text as an id, as a name, in a message, a trace, a source and a flag."""
    tmp = tmp_path_factory.mktemp("hostile")
    folder = write_class(tmp / "class", {"anna": "honest 7900 99.1"})
    made, _ = grade_class([folder], tmp / "journal.jsonl")
    grade = made.grades[0]
    grades = []
    for text in HOSTILE.values():
        rows = []
        for row in grade.report.rows:
            verdict = type(row.verdict)(**vars(row.verdict) | {"message": text, "trace": text})
            rows.append(type(row)(spec=row.spec, verdict=verdict))
        report = type(grade.report)(
            **vars(grade.report) | {"rows": tuple(rows), "submission": text}
        )
        grades.append(
            type(grade)(
                **vars(grade)
                | {
                    "student": text,
                    "source": text,
                    "reason": text,
                    "report": report,
                    "flags": (text,),
                    "tier": text,
                    "roster": {"first_name": text, "last_name": text, "email": text},
                }
            )
        )
    return Gradebook(**vars(made) | {"grades": tuple(grades), "facts": {"note": HOSTILE["script"]}})


def test_no_spreadsheet_sees_a_formula(hostile: Gradebook) -> None:
    for row in csv.reader(io.StringIO(_texts(hostile, "csv")[0])):
        for cell in row:
            assert not cell.lstrip(" \"'\t\r\n").startswith(("=", "+", "-", "@")) or cell[0] == "'"
            assert "\n" not in cell and "\r" not in cell and "\t" not in cell


@pytest.mark.parametrize("name", ["html", "feedback"])
def test_no_html_carries_a_tag_or_attribute_of_a_student(name: str, hostile: Gradebook) -> None:
    tags = {
        "html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "b", "table", "thead",
        "tbody", "tr", "th", "td", "br", "span", "pre", "svg", "text", "line", "polyline", "rect",
    }  # fmt: skip
    for text in _texts(hostile, name):
        body = text.replace("<!DOCTYPE html>", "")
        body = re.sub(r"<meta([^>]*)>", r"<meta\1/>", body)
        tree = ElementTree.fromstring(body)
        assert {element.tag for element in tree.iter()} <= tags
        assert not any(key.startswith("on") for element in tree.iter() for key in element.attrib)
        assert "default-src 'none'" in text


def test_junit_stays_xml_whatever_students_write(hostile: Gradebook) -> None:
    (text,) = _texts(hostile, "junit")
    assert len(list(JUnitXml.fromstring(text.encode()))) == len(HOSTILE)


def test_markdown_shows_students_text_as_text(hostile: Gradebook) -> None:
    (text,) = _texts(hostile, "summary")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in rows} == {rows[0].count("|")}
    bare = re.sub(r"&#\d+;", "", text)
    for syntax in ("](", "<script", "`", "**", "@all", "javascript:"):
        assert syntax not in bare
    assert Console(width=200).render_str(str(Markdown(text))) is not None


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_no_report_moves_a_cursor(name: str, hostile: Gradebook) -> None:
    for text in _texts(hostile, name):
        for char in ("\x1b", "\x07", "\x9b", "\x00", "\r", "\u202e", "\u2066", "\ufffe"):
            assert char not in text, (name, char)


def test_every_student_has_a_file_inside_the_folder(hostile: Gradebook, tmp_path: Path) -> None:
    for name in ("feedback", "gradescope"):
        files = write_report(hostile, parse_target(f"{name}={tmp_path / name}"))
        assert len(set(files)) == len(HOSTILE)
        assert all(file.parent == tmp_path / name and file.is_file() for file in files)


def test_one_student_may_have_a_plain_file_and_a_class_may_not(
    tmp_path: Path, book: Gradebook
) -> None:
    one = Gradebook(**vars(book) | {"grades": book.grades[:1]})
    target = parse_target(f"gradescope={tmp_path / 'results.json'}")
    assert write_report(one, target) == [tmp_path / "results.json"]
    with pytest.raises(GradingError, match="each of 7 students"):
        write_report(book, target)


@pytest.mark.parametrize("text", ["csv", "csv=", "=x", "docx=x.docx", ""])
def test_a_wrong_report_names_the_formats(text: str) -> None:
    with pytest.raises(GradingError, match="Formats: json, csv"):
        parse_target(text)


def test_a_report_that_can_not_be_written_is_a_clear_error(book: Gradebook, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GradingError, match="can't be written"):
        write_report(book, parse_target(f"csv={tmp_path / 'file' / 'grades.csv'}"))


def test_escapes_one_by_one() -> None:
    assert plain("a\x1b[31m\nb\u202e") == "a\\x1b[31m\\nb\\u202e"
    assert lines("a\tb\n\x1b") == "a   b\n\\x1b"
    assert csv_cell("=1") == "'=1" and csv_cell(" =1") == "' =1" and csv_cell("a=1") == "a=1"
    assert csv_cell("-1") == "'-1" and csv_cell("＝1") == "'＝1"
    assert markdown("a|b") == "a&#124;b"
    assert file_name("anna") == "anna"
    assert file_name("../x") != file_name("..x") and "/" not in file_name("../x")
