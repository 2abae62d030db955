import functools
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from eva.errors import SubmissionError
from eva.recipe import Recipe
from eva.submission import load_model, load_submission, module_of

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


@pytest.mark.parametrize("place", [".", "./", "../work", "../work/submission.py", "../work/."])
def test_a_place_that_only_points_has_the_name_of_its_folder(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    write(tmp_path / "work", GOOD, "submission.py")
    monkeypatch.chdir(tmp_path / "work")
    assert load_submission(place).slug == "work"


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


HELPED = """
import random
import utils
import blocks.deep as deep
from blocks import thing
from .layers import block
from layers import head
from eva.recipe import Recipe
from torch import nn

def build_model():
    import late
    return nn.Sequential(block(), head(), late.Last())

RECIPE = Recipe()
"""
HELPERS = {
    "random.py": "MINE = {width}",
    "utils.py": "WIDTH = {width}",
    "blocks/__init__.py": "",
    "blocks/deep.py": "import utils\nWIDTH = utils.WIDTH",
    "blocks/thing.py": "from ..utils import WIDTH\nfrom . import deep\nfrom .deep import WIDTH",
    "layers.py": "from torch import nn\nimport utils\n"
    "def block(): return nn.Linear(utils.WIDTH, 2)\ndef head(): return nn.ReLU()",
    "late.py": "from torch import nn\nclass Last(nn.Identity): pass",
}


def helped(folder: Path, width: int, entry: str = HELPED) -> Path:
    for name, text in (HELPERS | {"submission.py": entry}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text.replace("{width}", str(width)))
    return folder


def test_helpers_beside_a_submission_are_its_own_and_nobody_elses(tmp_path: Path) -> None:
    modules, paths = set(sys.modules), list(sys.path)
    one = load_submission(helped(tmp_path / "one", 3))
    two = load_submission(helped(tmp_path / "two", 4))
    assert [next(s.build().parameters()).shape[1] for s in (one, two, one)] == [3, 4, 3]
    assert one.module.random.MINE == 3 and one.module.deep.WIDTH == one.module.thing.WIDTH == 3
    assert sys.path == paths
    assert all(name.startswith("_eva_submission_") for name in set(sys.modules) - modules)
    assert sys.modules["random"].randint is not None
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_helper_that_is_saved_anew_is_read_anew(tmp_path: Path) -> None:
    folder = helped(tmp_path, 3)
    assert load_submission(folder).module.utils.WIDTH == 3
    (folder / "utils.py").write_text("WIDTH = 5")
    assert load_submission(folder).module.utils.WIDTH == 5


@pytest.mark.parametrize(
    "way", ["sys.path.insert(0, HERE / 'src')", "sys.path.append(HERE / 'src')"]
)
def test_what_a_submission_adds_to_the_path_stays_with_it(tmp_path: Path, way: str) -> None:
    text = f"import sys\nfrom pathlib import Path\nHERE = Path(__file__).parent\n{way}\n"
    text = text.replace("HERE / 'src'", "str(HERE / 'src')") + "import deepest\n" + GOOD
    text += "\ndef later():\n    import deepest\n    return deepest\n"
    for name in ("a", "b"):
        (tmp_path / name / "src").mkdir(parents=True)
        (tmp_path / name / "src" / "deepest.py").write_text(f"NAME = {name!r}")
        write(tmp_path / name, text, "submission.py")
    paths = list(sys.path)
    a, b = (load_submission(tmp_path / name).module for name in ("a", "b"))
    assert (a.deepest.NAME, b.deepest.NAME) == ("a", "b")
    assert a.later() is a.deepest
    assert sys.path == paths and "deepest" not in sys.modules


def test_a_helper_that_is_missing_or_broken_is_named(tmp_path: Path) -> None:
    for text, words in (
        ("from .layrs import x", ["No module named 'layrs' beside"]),
        ("from layers import nothing", ["cannot import name 'nothing' from 'layers'"]),
        ("import broken", ["broken.py", "line 2", "1 / 0"]),
    ):
        folder = helped(tmp_path, 3, text)
        (folder / "broken.py").write_text("x = 1\n1 / 0\n")
        with pytest.raises(SubmissionError) as caught:
            load_submission(folder)
        for word in words:
            assert word in str(caught.value)
        assert "_eva_submission_" not in str(caught.value)


def test_a_file_of_the_name_of_pytorch_is_not_taken_for_it(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("1 / 0")
    assert load_submission(write(tmp_path, GOOD)).build() is not None


def test_two_objects_are_a_submission() -> None:
    def build_wide(width: int = 2) -> nn.Module:
        return nn.Linear(width, 2)

    for builder, name in (
        (build_wide, "build_wide"),
        (lambda: nn.Linear(2, 2), "lambda"),
        (functools.partial(build_wide, 3), "build_wide"),
        (nn.Identity, "Identity"),
    ):
        loaded = load_submission(module_of(builder, Recipe()))
        assert loaded.name == loaded.slug == name
        assert isinstance(loaded.build(), nn.Module)


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ((nn.Linear(1, 1), Recipe()), ["built already", "lambda: Linear(...)"]),
        ((lambda: nn.Linear(1, 1), None), ["needs a recipe", "found none"]),
        ((lambda: nn.Linear(1, 1), {"epochs": 1}), ["found a dict"]),
        ((Recipe(), lambda: nn.Linear(1, 1)), ["the recipe came first"]),
        ((3, Recipe()), ["int, not a function"]),
    ],
)
def test_objects_that_are_no_submission_say_why(objects: tuple, words: list[str]) -> None:
    with pytest.raises(SubmissionError) as caught:
        module_of(*objects)
    for word in words:
        assert word in str(caught.value)
    with pytest.raises(SubmissionError, match="path or a dotted name"):
        load_submission(lambda: None)
