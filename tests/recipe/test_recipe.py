import json

import pytest
import torch

from eva.errors import RecipeError
from eva.recipe import (
    SGD,
    Adam,
    AdamW,
    CenterCrop,
    Constant,
    Cosine,
    Init,
    MultiStep,
    OneCycle,
    Plateau,
    RandomCrop,
    RandomErasing,
    Recipe,
    ResizedCrop,
    RMSprop,
    Rotation,
    Scale,
    Shift,
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


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: SGD(lr=0.01, weight_decay=1e-4), ["Recipe(weight_decay=0.0001)"]),
        (lambda: Adam(weight_decay=5e-4), ["Recipe(weight_decay=0.0005)"]),
        (lambda: Recipe(lr=0.01), ["Recipe(optimizer=SGD(lr=0.01))"]),
        (lambda: Step(step_size=6, gamma=0.1), ["Step(every=6)"]),
        (lambda: MultiStep((6, 12), gamma=0.1), ["MultiStep(factor=0.1)"]),
        (lambda: Step(milestones=(6, 12)), ["MultiStep(milestones=(6, 12))"]),
        (lambda: OneCycle(max_lr=0.1), ["Recipe(optimizer=SGD(lr=0.1))"]),
        (lambda: OneCycle(pct_start=0.2), ["OneCycle(peak_at=0.2)"]),
        (lambda: OneCycle(div_factor=10), ["OneCycle(start_div=10)"]),
        (lambda: OneCycle(steps_per_epoch=469), ["counted by the trainer"]),
        (lambda: OneCycle(0.1), ["by name", "peak_at="]),
        (lambda: Recipe(optimizer="sgd"), ["Recipe.optimizer", "'sgd'", "SGD(lr=0.1)"]),
        (lambda: Recipe(optimizer=SGD), ["SGD()"]),
        (lambda: Recipe(schedule="cosine"), ["'cosine'", "OneCycle()"]),
        (lambda: Recipe(schedule=SGD()), ["SGD", "OneCycle()"]),
        (lambda: Recipe(augment=Rotation(7)), ["augment=(Rotation(degrees=7.0),)"]),
        (lambda: Recipe(augment=["rotation"]), ["'rotation'", "augment=(Rotation(7), Shift(2))"]),
        (lambda: Recipe(augmentation=()), ["augment"]),
        (lambda: Rotation(degrees=(-7, 7)), ["Rotation(degrees=7)"]),
        (lambda: Scale((0.9, 1.1)), ["Scale(fraction=0.1)"]),
        (lambda: Shift(fraction=0.1), ["Shift(pixels=2.8)"]),
        (lambda: Shift(translate=(0.1, 0.1)), ["pixels"]),
        (lambda: Rotation(angle=5), ["Rotation(degrees=5)"]),
        (lambda: RandomErasing(p=0.2), ["RandomErasing(probability=0.2)"]),
        (lambda: Step(every=6.0), ["Step.every", "6.0", "every=6"]),
        (lambda: SGD(lr="0.1"), ["'0.1'", "lr=0.1"]),
        (lambda: SGD("0.1"), ["'0.1'", "lr=0.1"]),
        (lambda: SGD(0.1, 0.9), ["without a name", "momentum="]),
        (lambda: SGD(0.1, lr=0.2), ["twice"]),
        (lambda: Recipe(15), ["by name", "epochs="]),
        (lambda: Constant(0.1), ["Constant()"]),
        (lambda: SGD(lr=1e300), ["SGD.lr", "1e+300", "eva lr-find"]),
        (lambda: Recipe(epochs=10**30), ["Recipe.epochs"]),
        (lambda: Recipe(batch_size=10**30), ["Recipe.batch_size"]),
        (lambda: RandomCrop(10**30), ["RandomCrop.padding"]),
        (lambda: Plateau(on="test_loss"), ["train_loss", "test images"]),
        (lambda: Plateau(monitor="val_loss"), ["train_loss"]),
        (lambda: MultiStep((12, 6)), ["rising", "(12, 6)"]),
        (lambda: MultiStep(()), ["MultiStep.milestones"]),
        (lambda: OneCycle(momentum=(0.95, 0.85)), ["(0.85, 0.95)"]),
        (lambda: ResizedCrop((0.8, 1.2)), ["ResizedCrop.scale", "(0.8, 1.2)"]),
        (lambda: RandomErasing(ratio=(3.3, 0.3)), ["RandomErasing.ratio", "rising"]),
        (lambda: Rotation(7, fill=255), ["Rotation.fill", "255"]),
        (lambda: Recipe(early_stopping=3), ["EarlyStopping"]),
        (lambda: Recipe(step_size=6), ["Step(every=6)"]),
        (lambda: Recipe(gamma=0.1), ["gamma belongs to Step: Step(gamma=0.1)"]),
        (lambda: Recipe(max_lr=0.1), ["Recipe(optimizer=SGD(lr=0.1))"]),
        (lambda: Recipe(betas=(0.9, 0.99)), ["Adam(betas=(0.9, 0.99))"]),
        (lambda: Recipe(milestones=(6, 12)), ["MultiStep(milestones=(6, 12))"]),
        (lambda: Recipe(patience=3), ["Plateau(patience=3)"]),
        (lambda: Adam(momentum=0.8), ["Adam(betas=(0.8, 0.999))"]),
        (lambda: Adam(amsgrad=True), ["default", "leave it out"]),
        (lambda: OneCycle(warmup=0.2), ["OneCycle(peak_at=0.2)"]),
        (lambda: Cosine(T_max=15), ["counted by the trainer"]),
        (lambda: Step(decay=0.5), ["Step(gamma=0.5)"]),
        (lambda: Plateau(cooldown=1), ["default"]),
        (lambda: Step(last_epoch=-1), ["Leave it out"]),
        (lambda: Scale(zoom=0.1), ["Did you mean 'fraction'?"]),
        (lambda: Rotation(rotation=7), ["Did you mean 'degrees'?"]),
        (lambda: Recipe(batchsize=64), ["Did you mean 'batch_size'?"]),
    ],
)
def test_what_people_type_is_answered_with_what_to_write(make: object, words: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        make()
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("StepLR", "Write Step(every=6, gamma=0.1)."),
        ("OneCycleLR", "Write OneCycle(peak_at=0.3)."),
        ("RandomRotation", "Write Rotation(7)."),
        ("ColorJitter", "Brightness(0.1) and Contrast(0.1)"),
        ("Sgd", "Did you mean SGD?"),
        ("Rotate", "Did you mean Rotation?"),
        ("Xyzzy", "Known: SGD, Adam"),
    ],
)
def test_a_name_that_there_is_not_is_answered_where_it_is_imported(name: str, words: str) -> None:
    with pytest.raises(ImportError) as caught:
        exec(f"from eva.recipe import {name}", {})
    assert f"eva.recipe has no {name}. " in str(caught.value)
    assert words in str(caught.value)
    import eva.recipe

    assert not hasattr(eva.recipe, "nothing_of_this_name")


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (Rotation(7), Rotation(degrees=7)),
        (Shift(2), Shift(pixels=2)),
        (Scale(0.1), Scale(fraction=0.1)),
        (RandomCrop(2, fill=1.0), RandomCrop(padding=2, fill=1.0)),
        (CenterCrop(22, probability=0.1), CenterCrop(pixels=22, probability=0.1)),
        (ResizedCrop((0.8, 1.0)), ResizedCrop(scale=(0.8, 1.0))),
        (RandomErasing(0.2), RandomErasing(probability=0.2)),
        (SGD(0.1), SGD(lr=0.1)),
        (RMSprop(0.1), RMSprop(lr=0.1)),
        (Step(6), Step(every=6)),
        (MultiStep([6, 12]), MultiStep(milestones=(6, 12))),
        (Triangular(0.3), Triangular(peak_at=0.3)),
    ],
    ids=str,
)
def test_the_natural_value_needs_no_name(short: object, long: object) -> None:
    assert short == long


def test_an_old_recipe_keeps_its_json_and_its_words() -> None:
    old = {
        "epochs": 2,
        "batch_size": 128,
        "optimizer": {"kind": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True},
        "schedule": {"kind": "one_cycle", "peak_at": 0.3, "start_div": 25.0, "final_div": 1e4},
        "augment": [
            {"kind": "rotation", "degrees": 7.0},
            {"kind": "random_crop", "padding": 2},
            {"kind": "random_erasing", "probability": 0.5, "pixels": 8},
        ],
        "interpolation": "bilinear",
        "label_smoothing": 0.0,
        "weight_decay": 0.0,
        "ema": None,
        "init": "default",
    }
    recipe = Recipe.from_json(old)
    assert json.dumps(recipe.to_json()) == json.dumps(old)
    assert repr(recipe.augment[0]) == "Rotation(degrees=7.0)"
    assert "l1" not in repr(recipe)


def test_new_values_come_back_from_json() -> None:
    recipe = Recipe(
        optimizer=RMSprop(),
        schedule=OneCycle(momentum=(0.85, 0.95)),
        augment=(
            Rotation(7, fill=0.5),
            CenterCrop(22, probability=0.1),
            ResizedCrop((0.8, 1.0), probability=0.5),
            RandomErasing(ratio=(0.3, 3.3)),
        ),
        l1=1e-5,
        clip_grad_norm=1.0,
    )
    assert Recipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    for schedule in (Plateau(factor=0.5, patience=2), MultiStep((3, 6), factor=0.2)):
        kept = recipe.model_copy(update={"schedule": schedule})
        assert Recipe.from_json(json.loads(json.dumps(kept.to_json()))) == kept


def test_a_peak_at_step_0_divides_by_nothing() -> None:
    recipe = Recipe(schedule=OneCycle(peak_at=1 / 7035))
    assert recipe.lr(0, 469) > 0
    with pytest.raises(RecipeError, match="step 0 of 7035"):
        recipe.require_fit(469)
    Recipe(schedule=OneCycle(peak_at=0.1)).require_fit(469)
