"""Everything but an official grading works where fcntl, resource and os.fork do not exist."""

import subprocess
import sys
from pathlib import Path

import pytest

_ELSEWHERE = """
import os, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name in ("fcntl", "resource"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
for name in ("fcntl", "resource"):
    sys.modules.pop(name, None)
for name in ("fork", "geteuid", "sched_getaffinity", "pread", "pwrite", "O_NOFOLLOW", "O_NONBLOCK"):
    if hasattr(os, name):
        delattr(os, name)
from typer.testing import CliRunner
from eva.cli import app

def run(*words):
    result = CliRunner().invoke(app, words)
    print(" ".join(result.output.split())[-600:])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code
"""

SUBMISSION = """
from torch import nn
from eva.recipe import SGD, Recipe
RECIPE = Recipe(epochs=1, batch_size=500, optimizer=SGD(lr=0.05))
def build_model():
    return nn.Sequential(nn.Conv2d(1, 10, 5, stride=4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


def elsewhere(code: str, folder: Path) -> str:
    """Output of code on a system that is not Unix, as far as eva can tell."""
    (folder / "net.py").write_text(SUBMISSION)
    (folder / "secret.txt").write_text("0123456789abcdef")
    ran = subprocess.run(
        [sys.executable, "-c", _ELSEWHERE + code],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_room_of_jobs_studies_sandbox_and_cohort_is_imported(tmp_path: Path) -> None:
    elsewhere(
        "import importlib, pkgutil\n"
        "for room in ('jobs', 'studies', 'grading.cohort', 'grading.reports', 'grading.sandbox'):\n"
        "    package = importlib.import_module(f'eva.{room}')\n"
        "    for found in pkgutil.iter_modules(package.__path__, f'eva.{room}.'):\n"
        "        if not found.name.endswith('sandbox.child'):\n"
        "            importlib.import_module(found.name)\n",
        tmp_path,
    )


def test_an_official_grading_says_that_it_needs_linux(tmp_path: Path) -> None:
    said = elsewhere(
        "assert run('grade', 'net.py', '--official', '--secret-file', 'secret.txt') == 3", tmp_path
    )
    assert "it needs Linux" in said and "WSL 2" in said
    assert not (tmp_path / "eva-grading.jsonl").exists()


@pytest.mark.parametrize(
    "words", [["check", "net.py"], ["study", "net.py", "--seeds=1", "--data=mnist-mini"]]
)
def test_a_check_and_a_study_run(tmp_path: Path, words: list[str]) -> None:
    elsewhere(f"assert run(*{words}) in (0, 1)", tmp_path)
