"""Every optimizer, schedule and penalty of a recipe trains as a plain loop of PyTorch does."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Generator, nn
from torch.optim import lr_scheduler

from eva.data import Dataset, epoch_order, prepare
from eva.errors import RecipeError
from eva.recipe import (
    SGD,
    AdamW,
    MultiStep,
    OneCycle,
    Plateau,
    Recipe,
    RMSprop,
)
from eva.seeds import derive_seed
from eva.training.trainer import Trainer

SIZE, EPOCHS = 64, 4
STEPS = 5  # an epoch, of 300 images


def make_model() -> nn.Sequential:
    """A smooth one, in which differences of rounding do not grow."""
    torch.manual_seed(1)
    return nn.Sequential(
        nn.AvgPool2d(4), nn.Flatten(), nn.Linear(49, 12), nn.Tanh(), nn.Linear(12, 10)
    )


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)


def plain_loop(
    recipe: Recipe,
    data: Dataset,
    make: Callable[[nn.Module], torch.optim.Optimizer],
    schedule: Callable[[torch.optim.Optimizer], object] | None = None,
    each: str = "step",
) -> tuple[nn.Module, list[float], list[float]]:
    """Train as PyTorch's tutorials do; returns the model, rates and momenta of all steps."""
    model = make_model()
    optimizer = make(model)
    scheduler = schedule(optimizer) if schedule else None
    generator = Generator()
    rates, momenta = [], []
    model.train()
    for epoch in range(recipe.epochs):
        generator.manual_seed(derive_seed("augment", 0, epoch))
        order = epoch_order(len(data.train_labels), 0, epoch)
        # The trainer augments several batches at once, from the same draws.
        images = prepare(data.train_images[order], recipe, generator)
        total = 0.0
        for index in torch.split(torch.arange(len(order)), recipe.batch_size):
            group = optimizer.param_groups[0]
            rates.append(float(group["lr"]))
            momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
            labels = data.train_labels[order[index]]
            loss = F.cross_entropy(model(images[index]), labels)
            total += loss.item() * len(index)
            if recipe.l1:
                loss = loss + recipe.l1 * sum(p.abs().sum() for p in model.parameters())
            optimizer.zero_grad()
            loss.backward()
            if recipe.clip_grad_norm is not None:
                nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad_norm)
            optimizer.step()
            if scheduler is not None and each == "step" and len(rates) < recipe.epochs * STEPS:
                scheduler.step()
        if scheduler is not None and each == "epoch":
            scheduler.step()
        if scheduler is not None and each == "loss":
            scheduler.step(total / len(order))
    return model, rates, momenta


def assert_same(ours: nn.Module, theirs: nn.Module) -> None:
    pairs = zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    for mine, other in pairs:
        assert torch.allclose(mine.float(), other.float(), rtol=1e-4, atol=1e-5)


def recipe(**values: object) -> Recipe:
    return Recipe(**{"epochs": EPOCHS, "batch_size": SIZE, "optimizer": SGD(0.05)} | values)


PARTS = {
    "l1": (recipe(l1=1e-3), sgd, None, "step"),
    "clipped": (recipe(clip_grad_norm=0.05), sgd, None, "step"),
    "rmsprop": (
        recipe(optimizer=RMSprop(0.002, alpha=0.9, momentum=0.5, centered=True), weight_decay=1e-3),
        lambda model: torch.optim.RMSprop(
            model.parameters(), 0.002, 0.9, momentum=0.5, centered=True, weight_decay=1e-3
        ),
        None,
        "step",
    ),
    "milestones": (
        recipe(schedule=MultiStep((1, 3), factor=0.5)),
        sgd,
        lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5),
        "epoch",
    ),
    "momentum of SGD": (
        recipe(schedule=OneCycle(momentum=(0.85, 0.95))),
        sgd,
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=EPOCHS * STEPS),
        "step",
    ),
    "momentum of AdamW": (
        recipe(optimizer=AdamW(0.01), schedule=OneCycle(peak_at=0.5, momentum=(0.8, 0.9))),
        lambda model: torch.optim.AdamW(model.parameters(), 0.01, weight_decay=0),
        lambda optimizer: lr_scheduler.OneCycleLR(
            optimizer,
            0.01,
            total_steps=EPOCHS * STEPS,
            pct_start=0.5,
            base_momentum=0.8,
            max_momentum=0.9,
        ),
        "step",
    ),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_training_is_the_plain_loops(part: str, tiny: Dataset) -> None:
    recipe, make, schedule, each = PARTS[part]
    model = make_model()
    run = Trainer(model, recipe, tiny, device="cpu").fit()
    theirs, rates, momenta = plain_loop(recipe, tiny, make, schedule, each)
    assert_same(model, theirs)
    ours = [recipe.lr(step, STEPS) for step in range(EPOCHS * STEPS)]
    assert ours == pytest.approx(rates, rel=1e-6)
    assert [row.lr for row in run.rows] == pytest.approx(rates[STEPS - 1 :: STEPS], rel=1e-6)
    if recipe.cycles_momentum:
        ours = [recipe.momentum(step, STEPS) for step in range(EPOCHS * STEPS)]
        assert ours == pytest.approx(momenta)


@pytest.mark.parametrize("patience", [0, 1])
def test_plateau_is_pytorchs(patience: int, tiny: Dataset) -> None:
    slow = recipe(
        epochs=6, optimizer=SGD(1e-6), schedule=Plateau(factor=0.3, patience=patience)
    )  # the loss hardly falls
    model = make_model()
    run = Trainer(model, slow, tiny, device="cpu").fit()
    theirs, rates, _ = plain_loop(
        slow,
        tiny,
        lambda model: torch.optim.SGD(model.parameters(), lr=1e-6, momentum=0.9),
        lambda optimizer: lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.3, patience=patience),
        each="loss",
    )
    assert [row.lr for row in run.rows] == pytest.approx(rates[::STEPS], rel=1e-6)
    assert_same(model, theirs)


def test_plateau_follows_pytorch_over_any_losses() -> None:
    generator = torch.Generator().manual_seed(2)
    for patience in (0, 1, 3):
        losses = (1 + torch.rand(60, generator=generator) * 0.3).tolist()
        losses[20:30] = [0.9999, 0.9998, 0.99979, 0.5, 0.49999, 0.4999, 0.49985, 0.5, 0.5, 0.5]
        optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
        theirs = lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=patience, eps=0)
        ours = Recipe(optimizer=SGD(1.0), schedule=Plateau(factor=0.5, patience=patience))
        for epoch in range(60):
            assert ours.lr(epoch, 1, losses) == pytest.approx(optimizer.param_groups[0]["lr"])
            optimizer.step()
            theirs.step(losses[epoch])


def test_plateau_resumes_exactly(tiny: Dataset, tmp_path: object) -> None:
    whole = recipe(epochs=6, optimizer=SGD(1e-6), schedule=Plateau(factor=0.3, patience=0))
    through, stopped = make_model(), make_model()
    expected = Trainer(through, whole, tiny, device="cpu").fit()
    Trainer(stopped, whole.model_copy(update={"epochs": 3}), tiny, device="cpu", out=tmp_path).fit()
    resumed = make_model()
    run = Trainer(resumed, whole, tiny, device="cpu", out=tmp_path).fit(resume=True)
    assert len({row.lr for row in run.rows}) == 5  # one of the first two epochs is the best
    assert [(r.lr, r.test_loss) for r in run.rows] == [(r.lr, r.test_loss) for r in expected.rows]
    for mine, other in zip(through.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(mine, other)


def test_pytorchs_momenta_are_what_the_docstring_says() -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0, momentum=0.9)
    scheduler = lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=10)
    momenta = [optimizer.param_groups[0]["momentum"]]
    for _ in range(9):
        optimizer.step()
        scheduler.step()
        momenta.append(optimizer.param_groups[0]["momentum"])
    assert (max(momenta), min(momenta)) == (0.95, 0.85)


def test_one_cycle_without_momentum_leaves_the_optimizers(tiny: Dataset) -> None:
    trainer = Trainer(make_model(), recipe(schedule=OneCycle()), tiny, device="cpu")
    trainer.fit()
    assert {group["momentum"] for group in trainer.optimizer.param_groups} == {0.9}


def test_the_recorded_loss_is_without_the_penalty(tiny: Dataset) -> None:
    with_penalty = Trainer(make_model(), recipe(epochs=1, l1=1e-9), tiny, device="cpu").fit()
    without = Trainer(make_model(), recipe(epochs=1), tiny, device="cpu").fit()
    assert with_penalty.rows[0].train_loss == pytest.approx(without.rows[0].train_loss, rel=1e-4)


@pytest.mark.parametrize("epochs", [1, 2])
def test_one_cycle_without_a_step_to_rise_is_a_recipe_error(epochs: int, tiny: Dataset) -> None:
    short = Recipe(epochs=epochs, batch_size=300, schedule=OneCycle(peak_at=0.5))
    with pytest.raises(RecipeError, match=rf"peak_at=0.5\) has its peak at step 0 of {epochs}"):
        Trainer(make_model(), short, tiny, device="cpu")
    for step in range(epochs):  # a curve can be drawn all the same
        assert short.lr(step, 1) > 0
