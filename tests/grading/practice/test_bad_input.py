"""What students get wrong, and the check at which they read of it."""

from pathlib import Path

import pytest

import eva
from eva.errors import SubmissionError
from eva.grading.checks.fast import run_fast_checks
from eva.grading.checks.rubric import load_assignment
from eva.grading.checks.verdict import Status, Verdict
from eva.grading.graph.capture import capture
from eva.submission import load_submission

HEAD = """
import torch
from torch import nn
from eva.recipe import SGD, Recipe
"""
MODEL = """
def build_model():
    return nn.Sequential(nn.Conv2d(1, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
RECIPE = "\nRECIPE = Recipe()\n"


def forward(lines: str) -> str:
    body = "\n".join(f"        {line}" for line in lines.splitlines())
    return f"""
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 3)

    def forward(self, x):
{body}

def build_model():
    return Net()
"""


def graded(folder: Path, source: str) -> dict[str, Verdict]:
    path = folder / "submission.py"
    path.write_text(source)
    verdicts = run_fast_checks(capture(path))
    assert [v.check for v in verdicts] == list(load_assignment("mnist_8k").asked(trains=False))
    return {v.check: v for v in verdicts}


@pytest.mark.parametrize(
    ("source", "check", "words"),
    [
        ("def build_model(:\n", "imports", "SyntaxError"),
        ("import torhc\n", "imports", "No module named 'torhc'"),
        ("x = 1 / 0\n", "imports", "ZeroDivisionError: division by zero"),
        ("import sys\nsys.exit(0)\n", "imports", "SystemExit"),
        (HEAD + RECIPE, "imports", "has no function build_model"),
        (
            HEAD + "class Net(nn.Module): pass\ndef build_model(): return Net" + RECIPE,
            "imports",
            "gives the class Net, not an nn.Module",
        ),
        (
            HEAD + "def build_model(width): return nn.Conv2d(1, width, 3)" + RECIPE,
            "imports",
            "missing 1 required positional argument: 'width'",
        ),
        (HEAD + "def build_model(): return None" + RECIPE, "imports", "gives NoneType"),
        (
            HEAD + "def build_model(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 9))"
            + RECIPE,
            "shapes",
            "(1, 1, 28, 28) images should give (1, 10) scores",
        ),
        (
            HEAD + "def build_model(): return nn.Sequential(nn.Flatten(), nn.Linear(100, 10))"
            + RECIPE,
            "shapes",
            "shapes cannot be multiplied (2x784 and 100x10)",
        ),
        (HEAD + forward("return self.conv(x).mean((2, 3)).sum() / 0") + RECIPE, "shapes", "give"),
        (
            HEAD + forward("return self.conv(x).mean((2, 3)).log() * float('nan')") + RECIPE,
            "shapes",
            "10 of the 10 scores of a batch of 1 in eval mode are NaN or infinite",
        ),
        (HEAD + forward("return self.conv(x * 0).mean((2, 3))") + RECIPE, "shapes",
         "same for every"),
        (HEAD + forward("return self.conv(x).squeeze().mean((-1, -2))") + RECIPE, "shapes",
         "a batch of 1 in eval mode gives (10)"),
        (HEAD + forward("return (self.conv(x).mean((2, 3)), x)") + RECIPE, "shapes", "a tuple"),
        (HEAD + forward("return self.conv(x).mean((2, 3)).argmax(1, True).expand(-1, 10)")
         + RECIPE, "shapes", "scores are floats"),
        (HEAD + forward("return self.conv(x.cuda()).mean((2, 3))") + RECIPE, "shapes",
         "runs on the CPU"),
        (
            HEAD + "def build_model(): return nn.Conv2d(1, 10, 3).cuda()" + RECIPE,
            "imports",
            "runs on the CPU",
        ),
        (
            HEAD + "def build_model(): return nn.Sequential(nn.Conv2d(1, 9, 3), nn.Flatten(),"
            " nn.LazyLinear(10), nn.BatchNorm1d(10))\nRECIPE = Recipe(batch_size=1)\n",
            "shapes",
            "a batch of 1 in train mode raised ValueError: Expected more than 1 value per channel",
        ),
        (HEAD + MODEL, "recipe", "needs a RECIPE of type eva.Recipe, found none"),
        (HEAD + MODEL + "RECIPE = {'epochs': 3}\n", "recipe", "found a dict"),
        (HEAD + MODEL + "RECIPE = Recipe(epoch=3)\n", "recipe", "Did you mean 'epochs'?"),
        (HEAD + MODEL + "RECIPE = Recipe(batch_size=0)\n", "recipe", "Recipe.batch_size"),
        (HEAD + MODEL + "RECIPE = Recipe(epochs=16)\n", "recipe", "16 epochs; at most 15"),
        (
            HEAD + MODEL + "RECIPE = Recipe.model_construct(batch_size=0)\n",
            "recipe",
            "batch_size",
        ),
        (
            HEAD
            + MODEL
            + "class Mine(Recipe):\n    def lr(self, *a): return 1.0\nRECIPE = Mine()\n",
            "recipe",
            "more than the declared parts",
        ),
    ],
)  # fmt: skip
def test_mistake_is_told_at_its_check(tmp_path: Path, source: str, check: str, words: str) -> None:
    verdicts = graded(tmp_path, source)
    assert verdicts[check].status == Status.FAILED
    assert words in verdicts[check].message + (verdicts[check].trace or "")


def test_model_without_a_recipe_is_checked_all_the_same(tmp_path: Path) -> None:
    verdicts = graded(tmp_path, HEAD + MODEL)
    assert verdicts["pooling"].status == Status.PASSED
    assert verdicts["recipe"].status == Status.FAILED


def test_what_depends_on_a_missing_model_is_skipped_with_the_reason(tmp_path: Path) -> None:
    verdicts = graded(tmp_path, "def build_model(:\n")
    skipped = [v for v in verdicts.values() if v.status == Status.SKIPPED]
    assert [v.check for v in skipped] == list(load_assignment("mnist_8k").asked(trains=False))[1:]
    assert all("not looked at, as" in v.message for v in skipped)


def test_trace_holds_the_students_lines_and_none_of_ours(tmp_path: Path) -> None:
    source = HEAD + forward("y = self.conv(x)\nreturn y.reshape(3, 7)") + RECIPE
    trace = graded(tmp_path, source)["shapes"].trace
    assert trace is not None
    assert "return y.reshape(3, 7)" in trace
    assert trace.count("File ") == 1
    assert trace.splitlines()[-1].startswith("RuntimeError")


@pytest.mark.parametrize("target", ["nowhere.py", "no.such.module", "."])
def test_target_that_is_no_submission_is_told(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    verdict = run_fast_checks(capture(target))[0]
    assert verdict.status == Status.FAILED
    assert (
        "no file" in verdict.message
        or "no module" in verdict.message
        or "no submission" in (verdict.message)
    )
    assert verdict.trace is None


def test_what_export_cannot_write_is_for_a_person_and_no_failure(tmp_path: Path) -> None:
    source = HEAD + forward("if x.mean() > 9: x = x * 2\nreturn self.conv(x).mean((2, 3))") + RECIPE
    verdicts = graded(tmp_path, source)
    assert verdicts["recipe"].status == Status.PASSED
    for check in ("shapes", "under_10k", "under_8k", "pooling"):
        assert verdicts[check].status == Status.NEEDS_REVIEW
        assert "torch.export" in verdicts[check].message
        assert "usual reasons" in verdicts[check].message


def test_images_that_change_each_others_scores_are_for_a_person(tmp_path: Path) -> None:
    source = HEAD + forward("return self.conv(x - x.mean()).mean((2, 3))") + RECIPE
    verdict = graded(tmp_path, source)["shapes"]
    assert verdict.status == Status.NEEDS_REVIEW
    assert "other images of its batch" in verdict.message


@pytest.mark.parametrize(
    ("layer", "status"),
    [("nn.LayerNorm([4, 26, 26])", Status.NEEDS_REVIEW), ("RowGate()", Status.PASSED)],
    ids=["layer norm", "coordinate attention"],
)
def test_weights_of_positions_are_for_a_person_and_gates_from_the_image_are_not(
    tmp_path: Path, layer: str, status: Status
) -> None:
    source = f"""
{HEAD}
class RowGate(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(4, 4, 3, padding=1)

    def forward(self, x):
        return x * torch.sigmoid(self.conv(x.mean(3))).unsqueeze(3)

def build_model():
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), {layer}, nn.Conv2d(4, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
"""
    assert graded(tmp_path, source + RECIPE)["pooling"].status == status


def test_forward_that_does_something_else_for_one_image_is_for_a_person(tmp_path: Path) -> None:
    source = HEAD + forward(
        "y = self.conv(x).mean((2, 3))\nreturn y if x.shape[0] > 1 else 2 * y"
    ) + RECIPE  # fmt: skip
    verdict = graded(tmp_path, source)["under_8k"]
    assert verdict.status == Status.NEEDS_REVIEW


def test_failure_names_the_number_and_the_three_largest_layers() -> None:
    verdict = run_fast_checks(capture("eva.experiments.exp2"))[3]
    assert verdict.status == Status.FAILED
    assert verdict.message == (
        "parameters under 8,000: your model has 9,266.\n"
        "  The three largest: fc (2,510), conv_block_3.3 (2,320), conv_block_3.0 (1,456)."
    )


@pytest.mark.parametrize(
    "override",
    [
        "def train(self, mode=True): raise ValueError('no')",
        "def train(self, mode=True): return None",
        "def parameters(self, recurse=True): raise ValueError('no')",
        "def named_parameters(self, *a, **k): raise ValueError('no')",
        "def state_dict(self, *a, **k): raise ValueError('no')",
        "def __deepcopy__(self, memo): raise ValueError('no')",
        "def __getattr__(self, name): raise ValueError('no')",
    ],
)
def test_hostile_override_does_not_crash_the_grader(tmp_path: Path, override: str) -> None:
    source = HEAD + forward("return self.conv(x).mean((2, 3))").replace(
        "    def forward", f"    {override}\n\n    def forward"
    )  # fmt: skip
    graded(tmp_path, source + RECIPE)


def test_objects_are_checked_as_their_file_is(tmp_path: Path) -> None:
    text = "from torch import nn\nfrom eva.blocks import conv_block, gap_head\n"
    text += "from eva.recipe import Recipe\nRECIPE = Recipe(epochs=1)\n"
    text += "def build_model(): return nn.Sequential(conv_block(1, 8), gap_head(8))\n"
    (tmp_path / "net.py").write_text(text)
    module = load_submission(tmp_path / "net.py").module
    report = eva.check(module.build_model, module.RECIPE)
    by_path = eva.check(tmp_path / "net.py", "mnist_8k")
    loaded = eva.check(eva.load_submission(tmp_path / "net.py"), "mnist_8k")
    assert report.submission == "build_model"
    assert [row.verdict for row in report.rows] == [row.verdict for row in by_path.rows]
    assert loaded == by_path
    assert "<pre>" in report._repr_mimebundle_()["text/html"]
    with pytest.raises(SubmissionError, match="RECIPE of its own"):
        eva.check(tmp_path / "net.py", module.RECIPE)
