import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eva.cli import app
from eva.errors import GradingError
from eva.grading.cohort.gradescope_export import export_gradescope

runner = CliRunner()


def test_the_folder_has_what_gradescope_runs(tmp_path: Path) -> None:
    result = runner.invoke(app, ["export", "gradescope", str(tmp_path / "auto"), "--seeds", "2"])
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "auto").iterdir()}
    assert names == {"setup.sh", "run_autograder", "assignment.toml", "secret.txt"}
    for name in ("setup.sh", "run_autograder"):
        path = tmp_path / "auto" / name
        assert path.stat().st_mode & 0o111
        subprocess.run(["bash", "-n", str(path)], check=True)
    assert len((tmp_path / "auto" / "secret.txt").read_text().strip()) == 64
    assert (tmp_path / "auto" / "secret.txt").stat().st_mode & 0o077 == 0


def test_two_folders_have_two_secrets(tmp_path: Path) -> None:
    for name in ("a", "b"):
        export_gradescope(tmp_path / name, "mnist_8k")
    assert (tmp_path / "a/secret.txt").read_text() != (tmp_path / "b/secret.txt").read_text()


def test_the_package_is_quoted_and_the_tier_is_opt_in(tmp_path: Path) -> None:
    export_gradescope(tmp_path / "a", "mnist_8k", package="eva @ https://x.org/a b")
    assert "'eva @ https://x.org/a b'" in (tmp_path / "a/setup.sh").read_text()
    assert "--allow-tier" not in (tmp_path / "a/run_autograder").read_text()
    export_gradescope(tmp_path / "b", "mnist_8k", allow_tier_c=True)
    assert "--allow-tier C" in (tmp_path / "b/run_autograder").read_text()


@pytest.mark.parametrize("assignment", ["none", "receptive_field"])
def test_a_wrong_assignment_writes_nothing(tmp_path: Path, assignment: str) -> None:
    with pytest.raises(GradingError):
        export_gradescope(tmp_path / "a", assignment)
    assert not (tmp_path / "a").exists()


def test_a_folder_in_use_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(GradingError, match="not empty"):
        export_gradescope(tmp_path, "mnist_8k")


def _run_autograder(tmp_path: Path, eva: str) -> subprocess.CompletedProcess[str]:
    """The script itself, with Gradescope's folders moved here and an `eva` that we watch."""
    root = tmp_path / "autograder"
    export_gradescope(root / "source", "mnist_8k")
    for folder in ("submission", "results", "venv/bin"):
        (root / folder).mkdir(parents=True)
    (root / "submission" / "my net.py").write_text("x = 1\n")
    fake = root / "venv/bin/eva"
    fake.write_text(f"#!/usr/bin/env bash\n{eva}\n")
    fake.chmod(0o755)
    script = (root / "source/run_autograder").read_text().replace("/autograder", str(root))
    return subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)


def test_run_autograder_grades_a_class_of_one_and_hides_exit_code_1(tmp_path: Path) -> None:
    done = _run_autograder(tmp_path, 'find "$2" -type f; echo "$@"; exit 1')
    assert done.returncode == 0, done.stderr
    assert "class/student/my net.py" in done.stdout
    assert "results/results.json" in done.stdout


def test_run_autograder_fails_when_the_grader_does(tmp_path: Path) -> None:
    assert _run_autograder(tmp_path, "exit 3").returncode == 3
