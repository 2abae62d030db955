"""A run goes on where it may, says what changed, and is refused where it is another run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
from torch import nn

from eva.blocks import gap_head
from eva.data import Dataset
from eva.errors import RecordError
from eva.recipe import SGD, Recipe
from eva.record import Run
from eva.training import checkpoint
from eva.training.trainer import Trainer

RECIPE = Recipe(epochs=2, batch_size=64, optimizer=SGD(0.05))


def make_model(relu: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), relu(), nn.Dropout(0.1), gap_head(4))


def trained(data: Dataset, out: Path, **changes: object) -> Run:
    return Trainer(make_model(), RECIPE, data, device="cpu", out=out, **changes).fit()


def test_another_network_of_the_same_weights_is_refused(tiny: Dataset, tmp_path: Path) -> None:
    trained(tiny, tmp_path)
    longer = RECIPE.model_copy(update={"epochs": 3})
    trainer = Trainer(make_model(nn.GELU), longer, tiny, device="cpu", out=tmp_path)
    with pytest.raises(RecordError, match=r"its network is another[\s\S]*--out"):
        trainer.fit(resume=True)


def test_a_network_of_other_layers_is_refused(tiny: Dataset, tmp_path: Path) -> None:
    trained(tiny, tmp_path)
    other = nn.Sequential(nn.Conv2d(1, 10, 3, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    trainer = Trainer(other, RECIPE, tiny, device="cpu", out=tmp_path)
    with pytest.raises(RecordError, match="belongs to another run"):
        trainer.fit(resume=True)


def test_the_same_run_under_another_path_goes_on(tiny: Dataset, tmp_path: Path) -> None:
    first = trained(tiny, tmp_path, name="here/net.py")
    trainer = Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path, name="/there/net.py")
    run = trainer.fit(resume=True)
    assert run.rows == first.rows
    assert run.changes == ()


def test_more_epochs_go_on_and_the_record_says_so(tiny: Dataset, tmp_path: Path) -> None:
    trained(tiny, tmp_path)
    longer = RECIPE.model_copy(update={"epochs": 3})
    run = Trainer(make_model(), longer, tiny, device="cpu", out=tmp_path).fit(resume=True)
    assert (len(run.rows), run.status, run.recipe.epochs) == (3, "finished", 3)
    change = run.changes[0]
    assert (change.epoch, change.what, change.before, change.after) == (2, "epochs", "2", "3")
    assert Run.load(tmp_path / "record.json") == run
    with pytest.raises(RecordError, match="3 epochs already, more than the 2"):
        Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path).fit(resume=True)


def test_another_machine_goes_on_and_the_record_says_so(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(tiny, tmp_path)
    longer = RECIPE.model_copy(update={"epochs": 3})
    trainer = Trainer(make_model(), longer, tiny, device="cpu", out=tmp_path)
    changed = trainer.run.device.model_copy(update={"threads": 7, "name": "another processor"})
    trainer.run = trainer.run.model_copy(update={"device": changed})
    run = trainer.fit(resume=True)
    assert {change.what for change in run.changes} == {"epochs", "device", "threads"}
    assert run.device.threads == 7


def test_another_recipe_is_refused_by_the_key_that_differs(tiny: Dataset, tmp_path: Path) -> None:
    trained(tiny, tmp_path)
    other = RECIPE.model_copy(update={"l1": 0.1})
    with pytest.raises(RecordError, match=r"its recipe is another: l1 is 0\.0, not 0\.1"):
        Trainer(make_model(), other, tiny, device="cpu", out=tmp_path).fit(resume=True)


def test_a_record_without_the_later_keys_is_read(tiny: Dataset, tmp_path: Path) -> None:
    run = trained(tiny, tmp_path)
    old = run.model_copy(update={"network": ""})
    assert '"network"' not in old.to_json()
    assert '"changes"' not in old.to_json()
    old.save(tmp_path / "old.json")
    assert Run.load(tmp_path / "old.json") == old


@pytest.mark.skipif(os.geteuid() == 0 if hasattr(os, "geteuid") else True, reason="root may write")
def test_a_folder_that_is_read_only_is_said_before_training(tiny: Dataset, tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(RecordError, match="can't be written to"):
            Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path / "run")
    finally:
        tmp_path.chmod(0o700)


def test_a_file_in_the_folders_place_is_said_before_training(tiny: Dataset, tmp_path: Path) -> None:
    place = tmp_path / "run"
    place.write_text("")
    with pytest.raises(RecordError, match=r"run can't be written to[\s\S]*--out"):
        Trainer(make_model(), RECIPE, tiny, device="cpu", out=place)


def full(path: Path, content: bytes) -> Path:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_said_before_training(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoint, "write_atomically", full)
    with pytest.raises(RecordError, match=r"No space left on device[\s\S]*Make room"):
        Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path)


def test_a_disk_that_fills_while_training_is_said(
    tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path)
    monkeypatch.setattr(checkpoint, "write_atomically", full)
    with pytest.raises(RecordError, match="No space left on device"):
        trainer.fit()


def test_trying_a_folder_leaves_nothing_in_it(tiny: Dataset, tmp_path: Path) -> None:
    Trainer(make_model(), RECIPE, tiny, device="cpu", out=tmp_path / "run")
    assert list((tmp_path / "run").iterdir()) == []
