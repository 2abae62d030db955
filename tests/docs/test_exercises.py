"""Each exercise has a hole that fails and a solution that passes; each lesson shows its own."""

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from eva.cli import app
from eva.grading.practice.exercises import lessons

ROOT = Path(__file__).parents[2]
EXERCISES = ROOT / "docs" / "exercises"
NAMES = [lesson.name for lesson in lessons(None)]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"loaded_{path.parent.name}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def checks_of(name: str) -> dict[str, Callable[[ModuleType], None]]:
    (path,) = (EXERCISES / name).glob("test_*.py")
    return {key: value for key, value in vars(load(path)).items() if key.startswith("test_")}


@pytest.mark.parametrize("name", NAMES)
def test_a_hole_fails_and_its_solution_passes(name: str) -> None:
    holes = load(EXERCISES / name / "exercise.py")
    solved = load(ROOT / "docs" / "solutions" / f"{name}.py")
    found = checks_of(name)
    assert 3 <= len(found) <= 5
    for key, test in found.items():
        assert test.__doc__, f"{name}: {key} has no hint"
        with pytest.raises((AssertionError, AttributeError, RuntimeError, TypeError)):
            test(holes)
        test(solved)


@pytest.mark.parametrize("name", NAMES)
def test_a_lesson_shows_each_exercise_and_two_or_more_questions_with_folded_answers(
    name: str,
) -> None:
    page = (ROOT / "docs" / "lessons" / f"{name}.md").read_text(encoding="utf-8")
    assert f"pytest docs/exercises/{name}" in page
    for key in checks_of(name):
        function = re.sub(r"^test_\d_", "", key)
        assert f"`{function}`" in page, function
        assert f"solutions/{name}.py:{function}" in page, function
    assert 2 <= page.count("??? question ") <= 4


def test_a_hole_is_called_a_hole_and_a_mistake_keeps_its_own_message() -> None:
    filled = load(EXERCISES / "conftest.py")._filled

    def unpacks() -> None:
        _, _ = ...  # type: ignore[misc]

    for hole in (lambda: ..., lambda: (1, ...), unpacks):
        with pytest.raises(pytest.fail.Exception, match="still has a hole"):
            filled(hole)()
    assert filled(lambda: 4)() == 4
    with pytest.raises(TypeError, match="positional"):
        filled(lambda a: a)()


@pytest.mark.parametrize("name", NAMES)
def test_the_site_shows_the_code_of_each_solution(name: str, site: Path) -> None:
    page = re.sub(r"<[^>]+>", "", (site / "lessons" / name / "index.html").read_text("utf-8"))
    shown = page[page.index("Solutions") :]
    for key in checks_of(name):
        assert f"def {re.sub(r'^test_[0-9]_', '', key)}(" in shown


def test_the_course_is_followed_from_the_first_hole_to_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "400")
    eva = CliRunner().invoke
    assert "Next: make a folder of exercises" in eva(app, ["course"]).output
    made = eva(app, ["new", "exercises"])
    assert made.exit_code == 0 and "exercises/README.md" in made.output
    assert "pytest exercises/convolution" in Path("exercises/README.md").read_text()
    assert not list(Path("exercises").rglob("*solution*"))
    again = eva(app, ["new", "exercises"])
    assert again.exit_code == 2 and "nothing was written" in " ".join(again.output.split())
    for name in NAMES:
        if name != "schedules":
            text = (ROOT / "docs" / "solutions" / f"{name}.py").read_text()
            Path("exercises", name, "exercise.py").write_text(text)
    output = eva(app, ["course"]).output
    assert re.search(r"  x What a convolution is +4/4", output)
    assert re.search(r"    5\. Learning-rate schedules +0/3", output)
    assert "exercise 1 step rate in exercises/schedules/exercise.py" in output
    Path("exercises/schedules/exercise.py").write_text("this is not Python\n")
    assert "0/3" in eva(app, ["course", "exercises"]).output
    assert eva(app, ["course", "nowhere"]).exit_code == 2


def test_a_long_expression_for_k_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    from eva.grading.practice import pytest_options

    args = ["-k", " or ".join(["exercise"] * 99)]
    pytest_options.pytest_load_initial_conftests(None, args)  # type: ignore[arg-type]
