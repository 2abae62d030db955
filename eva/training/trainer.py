"""The trainer: one plain loop, everything on the device, a record of what it measured.

Every draw comes from (seed, epoch) alone, so a run can be repeated bit for bit, and one that was
killed goes on from its last complete epoch as if nothing had happened.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm.auto import tqdm

from eva.data import Dataset, epoch_order, normalize, to_float
from eva.data.augment import augment
from eva.errors import TrainingError
from eva.kernels.compile import compile_model
from eva.kernels.cuda_graphs import Replayed
from eva.kernels.gpu_dispatch import small_convolutions
from eva.kernels.memory_format import fastest_layout
from eva.recipe import Recipe
from eva.record import DataInfo, EpochRow, Run
from eva.seeds import derive_seed, seeded
from eva.training.checkpoint import TrainingState, load_checkpoint, save_checkpoint
from eva.training.device import (
    Stopwatch,
    allocate_from_heap,
    describe_device,
    describe_versions,
    select_device,
)
from eva.training.evaluation import confusion, evaluate
from eva.training.optimizer import (
    average_weight,
    initialize,
    make_optimizer,
    set_lr,
    update_average,
)

REFRESH = 0.5  # seconds between two looks at the loss; each look waits for the device
AT_ONCE = {"cpu": 8, "cuda": 32, "mps": 8}  # batches augmented together: fewer kernels to start


class Callback:
    """What may be done along the way; every method does nothing unless overridden."""

    def on_fit_start(self, trainer: Trainer) -> None:
        """Before the first epoch, or after a checkpoint was loaded."""

    def on_epoch_end(self, trainer: Trainer, row: EpochRow) -> None:
        """After an epoch was evaluated and its checkpoint written."""

    def on_fit_end(self, trainer: Trainer, run: Run) -> None:
        """After the last epoch."""


class Trainer:
    """Train a model by a recipe.

    Args:
        model: Maps (batch, 1, 28, 28) floats to (batch, classes) scores. It is trained in place;
            after :meth:`fit` it holds the weights that were evaluated.
        recipe: How to train.
        data: From :func:`eva.load_data`; moved to the device.
        device: "auto", "cpu", "cuda" or "mps".
        seed: Of order, augmentation and dropout (and of the weights, where the recipe's ``init``
            is not "default").
        out: Folder for record and checkpoint; None writes nothing.
        name: Of the submission, for the record.
        bf16: Run the forward pass in bfloat16 autocast.
        compiled: Run the model through :func:`eva.kernels.compile.compile_model`.
        callbacks: Called in order.
    """

    def __init__(
        self,
        model: nn.Module,
        recipe: Recipe,
        data: Dataset,
        *,
        device: str = "auto",
        seed: int = 0,
        out: str | Path | None = None,
        name: str = "model",
        bf16: bool = False,
        compiled: bool = False,
        callbacks: Sequence[Callback] = (),
    ) -> None:
        self.device = select_device(device)
        if self.device.type == "cpu":
            allocate_from_heap()
        self.recipe = recipe
        self.seed = seed
        self.out = None if out is None else Path(out)
        self.callbacks = callbacks
        self.bf16 = bf16
        self.data = data.to(self.device)
        layout = fastest_layout(model, data)
        self.model: nn.Module = model.to(self.device, memory_format=layout)  # type: ignore[call-overload]
        with seeded(self.device, derive_seed("init", seed)):
            initialize(self.model, recipe.init)
        self.average = copy.deepcopy(self.model) if recipe.ema is not None else None
        self.optimizer = make_optimizer(self.model, recipe)
        self._generator = Generator(self.device)
        self._average_weight = torch.zeros((), device=self.device)
        self._loss = torch.zeros((), device=self.device)  # these three are sums over an epoch
        self._correct = torch.zeros((), device=self.device, dtype=torch.int64)
        self._finite = torch.zeros((), device=self.device, dtype=torch.int64)
        self._forward = compile_model(model, recipe.batch_size) if compiled else model
        fast = layout is torch.channels_last and not compiled  # what the kernels make
        self._kernels = small_convolutions(self.device, enabled=fast)
        self.run = Run(
            submission=name,
            recipe=recipe,
            seed=seed,
            parameters=sum(p.numel() for p in self.model.parameters()),
            data=DataInfo(
                name=data.name,
                checksum=data.checksum,
                train_size=len(data.train_labels),
                test_size=len(data.test_labels),
            ),
            device=describe_device(self.device, bf16=bf16, compiled=compiled),
            versions=describe_versions(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            status="running",
        )

    @property
    def evaluated(self) -> nn.Module:
        """The model whose accuracy counts: the averaged weights where the recipe has an EMA."""
        return self.model if self.average is None else self.average

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch; the last batch may be smaller."""
        return -(-self.run.data.train_size // self.recipe.batch_size)

    def fit(self, *, resume: bool = False) -> Run:
        """Train all epochs; with ``resume``, go on from the checkpoint in ``out`` if there is one.

        Raises:
            TrainingError: The loss is not finite, or the device is out of memory.
            RecordError: The checkpoint is damaged or belongs to another run.
            KeyboardInterrupt: Passed on after the record is saved; resume from there.
        """
        if resume and self.out is not None:
            self.run = load_checkpoint(self.out / "checkpoint.pt", self.run, self._state())
        # Made here: a checkpoint's tensors take the places of those that were there before.
        self._prepare = Replayed(self._augmented, self.device, generator=self._generator)
        self._learn = Replayed(self._step, self.device)
        for callback in self.callbacks:
            callback.on_fit_start(self)
        try:
            for epoch in range(len(self.run.rows), self.recipe.epochs):
                self._epoch(epoch)
        except KeyboardInterrupt:
            self._finish("interrupted")
            raise
        except torch.OutOfMemoryError as error:
            self._finish("interrupted")
            size = self.recipe.batch_size
            raise TrainingError(
                f"{self.device} is out of memory at batch size {size}.",
                f"Try batch_size={max(1, size // 2)} in the recipe.",
            ) from error
        if self.average is not None:
            self.model.load_state_dict(self.average.state_dict())
        self._finish("finished")
        for callback in self.callbacks:
            callback.on_fit_end(self, self.run)
        return self.run

    def _epoch(self, epoch: int) -> None:
        started = time.perf_counter()
        with seeded(self.device, derive_seed("dropout", self.seed, epoch)):
            loss, accuracy, watch = self._train_epoch(epoch)
        trained = time.perf_counter()
        with self._kernels:
            result = evaluate(self.evaluated, self.data.test_images, self.data.test_labels)
        ended = time.perf_counter()
        labels = self.data.test_labels.cpu()
        steps = self.steps_per_epoch
        row = EpochRow(
            epoch=epoch,
            lr=self.recipe.lr((epoch + 1) * steps - 1, steps),
            train_loss=loss,
            train_accuracy=accuracy,
            test_loss=result.loss,
            test_accuracy=result.accuracy,
            wrong=tuple((result.predicted != labels).nonzero().flatten().tolist()),
            images_per_second=self.run.data.train_size / (trained - started),
            seconds_train=trained - started,
            seconds_data=watch.seconds["data"],
            seconds_compute=watch.seconds["compute"],
            seconds_test=ended - trained,
        )
        self.run = self.run.model_copy(
            update={
                "rows": (*self.run.rows, row),
                "confusion": confusion(labels, result.predicted),
                "seconds": self.run.seconds + ended - started,
            }
        )
        self._save()
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def _train_epoch(self, epoch: int) -> tuple[float, float, Stopwatch]:
        """One pass over the training images: mean loss, accuracy in percent, and the time."""
        recipe, steps = self.recipe, self.steps_per_epoch
        self._generator.manual_seed(derive_seed("augment", self.seed, epoch))
        order = epoch_order(self.run.data.train_size, self.seed, epoch).to(self.device)
        watch = Stopwatch(self.device)
        for total in (self._loss, self._correct, self._finite):
            total.zero_()
        seen = 0
        self.model.train()
        bar = tqdm(total=steps, desc=f"epoch {epoch:2d}", leave=False, disable=None, unit="it")
        looked = time.monotonic()
        for step, (images, labels) in enumerate(self._batches(order, watch), epoch * steps):
            set_lr(self.optimizer, recipe.lr(step, steps))
            if recipe.ema is not None:
                self._average_weight.fill_(average_weight(recipe.ema, step))
            self._learn(images, labels)
            seen += len(labels)
            bar.update()
            # A look waits for the device. A GPU is far behind, and would stand still after it.
            if self.device.type != "cuda" and time.monotonic() - looked > REFRESH:
                self._check_finite(step)
                loss, correct = self._loss.item() / seen, self._correct.item() / seen
                bar.set_postfix_str(f"loss {loss:.4f}, train {100 * correct:.2f} %")
                looked = time.monotonic()
        watch.lap("compute")
        bar.close()
        self._check_finite(step)
        watch.stop()
        return self._loss.item() / seen, 100 * self._correct.item() / seen, watch

    def _batches(self, order: Tensor, watch: Stopwatch) -> Iterator[tuple[Tensor, Tensor]]:
        """Augmented images and labels of the recipe's batch size; the last may be smaller."""
        size = self.recipe.batch_size
        for index in torch.split(order, size * AT_ONCE[self.device.type]):
            watch.lap("compute")
            images, labels = self._prepare(index)
            watch.lap("data")
            yield from zip(torch.split(images, size), torch.split(labels, size), strict=True)

    def _augmented(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Images of an index, augmented and normalized, and their labels."""
        images = to_float(self.data.train_images[index])
        images = augment(images, self.recipe.augment, self._generator, self.recipe.interpolation)
        return normalize(images), self.data.train_labels[index]

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward, and a step of the optimizer; nothing here waits for the device."""
        smoothing = self.recipe.label_smoothing
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16), self._kernels:
            scores = self._forward(images)
        loss = F.cross_entropy(scores.float(), labels, label_smoothing=smoothing)
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            update_average(self.average, self.model, self._average_weight)
        with torch.no_grad():
            self._loss.add_(loss, alpha=len(labels))
            self._correct += (scores.argmax(1) == labels).sum()
            self._finite += self._loss - self._loss == 0  # if finite; once it is not, it stays so

    def _check_finite(self, step: int) -> None:
        """Stop a run whose loss was NaN or infinite at this step or before, in its epoch."""
        steps = self.steps_per_epoch
        epoch, done = divmod(step, steps)
        first_bad = int(self._finite.item())
        if first_bad > done:
            return
        self._finish("diverged")
        raise TrainingError(
            f"the loss became NaN or infinite in epoch {epoch}, step {first_bad} of {steps}, at "
            f"learning rate {self.recipe.lr(epoch * steps + first_bad, steps):g}.",
            "Try a tenth of the learning rate (`eva lr-find` suggests one), a schedule with a "
            "warm-up, or a BatchNorm after each convolution.",
        )

    def _finish(self, status: Literal["finished", "interrupted", "diverged"]) -> None:
        self.run = self.run.model_copy(update={"status": status})
        if self.out is not None:
            self.run.save(self.out / "record.json")

    def _save(self) -> None:
        if self.out is not None:
            save_checkpoint(self.out / "checkpoint.pt", self.run, self._state())
            self.run.save(self.out / "record.json")

    def _state(self) -> TrainingState:
        return TrainingState(model=self.model, average=self.average, optimizer=self.optimizer)
