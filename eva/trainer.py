"""The trainer: one plain loop, everything on the device, a record of what it measured.

Every draw comes from (seed, epoch) alone, so a run can be repeated bit for bit, and one that was
killed goes on from its last complete epoch as if nothing had happened.
"""

from __future__ import annotations

import copy
import io
import json
import pickle
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm.auto import tqdm

from eva.augment import augment
from eva.data import Dataset, batches, derive_seed, epoch_order, normalise, to_float
from eva.device import Stopwatch, describe_device, describe_versions, seeded, select_device
from eva.errors import RecordError, TrainingError
from eva.evaluation import confusion, evaluate
from eva.optimization import initialise, make_optimizer, update_average
from eva.recipe import Recipe
from eva.record import DataInfo, EpochRow, Run, write_atomically

REFRESH = 0.5  # seconds between two looks at the loss; each look waits for the device
NEVER = 2**31 - 1  # a step that no run reaches


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
        compiled: Run the model through :func:`torch.compile`.
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
        self.recipe = recipe
        self.seed = seed
        self.out = None if out is None else Path(out)
        self.callbacks = callbacks
        self.bf16 = bf16
        checksum = data.checksum
        self.data = data.to(self.device)
        # channels_last is what the convolution kernels want: a third faster here on a CPU.
        self.model: nn.Module = model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        with seeded(self.device, derive_seed("init", seed)):
            initialise(self.model, recipe.init)
        self.average = copy.deepcopy(self.model) if recipe.ema is not None else None
        self.optimizer = make_optimizer(self.model, recipe)
        self._forward: Callable[[Tensor], Tensor] = (
            torch.compile(self.model) if compiled else self.model
        )
        self.run = Run(
            submission=name,
            recipe=recipe,
            seed=seed,
            parameters=sum(p.numel() for p in self.model.parameters()),
            data=DataInfo(
                name=data.name,
                checksum=checksum,
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
        """Optimiser steps an epoch; the last batch may be smaller."""
        return -(-self.run.data.train_size // self.recipe.batch_size)

    def fit(self, *, resume: bool = False) -> Run:
        """Train all epochs; with ``resume``, go on from the checkpoint in ``out`` if there is one.

        Raises:
            TrainingError: The loss is not finite, or the device is out of memory.
            RecordError: The checkpoint is damaged or belongs to another run.
            KeyboardInterrupt: Passed on after the record is saved; resume from there.
        """
        if resume:
            self._load_checkpoint()
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
        self._save_checkpoint()
        for callback in self.callbacks:
            callback.on_epoch_end(self, row)

    def _train_epoch(self, epoch: int) -> tuple[float, float, Stopwatch]:
        """One pass over the training images: mean loss, accuracy in percent, and the time."""
        recipe, steps = self.recipe, self.steps_per_epoch
        generator = Generator(self.device).manual_seed(derive_seed("augment", self.seed, epoch))
        order = epoch_order(self.run.data.train_size, self.seed, epoch)
        watch = Stopwatch(self.device)
        total = torch.zeros((), device=self.device)
        correct = torch.zeros((), device=self.device, dtype=torch.int64)
        first_bad = torch.full((), NEVER, device=self.device)
        seen = 0
        self.model.train()
        loader = batches(self.data.train_images, self.data.train_labels, order, recipe.batch_size)
        bar = tqdm(total=steps, desc=f"epoch {epoch:2d}", leave=False, disable=None, unit="it")
        looked = time.monotonic()
        for step, (images, labels) in enumerate(loader, start=epoch * steps):
            images = to_float(images)
            images = augment(images, recipe.augment, generator, recipe.interpolation)
            images = normalise(images)
            watch.lap("data")
            for group in self.optimizer.param_groups:
                group["lr"] = recipe.lr(step, steps)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                scores = self._forward(images)
            loss = F.cross_entropy(scores.float(), labels, label_smoothing=recipe.label_smoothing)
            self.optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            if self.average is not None and recipe.ema is not None:
                update_average(self.average, self.model, recipe.ema, step)
            with torch.no_grad():
                total += loss * len(labels)
                correct += (scores.argmax(1) == labels).sum()
                first_bad.clamp_(max=torch.where(loss.isfinite(), NEVER, step))
            seen += len(labels)
            watch.lap("compute")
            bar.update()
            if time.monotonic() - looked > REFRESH or seen == self.run.data.train_size:
                self._check_finite(int(first_bad.item()))
                bar.set_postfix_str(f"loss {total / seen:.4f}, train {100 * correct / seen:.2f} %")
                looked = time.monotonic()
        bar.close()
        watch.stop()
        return total.item() / seen, 100 * correct.item() / seen, watch

    def _check_finite(self, first_bad: int) -> None:
        """Stop a run whose loss was NaN or infinite at the step ``first_bad``."""
        if first_bad == NEVER:
            return
        self._finish("diverged")
        steps = self.steps_per_epoch
        epoch, step = divmod(first_bad, steps)
        raise TrainingError(
            f"the loss became NaN or infinite in epoch {epoch}, step {step} of {steps}, at "
            f"learning rate {self.recipe.lr(first_bad, steps):g}.",
            "Try a tenth of the learning rate (`eva lr-find` suggests one), a schedule with a "
            "warm-up, or a BatchNorm after each convolution.",
        )

    def _finish(self, status: Literal["finished", "interrupted", "diverged"]) -> None:
        self.run = self.run.model_copy(update={"status": status})
        if self.out is not None:
            self.run.save(self.out / "record.json")

    def _save_checkpoint(self) -> None:
        if self.out is None:
            return
        buffer = io.BytesIO()
        torch.save(
            {
                "run": self.run.to_json(),
                "model": self.model.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
                "optimizer": self.optimizer.state_dict(),
            },
            buffer,
        )
        write_atomically(self.out / "checkpoint.pt", buffer.getvalue())
        self.run.save(self.out / "record.json")

    def _load_checkpoint(self) -> None:
        path = None if self.out is None else self.out / "checkpoint.pt"
        if path is None or not path.exists():
            return
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            run = Run.from_json(json.loads(state["run"]), str(path))
        except (OSError, RuntimeError, EOFError, KeyError, ValueError, pickle.PickleError) as error:
            raise RecordError(
                f"{path} is not a whole checkpoint: {error}.", "Delete it and train again."
            ) from error
        for key in ("submission", "recipe", "seed", "parameters", "data", "device"):
            ours, theirs = getattr(self.run, key), getattr(run, key)
            if ours != theirs:
                raise RecordError(
                    f"{path} belongs to another run: its {key} is {theirs}, not {ours}.",
                    "Resume with what it was started with, or choose another folder with --out.",
                )
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.run = run.model_copy(update={"status": "running"})
