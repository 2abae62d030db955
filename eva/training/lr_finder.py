"""Learning-rate range test: let the rate rise step by step and watch the loss."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Generator, nn

from eva.data import Dataset, batches, epoch_order, normalize, to_float
from eva.data.augment import augment
from eva.errors import TrainingError
from eva.kernels.memory_format import fastest_layout
from eva.recipe import Recipe
from eva.seeds import derive_seed, seeded
from eva.training.device import select_device
from eva.training.optimizer import initialize, make_optimizer, set_lr

SMOOTHING = 0.9  # of the running mean of the loss
GIVE_UP = 4.0  # times the best loss, where the test ends


@dataclass(frozen=True, kw_only=True)
class LRFinding:
    """Smoothed ``losses`` met at rising ``lrs``, and the rate where the loss fell fastest."""

    lrs: tuple[float, ...]
    losses: tuple[float, ...]
    suggestion: float


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
) -> LRFinding:
    """Train a copy of the model for some steps at exponentially rising learning rates.

    The model, its buffers and all random state are left as they are. The suggestion is the rate
    of steepest descent of the smoothed loss.

    Raises:
        TrainingError: The range is empty, or the loss was never finite.

    References:
        Smith: Cyclical Learning Rates for Training Neural Networks, 2017.
    """
    if not 0 < lowest < highest or steps < 10:
        raise TrainingError(
            f"lr_find needs 0 < lowest < highest and at least 10 steps, got {lowest}, {highest} "
            f"and {steps}."
        )
    where = select_device(device)
    layout = fastest_layout(model, data)
    data = data.to(where)
    lrs: list[float] = []
    losses: list[float] = []
    running = 0.0
    with seeded(where, derive_seed("lr_find", seed)):
        copied = copy.deepcopy(model).to(where, memory_format=layout)  # type: ignore[call-overload]
        initialize(copied, recipe.init)
        copied.train()
        optimizer = make_optimizer(copied, recipe)
        generator = Generator(where).manual_seed(derive_seed("augment", seed))
        for step in range(steps):
            if step % -(-len(data.train_labels) // recipe.batch_size) == 0:
                order = epoch_order(len(data.train_labels), seed, step)
                loader = batches(data.train_images, data.train_labels, order, recipe.batch_size)
            images, labels = next(loader)
            images = to_float(images)
            images = augment(images, recipe.augment, generator, recipe.interpolation)
            images = normalize(images)
            lr = lowest * (highest / lowest) ** (step / (steps - 1))
            set_lr(optimizer, lr)
            loss = F.cross_entropy(copied(images), labels, label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            running = SMOOTHING * running + (1 - SMOOTHING) * loss.item()
            smoothed = running / (1 - SMOOTHING ** (step + 1))  # as in Adam: unbiased at the start
            if not math.isfinite(smoothed) or (losses and smoothed > GIVE_UP * min(losses)):
                break
            lrs.append(lr)
            losses.append(smoothed)
    if len(losses) < 3:
        raise TrainingError(
            f"the loss was not finite from learning rate {lowest:g} on.",
            "Check the model's outputs with `eva check`, or start lower.",
        )
    slopes = [after - before for before, after in itertools.pairwise(losses)]
    return LRFinding(
        lrs=tuple(lrs), losses=tuple(losses), suggestion=lrs[slopes.index(min(slopes))]
    )
