"""The trainer repeats itself bit for bit, survives being killed, and fails with advice."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from torch import nn

from eva.blocks import conv_block, gap_head
from eva.data import Dataset, load_mini
from eva.errors import DeviceError, RecordError, TrainingError
from eva.recipe import (
    SGD,
    AdamW,
    Init,
    RandomErasing,
    Recipe,
    Rotation,
    Shift,
    Step,
    Triangular,
)
from eva.record import EpochRow, Run
from eva.training.average import average_weight, update_average
from eva.training.callbacks import Callback
from eva.training.device import select_device
from eva.training.evaluation import evaluate
from eva.training.initialize import initialize
from eva.training.lr_finder import lr_find
from eva.training.trainer import Trainer

SUBMISSION = """
from torch import nn
from eva.blocks import conv_block, gap_head
from eva.recipe import SGD, Recipe, Rotation, Shift, Triangular

def build_model():
    return nn.Sequential(nn.MaxPool2d(2), conv_block(1, 4, 4, dropout=0.1), gap_head(4))

RECIPE = Recipe(
    epochs=9,
    optimizer=SGD(lr=0.05, nesterov=True),
    schedule=Triangular(),
    augment=(Rotation(degrees=10), Shift(pixels=1)),
    ema=0.98,
)
"""

RECIPE = Recipe(
    epochs=3,
    batch_size=64,
    optimizer=SGD(lr=0.05),
    schedule=Step(every=2),
    augment=(Rotation(degrees=10), Shift(pixels=1), RandomErasing()),
)


def make_model(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(conv_block(1, 4, 6, dropout=0.1), nn.MaxPool2d(2), gap_head(6))


def same(a: nn.Module, b: nn.Module) -> bool:
    pairs = zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize(
    "recipe",
    [
        RECIPE,
        RECIPE.model_copy(update={"ema": 0.9, "label_smoothing": 0.1}),
        RECIPE.model_copy(update={"optimizer": AdamW(), "weight_decay": 0.01}),
    ],
    ids=["plain", "ema", "adamw"],
)
def test_same_seed_same_weights_whatever_ran_before(recipe: Recipe, tiny: Dataset) -> None:
    one, two, other = make_model(), make_model(), make_model()
    first = Trainer(one, recipe, tiny, device="cpu", seed=5).fit()
    torch.manual_seed(99)
    torch.rand(1000)
    Trainer(make_model(), recipe, tiny, device="cpu", seed=1).fit()
    second = Trainer(two, recipe, tiny, device="cpu", seed=5).fit()
    Trainer(other, recipe, tiny, device="cpu", seed=6).fit()
    assert same(one, two)
    assert not same(one, other)
    assert [r.test_loss for r in first.rows] == [r.test_loss for r in second.rows]


def test_training_leaves_the_global_random_state_alone(tiny: Dataset) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    model = make_model()
    torch.manual_seed(7)
    Trainer(model, RECIPE, tiny, device="cpu").fit()
    assert torch.equal(torch.rand(3), expected)


def test_it_learns_and_its_record_says_so(tiny: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(epochs=8, batch_size=16, optimizer=SGD(lr=0.2), schedule=Triangular())
    torch.manual_seed(0)
    model = nn.Sequential(conv_block(1, 4, 8), nn.MaxPool2d(2), conv_block(8, 12), gap_head(12))
    run = Trainer(model, recipe, tiny, device="cpu", out=tmp_path, name="mine").fit()
    assert run.rows[-1].train_loss < 0.5 * run.rows[0].train_loss
    assert run.rows[-1].test_accuracy > 70
    assert run == Run.load(tmp_path / "record.json")
    assert run.status == "finished"
    assert run.parameters == sum(p.numel() for p in model.parameters())
    assert run.data.checksum == tiny.checksum
    assert (run.data.train_size, run.data.test_size) == (300, 100)
    assert [row.epoch for row in run.rows] == list(range(8))
    for row in run.rows:
        assert len(row.wrong) == round(100 - row.test_accuracy)
        assert row.seconds_data > 0
        assert row.seconds_compute > 0
        assert row.seconds_data + row.seconds_compute <= row.seconds_train
        assert row.images_per_second == pytest.approx(300 / row.seconds_train)
    assert sum(map(sum, run.confusion)) == 100
    assert sum(run.confusion[i][i] for i in range(10)) == 100 - len(run.rows[-1].wrong)


def test_the_model_ends_with_the_weights_that_were_evaluated(tiny: Dataset) -> None:
    recipe = RECIPE.model_copy(update={"ema": 0.95})
    model = make_model()
    run = Trainer(model, recipe, tiny, device="cpu").fit()
    again = evaluate(model, tiny.test_images, tiny.test_labels)
    assert again.loss == pytest.approx(run.rows[-1].test_loss, abs=1e-6)


def test_the_average_holds_weights_and_buffers() -> None:
    model, average = make_model(0), make_model(1)
    old = [value.clone() for value in average.state_dict().values()]
    update_average(average, model, torch.tensor(average_weight(0.9, 10**6)))
    for before, after, new in zip(
        old, average.state_dict().values(), model.state_dict().values(), strict=True
    ):
        expected = 0.9 * before + 0.1 * new if new.is_floating_point() else new
        assert torch.allclose(after, expected, atol=1e-6)


def test_averaging_a_constant_gives_the_constant() -> None:
    model = nn.Linear(2, 2)
    average = nn.Linear(2, 2)
    average.load_state_dict(model.state_dict())
    for step in range(100):
        update_average(average, model, torch.tensor(average_weight(0.99, step)))
    assert torch.allclose(average.weight, model.weight, atol=1e-6)


def test_resuming_after_an_interruption_is_exact(tiny: Dataset, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"ema": 0.9})

    class Stop(Callback):
        def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
            if row.epoch == 1:
                raise KeyboardInterrupt

    through, stopped = make_model(), make_model()
    whole = Trainer(through, recipe, tiny, device="cpu").fit()
    with pytest.raises(KeyboardInterrupt):
        Trainer(stopped, recipe, tiny, device="cpu", out=tmp_path, callbacks=[Stop()]).fit()
    saved = Run.load(tmp_path / "record.json")
    assert (saved.status, len(saved.rows)) == ("interrupted", 2)
    resumed = make_model(seed=123)  # its own weights must not matter
    run = Trainer(resumed, recipe, tiny, device="cpu", out=tmp_path).fit(resume=True)
    assert same(through, resumed)
    assert [r.test_loss for r in run.rows] == [r.test_loss for r in whole.rows]
    assert run.status == "finished"


# A shell that starts the tests in the background lets them, and all below, ignore Ctrl-C.
def hear_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def start(folder: Path, submission: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "eva", "train", str(submission), "--data", "mnist-mini"]
    command += ["--device", "cpu", "--out", str(folder), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        env=environment,
        preexec_fn=None if os.name == "nt" else hear_interrupts,
    )


def finish(folder: Path, submission: Path, *options: str) -> int:
    with start(folder, submission, *options) as process:
        process.communicate()
    return process.returncode


def test_a_run_killed_in_mid_training_resumes_bit_for_bit(tmp_path: Path) -> None:
    submission = tmp_path / "net.py"
    submission.write_text(SUBMISSION.replace("epochs=9", "epochs=20"))
    folder = tmp_path / "killed"
    with start(folder, submission) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(b"epoch  7"):
                time.sleep(0.05)  # somewhere inside the next epoch
                process.send_signal(signal.SIGKILL)
                break
    assert process.returncode == -signal.SIGKILL
    assert 7 <= len(Run.load(folder / "record.json").rows) < 20, "it was killed in mid-run"
    assert finish(folder, submission) == 2  # refuses to write over an unfinished run
    assert finish(folder, submission, "--resume") == 0
    assert finish(tmp_path / "whole", submission) == 0
    killed, whole = (
        torch.load(tmp_path / name / "checkpoint.pt", weights_only=True)
        for name in ("killed", "whole")
    )
    for part in ("model", "average"):
        assert killed[part].keys() == whole[part].keys()
        assert all(torch.equal(killed[part][key], whole[part][key]) for key in killed[part])


def test_ctrl_c_exits_with_130_and_keeps_the_record(tmp_path: Path) -> None:
    submission = tmp_path / "net.py"
    submission.write_text(SUBMISSION.replace("epochs=9", "epochs=300"))  # however fast it is
    with start(tmp_path / "run", submission) as process:
        assert process.stdout is not None
        for line in process.stdout:  # to its end: what it writes before it stops needs a reader
            if line.startswith(b"epoch  2"):
                process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    run = Run.load(tmp_path / "run" / "record.json")
    assert run.status == "interrupted"
    assert len(run.rows) >= 2


def test_a_checkpoint_of_another_run_is_refused(tiny: Dataset, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1})
    Trainer(make_model(), recipe, tiny, device="cpu", out=tmp_path).fit()
    for change, key in (
        ({"seed": 2}, "seed"),
        ({"recipe": recipe.model_copy(update={"batch_size": 32})}, "recipe"),
        ({"data": tiny.holdout(50)}, "data"),
    ):
        arguments = {"recipe": recipe, "data": tiny, "seed": 0, **change}
        trainer = Trainer(make_model(), device="cpu", out=tmp_path, **arguments)
        with pytest.raises(RecordError, match=f"its {key} is"):
            trainer.fit(resume=True)


@pytest.mark.parametrize("keep", [0, 100, 1500])
def test_a_damaged_checkpoint_is_a_clear_error(tiny: Dataset, tmp_path: Path, keep: int) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1})
    Trainer(make_model(), recipe, tiny, device="cpu", out=tmp_path).fit()
    path = tmp_path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RecordError, match="not a whole checkpoint"):
        Trainer(make_model(), recipe, tiny, device="cpu", out=tmp_path).fit(resume=True)


def test_a_loss_that_explodes_stops_with_advice(tiny: Dataset, tmp_path: Path) -> None:
    recipe = Recipe(optimizer=SGD(lr=1e6), batch_size=32, epochs=2)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 50), nn.Linear(50, 10))
    with pytest.raises(TrainingError) as caught:
        Trainer(model, recipe, tiny, device="cpu", out=tmp_path).fit()
    message = str(caught.value)
    assert "NaN or infinite in epoch 1, step " in message
    assert "learning rate 1e+06" in message
    assert "eva lr-find" in message
    assert Run.load(tmp_path / "record.json").status == "diverged"


def test_the_step_of_the_first_nan_is_named(tiny: Dataset) -> None:
    class Poisoned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.calls = make_model(), 0

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += self.training
            return self.body(x) * (float("nan") if self.calls == 8 else 1.0)

    with pytest.raises(TrainingError, match="epoch 2, step 2 of 5"):  # the 8th of 5 + 5 steps
        Trainer(Poisoned(), RECIPE, tiny, device="cpu").fit()


def test_out_of_memory_names_a_smaller_batch(tiny: Dataset) -> None:
    class Hungry(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(TrainingError, match=r"batch size 64[\s\S]*batch_size=32"):
        Trainer(Hungry(784, 10), RECIPE, tiny, device="cpu").fit()


def test_devices_that_are_not_there_are_clear_errors(tiny: Dataset) -> None:
    with pytest.raises(DeviceError, match="'gpu'"):
        Trainer(make_model(), RECIPE, tiny, device="gpu")
    if not torch.cuda.is_available():
        with pytest.raises(DeviceError, match=r"'cuda'[\s\S]*--device auto or cpu"):
            Trainer(make_model(), RECIPE, tiny, device="cuda")


def test_another_gpu_than_the_first_is_asked_for_by_what_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert select_device("cuda:0").index == 0
    with pytest.raises(DeviceError, match=r"'cuda:1'[\s\S]*CUDA_VISIBLE_DEVICES=1"):
        select_device("cuda:1")


def test_callbacks_are_called_in_order(tiny: Dataset) -> None:
    seen: list[str] = []

    class Log(Callback):
        def on_fit_start(self, trainer: Trainer) -> None:
            seen.append("start")

        def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
            seen.append(f"epoch {row.epoch}")

        def on_fit_end(self, trainer: Trainer, run: Run) -> None:
            seen.append(f"end {run.status}")

    Trainer(make_model(), RECIPE, tiny, device="cpu", callbacks=[Callback(), Log()]).fit()
    assert seen == ["start", "epoch 0", "epoch 1", "epoch 2", "end finished"]


@pytest.mark.parametrize("scheme", [s for s in Init if s is not Init.DEFAULT])
def test_an_init_scheme_redraws_weights_from_the_seed(scheme: Init, tiny: Dataset) -> None:
    recipe = RECIPE.model_copy(update={"init": scheme})
    one, two, other = make_model(0), make_model(1), make_model(0)
    Trainer(one, recipe, tiny, device="cpu", seed=4)
    Trainer(two, recipe, tiny, device="cpu", seed=4)
    Trainer(other, recipe, tiny, device="cpu", seed=5)
    assert torch.equal(one[0][0].weight, two[0][0].weight)
    assert not torch.equal(one[0][0].weight, other[0][0].weight)


def test_default_init_leaves_the_model_as_it_was_built() -> None:
    model, reference = make_model(), make_model()
    initialize(model, Init.DEFAULT)
    assert same(model, reference)


def test_bf16_and_compiled_runs_are_recorded_as_such(tiny: Dataset) -> None:
    recipe = RECIPE.model_copy(update={"epochs": 1})
    run = Trainer(make_model(), recipe, tiny, device="cpu", bf16=True).fit()
    assert run.device.precision == "bfloat16"
    assert torch.isfinite(torch.tensor(run.rows[0].train_loss))


def test_lr_find_changes_nothing_and_suggests_a_useful_rate(tiny: Dataset) -> None:
    model, reference = make_model(), make_model()
    model.eval()
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    finding = lr_find(model, RECIPE, tiny, device="cpu", steps=60)
    assert torch.equal(torch.rand(2), expected)
    assert same(model, reference)
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert finding == lr_find(model, RECIPE, tiny, device="cpu", steps=60)
    assert 1e-3 < finding.suggestion < 1
    assert list(finding.lrs) == sorted(finding.lrs)
    with pytest.raises(TrainingError, match="0 < lowest < highest"):
        lr_find(model, RECIPE, tiny, lowest=1.0, highest=0.1)


def test_mnist_mini_is_learned_by_a_small_network(mini: Dataset) -> None:
    recipe = Recipe(epochs=3, optimizer=SGD(lr=0.1, nesterov=True), schedule=Triangular())
    torch.manual_seed(0)
    model = nn.Sequential(conv_block(1, 8, 8), nn.MaxPool2d(2), conv_block(8, 12, 12), gap_head(12))
    run = Trainer(model, recipe, load_mini(), device="cpu").fit()
    assert run.rows[-1].test_accuracy > 90
