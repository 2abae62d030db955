"""``eva new``: a folder that one can work in, hand in, and put on GitHub."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from eva.cli import app
from eva.errors import GradingError, SubmissionError
from eva.grading.checks.rubric import assignment_file, assignment_names
from eva.grading.practice.new import new_folder

runner = CliRunner()
EVERY = {
    ".github/workflows/practice.yml",
    ".gitignore",
    "README.md",
    "assignment.toml",
    "conftest.py",
    "submission.py",
}


@pytest.fixture(autouse=True)
def _empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")


def _names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", assignment_names())
def test_a_new_folder_is_the_assignment_with_paths_of_its_own(name: str, tmp_path: Path) -> None:
    files = new_folder(name)
    assert {file.relative_to(name).as_posix() for file in files} == _names(tmp_path / name)
    source = _names(assignment_file(name).parent)
    source = {path for path in source if "__pycache__" not in path}
    assert _names(tmp_path / name) == source | EVERY
    for file in files:
        text = file.read_text(encoding="utf-8")
        assert f"assignments/{name}" not in text, file
        assert not re.search(r"\]\(\.\./(?!\.\./actions)", text), file


@pytest.mark.parametrize("name", assignment_names())
def test_each_command_and_link_of_its_readme_works_inside_the_folder(name: str) -> None:
    new_folder(name, "work")
    os.chdir("work")
    text = Path("README.md").read_text(encoding="utf-8")
    typed = re.findall(r"`(eva [^`]+)`", text)
    for line in typed:
        command, words = typer.main.get_command(app), line.split()[1:]
        while hasattr(command, "commands"):
            command, words = command.commands[words[0]], words[1:]
        if words:
            command.make_context("eva", list(words))
    for target in re.findall(r"(?:pytest|eva \w+) ([\w./]+\.py|\.)", text):
        assert Path(target).exists(), target
    for link in re.findall(r"\]\(([^)#]+)\)", text):
        assert link.startswith("../../actions") or Path(link).exists(), link


def test_pytest_in_two_new_folders_gives_a_table_each() -> None:
    new_folder("receptive_field", "first work")
    new_folder("mnist_8k", "zweite Übung")
    command = [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "first work", "zweite Übung"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=os.environ | {"PYTHONUTF8": "1"},
    )
    assert done.returncode == 1, done.stdout + done.stderr
    for words in ("receptive fields by hand", "fewer than 8,000 parameters", "2 deselected"):
        assert words in done.stdout
    assert "Warning" not in done.stdout
    plain = subprocess.run(command, capture_output=True, text=True, encoding="utf-8")  # finds both
    assert "2 deselected" in plain.stdout, plain.stdout + plain.stderr


def test_the_folder_passes_with_a_submission_that_does() -> None:
    new_folder("mnist_8k", "work")
    Path("work/submission.py").write_text("from eva.experiments.exp4 import RECIPE, build_model\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "not slow", "-p", "no:cacheprovider"],
        cwd="work",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "7/10" in done.stdout


def test_nothing_is_written_over() -> None:
    Path("mnist_8k").mkdir()
    Path("mnist_8k/submission.py").write_text("mine")
    result = runner.invoke(app, ["new", "mnist_8k"])
    assert result.exit_code == 2
    assert "holds submission.py already; nothing was written" in result.output
    assert _names(Path("mnist_8k")) == {"submission.py"}
    assert Path("mnist_8k/submission.py").read_text() == "mine"


def test_a_clone_that_is_empty_but_for_git_can_be_filled() -> None:
    Path("work/.git").mkdir(parents=True)
    Path("work/LICENSE").write_text("mine")
    assert runner.invoke(app, ["new", "mnist_8k", "work"]).exit_code == 0
    assert Path("work/LICENSE").read_text() == "mine"


def test_a_file_of_that_name_is_said() -> None:
    Path("work").write_text("mine")
    with pytest.raises(SubmissionError, match="work is a file"):
        new_folder("mnist_8k", "work")
    Path("other").write_text("mine")
    with pytest.raises((GradingError, SubmissionError), match="can't be written"):
        new_folder("mnist_8k", "other/work")


@pytest.mark.parametrize("words", [["mnist_9k"], ["nowhere/none"], ["../etc"]])
def test_an_unknown_assignment_is_wrong_usage_and_the_known_are_named(words: list[str]) -> None:
    result = runner.invoke(app, ["new", *words])
    assert result.exit_code == 2, result.output
    assert "mnist_8k" in result.output
    assert not list(Path().iterdir())


def test_what_was_begun_is_taken_back(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        if path.name == "submission.py":
            raise OSError(28, "No space left on device")
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    result = runner.invoke(app, ["new", "mnist_8k", "a/b"])
    assert result.exit_code == 3
    assert "a/b can't be written: No space left on device" in result.output.replace("\\", "/")
    assert not list(Path().iterdir())


@pytest.mark.parametrize("name", assignment_names())
def test_the_workflow_parses_and_its_shell_too(name: str) -> None:
    new_folder(name, "work")
    flow = yaml.safe_load(Path("work/.github/workflows/practice.yml").read_text())
    assert flow["permissions"] == {"contents": "read"}
    steps = flow["jobs"]["practice"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert "python -m pytest --hints" in scripts
    for script in scripts:
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
        assert "secrets." not in script


def _own(folder: str, name: str, **changes: str) -> None:
    """A folder of an assignment whose file was changed."""
    new_folder("mnist_8k", folder)
    file = Path(folder) / "assignment.toml"
    text = file.read_text(encoding="utf-8").replace('name = "mnist_8k"', f'name = "{name}"')
    for old, new in changes.items():
        assert old in text
        text = text.replace(old, new)
    file.write_text(text, encoding="utf-8")
    Path(folder, "submission.py").write_text(
        "from eva.experiments.exp4 import RECIPE, build_model\n", encoding="utf-8"
    )


def test_a_folder_is_checked_by_its_own_assignment() -> None:
    _own("mine", "of_my_course", finite="short")
    for target in ("mine", "mine/submission.py"):
        result = runner.invoke(app, ["check", target])
        assert "(batch, 10) short numbers" in result.output
    assert "`eva grade mine/submission.py`" in " ".join(result.output.split())
    result = runner.invoke(app, ["check", "mine", "--assignment", "mnist_8k"])
    assert "(batch, 10) finite numbers" in result.output
    new_folder("receptive_field", "other")
    assert "pytest" in runner.invoke(app, ["check", "other"]).output


def test_a_changed_copy_of_an_assignment_of_ours_does_not_count() -> None:
    _own("mine", "mnist_8k", finite="short")
    assert "(batch, 10) finite numbers" in runner.invoke(app, ["check", "mine"]).output


def test_submissions_of_two_assignments_are_not_graded_by_one() -> None:
    _own("mine", "of_my_course")
    result = runner.invoke(app, ["grade", "mine", "eva.experiments.exp4"])
    assert result.exit_code == 2
    assert "different assignments" in " ".join(result.output.split())


def test_what_is_next_is_the_command_that_grades_this_submission() -> None:
    _own("my work", "mnist_8k")
    result = runner.invoke(app, ["check", "my work"])
    assert 'now all of it: `eva grade "my work"`' in " ".join(result.output.split())


def test_an_assignment_of_ones_own_is_complete_and_what_is_wrong_with_it_is_said_by_key() -> None:
    made = runner.invoke(app, ["new", "asg2", "--assignment"])
    assert made.exit_code == 0, made.output
    whole = runner.invoke(app, ["check-assignment", "asg2"])
    assert whole.exit_code == 0, whole.output
    assert "10  asg2: a small network for MNIST" in whole.output
    file = Path("asg2/assignment.toml")
    text = file.read_text(encoding="utf-8")
    for old, new, key, said in (
        ("points = 0.5", 'points = "many"', "checks.few.points", "number; came 'many'"),
        ("below =", "belwo =", "checks.small.belwo", "below"),
        ('"reaches"', '"reach"', "checks.reaches.kind", "reaches"),
    ):
        file.write_text(text.replace(old, new, 1), encoding="utf-8")
        wrong = runner.invoke(app, ["check-assignment", "asg2"])
        assert wrong.exit_code == 1
        line = next(line for line in wrong.output.splitlines() if key in line)
        assert said in line
        assert wrong.output.count(key) == 1, wrong.output


def test_new_does_not_write_over_an_assignment() -> None:
    Path("asg2").mkdir()
    Path("asg2/assignment.toml").write_text("mine", encoding="utf-8")
    assert runner.invoke(app, ["new", "asg2", "--assignment"]).exit_code != 0
    assert Path("asg2/assignment.toml").read_text(encoding="utf-8") == "mine"
