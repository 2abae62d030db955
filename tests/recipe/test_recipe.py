import json

import pytest
import torch

from eva.errors import RecipeError
from eva.recipe import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Init,
    OneCycle,
    RandomErasing,
    Recipe,
    Rotation,
    Step,
    Triangular,
)

SCHEDULES = [
    Constant(),
    Step(every=2, gamma=0.5),
    Cosine(warmup=0.1),
    Triangular(peak_at=0.3),
    OneCycle(),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda part: part.kind)
@pytest.mark.parametrize("optimizer", [SGD(nesterov=True), Adam(), AdamW()], ids=lambda p: p.kind)
def test_json_both_ways(schedule: object, optimizer: object) -> None:
    recipe = Recipe(
        optimizer=optimizer,
        schedule=schedule,
        augment=[Rotation(degrees=7), RandomErasing()],
        ema=0.99,
        init="kaiming_normal",
    )
    text = json.dumps(recipe.to_json())
    assert Recipe.from_json(json.loads(text)) == recipe
    assert recipe.init is Init.KAIMING_NORMAL


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Recipe(epocs=3), ["'epocs'", "'epochs'"]),
        (lambda: SGD(lrr=1.0), ["SGD", "'lrr'", "'lr'"]),
        (lambda: Recipe(epochs="15"), ["Recipe.epochs", "'15'"]),
        (lambda: Recipe(epochs=True), ["Recipe.epochs", "True"]),
        (lambda: Recipe(epochs=0), ["Recipe.epochs", "1", "0"]),
        (lambda: Recipe(batch_size=0), ["Recipe.batch_size", "0"]),
        (lambda: Recipe(ema=1.0), ["Recipe.ema"]),
        (lambda: SGD(lr=float("nan")), ["SGD.lr", "nan"]),
        (lambda: Recipe(augment=(3,)), ["Recipe.augment.0", "3"]),
        (lambda: Recipe(init="big"), ["Recipe.init", "'big'", "orthogonal"]),
        (lambda: Recipe.from_json({"optimizer": {"kind": "sgd", "momentu": 1}}), ["'momentum'"]),
        (lambda: Recipe.from_json({"optimizer": {"kind": "sgdx"}}), ["optimizer", "sgdx"]),
        (lambda: Recipe.from_json({"augment": [{"kind": "rotation"}]}), ["degrees", "required"]),
        (lambda: Recipe.from_json([1]), ["object", "list"]),
    ],
)
def test_a_mistake_is_an_error_that_names_the_key(make: object, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Recipe().epochs = 3


def rates(schedule: object, epochs: int = 10, steps: int = 7) -> list[float]:
    recipe = Recipe(optimizer=SGD(lr=1.0), schedule=schedule, epochs=epochs)
    return [recipe.lr(step, steps) for step in range(epochs * steps)]


@pytest.mark.parametrize("peak_at", [0.2, 0.3, 0.5])
def test_one_cycle_is_pytorchs(peak_at: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    theirs = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=70, pct_start=peak_at, cycle_momentum=False
    )
    expected = []
    for _ in range(70):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(expected) < 70:
            theirs.step()
    assert rates(OneCycle(peak_at=peak_at)) == pytest.approx(expected, abs=1e-12)


def test_step_drops_after_every_so_many_epochs() -> None:
    values = rates(Step(every=6, gamma=0.1), epochs=15)
    assert values[6 * 7 - 1] == 1.0
    assert values[6 * 7] == pytest.approx(0.1)
    assert values[12 * 7] == pytest.approx(0.01)


@pytest.mark.parametrize("schedule", [Cosine(warmup=0.2), Triangular(peak_at=0.2)])
def test_warm_schedules_rise_to_the_peak_and_fall_to_nearly_zero(schedule: object) -> None:
    values = rates(schedule)
    peak = values.index(max(values))
    assert peak == 14
    assert max(values) == 1.0
    assert values[:15] == sorted(values[:15])
    assert values[14:] == sorted(values[14:], reverse=True)
    assert 0 < values[-1] < 0.02


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda part: part.kind)
def test_every_rate_is_positive_even_for_one_step(schedule: object) -> None:
    assert all(rate > 0 for rate in rates(schedule, epochs=2, steps=1))
    assert all(rate > 0 for rate in rates(schedule, epochs=1, steps=1))
