"""What people type who know PyTorch or torchvision, and what it is called in a recipe.

These are words only: a recipe with one of these names is still an error, whose hint says the right
one.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

_ONE_NUMBER = {
    "weight_decay": "Weight decay belongs to the recipe: Recipe(weight_decay={value}).",
    "wd": "Weight decay belongs to the recipe: Recipe(weight_decay={value}).",
    "l1": "The L1 penalty belongs to the recipe: Recipe(l1={value}).",
    "learning_rate": "It is called lr: {owner}(lr={value}).",
    "params": "The parameters are found by the trainer; leave them out.",
}
_PROBABILITY = "It is called probability: {owner}(probability={value})."
_PIXELS = (
    "It is called pixels, of which an image has 28 a side: 0.1 of them are {owner}(pixels=2.8)."
)
_COUNTED = "Steps are counted by the trainer: leave it out. Recipe(epochs=...) says how long."
_DEGREES = "It is called degrees: {owner}(degrees={value})."
_FRACTION = "It is called fraction: {owner}(fraction={value})."

_DEFAULT = "PyTorch's default is used; leave it out."
_BOTH = "Give both: {owner}(betas=(0.9, 0.999))."
_BETA = "Its momentum is the first of the betas: {owner}(betas=({value}, 0.999))."
_OF_ADAM = {
    **_ONE_NUMBER, "eps": _DEFAULT, "amsgrad": _DEFAULT, "beta1": _BOTH, "beta2": _BOTH,
    "beta": _BOTH, "b1": _BOTH, "b2": _BOTH, "momentum": _BETA,
}  # fmt: skip
_EVERY = "It is called every: Step(every={value})."
_GAMMA = "It is called gamma: Step(gamma={value})."
_MILESTONES = "It is called milestones: MultiStep(milestones={value})."
_RATE = "The rate is the optimizer's lr: Recipe(optimizer=SGD(lr=...))."

_MEANT: dict[str, dict[str, str]] = {
    "SGD": {**_ONE_NUMBER, "dampening": _DEFAULT, "maximize": _DEFAULT},
    "Adam": _OF_ADAM,
    "AdamW": _OF_ADAM,
    "RMSprop": {
        **_ONE_NUMBER,
        "rho": "It is called alpha: RMSprop(alpha={value}).",
        "decay": "It is called alpha: RMSprop(alpha={value}).",
    },
    "Constant": {"lr": _RATE, "factor": _RATE},
    "Recipe": {
        "lr": "The learning rate belongs to the optimizer: Recipe(optimizer=SGD(lr={value})).",
        "learning_rate": (
            "The learning rate belongs to the optimizer: Recipe(optimizer=SGD(lr={value}))."
        ),
        "momentum": (
            "Momentum belongs to the optimizer: Recipe(optimizer=SGD(lr=..., momentum={value}))."
        ),
        "optim": "It is called optimizer.",
        "opt": "It is called optimizer.",
        "scheduler": "It is called schedule.",
        "lr_scheduler": "It is called schedule.",
        "lr_schedule": "It is called schedule.",
        "batch": "It is called batch_size: Recipe(batch_size={value}).",
        "bs": "It is called batch_size: Recipe(batch_size={value}).",
        "num_epochs": "It is called epochs: Recipe(epochs={value}).",
        "n_epochs": "It is called epochs: Recipe(epochs={value}).",
        "max_epochs": "It is called epochs: Recipe(epochs={value}).",
        "augmentation": "It is called augment: Recipe(augment=(Rotation(7),)).",
        "augmentations": "It is called augment: Recipe(augment=(Rotation(7),)).",
        "transform": "It is called augment: Recipe(augment=(Rotation(7),)).",
        "transforms": "It is called augment: Recipe(augment=(Rotation(7),)).",
        "train_transforms": "It is called augment: Recipe(augment=(Rotation(7),)).",
        "l2_lambda": "An L2 penalty is called weight_decay: Recipe(weight_decay={value}).",
        "lambda_l2": "An L2 penalty is called weight_decay: Recipe(weight_decay={value}).",
        "weight_init": "It is called init: Recipe(init={value}).",
        "gradient_clip_val": "It is called clip_grad_norm: Recipe(clip_grad_norm={value}).",
        "swa": "An average of the weights is called ema: Recipe(ema=0.995).",
        "amp": "Precision is no part of a recipe: `eva train --bf16`.",
        "l2": "An L2 penalty is called weight_decay: Recipe(weight_decay={value}).",
        "wd": "It is called weight_decay: Recipe(weight_decay={value}).",
        "l1_lambda": "It is called l1: Recipe(l1={value}).",
        "lambda_l1": "It is called l1: Recipe(l1={value}).",
        "l1_factor": "It is called l1: Recipe(l1={value}).",
        "grad_clip": "It is called clip_grad_norm: Recipe(clip_grad_norm={value}).",
        "clip": "It is called clip_grad_norm: Recipe(clip_grad_norm={value}).",
        "max_norm": "It is called clip_grad_norm: Recipe(clip_grad_norm={value}).",
        "smoothing": "It is called label_smoothing: Recipe(label_smoothing={value}).",
        "ema_decay": "It is called ema: Recipe(ema={value}).",
        "dropout": "Dropout belongs to the network: put nn.Dropout into build_model().",
        "criterion": "The loss is always cross-entropy; leave it out.",
        "loss": "The loss is always cross-entropy; leave it out.",
        "loss_fn": "The loss is always cross-entropy; leave it out.",
        "seed": "The seed is no part of a recipe: `eva train --seed {value}`.",
        "device": "The device is no part of a recipe: `eva train --device {value}`.",
        "shuffle": "Images are always shuffled; leave it out.",
        "num_workers": "The data lies on the device and needs no workers; leave it out.",
        "early_stopping": (
            "Stopping early is no part of a recipe: "
            "Trainer(..., callbacks=[EarlyStopping(patience=3)])."
        ),
    },
    "Step": {
        "step_size": _EVERY,
        "step": _EVERY,
        "epochs": _EVERY,
        "period": _EVERY,
        "factor": _GAMMA,
        "decay": _GAMMA,
        "decay_rate": _GAMMA,
        "lr_decay": _GAMMA,
        "milestones": "Chosen epochs are another schedule: MultiStep(milestones={value}).",
    },
    "MultiStep": {
        "steps": _MILESTONES,
        "epochs": _MILESTONES,
        "gamma": "It is called factor: MultiStep(factor={value}).",
        "step_size": "Equal distances are another schedule: Step(every={value}).",
        "every": "Equal distances are another schedule: Step(every={value}).",
    },
    "Plateau": {
        "gamma": "It is called factor: Plateau(factor={value}).",
        "monitor": 'It is called on, and is "train_loss": test images must not steer a training.',
        "metric": 'It is called on, and is "train_loss": test images must not steer a training.',
        "mode": "The training loss is always to fall; leave it out.",
        "threshold": _DEFAULT,
        "threshold_mode": _DEFAULT,
        "min_lr": _DEFAULT,
        "cooldown": _DEFAULT,
        "eps": _DEFAULT,
    },
    "Cosine": {
        "T_max": _COUNTED,
        "epochs": _COUNTED,
        "eta_min": "It ends at zero; leave it out.",
        "warmup_epochs": "It is called warmup, a share of all steps: Cosine(warmup=0.1).",
        "warmup_steps": "It is called warmup, a share of all steps: Cosine(warmup=0.1).",
    },
    "Triangular": {
        "pct_start": "It is called peak_at: Triangular(peak_at={value}).",
        "max_lr": "The peak is the optimizer's lr: Recipe(optimizer=SGD(lr={value})).",
    },
    "OneCycle": {
        "max_lr": "The peak is the optimizer's lr: Recipe(optimizer=SGD(lr={value})).",
        "lr": "The peak is the optimizer's lr: Recipe(optimizer=SGD(lr={value})).",
        "pct_start": "It is called peak_at: OneCycle(peak_at={value}).",
        "warmup": "It is called peak_at, a share of all steps: OneCycle(peak_at={value}).",
        "div_factor": "It is called start_div: OneCycle(start_div={value}).",
        "final_div_factor": "It is called final_div: OneCycle(final_div={value}).",
        "total_steps": _COUNTED,
        "steps_per_epoch": _COUNTED,
        "epochs": _COUNTED,
        "base_momentum": "Give both ends: OneCycle(momentum=({value}, 0.95)).",
        "max_momentum": "Give both ends: OneCycle(momentum=(0.85, {value})).",
        "cycle_momentum": "Momentum cycles where both ends are given: momentum=(0.85, 0.95).",
        "anneal_strategy": "It is always a cosine; straight lines are Triangular().",
        "three_phase": "There are always two phases; leave it out.",
    },
    "Rotation": {"angle": _DEGREES, "angles": _DEGREES, "degree": _DEGREES},
    "Shear": {"angle": _DEGREES, "shear": _DEGREES, "degree": _DEGREES},
    "Shift": {"fraction": _PIXELS, "translate": _PIXELS, "pixel": _PIXELS},
    "Scale": {
        "scale": "It is called fraction, on both sides of 1: 0.9 to 1.1 is Scale(fraction=0.1).",
        "factor": "It is called fraction, on both sides of 1: 0.9 to 1.1 is Scale(fraction=0.1).",
    },
    "RandomCrop": {
        "size": "The size stays 28; say by how much it may move: RandomCrop(padding=2).",
        "pixels": "It is called padding: RandomCrop(padding={value}).",
    },
    "CenterCrop": {
        "size": "It is called pixels: CenterCrop(pixels={value}).",
        "p": _PROBABILITY,
    },
    "ResizedCrop": {
        "size": "The size stays 28; leave it out.",
        "p": _PROBABILITY,
    },
    "Brightness": {"brightness": _FRACTION, "factor": _FRACTION},
    "Contrast": {"contrast": _FRACTION, "factor": _FRACTION},
    "RandomErasing": {
        "p": _PROBABILITY,
        "scale": "Its largest side is called pixels: RandomErasing(pixels=8).",
        "size": "Its largest side is called pixels: RandomErasing(pixels=8).",
        "value": "It erases with black; leave it out.",
    },
}
_SCHEDULES = "Constant(), Step(every=6), MultiStep((6, 12)), Cosine(), Triangular(), OneCycle() or "
_SCHEDULES += "Plateau()"
_PARTS = {
    "optimizer": "Write one of SGD(lr=0.1), Adam(lr=0.001), AdamW(lr=0.001) and RMSprop(lr=0.01).",
    "schedule": f"Write one of {_SCHEDULES}.",
    "augment": "Write parts in parentheses: augment=(Rotation(7), Shift(2)).",
}


def meant_elsewhere(key: str, value: object) -> str:
    """A sentence on a key that was given to the wrong part; empty where no part knows it."""
    for owner in ("OneCycle", "Step", "SGD", "Adam", "RMSprop", "Recipe", "Plateau", "Cosine"):
        if key in _MEANT[owner]:
            return meant_by(owner, key, value)
    return ""


_CLASSES = {
    "StepLR": "Step(every=6, gamma=0.1)",
    "MultiStepLR": "MultiStep((6, 12), factor=0.1)",
    "ReduceLROnPlateau": "Plateau(factor=0.1, patience=10)",
    "CosineAnnealingLR": "Cosine()",
    "CosineAnnealingWarmRestarts": "Cosine()",
    "OneCycleLR": "OneCycle(peak_at=0.3)",
    "CyclicLR": "Triangular(peak_at=0.2)",
    "ConstantLR": "Constant()",
    "ExponentialLR": "Step(every=1, gamma=0.9)",
    "LinearLR": "Triangular(peak_at=0.2)",
    "RandomRotation": "Rotation(7)",
    "RandomAffine": "Rotation(7), Shift(2), Scale(0.1) and Shear(5), those that you want",
    "Affine": "Rotation(7), Shift(2), Scale(0.1) and Shear(5), those that you want",
    "Translate": "Shift(2)",
    "Translation": "Shift(2)",
    "Zoom": "Scale(0.1)",
    "ColorJitter": "Brightness(0.1) and Contrast(0.1)",
    "RandomResizedCrop": "ResizedCrop((0.8, 1.0))",
    "RandomCenterCrop": "CenterCrop(22, probability=0.1)",
    "Cutout": "RandomErasing(0.5, pixels=8)",
    "CoarseDropout": "RandomErasing(0.5, pixels=8)",
    "Erasing": "RandomErasing(0.5, pixels=8)",
    "RandomApply": "the probability of a part: CenterCrop(22, probability=0.1)",
    "Adamax": "Adam(lr=0.001)",
    "NAdam": "Adam(lr=0.001)",
    "Normalize": "nothing: images are always normalized",
    "ToTensor": "nothing: images are tensors",
    "Compose": "parts in parentheses: Recipe(augment=(Rotation(7), Shift(2)))",
    "DataLoader": "nothing: the trainer makes the batches, Recipe(batch_size=128)",
    "CrossEntropyLoss": "nothing: the loss is always cross-entropy",
    "NLLLoss": "nothing: the loss is always cross-entropy, which takes log_softmax too",
}


def class_meant_by(name: str, known: Sequence[str]) -> str:
    """A sentence that says what to import in an unknown name's place.

    Args:
        name: As it was typed.
        known: Names that there are.
    """
    if name in _CLASSES:
        return f"Write {_CLASSES[name]}."
    lower = {one.lower(): one for one in known}
    close = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return f"Did you mean {lower[close[0]]}?" if close else f"Known: {', '.join(known)}."


def meant_by(owner: str, key: str, value: object) -> str:
    """A sentence that says what an unknown key is called here; empty where nobody knows.

    Args:
        owner: Name of the part that was given the key.
        key: As it was typed.
        value: What it was given.
    """
    sentence = _MEANT.get(owner, {}).get(key, "")
    if not sentence and key.startswith("T_"):
        sentence = _COUNTED
    if not sentence and key in ("last_epoch", "verbose"):
        sentence = "Leave it out: the trainer counts."
    return sentence.format(owner=owner, value=repr(value)[:40])


def mend_value(owner: str, key: str, value: object, kind: str) -> str | None:
    """A sentence that says what to write in a wrong value's place; None where nobody knows.

    Args:
        owner: Name of the part that was given the value.
        key: Which was given it.
        value: The wrong one.
        kind: pydantic's name of the mistake.
    """
    if owner == "Recipe" and (key in _PARTS or kind == "model_attributes_type"):
        if isinstance(value, type) and hasattr(value, "model_fields"):
            return f"Make one: {value.__name__}()."
        if kind == "value_error":  # a part that stands alone
            return f"Write augment=({value!r},)."
        return _PARTS.get(key, _PARTS["augment"])
    if owner == "Plateau" and key == "on":
        return "A training that test images steer is tuned on them; leave `on` out."
    if kind == "missing":
        return None
    match value:
        case str() if kind in ("int_type", "float_type", "int_parsing", "float_parsing"):
            return f"Write a number, without quotes: {key}={value}."
        case (int() | float() as low, int() | float() as high) if kind == "float_type":
            if low == -high:
                return f"One number says both ends, ±{high:g}: {owner}({key}={high:g})."
            if key == "fraction" and low + high == 2:
                return f"One number says both ends, 1 ± {high - 1:g}: {owner}({key}={high - 1:g})."
            return f"One number says both ends: the draw is symmetrical. Write {key}={high:g}."
        case float() if kind in ("int_type", "int_from_float") and value.is_integer():
            return f"Write a whole number: {key}={value:.0f}."
        case float() | int() if key == "lr" and kind == "less_than_equal":
            return "Useful rates lie between 0.0001 and 1; `eva lr-find` suggests one."
    return None
