"""A run's numbers arrive in TensorBoard, MLflow and Weights & Biases, held to the record.

Each test needs its package; those that are not installed are skipped.
"""

from __future__ import annotations

import json
import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from typer.testing import CliRunner

from eva.blocks import gap_head
from eva.cli import app
from eva.data import Dataset
from eva.recipe import SGD, Recipe
from eva.record import Run
from eva.training.callbacks import Callback, MLflow, StopTraining, TensorBoard, WandB
from eva.training.trainer import Trainer

RECIPE = Recipe(epochs=2, batch_size=100, optimizer=SGD(0.05))


def train(tiny: Dataset, *loggers: Callback, resume: bool = False, out: Path | None = None) -> Run:
    torch.manual_seed(0)
    model = nn.Sequential(nn.MaxPool2d(4), gap_head(1))
    trainer = Trainer(model, RECIPE, tiny, device="cpu", callbacks=loggers, out=out, name="net")
    return trainer.fit(resume=resume)


class StopAtOnce(Callback):
    def on_epoch_end(self, trainer: Trainer, row: object) -> None:
        raise StopTraining


@pytest.mark.filterwarnings("default")
def test_tensorboard_holds_every_epoch_once_across_a_resumption(
    tiny: Dataset, tmp_path: Path
) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    folder = tmp_path / "events"
    train(tiny, TensorBoard(folder), StopAtOnce(), out=tmp_path)
    run = train(tiny, TensorBoard(folder), resume=True, out=tmp_path)
    events = EventAccumulator(str(folder)).Reload()
    for name, values in {
        "accuracy/test": [row.test_accuracy for row in run.rows],
        "loss/train": [row.train_loss for row in run.rows],
        "lr": [row.lr for row in run.rows],
    }.items():
        found = events.Scalars(name)
        assert [event.step for event in found] == [1, 2]
        assert [event.value for event in found] == pytest.approx(values, rel=1e-5)


@pytest.mark.filterwarnings("default")
def test_mlflow_holds_recipe_curves_and_verdict(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    run = train(tiny, MLflow())
    (found,) = mlflow.search_runs(experiment_names=["eva"], output_format="list")
    assert found.info.run_name == "net, seed 0" and found.info.status == "FINISHED"
    assert found.data.params["epochs"] == "2"
    assert found.data.tags["verdict"] == run.verdict()
    history = mlflow.MlflowClient().get_metric_history(found.info.run_id, "accuracy/test")
    assert [each.value for each in history] == [row.test_accuracy for row in run.rows]


@pytest.mark.filterwarnings("default")
def test_an_offline_run_of_wandb_holds_recipe_curves_and_verdict(
    tiny: Dataset, tmp_path: Path
) -> None:
    pytest.importorskip("wandb")
    run = train(tiny, WandB(tmp_path))
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    records: list[Any] = []
    for _ in range(600):  # a process of its own writes it, and goes on after finish()
        records = list(_records(file.read_bytes()))
        if any(record.HasField("exit") for record in records):
            break
        time.sleep(0.1)
    started = next(record.run for record in records if record.HasField("run"))
    assert (started.project, started.display_name) == ("eva", "net, seed 0")
    config = {item.key: json.loads(item.value_json) for item in started.config.update}
    assert config["epochs"] == 2 and config["seed"] == 0
    history = [
        {item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
         for item in record.history.item}
        for record in records if record.HasField("history")
    ]  # fmt: skip
    assert [row["_step"] for row in history] == [1, 2]
    assert [row["accuracy/test"] for row in history] == [row.test_accuracy for row in run.rows]
    assert [row["loss/train"] for row in history] == [row.train_loss for row in run.rows]
    told = {
        item.nested_key[0] if item.nested_key else item.key: json.loads(item.value_json)
        for record in records
        for item in record.summary.update
    }
    assert told["verdict"] == run.verdict()


def _records(content: bytes) -> Iterator[Any]:
    """Records of a .wandb file, which has the form of LevelDB's log: blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    place, whole = 7, b""  # behind the file's own header
    while place + 7 <= len(content):
        if 32768 - place % 32768 < 7:  # too little for the header of a record
            place += 32768 - place % 32768
            continue
        _, size, kind = struct.unpack_from("<IHB", content, place)
        if place + 7 + size > len(content):
            return
        whole += content[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # all of it, or its last part
            record = Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


@pytest.mark.parametrize("name", ["tensorboard", "mlflow", "wandb"])
def test_a_missing_package_is_said_before_training(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, name, None)
    command = ["train", "eva.experiments.exp5", "--data", "mnist-mini", "--log", name]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert f"pip install {name}" in result.output
    assert not list(tmp_path.iterdir())


def test_an_unknown_logger_is_answered_with_those_that_are_known() -> None:
    result = CliRunner().invoke(app, ["train", "eva.experiments.exp5", "--log", "tensorbord"])
    assert result.exit_code == 2
    assert "tensorboard, mlflow, wandb" in result.output
