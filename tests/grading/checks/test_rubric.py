import re
from pathlib import Path
from typing import Any

import pytest

from eva.errors import GradingError
from eva.grading.checks import rubric
from eva.grading.checks.accuracy import Measured
from eva.grading.checks.check import Asked
from eva.grading.checks.rubric import (
    Assignment,
    assignment_names,
    load_assignment,
    problems_of,
)
from eva.grading.checks.verdict import Status

FOLDER = Path(__file__).parents[3] / "assignments"
TEXT = (FOLDER / "mnist_8k" / "assignment.toml").read_text()


def test_mnist_8k_gives_ten_points_as_announced() -> None:
    assignment = load_assignment("mnist_8k")
    assert [check.points for check in assignment.checks.values()] == [0, 1, 1, 2, 2, 1, 1, 2]
    asked = {name: (one.check.kind, given(one)) for name, one in assignment.asked().items()}
    assert asked == {
        "imports": ("imports", {}),
        "shapes": ("shapes", {}),
        "under_10k": ("parameters", {"below": 10_000}),
        "under_8k": ("parameters", {"below": 8_000}),
        "pooling": ("pooling", {}),
        "recipe": ("recipe", {"epochs": 15}),
        "reaches": ("reaches", {"accuracy": 99.4}),
        "holds": ("holds", {"accuracy": 99.4, "last_epochs": 4}),
    }


def given(one: Asked) -> dict[str, Any]:
    return {name: value for name, value in one.numbers.items() if value not in (None, ())}


@pytest.mark.parametrize("name", assignment_names())
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


def test_a_copy_of_the_folder_grades_by_its_own_numbers(tmp_path: Path) -> None:
    text = TEXT.replace("below = 8_000", "below = 4_000")
    (tmp_path / "assignment.toml").write_text(text)
    for target in (tmp_path, str(tmp_path), tmp_path / "assignment.toml"):
        assert load_assignment(target).asked()["under_8k"].numbers == {"below": 4000}


OLD = """
name = "asg2"
title = "as last year"
[limits]
parameters = [9_000, 5_000]
epochs = 12
accuracy = 99.1
last_epochs = 3
"""


def old(**changes: str) -> str:
    """A file of the form before kinds: fixed ids, and limits that stand apart."""
    ids = ("imports", "shapes", "under_10k", "under_8k", "pooling", "recipe", "reaches", "holds")
    text = OLD + "".join(
        f'[checks.{name}]\ntitle = "{name}"\npoints = 1\nhints = ["why?"]\n' for name in ids
    )
    for before, after in changes.items():
        text = text.replace(before, after)
    return text


def test_a_file_of_the_older_form_asks_the_same_as_ever(tmp_path: Path) -> None:
    (tmp_path / "assignment.toml").write_text(old())
    asked = load_assignment(tmp_path).asked()
    assert {name: given(one) for name, one in asked.items()} == {
        "imports": {}, "shapes": {}, "under_10k": {"below": 9000}, "under_8k": {"below": 5000},
        "pooling": {}, "recipe": {"epochs": 12}, "reaches": {"accuracy": 99.1},
        "holds": {"accuracy": 99.1, "last_epochs": 3},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"accuracy = 99.1": ""}, "limits.accuracy: Field required"),
        ({"[9_000, 5_000]": "[9_000]"}, "limits.parameters: two numbers"),
        ({"checks.pooling": "checks.poling"}, "it lists imports, shapes, under_10k, under_8k, pol"),
    ],
)
def test_what_an_older_file_lacks_is_named(
    tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    (tmp_path / "assignment.toml").write_text(old(**changes))
    with pytest.raises(GradingError, match=re.escape(words)):
        load_assignment(tmp_path)


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
        ("cifar", ["'cifar'", "Known: mnist_20k, mnist_8k, one_epoch_25k, receptive_field."]),
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
        (
            "points = 0",
            "points = 0\npunkte = 1",
            "checks.imports.punkte: no such key; known: kind, title",
        ),
        ("accuracy = 99.4", "", "checks.reaches.accuracy: Field required"),
        ("accuracy = 99.4", "accuracy = 994", "checks.reaches.accuracy: Input should be less"),
        ("accuracy = 99.4", 'accuracy = "99"', "checks.reaches.accuracy"),
        ("below = 10_000", "", "checks.under_10k.below: Field required"),
        ("below = 10_000", "above = 10_000", "checks.under_10k.below: Field required"),
        ('kind = "pooling"', 'kind = "poling"', "no kind 'poling'; did you mean 'pooling'?"),
        ('kind = "pooling"', "", "checks.pooling.kind: Field required"),
        ('kind = "pooling"', 'kind = "pooling"\nneeds = ["shape"]', "did you mean 'shapes'?"),
        ("epochs = 15", 'epochs = 15\noptimizers = ["SDG"]', "eva.recipe offers no 'SDG'"),
        ("order = 4", "oder = 4", "oder: no such key; did you mean 'order'?"),
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


def test_an_assignment_without_a_network_says_how_it_is_graded() -> None:
    with pytest.raises(GradingError, match="pytest assignments/receptive_field"):
        load_assignment("receptive_field").asked()


@pytest.mark.parametrize("name", ["one_epoch_25k", "mnist_20k", "mnist_8k"])
def test_the_readme_lists_the_points_of_the_rubric(name: str) -> None:
    readme = (FOLDER / name / "README.md").read_text()
    rows = [line.split("|")[1:4] for line in readme.splitlines() if line.startswith("| ")]
    points = [int(row[2].split()[0].rstrip(",")) for row in rows if row[0].strip().isdigit()]
    assert points == [check.points for check in load_assignment(name).checks.values()]


def test_the_ladder_is_climbed_in_order() -> None:
    order = {name: load_assignment(name).order for name in assignment_names()}
    ladder = ["receptive_field", "one_epoch_25k", "mnist_20k", "mnist_8k"]
    assert sorted(order, key=lambda name: order[name]) == ladder


def write(folder: Path, checks: str, own: str = "", more: str = "") -> Path:
    head = f'name = "own"\ntitle = "of my course"\n{more}'
    imports = '[checks.imports]\nkind = "imports"\ntitle = "imports"\npoints = 0\n'
    (folder / "assignment.toml").write_text(head + imports + checks)
    if own:
        (folder / "checks.py").write_text(own)
    return folder


def test_all_problems_are_listed_by_key(tmp_path: Path) -> None:
    write(
        tmp_path,
        '[checks.small]\nkind = "parameters"\ntitle = "small"\npoints = 1\nbelow = 0\n'
        '[checks.kept]\nkind = "hold"\ntitle = "kept"\npoints = 1\nneeds = ["smal"]\n',
    )
    assert [str(problem) for problem in problems_of(tmp_path)] == [
        "checks.small.below: Input should be greater than or equal to 1; came 0",
        "checks.kept.kind: there is no kind 'hold'; did you mean 'holds'?",
        "checks.kept.needs: no check above is called 'smal'; did you mean 'small'?",
    ]
    assert problems_of("mnist_8k") == []


def test_points_may_be_fractions_and_whole_ones_stay_whole(tmp_path: Path) -> None:
    check = '[checks.p{}]\nkind = "parameters"\nbelow = 9\ntitle = "p"\npoints = {}\n'
    write(tmp_path, "".join(check.format(index, 0.1) for index in range(3)))
    assert load_assignment(tmp_path).points == 0.3
    write(tmp_path, check.format(0, 0.5) + check.format(1, 1.5))
    assert repr(load_assignment(tmp_path).points) == "2"


def test_points_titles_hints_and_lateness_are_no_part_of_what_checks_find(tmp_path: Path) -> None:
    def digest(old: str, new: str) -> str:
        assert old in TEXT
        (tmp_path / "assignment.toml").write_text(TEXT.replace(old, new))
        return load_assignment(tmp_path).checks_digest

    same = load_assignment("mnist_8k").checks_digest
    assert digest("points = 2", "points = 3.5") == same
    assert digest("a legal recipe", "the recipe") == same
    assert digest("order = 4", "order = 4\nlate = {percent_per_day = 20}") == same
    assert digest("accuracy = 99.4", "accuracy = 99.0") == same, "asked of what was measured"
    assert digest("below = 8_000", "below = 7_000") != same
    assert digest("epochs = 15", "epochs = 14") != same


OWN = """
from eva.grading.checks.check import check
from eva.grading.checks.verdict import Verdict

@check("few_operations", needs=("shapes",))
def few_operations(candidate, *, at_most: int) -> Verdict:
    count = len(candidate.graph.eval.nodes)
    said = f"at most {at_most} operations: yours has {count}."
    return Verdict.passed(said) if count <= at_most else Verdict.failed(said)

@check("steady", trains=True)
def steady(run, *, spread: float = 0.2) -> Verdict:
    found = max(run.accuracies[-2:]) - min(run.accuracies[-2:])
    return Verdict.passed("steady.") if found <= spread else Verdict.failed(f"moves by {found:.2f}")
"""
OWN_CHECKS = (
    '[checks.few]\nkind = "few_operations"\nat_most = {}\ntitle = "few"\npoints = 1\n'
    '[checks.steady]\nkind = "steady"\ntitle = "steady"\npoints = 1\n'
)


def test_an_instructors_own_checks_are_kinds_like_ours(tmp_path: Path) -> None:
    assignment = load_assignment(write(tmp_path, OWN_CHECKS.format(5), OWN))
    again = Assignment.model_validate_json(assignment.model_dump_json())  # as workers get it
    asked = again.asked()
    assert asked["few"].numbers == {"at_most": 5}
    assert asked["few"].needs == (), "there is no check of shapes to need"
    steady = asked["steady"].answer(Measured(accuracies=(90.0, 99.0, 99.5)))
    assert (steady.check, steady.message) == ("steady", "moves by 0.50")
    found = problems_of(write(tmp_path, OWN_CHECKS.format('"5"'), OWN))
    assert [problem.key for problem in found] == ["checks.few.at_most"]


def test_a_check_of_an_instructor_that_raises_is_left_to_a_person(tmp_path: Path) -> None:
    own = OWN.replace("count = len(", "count = 1 / 0 * len(")
    asked = load_assignment(write(tmp_path, OWN_CHECKS.format(5), own)).asked()
    verdict = asked["few"].answer(None)
    assert verdict.status is Status.NEEDS_REVIEW
    assert "checks.py raised ZeroDivisionError" in verdict.message


@pytest.mark.parametrize(
    ("own", "words"),
    [
        ("import nothing_like_it", "line 1: ModuleNotFoundError"),
        ("x = 1\ny = (", "line 2: SyntaxError"),
        (OWN.replace('"steady"', '"few_operations"'), "two checks are called 'few_operations'"),
        (OWN.replace('"steady"', '"holds"'), "declares 'holds', which is a kind of eva's own"),
    ],
)
def test_what_is_wrong_with_checks_py_is_said_with_its_line(
    tmp_path: Path, own: str, words: str
) -> None:
    found = problems_of(write(tmp_path, OWN_CHECKS.format(5), own))
    assert found[0].key == "checks.py"
    assert words in found[0].said
