"""The trainer: one loop, everything on the device, a record of what it measured.

Every draw comes from (seed, epoch) alone, so a run can be repeated bit for bit, and one that was
killed goes on from its last complete epoch as if nothing had happened.

Read downward: ``fit`` goes through the epochs, ``_epoch`` through the steps of one, and ``_step``
learns from one batch.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from eva.builder import Builder, built
from eva.data import Dataset, epoch_order, prepare, to_float
from eva.errors import TrainingError
from eva.kernels.allocator import allocate_from_heap
from eva.kernels.compile import choose_path
from eva.kernels.cuda_graphs import Replayed
from eva.kernels.gpu_dispatch import small_convolutions
from eva.recipe import Recipe
from eva.record import DataInfo, EpochRow, Run
from eva.seeds import derive_seed, seeded
from eva.training.average import average_weight, update_average
from eva.training.callbacks import Callback, ProgressBar, StopTraining
from eva.training.checkpoint import TrainingState, load_checkpoint, require_room, save_run
from eva.training.device import select_device
from eva.training.evaluation import confusion_matrix, evaluate
from eva.training.initialize import initialize
from eva.training.machine import describe_device, describe_versions
from eva.training.optimizer import (
    clip_gradients,
    make_optimizer,
    penalized,
    set_lr,
    set_momentum,
)
from eva.training.stopwatch import Stopwatch
from eva.training.totals import EpochTotals
from eva.training.trial import try_model

_LAYERS, _LAYER = 300, 120  # lines of a record on layers, and characters of each
AT_ONCE = {"cpu": 8, "cuda": 32, "mps": 8}  # batches augmented together: fewer kernels to start


class Trainer:
    """Train a model by a recipe.

    Args:
        model: Maps (batch, channels, height, width) floats, of MNIST (batch, 1, 28, 28), to
            (batch, classes) scores. It is trained in place;
            after :meth:`fit` it holds the weights that were evaluated. A function or class that
            builds one is called first, with ``seed``, as ``eva train`` does.
        recipe: The numbers of the training.
        data: From :func:`eva.load_data`. It is moved to the device.
        device: Where the model is trained: "cpu", "cuda", "mps", or "auto" for the fastest here.
        seed: Decides order, augmentation and dropout (and the weights, where the recipe's ``init``
            is not "default").
        out: Folder for record and checkpoint; None writes nothing.
        name: What the record calls the submission.
        bf16: Run the forward pass in bfloat16 autocast.
        compiled: "on" and "off" insist; "auto" compiles the model where that repays itself, see
            :func:`eva.kernels.compile.choose_path`.
        callbacks: Called in this order; a :class:`ProgressBar` is added where none is among them.

    Raises:
        DeviceError: This machine has no such device, or the model can't be compiled here.
        ForwardError: The model can't run on a batch, does not give a score for each class, or can't
            learn.
        RecipeError: The schedule does not fit so few steps.
        TrainingError: An argument is of another kind, or the model has nothing to train.
        RecordError: ``out`` can't be written to.
    """

    def __init__(
        self,
        model: nn.Module | Builder,
        recipe: Recipe,
        data: Dataset,
        *,
        device: str = "auto",
        seed: int = 0,
        out: str | Path | None = None,
        name: str = "model",
        bf16: bool = False,
        compiled: str = "auto",
        callbacks: Sequence[Callback] = (),
    ) -> None:
        _require_kinds(model, recipe, data)
        model = built(model, seed)
        self.device = select_device(device)
        if self.device.type == "cpu":
            allocate_from_heap()
        self.recipe = recipe
        self.seed = seed
        self.out = None if out is None else Path(out)
        shown = any(isinstance(callback, ProgressBar) for callback in callbacks)
        self.callbacks = [*callbacks] if shown else [ProgressBar(), *callbacks]
        self.bf16 = bf16
        self.data = data.to(self.device)
        recipe.require_fit(self.steps_per_epoch)
        tried = try_model(model, data, recipe.batch_size, self.device)
        self.model: nn.Module = model.to(self.device, memory_format=tried.layout)  # type: ignore[call-overload]
        with seeded(self.device, derive_seed("init", seed)):
            initialize(self.model, recipe.init)
        self.average = copy.deepcopy(self.model) if recipe.ema is not None else None
        self.optimizer = make_optimizer(self.model, recipe)
        self.totals = EpochTotals(self.device)
        self._generator = Generator(self.device)
        self._average_weight = torch.zeros((), device=self.device)
        path = choose_path(
            self.model,
            self.data.normalize(to_float(self.data.train_images[: recipe.batch_size])),
            mode=compiled,
            total=recipe.epochs * len(data.train_labels),
            bf16=bf16,
        )
        self._forward = path.forward
        fast = tried.layout is torch.channels_last and not path.compiled  # what the kernels make
        self._kernels = small_convolutions(self.device, enabled=fast)
        # On a GPU both halves of a step are captured once and then replayed.
        self._prepare = Replayed(self._batch, self.device, generator=self._generator)
        self._learn = Replayed(self._step, self.device, captured=not recipe.cycles_momentum)
        self._stopping = False
        if self.out is not None:
            require_room(self.out, self._state())
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
            device=describe_device(self.device, bf16=bf16, compiled=path.compiled),
            path=path.why,
            versions=describe_versions(),
            started=datetime.now(UTC).isoformat(timespec="seconds"),
            status="running",
            network=tried.network,
            layers=tuple(_layers(model)),
        )

    @property
    def evaluated(self) -> nn.Module:
        """The model whose accuracy counts: the averaged weights where the recipe has an EMA."""
        return self.model if self.average is None else self.average

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps an epoch; the last batch may be smaller."""
        return -(-len(self.data.train_labels) // self.recipe.batch_size)

    def fit(self, *, resume: bool = False) -> Run:
        """Train all epochs; with ``resume``, go on from the checkpoint in ``out`` if there is one.

        Raises:
            TrainingError: The loss is not finite, or the device is out of memory.
            RecordError: The checkpoint is damaged or belongs to another run, or nothing can be
                written to ``out`` any more.
            KeyboardInterrupt: Passed on after the record is saved; resume from there.
        """
        if resume:
            self._resume()
        self._stopping = False
        try:
            self._tell("on_fit_start")
            for epoch in range(len(self.run.rows), self.recipe.epochs):
                if self._stopping:
                    break
                self._tell("on_epoch_start", epoch)
                self._epoch(epoch)
                self._tell("on_epoch_end", self.run.rows[-1])
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
        self._finish("finished" if len(self.run.rows) >= self.recipe.epochs else "stopped")
        self._tell("on_fit_end", self.run)
        return self.run

    def _epoch(self, epoch: int) -> None:
        """Learn from every training image once, test, and write down what came of it."""
        started = time.perf_counter()
        watch = Stopwatch(self.device)
        first = epoch * self.steps_per_epoch
        self.totals.reset()
        self.model.train()
        with seeded(self.device, derive_seed("dropout", self.seed, epoch)):
            for step, (images, labels) in enumerate(self._batches(epoch, watch), first):
                self._set_rates(step)
                self._learn(images, labels)
                self.totals.images += len(labels)
                if self.totals.due():
                    self._require_finite(step)
                    self._tell("on_look", step)
        watch.lap("compute")
        self._require_finite(step)
        watch.stop()
        trained = time.perf_counter()
        with self._kernels:
            result = evaluate(
                self.evaluated,
                self.data.test_images,
                self.data.test_labels,
                self.data.normalize,
            )
        tested = time.perf_counter()
        labels = self.data.test_labels.cpu()
        row = EpochRow(
            epoch=epoch,
            lr=self._lr(step),
            train_loss=self.totals.mean_loss(),
            train_accuracy=self.totals.accuracy(),
            test_loss=result.loss,
            test_accuracy=result.accuracy,
            wrong=tuple((result.predicted != labels).nonzero().flatten().tolist()),
            images_per_second=self.totals.images / (trained - started),
            seconds_train=trained - started,
            seconds_data=watch.seconds["data"],
            seconds_compute=watch.seconds["compute"],
            seconds_test=tested - trained,
        )
        self._write_down(
            row, confusion_matrix(labels, result.predicted, self.data.classes), tested - started
        )

    def _batches(self, epoch: int, watch: Stopwatch) -> Iterator[tuple[Tensor, Tensor]]:
        """Prepared images and their labels; the last batch may be smaller."""
        size = self.recipe.batch_size
        self._generator.manual_seed(derive_seed("augment", self.seed, epoch))
        order = epoch_order(len(self.data.train_labels), self.seed, epoch).to(self.device)
        for index in torch.split(order, size * AT_ONCE[self.device.type]):
            watch.lap("compute")
            images, labels = self._prepare(index)
            watch.lap("data")
            yield from zip(torch.split(images, size), torch.split(labels, size), strict=True)

    def _batch(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """Training images of an index, augmented and normalized, and their labels."""
        images = self.data.train_images[index]
        prepared = prepare(images, self.recipe, self._generator, self.data.normalize)
        return prepared, self.data.train_labels[index]

    def _step(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward, and a step of the optimizer; nothing here waits for the device."""
        recipe = self.recipe
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16), self._kernels:
            scores = self._forward(images)
        loss = F.cross_entropy(scores.float(), labels, label_smoothing=recipe.label_smoothing)
        self.optimizer.zero_grad()
        penalized(loss, self.model, recipe).backward()  # type: ignore[no-untyped-call]
        clip_gradients(self.model, recipe)
        self.optimizer.step()
        if self.average is not None:
            update_average(self.average, self.model, self._average_weight)
        self.totals.add(loss, scores, labels)

    def _lr(self, step: int) -> float:
        losses = [row.train_loss for row in self.run.rows[: step // self.steps_per_epoch]]
        return self.recipe.lr(step, self.steps_per_epoch, losses)

    def _set_rates(self, step: int) -> None:
        """Write what changes from step to step where the step reads it."""
        set_lr(self.optimizer, self._lr(step))
        momentum = self.recipe.momentum(step, self.steps_per_epoch)
        if momentum is not None:
            set_momentum(self.optimizer, momentum)
        if self.recipe.ema is not None:
            self._average_weight.fill_(average_weight(self.recipe.ema, step))

    def _require_finite(self, step: int) -> None:
        """Stop a run whose loss was NaN or infinite at this step or before, in its epoch."""
        steps = self.steps_per_epoch
        epoch, done = divmod(step, steps)
        first_bad = self.totals.finite_steps()
        if first_bad > done:
            return
        self._finish("diverged")
        raise TrainingError(
            f"the loss became NaN or infinite in epoch {epoch + 1}, step {first_bad} of {steps}, "
            f"at learning rate {self._lr(epoch * steps + first_bad):g}.",
            "Try a tenth of the learning rate (`eva lr-find` suggests one), a schedule with a "
            "warm-up, or a BatchNorm after each convolution.",
        )

    def _write_down(
        self, row: EpochRow, confused: tuple[tuple[int, ...], ...], seconds: float
    ) -> None:
        """Add an epoch to the record, and save record and checkpoint."""
        added = {"rows": (*self.run.rows, row), "confusion": confused}
        self.run = self.run.model_copy(update=added | {"seconds": self.run.seconds + seconds})
        if self.out is not None:
            save_run(self.out, self.run, self._state())

    def _resume(self) -> None:
        """Take the place of the run whose checkpoint is in ``out``, if there is one."""
        if self.out is not None:
            self.run = load_checkpoint(self.out / "checkpoint.pt", self.run, self._state())
            self._learn.forget()  # the optimizer's tensors are others now

    def _finish(self, status: Literal["finished", "stopped", "interrupted", "diverged"]) -> None:
        self.run = self.run.model_copy(update={"status": status})
        if self.out is not None:
            save_run(self.out, self.run)

    def _state(self) -> TrainingState:
        return TrainingState(model=self.model, average=self.average, optimizer=self.optimizer)

    def _tell(self, moment: str, *what: object) -> None:
        """Call a moment of every callback; any of them may ask to stop."""
        for callback in self.callbacks:
            try:
                getattr(callback, moment)(self, *what)
            except StopTraining:
                self._stopping = True


def _layers(model: nn.Module) -> Iterator[str]:
    """A line for each layer that holds no other, of a length that a record can bear."""
    leaves = ((name, one) for name, one in model.named_modules() if not [*one.children()])
    for name, one in itertools.islice(leaves, _LAYERS):
        yield f"{name or 'model'}: {' '.join(str(one).split())}"[:_LAYER]


def _require_kinds(model: object, recipe: object, data: object) -> None:
    """Refuse arguments of another kind, and say what to write."""
    for name, value, kind, hint in (
        ("model", model, nn.Module, "Write Trainer(build_model, recipe, data)."),
        ("recipe", recipe, Recipe, "Write Recipe(epochs=15, optimizer=SGD(lr=0.1))."),
        ("data", data, Dataset, 'Write eva.load_data("mnist").'),
    ):
        builds = kind is nn.Module and callable(value)
        if not builds and not isinstance(value, kind):
            found = f"the class {value.__name__}" if isinstance(value, type) else repr(value)
            raise TrainingError(f"{name} should be a {kind.__name__}, got {found:.100}.", hint)
