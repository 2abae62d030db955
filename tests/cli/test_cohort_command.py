import csv
import io
import json
import os
import re
import typing
import zipfile
from pathlib import Path
from typing import Any

import pytest
import system_readers
from cohort_fakes import FakeSeeds, fake_plan, write_class
from typer.testing import CliRunner

from eva.cli import app
from eva.cli.cohort import ReportOption
from eva.grading.reports import FORMATS
from eva.grading.sandbox.tiers import Tier

runner = CliRunner()
MERGE = ["--merge", "--secret-file", "secret.txt"]
CLASS = {"anna": "honest 7000 99.5", "bert": "honest 7900 99.1", "=cmd()": "broken"}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The command line with a core that takes no time; returns a folder with class and secret."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "eva.grading.cohort.official.official_plan",
        lambda terms: fake_plan(),
    )
    monkeypatch.setattr(
        "eva.grading.cohort.official.OfficialSeeds", lambda rubric, base: FakeSeeds(base)
    )
    monkeypatch.setattr("eva.grading.cohort.official.find_data", lambda name, folder: tmp_path)
    monkeypatch.setattr("eva.grading.cohort.official.verify_data", lambda name, folder: [])
    monkeypatch.setattr("eva.grading.cohort.official_work.best_tier", lambda: Tier.A)
    write_class(tmp_path / "class", CLASS)
    (tmp_path / "secret.txt").write_text("0123456789abcdef0123456789abcdef\n")
    return tmp_path


def _official(*more: str) -> Any:
    return runner.invoke(
        app, ["grade", "class", "--official", "--secret-file", "secret.txt", *more]
    )


def test_one_command_grades_a_class_into_reports(fake: Path) -> None:
    result = _official("--report", "csv=out/grades.csv", "--report", "feedback=out/feedback")
    assert result.exit_code == 1, result.output
    assert "mnist_8k: 3 graded" in result.stdout
    rows = {
        r["student_id"]: r for r in csv.DictReader(io.StringIO(Path("out/grades.csv").read_text()))
    }
    assert {name: row["score"] for name, row in rows.items()} == {
        "anna": "10",
        "bert": "7",
        "'=cmd()": "0",
    }
    assert len(list(Path("out/feedback").iterdir())) == 3
    assert "[3/3 checked, 6/6 trained, 0 s left]" in result.stderr
    assert "feedback: out/feedback (3 files)" in result.stderr


def test_the_help_of_reports_names_every_format() -> None:
    (option,) = typing.get_args(ReportOption)[1:]
    assert set(re.findall(r"[a-z0-9]+", option.help)) >= FORMATS.keys()


def test_the_same_command_goes_on_with_its_journal(fake: Path) -> None:
    first = _official("--report", "json=a.json")
    again = _official("--report", "json=b.json")
    assert Path("a.json").read_bytes() == Path("b.json").read_bytes()
    assert "trained with seed" in first.stderr and "trained with seed" not in again.stderr


def test_shards_are_merged_to_the_undivided_gradebook(fake: Path) -> None:
    _official("--journal", "whole.jsonl", "--report", "json=whole.json")
    for index in ("1", "2", "3"):
        part = _official("--shard", f"{index}/3", "--journal", f"{index}.jsonl")
        assert part.exit_code in (0, 1), part.output
    journals = ["1.jsonl", "2.jsonl", "3.jsonl"]
    merged = runner.invoke(app, ["grade", *journals, *MERGE, "--report", "json=merged.json"])
    assert merged.exit_code == 1, merged.output
    assert Path("merged.json").read_bytes() == Path("whole.json").read_bytes()
    partly = runner.invoke(app, ["grade", "1.jsonl", *MERGE])
    assert partly.exit_code == 3
    assert "unfinished" in partly.stdout


def test_a_journal_that_was_edited_is_neither_merged_nor_gone_on_with(fake: Path) -> None:
    _official()
    journal = Path("eva-grading.jsonl")
    journal.write_bytes(journal.read_bytes().replace(b"99.1", b"99.9"))
    merged = runner.invoke(app, ["grade", "eva-grading.jsonl", *MERGE])
    for result in (merged, _official()):
        assert result.exit_code == 3
        assert "was changed by somebody else" in " ".join(result.output.split())
    assert runner.invoke(app, ["grade", "eva-grading.jsonl", "--merge"]).exit_code == 2


def _rubric(folder: Path, old: str, new: str) -> list[str]:
    """Options that grade by a changed copy of mnist_8k."""
    rubric = folder / "mine"
    rubric.mkdir(exist_ok=True)
    source = Path(__file__).parents[2] / "assignments" / "mnist_8k" / "assignment.toml"
    assert old in source.read_text()
    (rubric / "assignment.toml").write_text(source.read_text().replace(old, new))
    return ["--assignment", str(rubric)]


def test_points_titles_and_lateness_change_without_training_or_checking_again(fake: Path) -> None:
    _official()
    changed = _rubric(fake, "points = 2", "points = 2.5")
    for command in (
        ["grade", "eva-grading.jsonl", *MERGE, *changed, "--report", "json=merged.json"],
        ["grade", "class", "--official", *MERGE[1:], *changed, "--report", "json=again.json"],
    ):
        result = runner.invoke(app, command)
        assert result.exit_code == 1, result.output
        assert "trained with seed" not in result.stderr and "] anna" not in result.stderr
    assert Path("merged.json").read_bytes() == Path("again.json").read_bytes()
    value = json.loads(Path("merged.json").read_text())
    assert value["possible"] == 11.5
    assert [one["score"] for one in value["students"]] == [0, 11.5, 8]


def test_changed_checks_check_again_and_train_nothing_again(fake: Path) -> None:
    _official()
    changed = _rubric(fake, "below = 10_000", "below = 9_999")
    merged = runner.invoke(app, ["grade", "eva-grading.jsonl", *MERGE, *changed])
    assert merged.exit_code == 3
    assert "no training does" in " ".join(merged.output.split())
    again = _official(*changed)
    assert "anna checked" in again.stderr and "trained with seed" not in again.stderr
    assert "mnist_8k: 3 graded" in again.stdout


def test_journals_of_another_assignment_are_not_merged(fake: Path) -> None:
    _official()
    changed = _rubric(fake, 'name = "mnist_8k"', 'name = "other"')
    result = runner.invoke(app, ["grade", "eva-grading.jsonl", *MERGE, *changed])
    assert result.exit_code == 3
    assert "were not made by the assignment" in " ".join(result.output.split())


def test_another_secret_does_not_go_on_with_this_journal(fake: Path) -> None:
    _official()
    (fake / "secret.txt").write_text("another secret, as long as the first")
    result = _official()
    assert result.exit_code == 3
    assert "another grading: secret differs" in " ".join(result.output.split())
    assert "another secret" not in Path("eva-grading.jsonl").read_text()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--shard", "4/3"], "a shard is such as"),
        (["--engine", "spark"], "known: local, ray"),
        (["--allow-tier", "B"], "only C"),
        (["--report", "docx=x"], "Formats: json"),
        (["--secret-file", "none.txt"], "can't be read"),
        (["--seeds", "0"], "--seeds"),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_wrong_usage_is_2(fake: Path, more: list[str], words: str) -> None:
    result = _official(*more)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.output.split())


def test_an_official_grade_needs_a_secret_of_some_length(fake: Path) -> None:
    result = runner.invoke(app, ["grade", "class", "--official"])
    assert result.exit_code == 2
    assert "needs one" in " ".join(result.output.split())
    (fake / "secret.txt").write_text("short")
    result = _official()
    assert result.exit_code == 3
    assert "the secret has 5 bytes" in " ".join(result.output.split())


@pytest.mark.parametrize("option", ["--shard=1/2", "--secret-file=secret.txt", "--allow-tier=C"])
def test_options_of_an_official_grade_do_nothing_silently_without_it(
    fake: Path, option: str
) -> None:
    result = runner.invoke(app, ["grade", "eva.experiments.exp5", option])
    assert result.exit_code == 2
    assert "official" in result.output


def test_without_a_sandbox_nothing_is_run_unless_tier_c_is_allowed(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eva.grading.cohort.official_work.best_tier", lambda: Tier.C)
    result = _official()
    assert result.exit_code == 3
    assert "no sandbox here" in " ".join(result.output.split())
    assert not Path("eva-grading.jsonl").exists()
    assert _official("--allow-tier", "C").exit_code == 1


def test_without_mnist_nothing_is_run(
    fake: Path, monkeypatch: pytest.MonkeyPatch, no_network: Path
) -> None:
    from eva.data import find_data

    monkeypatch.setattr("eva.grading.cohort.official.find_data", find_data)
    result = _official()
    assert result.exit_code == 3
    assert "MNIST" in result.output
    assert not Path("eva-grading.jsonl").exists()


def test_an_empty_folder_and_a_missing_one_are_3(fake: Path) -> None:
    os.mkdir("empty")
    for name, words in (("empty", "no submission in"), ("none", "there is no none")):
        result = runner.invoke(app, ["grade", name, "--official", "--secret-file", "secret.txt"])
        assert result.exit_code == 3
        assert words in " ".join(result.output.split())


def test_a_task_that_no_worker_could_do_is_3_and_keeps_the_rest(fake: Path) -> None:
    write_class(fake / "class", {"zoe": "raises"})
    result = _official("--report", "json=out.json")
    assert result.exit_code == 3
    assert "the judge stumbled" in " ".join(result.output.split())
    assert json.loads(Path("out.json").read_text())["outcomes"]["graded"] == 3


def test_an_interrupt_says_that_the_same_command_goes_on(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*args: object, **kwargs: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("eva.grading.cohort.official.grade_class", interrupt)
    result = _official()
    assert result.exit_code == 130
    assert "the same command goes on" in " ".join(result.output.split())


def test_names_of_students_do_not_reach_the_terminal_raw(fake: Path) -> None:
    write_class(fake / "class", {"\x1b[2J[bold]x": "broken"})
    result = _official()
    assert "\x1b[2J" not in result.output
    assert "\\x1b[2J[bold]x" in result.stdout


def test_practice_grades_have_reports_too(fake: Path, no_network: Path) -> None:
    command = [
        "grade",
        "eva.experiments.exp2",
        "--report",
        "json=out.json",
        "--report",
        "html=o.html",
    ]
    result = runner.invoke(app, command)
    assert result.exit_code == 1, result.output
    value = json.loads(Path("out.json").read_text())
    assert value["official"] is False
    assert value["students"][0]["score"] == 3


def _class(command: str, *words: str) -> Any:
    return runner.invoke(app, ["class", command, *words, "--secret-file", "secret.txt"])


def _forty(folder: Path) -> list[str]:
    """A class of 40: one half out of Moodle, one out of Canvas, in files, notebooks and archives.

    Four have nothing to grade: two sent a note, and two nothing at all.
    """
    lines = ["Identifier,Full name,Email address,Status,Grade"]
    moodle, canvas = folder / "moodle.zip", folder / "canvas.zip"
    with zipfile.ZipFile(moodle, "w") as one, zipfile.ZipFile(canvas, "w") as other:
        for n in range(40):
            name = f"Zoë Nº{n:02}"
            lines.append(f"Participant {100 + n},{name},s{n}@b.edu,Submitted,")
            text = f"honest {7000 + n // 2} {99.1 + n % 8 / 10:.2f}\n"
            if n >= 38:
                continue
            file, content = f"net{n}.py", text.encode()
            if n >= 36:
                file, content = "notes.txt", b"sorry"
            elif n % 8 == 3:
                inner = io.BytesIO()
                with zipfile.ZipFile(inner, "w") as packed:
                    packed.writestr("hw/SUBMISSION.PY", text)
                file, content = "hw.zip", inner.getvalue()
            if n % 2:
                top = f"{name}_{100 + n}_assignsubmission_file_"
                one.writestr(f"{top}/{file}", content)
            else:
                late = "LATE_" if n % 6 == 0 else ""
                other.writestr(f"zoe{n:02}_{late}{100 + n}_{5000 + n}_{file}", content)
    (folder / "roster.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")
    return [str(moodle), str(canvas)]


def test_a_class_of_forty_is_graded_from_its_download_to_an_import(fake: Path) -> None:
    reports = [f"--report={name}={name}.csv" for name in ("canvas", "moodle", "brightspace")]
    done = _class("grade", *_forty(fake), "roster.csv", *reports, "--report=html=class.html")
    assert done.exit_code == 1, done.output
    assert "36 graded, 4 refused" in " ".join(done.stdout.split())
    grades = system_readers.moodle(Path("moodle.csv").read_bytes(), 10)
    assert list(grades) == [str(100 + n) for n in range(40)]
    assert [grades[str(136 + n)] for n in range(4)] == [None] * 4, "no zero for nobody's work"
    assert all(grades[str(100 + n)] for n in range(36))
    assert system_readers.canvas(Path("canvas.csv").read_bytes(), 10) == grades
    assert system_readers.brightspace(Path("brightspace.csv").read_bytes(), 10) == grades
    assert "Zoë Nº05,s5@b.edu" in Path("moodle.csv").read_text(encoding="utf-8")
    page = Path("class.html").read_text(encoding="utf-8")
    for words in ("Checks that fail most", "Networks of the same operations", "trainings together"):
        assert words in page

    shown = _class("show", "104")
    assert shown.exit_code == 0, shown.output
    assert "net4.py" in shown.output or "_104_" in shown.output
    assert "seed 3: " in shown.output
    assert _class("show", "999").exit_code == 2

    hidden = _class("merge", "eva-grading.jsonl", "--anonymous", "--report=html=shown.html")
    assert hidden.exit_code == 1
    page = Path("shown.html").read_text(encoding="utf-8")
    assert "Zoë" not in page and not re.search(r">1[0-3]\d<", page)


def test_copies_of_another_year_are_flagged_and_named(fake: Path) -> None:
    _official("--journal", "last-year.jsonl")
    (fake / "secret.txt").write_text("this year another secret, long enough")
    write_class(fake / "now", {"zora": CLASS["anna"], "yann": "honest 7777 99.5"})
    _class("grade", "now", "--known", "last-year.jsonl", "--report", "json=now.json")
    flags = {s["student"]: s["flags"] for s in json.loads(Path("now.json").read_text())["students"]}
    assert flags == {"zora": ["same file as anna of last-year.jsonl"], "yann": []}
    assert _class("grade", "now", "--known", "none.jsonl").exit_code == 3


def test_the_best_of_several_attempts_counts_where_it_is_asked_for(fake: Path) -> None:
    for at, accuracy in (("2026-03-01", "99.6"), ("2026-03-02", "99.0")):
        write_class(
            fake / "many", {f"HW_anna_attempt_{at}-10-00-00_net": f"honest 7000 {accuracy}"}
        )
    for attempt, score in (("last", 7), ("best", 10)):
        journal = f"{attempt}.jsonl"
        more = ["--attempt", attempt, "--journal", journal, "--report", "json=out.json"]
        done = _class("grade", "many", *more)
        [anna] = json.loads(Path("out.json").read_text())["students"]
        assert (anna["student"], anna["score"]) == ("anna", score), done.output


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--attempt", "first"], "known: last, best"),
        (["--column", "id"], "such as id=Matrikelnummer"),
        (["--assignment", "receptive_field"], "trains no network"),
    ],
)
def test_wrong_options_of_a_class_are_wrong_usage(fake: Path, more: list[str], words: str) -> None:
    result = _class("grade", "class", *more)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.output.split())


def test_a_dry_run_checks_all_trains_nothing_and_says_how_long_the_rest_takes(
    fake: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = fake / "log"
    plan = fake_plan(log=str(log))
    monkeypatch.setattr("eva.grading.cohort.official.official_plan", lambda terms: plan)
    command = ["class", "grade", "class", "--secret-file", "secret.txt"]

    def no_data(name: str, folder: object) -> Path:
        raise AssertionError("a dry run needs no data")

    with monkeypatch.context() as without:
        without.setattr("eva.grading.cohort.official.find_data", no_data)
        dry = runner.invoke(app, [*command, "--dry-run"])
    assert dry.exit_code == 0, dry.output
    did = log.read_text().splitlines()
    assert sum(line.startswith("static") for line in did) == 3
    assert sum(line.startswith("timing") for line in did) == 2  # "=cmd()" has failed
    assert not any(line.startswith("seed") for line in did)
    assert "At least 6 trainings will follow, and take about 6 min" in dry.stdout
    assert "unfinished" in dry.stdout
    again = runner.invoke(app, command)
    assert again.exit_code == 1, again.output
    then = log.read_text().splitlines()[len(did) :]
    assert then and all(line.startswith("seed") for line in then)  # nothing is checked again
    last = runner.invoke(app, [*command, "--dry-run"])
    assert "There is nothing to train" in last.stdout
    refused = runner.invoke(app, [*command, "--dry-run", "--report", "csv=grades.csv"])
    assert refused.exit_code == 2
