import json
import re
from pathlib import Path
from typing import Any

import pytest
from cohort_fakes import SEAL, FakeSeeds, InlineEngine, grade_class, rubric, write_class

from eva.errors import GradingError
from eva.grading.cohort.cohort import Progress, Shard, require_finished, seconds_in_words
from eva.grading.cohort.gradebook import Gradebook, Outcome, make_gradebook
from eva.grading.cohort.journal import read_journals
from eva.grading.reports import FORMATS, gradebook_json

CLASS = {
    "anna": "honest 7000 99.5",
    "bert": "honest 7900 99.1",
    "cleo": "honest 9000 99.9",
    "dora": "broken",
    "emil": "odd",
    "finn": "honest 7000 99.5",  # a copy of anna's
    "gina": "honest 7100 99.39",  # near the line: five seeds
    "hugo": "honest 7000 99.5 # comment",  # other text, same operations
}


def _text(book: Gradebook) -> str:
    return gradebook_json.render(book)


def _grades(book: Gradebook) -> dict[str, Any]:
    return {grade.student: grade for grade in book.grades}


def test_a_class_is_graded_by_checks_and_seeds(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    book, cohort = grade_class([folder], tmp_path / "journal.jsonl")
    grades = _grades(book)
    assert {name: grade.score for name, grade in grades.items()} == {
        "anna": 10, "bert": 7, "cleo": 5, "dora": 0, "emil": 5, "finn": 10, "gina": 10, "hugo": 10,
    }  # fmt: skip
    assert grades["emil"].outcome is Outcome.NEEDS_REVIEW
    assert [len(grades[name].trained) for name in ("anna", "bert", "cleo", "gina")] == [3, 3, 0, 5]
    assert grades["anna"].parameters == 7000
    assert cohort.errors == {}
    assert book.exit_code == 1


def test_identical_files_are_checked_and_trained_once(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    log = tmp_path / "log"
    grade_class([folder], tmp_path / "journal.jsonl", config={"log": str(log)})
    done = log.read_text().splitlines()
    assert done.count("static honest 7000 99.5") == 1
    assert done.count("seed 0 honest 7000 99.5") == 1
    assert len(done) == len(set(done))


def test_copies_and_renamed_copies_are_flags_and_no_verdicts(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    book, _ = grade_class([folder], tmp_path / "journal.jsonl")
    grades = _grades(book)
    assert grades["anna"].flags == ("same file as finn", "same operations as hugo")
    assert grades["hugo"].flags == ("same operations as anna, finn",)
    assert grades["bert"].flags == ()
    assert grades["hugo"].report.passed


def test_what_is_too_good_to_be_true_is_a_flag_for_the_instructor_alone(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", {"anna": CLASS["anna"], "zora": "honest 7308 99.9"})
    book, _ = grade_class([folder], tmp_path / "journal.jsonl")
    grades = _grades(book)
    assert grades["anna"].flags == ()
    (flag,) = grades["zora"].flags
    assert "more than this course has ever recorded" in flag
    assert grades["zora"].score == 10
    for form in ("html", "csv", "json"):
        assert "more than this course has ever recorded" in FORMATS[form].whole(book)
    assert "ever recorded" not in FORMATS["feedback"].each(book, grades["zora"])


def test_a_grading_that_dies_after_any_answer_resumes_to_the_same_bytes(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    whole, _ = grade_class([folder], tmp_path / "whole.jsonl")
    wanted = {name: _render(name, whole) for name in FORMATS}
    answers = len(read_journals([tmp_path / "whole.jsonl"], SEAL).static) + len(
        read_journals([tmp_path / "whole.jsonl"], SEAL).seeds
    )
    log = tmp_path / "log"
    for after in range(answers):
        journal = tmp_path / f"{after}.jsonl"
        log.write_text("")
        config = {"log": str(log)}
        with pytest.raises(KeyboardInterrupt):
            grade_class([folder], journal, InlineEngine(config, dies_after=after))
        done = log.read_text().splitlines()
        assert len(done) == after
        book, _ = grade_class([folder], journal, config=config)
        assert {name: _render(name, book) for name in FORMATS} == wanted
        again = log.read_text().splitlines()
        assert len(again) == answers == len(set(again)), "nothing is done twice"


def _render(name: str, book: Gradebook) -> list[str]:
    form = FORMATS[name]
    if form.whole is not None:
        return [form.whole(book)]
    assert form.each is not None
    return [form.each(book, grade) for grade in book.grades]


def test_a_second_run_does_nothing_again(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    log = tmp_path / "log"
    config = {"log": str(log)}
    first, _ = grade_class([folder], tmp_path / "journal.jsonl", config=config)
    before = log.read_text()
    second, _ = grade_class([folder], tmp_path / "journal.jsonl", config=config)
    assert log.read_text() == before
    assert _text(first) == _text(second)


def test_a_submission_that_changed_is_graded_again(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", {"anna": "honest 7000 99.1"})
    book, _ = grade_class([folder], tmp_path / "journal.jsonl")
    assert book.grades[0].score == 7
    write_class(folder, {"anna": "honest 7000 99.5"})
    book, _ = grade_class([folder], tmp_path / "journal.jsonl")
    assert book.grades[0].score == 10


@pytest.mark.parametrize("line", [0, 1, 3, -1])
def test_a_damaged_line_costs_only_its_own_work(tmp_path: Path, line: int) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    journal, log = tmp_path / "journal.jsonl", tmp_path / "log"
    whole, _ = grade_class([folder], journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line][: len(lines[line]) // 2] + b"\n"
    journal.write_bytes(b"".join(lines))
    assert read_journals([journal], SEAL).damaged == 1
    book, _ = grade_class([folder], journal, config={"log": str(log)})
    assert _text(book) == _text(whole)
    done = log.read_text().splitlines() if log.exists() else []
    assert len(done) == (0 if line in (0, 1) else 1), done


def test_a_worker_that_fails_leaves_one_unfinished_row(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", {"anna": "honest 7000 99.5", "bad": "raises"})
    book, cohort = grade_class([folder], tmp_path / "journal.jsonl")
    grades = _grades(book)
    assert grades["anna"].score == 10
    assert grades["bad"].outcome is Outcome.UNFINISHED
    assert book.exit_code == 3
    with pytest.raises(GradingError, match=r"1 tasks could not be done.*the judge stumbled"):
        require_finished(cohort)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_shards_split_a_class_and_merge_to_the_same_gradebook(tmp_path: Path, count: int) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    whole, _ = grade_class([folder], tmp_path / "whole.jsonl")
    log = tmp_path / "log"
    journals = []
    for index in range(1, count + 1):
        journals.append(tmp_path / f"shard{index}.jsonl")
        grade_class(
            [folder],
            journals[-1],
            config={"log": str(log)},
            shard=Shard.parse(f"{index}/{count}"),
        )
    merged = make_gradebook(read_journals(journals, SEAL), rubric(), FakeSeeds())
    assert _text(merged) == _text(whole)
    if count > 1:
        partly = make_gradebook(read_journals(journals[:1], SEAL), rubric(), FakeSeeds())
        assert partly.count(Outcome.UNFINISHED) > 0
        assert partly.exit_code == 3
    statics = [line for line in log.read_text().splitlines() if line.startswith("static")]
    assert len(statics) == len(set(statics))


@pytest.mark.parametrize("text", ["", "1", "0/3", "4/3", "a/b", "1/3/5", "-1/3", "1/0"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(GradingError, match="a shard is such as 2/8"):
        Shard.parse(text)


def test_progress_counts_up_and_estimates(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    seen: list[Progress] = []
    grade_class([folder], tmp_path / "journal.jsonl", show=seen.append)
    last = seen[-1]
    assert (last.looked_at, last.trained) == (last.files, last.trainings) == (7, 14)
    assert last.eta == 0
    etas = [each.eta for each in seen if each.eta is not None]
    assert etas and etas[0] > etas[-1]
    assert any("anna trained with seed 1" in each.news for each in seen)


def test_durations_read_well() -> None:
    assert [seconds_in_words(s) for s in (4, 59, 61, 4500)] == [
        "4 s",
        "59 s",
        "1 min",
        "1 h 15 min",
    ]


def test_the_gradebook_knows_no_clock_and_no_machine(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", CLASS)
    book, _ = grade_class([folder], tmp_path / "journal.jsonl")
    assert "seconds" not in json.dumps(json.loads(_text(book))["students"])
    assert not re.search(r"20\d\d-\d\d-\d\dT", _text(book))


def test_a_journal_of_another_class_list_keeps_its_results(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    folder = write_class(tmp_path / "class", {"anna": "honest 7000 99.5"})
    grade_class([folder], journal)
    write_class(folder, {"bert": "honest 7000 99.5"})
    log = tmp_path / "log"
    book, _ = grade_class([folder], journal, config={"log": str(log)})
    assert not log.exists()
    assert [grade.score for grade in book.grades] == [10, 10]


def test_an_edited_result_is_refused_and_says_so(tmp_path: Path) -> None:
    folder = write_class(tmp_path / "class", {"dora": "broken"})
    journal = tmp_path / "journal.jsonl"
    grade_class([folder], journal)
    journal.write_bytes(journal.read_bytes().replace(b"failed", b"passed"))
    with pytest.raises(GradingError, match="was changed by somebody else: line 3"):
        grade_class([folder], journal)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2]))  # as the message says: its work is done again
    book, _ = grade_class([folder], journal)
    assert book.grades[0].score == 0
