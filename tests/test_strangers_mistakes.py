"""What beginners type wrong: each is answered in a few lines, and with none of ours among them."""

import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import eva
from eva.cli import app
from eva.errors import EvaError
from eva.grading.graph.capture import capture
from eva.submission import load_submission

HEAD = "import torch\nfrom torch import nn\nfrom eva import Recipe\n"
NETWORK = "nn.Sequential(nn.Conv2d(1, 10, 28), nn.Flatten())"
BUILD = f"def build_model():\n    return {NETWORK}\n"
RECIPE = "RECIPE = Recipe(epochs=1)\n"
NET = """class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 10, 28)

    def forward(self, x):
        return self.conv(x).flatten(1)
"""
LINES = 9  # of an answer, at most

MISTAKES = {
    "nothing": ("", "needs a RECIPE"),
    "no build_model": (HEAD + RECIPE, "no function build_model"),
    "build_model in other letters": (
        HEAD + BUILD.replace("build_model", "BuildModel") + RECIPE,
        "It has BuildModel: call it build_model.",
    ),
    "build_model misspelled": (
        HEAD + BUILD.replace("build_model", "build_modle") + RECIPE,
        "It has build_modle: call it build_model.",
    ),
    "a class alone": (HEAD + NET + RECIPE, "add `def build_model(): return Net()`"),
    "arguments": (HEAD + BUILD.replace("()", "(width)", 1) + RECIPE, "without arguments"),
    "a network": (HEAD + BUILD + "build_model = build_model()\n" + RECIPE, "built already"),
    "a string": (HEAD + "build_model = 'Net'\n" + RECIPE, "no function build_model"),
    "nothing returned": (HEAD + BUILD.replace("return ", "model = ") + RECIPE, "gives NoneType"),
    "a class returned": (
        HEAD + NET + "def build_model():\n    return Net\n" + RECIPE,
        "Return an instance: `return Net()`.",
    ),
    "a generator": (HEAD + BUILD.replace("return ", "yield ") + RECIPE, "gives generator"),
    "no end": (
        HEAD + "def build_model():\n    return build_model()\n" + RECIPE,
        "calls itself without an end",
    ),
    "no super().__init__()": (
        HEAD + NET.replace("super().__init__()", "pass") + "build_model = Net\n" + RECIPE,
        "super().__init__()",
    ),
    ".cuda()": (HEAD + BUILD.replace("Flatten())", "Flatten()).cuda()") + RECIPE, ".cuda()"),
    "no RECIPE": (HEAD + BUILD, "found none"),
    "recipe": (HEAD + BUILD + RECIPE.lower().replace("recipe(", "Recipe("), "call it RECIPE"),
    "RECIPIE": (HEAD + BUILD + RECIPE.replace("RECIPE", "RECIPIE"), "It has RECIPIE"),
    "a dictionary": (HEAD + BUILD + "RECIPE = {'epochs': 3}\n", "Write RECIPE = Recipe(epochs=15)"),
    "the class": (HEAD + BUILD + "RECIPE = Recipe\n", "found the class Recipe"),
    "a comma": (HEAD + BUILD + RECIPE.replace(")", "),"), "Leave out the comma"),
    "epoch": (HEAD + BUILD + "RECIPE = Recipe(epoch=3)\n", "Did you mean 'epochs'?"),
    "no epochs": (HEAD + BUILD + "RECIPE = Recipe(epochs=0)\n", "epochs"),
    "quotes": (HEAD + BUILD + "RECIPE = Recipe(epochs='3')\n", "without quotes"),
    "an optimizer of PyTorch": (
        HEAD
        + BUILD
        + "RECIPE = Recipe(optimizer=torch.optim.SGD(build_model().parameters(), lr=0.1))\n",
        "Write one of SGD(lr=0.1)",
    ),
    "Python 2": (HEAD + BUILD + RECIPE + 'print "hello"\n', "Did you mean print(...)?"),
    "no colon": (HEAD + BUILD.replace("():", "()") + RECIPE, "expected ':'"),
    "tabs": (HEAD + BUILD + RECIPE + "if 1:\n\ta = 1\n        b = 2\n", "TabError"),
    "another brother": ("from .blocks import Net\n", "blocks"),
    "not installed": ("import keras_of_nobody\n", "leave the import out"),
    "another name": ("from eva import Recipes\n", "Recipes"),
    "input()": (HEAD + "int(input())\n", "nobody answers input()"),
    "exit()": (HEAD + BUILD + RECIPE + "import sys\nsys.exit()\n", "imported, not run"),
    "argparse": (
        HEAD + "import argparse\nargparse.ArgumentParser(usage='x').error('no')\n",
        "imported, not run",
    ),
    "data at import": (
        "from torchvision.datasets import MNIST\nMNIST('nowhere')\n",
        "Dataset not found",
    ),
}


@pytest.mark.parametrize("source, words", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_answered_in_a_few_lines_of_theirs(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    with open(os.devnull) as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        (tmp_path / "submission.py").write_text(source)
        with pytest.raises(EvaError) as raised:
            load_submission(tmp_path).build()
        found = capture(tmp_path)
    text = str(raised.value)
    assert words in text
    assert len(text.splitlines()) <= LINES, text
    assert str(Path(eva.__file__).parent / "builder") not in text
    assert "site-packages" not in text
    assert found.mistakes.keys() & {"imports", "recipe"}


@pytest.mark.parametrize(
    "content",
    [
        (HEAD + BUILD + RECIPE).replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + (HEAD + BUILD + RECIPE).encode(),
        (HEAD + BUILD.replace("    ", "\t") + RECIPE).encode(),
        (HEAD + BUILD + RECIPE + "if __name__ == '__main__':\n    exit()\n").encode(),
        (HEAD + f"build_model = lambda: {NETWORK}\n" + RECIPE).encode(),
        (HEAD + BUILD + RECIPE + "import os\nos.chdir('/')\n").encode(),
    ],
    ids=["Windows", "BOM", "tabs", "main", "lambda", "chdir"],
)
def test_what_is_no_mistake_is_none(
    content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # which is gone back to
    (tmp_path / "submission.py").write_bytes(content)
    assert capture(tmp_path / "submission.py").mistakes == {}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_file_in_another_encoding_is_told_which_to_choose(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "net.py"
    path.write_bytes((HEAD + BUILD + RECIPE).encode(encoding))
    with pytest.raises(EvaError, match="save it as UTF-8"):
        load_submission(path)


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["check", "submision.py"], "Did you mean submission.py?"),
        (["train", "submission"], "Did you mean submission.py?"),
        (["summary", "Submission.py"], "Did you mean submission.py?"),
        (["check", "submission.py.txt"], "Rename it."),
        (["check", "notes"], "It holds mine.py"),
        (["train", "submission.py", "--epochs", "0"], "--epochs"),
        (["train", "submission.py", "--seed", "abc"], "--seed"),
        (["train", "submission.py", "--seed", "-1"], "--seed"),
        (["train", "submission.py", "--seed", "9" * 20], "--seed"),
        (["train", "submission.py", "--device", "gpu"], "auto, cpu, cuda or mps"),
        (["train", "submission.py", "--data", "cifar"], "cifar10"),
        (["train", "submission.py", "--data-dir", "nowhere"], "is not a folder"),
        (["train", "submission.py", "--log", "tensorbord"], "tensorboard"),
        (["check", "submission.py", "--assignment", "mnist-8k"], "Did you mean mnist_8k?"),
        (["new", "mnist8k"], "mnist_8k"),
        (["tain", "submission.py"], "train"),
        (["data", "fetch", "mnist10"], "known: mnist"),
        (["plot", "nowhere", "--out", "x.png"], "nowhere"),
        (["compare", "nowhere", "nowhere"], "nowhere"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_command_is_answered_in_a_few_lines(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("submission.py").write_text(HEAD + BUILD + RECIPE)
    Path("submission.py.txt").write_text(HEAD + BUILD + RECIPE)
    Path("notes").mkdir()
    Path("notes/mine.py").write_text("")
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code in (2, 3), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    said = " ".join(result.output.replace("│", " ").split())
    assert words in said
    assert len(result.output.splitlines()) <= LINES
