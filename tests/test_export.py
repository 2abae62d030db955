"""An ONNX file gives PyTorch's scores, says where it is from, and fails with advice."""

import json
from pathlib import Path

import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import Tensor, nn
from typer.testing import CliRunner

from eva import export
from eva.cli import app
from eva.data import Dataset, normalize, to_float
from eva.errors import EvaError, SubmissionError
from eva.record import Run
from eva.submission import load_submission
from eva.training.trainer import Trainer

SUBMISSION = """
from torch import nn
from eva.blocks import conv_block, gap_head
from eva.recipe import SGD, Recipe

def build_model():
    return nn.Sequential(nn.MaxPool2d(2), conv_block(1, 4, 4, dropout=0.1), gap_head(4))

RECIPE = Recipe(epochs=2, batch_size=50, optimizer=SGD(lr=0.05), ema=0.9)
"""


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    path = tmp_path / "small.py"
    path.write_text(SUBMISSION)
    return path


@pytest.fixture
def trained(submission: Path, tiny: Dataset, tmp_path: Path) -> tuple[nn.Module, Run]:
    """The model that was evaluated, and its run; the checkpoint lies in tmp_path/run."""
    loaded = load_submission(submission)
    model = loaded.build()
    trainer = Trainer(
        model, loaded.recipe, tiny, device="cpu", out=tmp_path / "run", name=loaded.name
    )
    run = trainer.fit()
    return model.eval(), run


def run_cli(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["export", "onnx", *map(str, arguments)])
    return result.exit_code, result.output


def test_the_file_gives_the_scores_of_the_evaluated_weights(
    trained: tuple[nn.Module, Run], submission: Path, tiny: Dataset, tmp_path: Path
) -> None:
    model, run = trained
    file = tmp_path / "new" / "small.onnx"
    code, said = run_cli(
        submission, "--checkpoint", tmp_path / "run" / "checkpoint.pt", "--out", file
    )
    assert code == 0, said
    assert f"{run.parameters} parameters, {run.rows[-1].test_accuracy:.2f} % on tiny" in said
    images = normalize(to_float(tiny.test_images))
    for batch in (images[:1], images):
        (scores,) = ReferenceEvaluator(str(file)).run(None, {"image": batch.numpy()})
        with torch.no_grad():
            assert torch.allclose(torch.from_numpy(scores), model(batch), atol=1e-5)


def test_the_file_says_where_it_is_from_and_not_on_which_machine(
    trained: tuple[nn.Module, Run], tmp_path: Path
) -> None:
    model, run = trained
    file = export.export_onnx(model, run, tmp_path / "small.onnx")
    (source,) = (p.value for p in onnx.load(file).metadata_props if p.key == "eva")
    assert json.loads(source)["seed"] == 0
    assert json.loads(source)["test_accuracy"] == run.rows[-1].test_accuracy
    assert b".py" not in file.read_bytes().replace(b"small.py", b"")
    assert file.stat().st_size < 30_000


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        ("missing", "there is no"),
        ("cut", "not a whole checkpoint"),
        ("other", "those of another network"),
    ],
)
def test_checkpoints_that_do_not_fit(
    trained: tuple[nn.Module, Run], submission: Path, tmp_path: Path, damage: str, expected: str
) -> None:
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    if damage == "missing":
        checkpoint.unlink()
    elif damage == "cut":
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    else:
        submission.write_text(SUBMISSION.replace("4, 4, dropout", "4, 5, 4, dropout"))
    code, said = run_cli(submission, "--checkpoint", checkpoint, "--out", tmp_path / "x.onnx")
    assert code == 2
    assert expected in " ".join(said.split())
    assert not (tmp_path / "x.onnx").exists()


def test_a_network_that_asks_for_values(trained: tuple[nn.Module, Run], tmp_path: Path) -> None:
    class Asks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.flatten(1)[:, :10] if x.sum() > 0 else x.flatten(1)[:, 10:20]

    with pytest.raises(SubmissionError, match="can't export this network"):
        export.export_onnx(Asks(), trained[1], tmp_path / "asks.onnx")


def test_without_the_packages(
    trained: tuple[nn.Module, Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    with pytest.raises(EvaError, match=r"onnx and onnxscript[\s\S]*eva-course\[export\]"):
        export.export_onnx(*trained, tmp_path / "small.onnx")


def test_a_place_that_cannot_be_written(trained: tuple[nn.Module, Run], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvaError, match="can't write"):
        export.export_onnx(*trained, tmp_path / "file" / "small.onnx")
