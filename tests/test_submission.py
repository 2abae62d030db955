from pathlib import Path

import pytest
import torch

from eva.errors import SubmissionError
from eva.submission import load_model, load_submission

GOOD = """
from torch import nn
from eva.recipe import Recipe

class Net(nn.Linear):
    def __init__(self):
        super().__init__(2, 2)

net = Net()

def build_model():
    return Net()

RECIPE = Recipe()
"""


def write(folder: Path, text: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize("name", ["mine.py", "submission.py"])
def test_a_file_a_folder_and_a_module_are_submissions(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, GOOD, name)
    assert load_submission(path).slug == ("mine" if name == "mine.py" else tmp_path.name)
    if name == "submission.py":
        assert load_submission(tmp_path).build() is not None
    assert load_submission("eva.experiments.exp5").slug == "exp5"


def test_building_is_seeded_and_leaves_the_random_state_alone(tmp_path: Path) -> None:
    submission = load_submission(write(tmp_path, GOOD))
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    one, two, other = submission.build(1), submission.build(1), submission.build(2)
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(one.weight, two.weight)
    assert not torch.equal(one.weight, other.weight)


@pytest.mark.parametrize("name", ["Net", "net", "build_model"])
def test_a_target_is_a_class_an_instance_or_a_factory(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, GOOD)
    assert isinstance(load_model(f"{path}:{name}"), torch.nn.Linear)
    assert isinstance(load_model(path), torch.nn.Linear)


def test_a_target_may_be_in_a_package() -> None:
    assert isinstance(load_model("torch.nn:ReLU"), torch.nn.ReLU)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def f(:\n", ["SyntaxError", "line 1"]),
        ("import nothing_of_that_name", ["ModuleNotFoundError", "nothing_of_that_name", "line 1"]),
        ("x = 1\n1 / 0\n", ["ZeroDivisionError", "line 2", "1 / 0"]),
        ("raise SystemExit(0)", ["SystemExit"]),
        (GOOD.replace("RECIPE", "RECIPES"), ["needs a RECIPE", "found none"]),
        (GOOD.replace("= Recipe()", "= {}"), ["found a dict"]),
        (GOOD.replace("Recipe()", "Recipe(epocs=3)"), ["'epocs'", "'epochs'"]),
    ],
)
def test_what_can_not_be_loaded_says_why(tmp_path: Path, text: str, words: list[str]) -> None:
    with pytest.raises(SubmissionError) as caught:
        load_submission(write(tmp_path, text))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOOD.replace("build_model", "build"), ["no function build_model"]),
        (GOOD.replace("return Net()", "return Net"), ["the class Net", "return Net()"]),
        (GOOD.replace("return Net()", "return 3"), ["gives int, not an nn.Module"]),
        (GOOD.replace("build_model()", "build_model(width)"), ["TypeError", "width"]),
        (GOOD.replace("return Net()", "return 1 / 0"), ["ZeroDivisionError", "line 12"]),
    ],
)
def test_what_can_not_be_built_says_why(tmp_path: Path, text: str, words: list[str]) -> None:
    submission = load_submission(write(tmp_path, text))
    with pytest.raises(SubmissionError) as caught:
        submission.build()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("nowhere/net.py", ["no file nowhere/net.py"]),
        ("net.py", ["no file net.py"]),
        ("no.such.module", ["no module no.such.module"]),
        (".", ["holds no submission.py"]),
    ],
)
def test_what_is_not_there_is_named(
    tmp_path: Path, monkeypatch, target: str, words: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SubmissionError) as caught:
        load_submission(target)
    for word in words:
        assert word in str(caught.value)


def test_two_submissions_of_one_file_name_do_not_mix(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    one = write(tmp_path / "a", GOOD, "submission.py")
    two = write(tmp_path / "b", GOOD.replace("(2, 2)", "(3, 3)"), "submission.py")
    assert load_submission(one).build().weight.shape == (2, 2)
    assert load_submission(two).build().weight.shape == (3, 3)


def test_a_target_without_that_name_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="has no Nett"):
        load_model(write(tmp_path, GOOD) + ":Nett")
