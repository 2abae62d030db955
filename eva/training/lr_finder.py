"""Learning-rate range test: let the rate rise step by step and watch the loss."""

from __future__ import annotations

import copy
import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn
from tqdm import tqdm

from eva.data import Dataset, epoch_order, prepare
from eva.errors import TrainingError
from eva.recipe import Recipe
from eva.seeds import derive_seed, seeded
from eva.training.callbacks.progress import somebody_looks
from eva.training.device import select_device
from eva.training.initialize import initialize
from eva.training.optimizer import clip_gradients, make_optimizer, penalized, set_lr
from eva.training.trial import try_model

SMOOTHING = 0.9  # of the running mean of the loss
GIVE_UP = 4.0  # times the best loss, where the test ends
FEWEST = 20  # steps; with fewer, the curve has no shape
TIMED = 3  # steps, the first of which is not counted


@dataclass(frozen=True, kw_only=True)
class LRFinding:
    """Smoothed losses met at rising learning rates.

    Attributes:
        lrs: The rates, rising.
        losses: The smoothed training loss at each.
        suggestion: The rate where the loss fell fastest.
    """

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float

    @property
    def safe(self) -> float:
        """A tenth of the rate where the loss was lowest: far from where it rises again."""
        return self.lrs[self.losses.index(min(self.losses))] / 10

    def recipe_line(self, recipe: Recipe) -> str:
        """The line of a recipe that trains with the safe rate, to copy."""
        optimizer = recipe.optimizer.model_copy(update={"lr": float(f"{self.safe:.1g}")})
        return f"optimizer={optimizer!r},"


def lr_find(
    model: nn.Module,
    recipe: Recipe,
    data: Dataset,
    *,
    device: str = "auto",
    seed: int = 0,
    lowest: float = 1e-4,
    highest: float = 1.0,
    steps: int = 100,
    seconds: float | None = None,
) -> LRFinding:
    """Train a copy of the model for some steps at exponentially rising learning rates.

    The model, its buffers and all random state are left as they are. The suggestion is the rate
    of steepest descent of the smoothed loss.

    Args:
        model: Maps (batch, channels, height, width) floats to (batch, classes) scores.
        recipe: The numbers of the training, but for its learning rate and schedule.
        data: From :func:`eva.load_data`.
        device: Where the copy is trained: "cpu", "cuda", "mps", or "auto" for the fastest here.
        seed: Decides order, augmentation and dropout.
        lowest: The first learning rate.
        highest: The last one, unless the loss explodes before.
        steps: How many rates, at least 10.
        seconds: Take fewer steps, but at least 20, where ``steps`` would take longer than this.

    Raises:
        TrainingError: The range is empty, or the loss was never finite.
        ForwardError: The model can't run on a batch, does not give a score for each class, or can't
            learn.

    References:
        Smith: Cyclical Learning Rates for Training Neural Networks, 2017.
    """
    if not 0 < lowest < highest or steps < 10:
        raise TrainingError(
            f"lr_find needs 0 < lowest < highest and at least 10 steps, got {lowest}, {highest} "
            f"and {steps}."
        )
    where = select_device(device)
    layout = try_model(model, data, recipe.batch_size, where).layout
    data = data.to(where)
    copied = copy.deepcopy(model).to(where, memory_format=layout)  # type: ignore[call-overload]
    if seconds is not None:
        steps = _affordable(copy.deepcopy(copied), recipe, data, seed, seconds, steps)
    rates = [lowest * (highest / lowest) ** (step / (steps - 1)) for step in range(steps)]
    lrs: list[float] = []
    losses: list[float] = []
    running = 0.0
    bar = tqdm(total=steps, desc="lr-find", leave=False, disable=not somebody_looks(), unit="it")
    with seeded(where, derive_seed("lr_find", seed)):
        initialize(copied, recipe.init)
        for loss in _losses(copied, recipe, data, seed, rates):
            lr, done = rates[len(lrs)], len(lrs) + 1
            running = SMOOTHING * running + (1 - SMOOTHING) * loss
            smoothed = running / (1 - SMOOTHING**done)  # as in Adam: unbiased at the start
            if not math.isfinite(smoothed) or (losses and smoothed > GIVE_UP * min(losses)):
                break
            lrs.append(lr)
            losses.append(smoothed)
            bar.update()
    bar.close()
    if len(losses) < 3:
        raise TrainingError(
            f"the loss was not finite from learning rate {lowest:g} on.",
            "Check the model's outputs with `eva check`, or start lower.",
        )
    slopes = [after - before for before, after in itertools.pairwise(losses)]
    return LRFinding(
        lrs=tuple(lrs), losses=tuple(losses), suggestion=lrs[slopes.index(min(slopes))]
    )


def _affordable(
    model: nn.Module, recipe: Recipe, data: Dataset, seed: int, seconds: float, steps: int
) -> int:
    """How many steps can be taken in that time, by timing a few of them."""
    with seeded(data.train_images.device, seed):
        timed = _losses(model, recipe, data, seed, [1e-6] * TIMED)
        next(timed)
        started = time.perf_counter()
        for _ in timed:
            pass
    each = (time.perf_counter() - started) / (TIMED - 1)
    return max(min(FEWEST, steps), min(steps, int(seconds / each)))


def _losses(
    model: nn.Module, recipe: Recipe, data: Dataset, seed: int, rates: list[float]
) -> Iterator[float]:
    """Take a step of training at each rate, and yield its loss before the step."""
    where = data.train_images.device
    model.train()
    optimizer = make_optimizer(model, recipe)
    generator = Generator(where).manual_seed(derive_seed("augment", seed))
    indices: Iterator[Tensor] = iter(())
    for step, lr in enumerate(rates):
        index = next(indices, None)
        if index is None:
            order = epoch_order(len(data.train_labels), seed, step).to(where)
            indices = iter(torch.split(order, recipe.batch_size))
            index = next(indices)
        set_lr(optimizer, lr)
        images = prepare(data.train_images[index], recipe, generator, data.normalize)
        scores = model(images)
        loss = F.cross_entropy(
            scores, data.train_labels[index], label_smoothing=recipe.label_smoothing
        )
        optimizer.zero_grad()
        penalized(loss, model, recipe).backward()  # type: ignore[no-untyped-call]
        clip_gradients(model, recipe)
        optimizer.step()
        yield loss.item()
