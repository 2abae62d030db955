import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from eva.cli import app
from eva.data import Dataset

SUBMISSION = """
from torch import nn
from eva.blocks import gap_head
from eva.recipe import Recipe, SGD

def build_model():
    return nn.Sequential(nn.MaxPool2d(4), gap_head(1))

RECIPE = Recipe(epochs=2, batch_size=500, optimizer=SGD(lr=0.1))
"""

runner = CliRunner()


@pytest.fixture
def submission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "net.py").write_text(SUBMISSION)
    return "net.py"


def test_train_writes_record_and_pictures(submission: str) -> None:
    result = runner.invoke(app, ["train", submission, "--data", "mnist-mini"])
    assert result.exit_code == 0, result.output
    folder = Path("runs/net-seed0")
    for file in ("record.json", "curves.png", "confusion.png", "misclassified.png"):
        assert (folder / file).stat().st_size > 500
        assert str(folder / file) in result.output
    assert "10 parameters" in result.output
    assert "epoch  1" in result.output
    assert "not an official result" in result.output
    pictures = runner.invoke(app, ["plot", f"{folder}/record.json", "--out", "pictures"])
    assert pictures.exit_code == 0
    assert sorted(p.name for p in Path("pictures").iterdir()) == [
        "confusion-net.png",
        "curves.png",
        "learning_rate.png",
    ]


def test_train_prints_json_alone_when_asked(submission: str) -> None:
    options = ["--data", "mnist-mini", "--epochs", "1", "--seed", "4", "--holdout", "500", "--json"]
    result = runner.invoke(app, ["train", submission, *options])
    record = json.loads(result.stdout)
    assert record["seed"] == 4
    assert len(record["rows"]) == 1
    assert record["data"] | {"checksum": ""} == {
        "name": "mnist-mini, 500 training images held out",
        "checksum": "",
        "train_size": 3500,
        "test_size": 500,
    }


@pytest.mark.parametrize(("units", "said"), [(False, True), (True, False)])
def test_bfloat16_without_units_for_it_is_said_before_training(
    submission: str, monkeypatch: pytest.MonkeyPatch, units: bool, said: bool
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: units)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: False)
    options = ["--data", "mnist-mini", "--device", "cpu", "--epochs", "1", "--bf16"]
    result = runner.invoke(app, ["train", submission, *options])
    assert ("no bfloat16 units: without --bf16" in result.output) is said


def test_without_data_the_fallback_can_not_be_overlooked(submission: str, no_network: Path) -> None:
    result = runner.invoke(app, ["train", submission, "--epochs", "1"])
    assert result.exit_code == 0
    for words in ("not full MNIST", "could not be downloaded", "99.4 %", "official result"):
        assert words in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["train", "net.py", "--data", "mnist"], 3, "could not be downloaded"),
        (["train", "net.py", "--data", "cifar"], 2, "'cifar'"),
        (["train", "none.py"], 2, "no file none.py"),
        (["train", "net.py", "--device", "tpu"], 2, "'tpu'"),
        (["train", "net.py", "--epochs", "0"], 2, "--epochs"),
        (["plot", "none.json", "--out", "x"], 2, "none.json can't be read"),
        (["data", "where"], 3, "eva data fetch"),
        (["data", "verify"], 3, "eva data fetch"),
        (["data", "fetch"], 3, "EVA_DATA=FOLDER"),
        (["lr-find", "none.py"], 2, "no file none.py"),
    ],
)
def test_bad_input_is_a_clear_error(
    submission: str, no_network: Path, arguments: list[str], code: int, words: str
) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == code, result.output
    assert words in result.output
    assert "Traceback" not in result.output


def test_a_run_that_diverges_exits_with_1(submission: str) -> None:
    Path(submission).write_text(SUBMISSION.replace("lr=0.1", "lr=1e38"))
    result = runner.invoke(app, ["train", submission, "--data", "mnist-mini"])
    assert result.exit_code == 1
    assert "NaN or infinite" in result.stderr


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("gap_head(1)", "gap_head(1, 9)", "Let the last layer have 10 outputs"),
        ("gap_head(1)", "nn.Flatten(), nn.Linear(50, 10)", "layer 2 (Linear), which got (300, 49)"),
        ("nn.MaxPool2d(4)", "1 / 0", "build_model() raised ZeroDivisionError"),
        ("Recipe(epochs=2", "Recipe(lr=0.1, epochs=2", "belongs to the optimizer"),
        ("optimizer=SGD(lr=0.1)", "schedule=OneCycle(peak_at=0.01)", "no step is left to rise"),
        ("Recipe, SGD", "Recipe, StepLR", "Write Step(every=6, gamma=0.1)"),
    ],
)
def test_what_can_not_be_trained_exits_with_1_and_trains_nothing(
    submission: str, old: str, new: str, words: str, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eva.data.load_data", lambda *arguments: tiny)
    text = SUBMISSION.replace("Recipe, SGD", "OneCycle, Recipe, SGD").replace(old, new)
    Path(submission).write_text(text)
    result = runner.invoke(app, ["train", submission])
    assert result.exit_code == 1, result.output
    assert words in " ".join(result.stderr.split())
    assert "Traceback" not in result.output
    assert not Path("runs").exists()


def test_a_training_ends_with_advice(
    submission: str, tiny: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("eva.data.load_data", lambda *arguments: tiny)
    Path(submission).write_text(SUBMISSION.replace("gap_head(1))", "gap_head(1), nn.Softmax(1))"))
    result = runner.invoke(app, ["train", submission])
    assert result.exit_code == 0
    said = " ".join(result.output.split())
    assert "Advice: the network ends with a softmax" in said
    assert "See docs/lessons/pipeline.md#the-end-of-a-network." in said


def test_lr_find_prints_a_suggestion(submission: str) -> None:
    result = runner.invoke(app, ["lr-find", submission, "--data", "mnist-mini", "--json"])
    assert 1e-4 <= json.loads(result.stdout)["suggestion"] <= 1


def test_summary_and_rf_take_any_module() -> None:
    result = runner.invoke(app, ["summary", "eva.experiments.exp5", "--input", "1x28x28"])
    assert result.exit_code == 0, result.output
    assert "7,753 parameters" in result.stdout
    arguments = ["--input", "3x224x224", "--layer", "layer4", "--json"]
    result = runner.invoke(app, ["rf", "torchvision.models:resnet18", *arguments])
    assert [axis["size"] for axis in json.loads(result.stdout)["axes"]] == [435, 435]
    arguments = ["torch.nn:ReLU", "-i", "1x4x4", "--format", "csv", "--columns", "rf"]
    assert runner.invoke(app, ["summary", *arguments]).stdout.startswith("name,type,depth,")


def test_a_summary_needs_no_input_and_takes_a_mode_and_a_type(tmp_path: Path) -> None:
    result = runner.invoke(app, ["summary", "eva.experiments.exp5"])
    assert result.exit_code == 0
    assert "7,753 parameters, " in result.stdout
    assert "nothing ran" in result.stdout
    (tmp_path / "words.py").write_text(
        "from torch import nn\n\n\ndef model():\n"
        "    return nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.BatchNorm1d(12))\n"
    )
    target = f"{tmp_path / 'words.py'}:model"
    for mode in ("eval", "train"):
        arguments = ["summary", target, "-i", "3", "--dtype", "long", "--mode", mode]
        result = runner.invoke(app, [*arguments, "--format", "json"])
        assert (result.exit_code, result.stderr) == (0, "")
        rows = json.loads(result.stdout)["rows"]
        assert [row["params"] for row in rows] == [60, 36, 0, 24]


def test_a_summary_that_fails_shows_what_ran_and_exits_with_1() -> None:
    result = runner.invoke(app, ["summary", "eva.experiments.exp5", "--input", "3x28x28"])
    assert result.exit_code == 1
    assert "Conv2d" in result.stdout
    assert "expects 1 channels and got 3" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rf", "eva.experiments.exp5"], "--input"),
        (["summary", "torch.nn:ReLU", "-i", "4", "--dtype", "lang"], "'lang' is no type"),
        (["summary", "eva.experiments.exp5", "-i", "1xax3"], "'1xax3' is not a size"),
        (["summary", "eva.experiments.exp5", "-i", "1x28x28", "--columns", "no"], "'no'"),
        (["rf", "eva.experiments.exp5", "-i", "1x28x28", "--layer", "no"], "'no'"),
        (["rf", "nowhere.py:Net", "-i", "1x28x28"], "no file nowhere.py"),
    ],
)
def test_bad_targets_and_sizes_are_usage_errors(arguments: list[str], words: str) -> None:
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2
    assert words in result.output


def test_help_does_not_wait_for_torch() -> None:
    code = "import sys, eva, eva.cli; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_python_m_eva_is_eva() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "eva", "--help"], capture_output=True, text=True, check=True
    )
    assert "Usage: eva" in result.stdout


def test_where_and_verify_name_the_files(mnist: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert "MNIST/raw" in runner.invoke(app, ["data", "where"]).output
    assert runner.invoke(app, ["data", "verify"]).output.count("ok ") == 4


def test_rf_says_what_one_unit_sees_in_the_input_and_in_a_layer(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\n\n\ndef net():\n    return nn.Sequential(\n"
        "        nn.Conv2d(1, 2, 3), nn.GroupNorm(1, 2), nn.Conv2d(2, 2, (3, 5)))\n"
    )
    arguments = ["rf", f"{tmp_path / 'net.py'}:net", "-i", "1x28x28"]
    whole = runner.invoke(app, [*arguments, "--unit", "3,4"])
    assert (whole.exit_code, whole.stderr) == (0, "")
    assert "5x7 (exact) (+ statistics of the whole map)" in whole.stdout
    assert "unit 3,4 rows 3-7, columns 4-10 (+ statistics of the whole map)" in whole.stdout
    inner = runner.invoke(app, [*arguments, "--source", "1", "--unit", "3,4"])
    assert "unit 3,4 rows 3-5, columns 4-8\n" in inner.stdout
    for bad, words in (("3;4", "'3;4' names no unit"), ("99,0", "99")):
        result = runner.invoke(app, [*arguments, "--unit", bad])
        assert result.exit_code == 2
        assert words in result.stderr
    result = runner.invoke(app, [*arguments, "--source", "no"])
    assert result.exit_code == 2
    assert "'no'" in result.stderr
