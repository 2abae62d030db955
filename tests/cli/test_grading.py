import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eva.cli import app
from eva.data import Dataset
from eva.grading.checks.report import Report

runner = CliRunner()


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "cache" / name)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("name", "failed"),
    [("exp1", [3, 4]), ("exp2", [4, 5]), ("exp3", []), ("exp4", []), ("exp5", [])],
)
def test_check_finds_in_each_experiment_what_its_story_says(name: str, failed: list[int]) -> None:
    result = runner.invoke(app, ["check", f"eva.experiments.{name}", "--json"])
    report = json.loads(result.stdout)
    statuses = [check["status"] for check in report["checks"]]
    assert [i for i, status in enumerate(statuses, start=1) if status == "failed"] == failed
    assert statuses[6:] == ["skipped", "skipped"]
    assert report["advice"] == []
    assert result.exit_code == (1 if failed else 0)


def test_check_draws_nothing_and_loads_no_pyplot() -> None:
    code = (
        "import sys\nfrom eva.cli import app\n"
        "app(['check', 'eva.experiments.exp5'], standalone_mode=False)\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.rstrip().endswith("False"), done.stdout + done.stderr


def test_check_prints_messages_and_the_table() -> None:
    result = runner.invoke(app, ["check", "eva.experiments.exp2", "--hints"])
    assert result.exit_code == 1
    assert "FAILED parameters under 8,000: your model has 9,266." in result.output
    assert result.output.count("Hint: ") == 4
    assert "     total                                   3/10" in result.output
    assert max(map(len, result.output.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["check", "none.py"], "no file none.py"),
        (["check", "eva.nothing"], "no module eva.nothing"),
        (["check", "docs"], "holds no submission.py"),
        (["check", "eva.experiments.exp5", "--assignment", "mnist_9k"], "mean mnist_8k"),
        (["check", "eva.experiments.exp5", "--assignment", "receptive_field"], "pytest assign"),
        (["check"], "Missing argument"),
        (["grade"], "Missing argument"),
        (["grade", "eva.experiments.exp5", "none.py"], "no file none.py"),
        (["watch", "none.py"], "no file none.py"),
    ],
)
def test_wrong_usage_is_2_and_says_what_is_wrong(
    arguments: list[str], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "docs").mkdir()
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2, result.output
    assert words in " ".join(result.output.split())
    assert "Traceback" not in result.output


def test_grade_without_data_is_3_and_keeps_the_points(no_network: Path) -> None:
    result = runner.invoke(app, ["grade", "eva.experiments.exp5"])
    assert result.exit_code == 3, result.output
    assert "skipped: no full MNIST" in result.output
    assert "7/10" in result.output


def test_grade_takes_several_and_ends_with_their_totals(no_network: Path) -> None:
    names = ["eva.experiments.exp2", "eva.experiments.exp5"]
    result = runner.invoke(app, ["grade", *names])
    assert result.exit_code == 1
    assert result.output.endswith("\n  3/10  eva.experiments.exp2\n  7/10  eva.experiments.exp5\n")


def test_grade_trains_and_names_the_files(
    tmp_path: Path, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "from torch import nn\n"
        "from eva.blocks import gap_head\n"
        "from eva.recipe import Recipe\n"
        "def build_model():\n"
        "    return nn.Sequential(nn.MaxPool2d(4), gap_head(1))\n"
        "RECIPE = Recipe(epochs=1)\n"
    )
    real = replace(tiny, name="mnist")
    monkeypatch.setattr("eva.grading.practice.grade.load_data", lambda name, folder: real)
    result = runner.invoke(app, ["grade", str(net)])
    assert result.exit_code == 1
    assert "Training " in result.output
    assert "epoch  1  train" in result.output
    report = json.loads(runner.invoke(app, ["grade", str(net), "--json"]).stdout)[0]
    assert [Path(file).name for file in report["files"]][:2] == ["record.json", "curves.png"]
    for file in report["files"]:
        assert file in result.output.replace("\n", "")


def test_an_interrupted_grade_says_how_to_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(self: object, *, hints: int) -> Report:
        raise KeyboardInterrupt

    monkeypatch.setattr("eva.grading.practice.grade.Grading.report", interrupt)
    result = runner.invoke(app, ["grade", "eva.experiments.exp5"])
    assert result.exit_code == 130
    assert "the same command goes on" in result.output


def test_watch_prints_the_table_until_it_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(
        "eva.grading.practice.watch.watch.__kwdefaults__", {"hints": 0, "sleep": stop}
    )
    result = runner.invoke(app, ["watch", str(Path(__file__).parents[2] / "assignments/mnist_8k")])
    assert result.exit_code == 0
    assert "failed: 52,650" in result.output
    assert "Watching" in result.output
