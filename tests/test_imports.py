"""Who imports whom, what names there are, and where all of it can be imported."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

ROOT = Path(__file__).parents[1]

# Names that several modules must have: the two of a submission, the usual name of its network, the
# function of a format, a program's first function, a picture by the name of what it shows, and
# `check`, which makes a check of a function and is what `eva.check` does with all of them.
CONVENTIONS = {"Net", "RECIPE", "build_model", "check", "main", "pytest_addoption"} | {
    "receptive_field",
    "render",
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "eva").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def _defined(tree: ast.Module) -> set[str]:
    """Public names that a module defines itself."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def test_two_things_never_share_a_name() -> None:
    homes = defaultdict(list)
    for module, tree in _modules():
        for name in _defined(tree):
            homes[name].append(module)
    shared = {name for name, places in homes.items() if len(places) > 1} - CONVENTIONS
    assert not {name: homes[name] for name in shared}, "a name of its own for each, please"


def test_no_circle_of_imports() -> None:
    graph = grimp.build_graph("eva", exclude_type_checking_imports=True, cache_dir=None)
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in free}
    assert not left, "these import each other, or what does"


def _elsewhere(code: str) -> subprocess.CompletedProcess[str]:
    """Run code where modules and functions of Unix are missing, as on Windows."""
    return subprocess.run(
        [sys.executable, "-c", f"import without_unix\n{code}"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests/fakes")])},
        capture_output=True,
        text=True,
        encoding="utf-8",
    )


def test_every_module_imports_where_there_is_no_unix() -> None:
    skipped = ("eva.__main__", "eva.kernels.gpu_kernels")  # one runs; the other needs Triton
    names = [name for name, _ in _modules() if name not in skipped]
    done = _elsewhere(f"import importlib\nfor name in {names}: importlib.import_module(name)")
    assert done.returncode == 0, done.stderr


COMMANDS = """
import pathlib
import typer.testing
from eva.cli import app
runner = typer.testing.CliRunner()
pathlib.Path("net.py").write_text('''
from torch import nn
from eva.blocks import gap_head
from eva.recipe import Recipe
def build_model():
    return nn.Sequential(nn.MaxPool2d(4), gap_head(1))
RECIPE = Recipe(epochs=1, batch_size=500)
''')
for words, codes, said in [
    (["train", "net.py", "--data", "mnist-mini"], [0], "not an official result"),
    (["grade", "net.py", "--data", "auto", "--data-dir", "nowhere"], [1, 3], "total"),
    (["study", "--help"], [0], "--seeds"),
    (["new", "mnist_8k", "work"], [0], "README.md"),
    (["summary", "net.py", "--input", "1x28x28"], [0], "10"),
]:
    found = runner.invoke(app, words)
    text = " ".join(found.output.split())
    assert found.exit_code in codes and said in text, (words, found.exit_code, text)
"""


def test_what_a_student_types_runs_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("EVA_DATA", raising=False)
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    done = _elsewhere(COMMANDS)
    assert done.returncode == 0, done.stderr[-3000:]
