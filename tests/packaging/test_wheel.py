"""The wheel alone, in a fresh environment and an empty folder: what a stranger has after pip."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from fresh import ROOT, build, environment, requirements

pytestmark = pytest.mark.skipif(os.name != "posix", reason="links files as POSIX does")

STARTER = {"README.md", "submission.py", "conftest.py", "assignment.toml"}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def programs(built: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment(tmp_path_factory.mktemp("fresh") / "with a space", built[1])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's home and cache, with no data and no network."""
    return tmp_path_factory.mktemp("home")


class Shell:
    """Types commands in an empty folder."""

    def __init__(self, programs: Path, home: Path, folder: Path) -> None:
        self.programs, self.home, self.folder = programs, home, folder

    def __call__(self, *words: str, code: int = 0) -> str:
        nowhere = "http://127.0.0.1:9"
        done = subprocess.run(
            [str(self.programs / words[0]), *words[1:]],
            cwd=self.folder,
            env={
                "PATH": f"{self.programs}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(self.home),
                "COLUMNS": "120",
                "OMP_NUM_THREADS": "1",
                "http_proxy": nowhere,
                "https_proxy": nowhere,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert done.returncode == code, done.stdout
        assert "Traceback" not in done.stdout
        return done.stdout


@pytest.fixture
def shell(programs: Path, home: Path, tmp_path: Path) -> Shell:
    return Shell(programs, home, tmp_path)


def test_sdist_and_wheel_carry_what_is_no_python_too(built: tuple[Path, Path]) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "eva", "assignments", "docs/exercises"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if tracked.returncode:
        pytest.skip("no clone, so no list of what belongs to it")
    names = tracked.stdout.splitlines()
    with tarfile.open(built[0]) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    assert set(names) <= in_sdist
    with zipfile.ZipFile(built[1]) as archive:
        in_wheel = {name for name in archive.namelist() if ".dist-info/" not in name}
    inside = [name.removeprefix("docs/") for name in names]
    assert in_wheel == {name if name.startswith("eva/") else f"eva/{name}" for name in inside}
    assert {"eva/py.typed", "eva/kernels/cpu_kernels.cpp"} <= in_wheel


def test_a_student_is_asked_to_install_no_tool_of_ours(built: tuple[Path, Path]) -> None:
    needed = {one.name.lower() for one in requirements(built[1])}
    assert {"torch", "pytest"} <= needed
    assert not needed & {"ray", "playwright", "mkdocs-material", "mypy", "ruff", "hypothesis"}


def test_the_environment_is_the_wheels_own(shell: Shell) -> None:
    code = "import eva, importlib.util as u; print(eva.__file__, u.find_spec('ray'))"
    place, _, ray = shell("python", "-c", code).strip().rpartition(" ")
    assert Path(place).is_relative_to(shell.programs.parent)
    assert ray == "None"


def test_every_module_that_a_student_uses_imports(shell: Shell) -> None:
    code = (
        "import eva, importlib, pkgutil\n"
        "for one in pkgutil.walk_packages(eva.__path__, 'eva.'):\n"
        "    if one.name not in ('eva.__main__', 'eva.kernels.gpu_kernels')"
        " and not one.name.startswith('eva.assignments'):\n"
        "        importlib.import_module(one.name)\n"
        "print([getattr(eva, name) for name in eva.__all__])\n"
    )
    assert "summary" in shell("python", "-c", code)


def test_an_evening_in_an_empty_folder(shell: Shell) -> None:
    assert shell("eva", "--version").split() == ["eva", _version()]
    assert "cd mnist_8k" in shell("eva", "new", "mnist_8k")
    work = shell.folder / "mnist_8k"
    assert {path.name for path in work.iterdir()} >= STARTER
    assert "holds" in shell("eva", "new", "mnist_8k", code=2)
    assert "failed: 52,650" in shell("eva", "check", "mnist_8k", code=1)
    output = shell("pytest", "mnist_8k", "-m", "not slow", code=1)
    assert "3 failed, 3 passed, 2 deselected" in output
    assert "total                                   2/10" in output
    (work / "submission.py").write_text("from eva.experiments.exp4 import RECIPE, build_model\n")
    assert "7/10" in shell("eva", "check", "mnist_8k")
    assert "7/10" in shell("pytest", "mnist_8k", "-m", "not slow")
    output = shell("eva", "grade", "mnist_8k", code=3)
    assert "7/10" in output
    assert "full MNIST" in output and "could not be downloaded" in " ".join(output.split())
    output = " ".join(shell("eva", "check", "mnist_8k", "--assignment", "mnist_9k", code=2).split())
    assert "mnist_8k" in output


def test_export_to_gradescope_holds_the_rubric(shell: Shell) -> None:
    shell("eva", "export", "gradescope", "out")
    names = {path.name for path in (shell.folder / "out").iterdir()}
    assert {"setup.sh", "run_autograder", "assignment.toml", "secret.txt"} <= names


def test_a_summary_from_python(shell: Shell) -> None:
    code = "import eva; from eva.experiments.exp5 import build_model as b; "
    output = shell("python", "-c", f"{code}print(eva.summary(b(), (1, 28, 28)))")
    assert "7,753" in output


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or shutil.which("g++") is None,
    reason="the kernels are for Linux, and take a compiler",
)
def test_the_kernels_for_a_cpu_are_built_from_the_wheel(shell: Shell) -> None:
    code = (
        "import torch\nfrom eva.kernels import cpu_kernels\n"
        "cpu_kernels.library()\nprint(cpu_kernels.build())"
    )
    library = Path(shell("python", "-c", code).strip().splitlines()[-1])
    assert library.is_relative_to(shell.home) and library.stat().st_size > 10_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the sandbox needs Linux")
def test_the_sandbox_finds_eva_where_pip_put_it(shell: Shell) -> None:
    (shell.folder / "student").mkdir()
    (shell.folder / "student" / "submission.py").write_text(
        "from eva.experiments.exp4 import RECIPE, build_model\n"
    )
    code = (
        "import json\nfrom pathlib import Path\n"
        "from eva.grading.sandbox.sandbox import Sandbox\n"
        "from eva.grading.sandbox.outcome import SandboxLimits\n"
        "with Sandbox(limits=SandboxLimits(wall_seconds=120)) as sandbox:\n"
        "    found = sandbox.extract(Path('student'))\n"
        "print(json.dumps([found.tier, found.status, found.message]))\n"
    )
    tier, status, message = json.loads(shell("python", "-c", code).strip().splitlines()[-1])
    assert status == "done", (tier, message)


def _version() -> str:
    text = (ROOT / "eva" / "__init__.py").read_text(encoding="utf-8")
    return text.partition('__version__ = "')[2].partition('"')[0]
