import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from eva.errors import GradingError
from eva.grading.checks import rubric
from eva.grading.checks.check import known_checks
from eva.grading.checks.rubric import assignment_names, load_assignment
from eva.grading.checks.verdict import Limits

FOLDER = Path(__file__).parents[3] / "assignments"
TEXT = (FOLDER / "mnist_8k" / "assignment.toml").read_text()


def test_mnist_8k_gives_ten_points_as_announced() -> None:
    assignment = load_assignment("mnist_8k")
    assert tuple(assignment.checks) == tuple(known_checks())
    assert [check.points for check in assignment.checks.values()] == [0, 1, 1, 2, 2, 1, 1, 2]
    limits = assignment.network_limits()
    assert limits.for_checks() == Limits()
    assert (limits.accuracy, limits.last_epochs) == (99.4, 4)


@pytest.mark.parametrize("name", ["mnist_8k", "receptive_field"])
def test_every_check_has_several_hints_and_each_asks(name: str) -> None:
    assignment = load_assignment(name)
    assert assignment.name == name
    assert assignment.points == 10
    for check in assignment.checks.values():
        assert len(check.hints) > 1
        assert all("?" in hint for hint in check.hints)


def test_every_assignment_folder_is_known() -> None:
    folders = {path.parent.name for path in FOLDER.glob("*/submission.py")}
    assert set(assignment_names()) == folders


def test_a_copy_of_the_folder_grades_by_its_own_limits(tmp_path: Path) -> None:
    text = TEXT.replace("[10_000, 8_000]", "[5000, 4000]")
    (tmp_path / "assignment.toml").write_text(text)
    for target in (tmp_path, str(tmp_path), tmp_path / "assignment.toml"):
        assert load_assignment(target).network_limits().parameters == (5000, 4000)


def test_an_installed_package_reads_the_files_beside_the_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mnist_8k").mkdir()
    (tmp_path / "mnist_8k" / "assignment.toml").write_text(TEXT)
    monkeypatch.setattr(rubric, "_SHIPPED", tmp_path)
    monkeypatch.setattr(rubric, "_CHECKOUT", tmp_path / "nowhere")
    assert load_assignment("mnist_8k").points == 10
    assert assignment_names() == ["mnist_8k"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist_8", ["'mnist_8'", "Did you mean mnist_8k?"]),
        ("cifar", ["'cifar'", "Known: mnist_8k, receptive_field."]),
        ("some/folder", ["some/folder/assignment.toml", "No such file"]),
    ],
)
def test_an_unknown_name_is_answered_with_the_known_ones(name: str, words: list[str]) -> None:
    with pytest.raises(GradingError) as caught:
        load_assignment(name)
    assert all(word in str(caught.value) for word in words)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('title = "a legal recipe"\n', "", "checks.recipe.title: Field required"),
        ("points = 0", "points = -1", "checks.imports.points"),
        ("points = 0", "punkte = 0", "checks.imports"),
        ("accuracy = 99.4", "", "limits.accuracy: Field required"),
        ("[10_000, 8_000]", "[10_000]", "limits.parameters"),
        ('name = "mnist_8k"', "", "name: Field required"),
        ('name = "mnist_8k"', "name = ", "is not TOML"),
    ],
)
def test_a_bad_key_is_named_with_its_file(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in TEXT
    (tmp_path / "assignment.toml").write_text(TEXT.replace(old, new, 1))
    with pytest.raises(GradingError) as caught:
        load_assignment(tmp_path)
    assert words in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_a_check_that_is_missing_is_named_before_anything_is_graded(tmp_path: Path) -> None:
    assert "checks.pooling" in TEXT
    (tmp_path / "assignment.toml").write_text(TEXT.replace("checks.pooling", "checks.poling"))
    with pytest.raises(GradingError, match=r"it lists imports, .*poling"):
        load_assignment(tmp_path).network_limits()


def test_an_assignment_without_a_network_says_how_it_is_graded() -> None:
    with pytest.raises(GradingError, match="pytest assignments/receptive_field"):
        load_assignment("receptive_field").network_limits()


def test_the_readme_lists_the_points_of_the_rubric() -> None:
    readme = (FOLDER / "mnist_8k" / "README.md").read_text()
    rows = [line.split("|")[1:4] for line in readme.splitlines() if line.startswith("| ")]
    points = [int(row[2].split()[0].rstrip(",")) for row in rows if row[0].strip().isdigit()]
    checks = tomllib.loads(TEXT)["checks"]
    assert points == [check["points"] for check in checks.values()]


def test_the_order_of_checks_is_not_that_of_imports() -> None:
    code = (
        "import eva.grading.checks.accuracy\n"
        "from eva.grading.checks.rubric import load_assignment\n"
        "load_assignment('mnist_8k').network_limits()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
