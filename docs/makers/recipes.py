"""Every part of a recipe: arguments, ranges, defaults, an example, and what it does to a curve."""

from __future__ import annotations

import inspect
import re
import types
import typing
from enum import Enum
from typing import Any

from eva import recipe
from eva.recipe import Recipe
from eva.recipe.part import Part

GROUPS = {
    "Optimizers": "SGD Adam AdamW RMSprop",
    "Schedules": "Constant Step MultiStep Plateau Cosine Triangular OneCycle",
    "Augmentation": "Rotation Shift Scale Shear RandomCrop CenterCrop ResizedCrop Brightness "
    "Contrast RandomErasing",
}

# Part -> an example, and what one sees in the curves.
PARTS: dict[str, tuple[str, str]] = {
    "SGD": (
        "SGD(lr=0.1, momentum=0.9, nesterov=True)",
        "A larger `lr` learns faster and makes the epochs jump more. Momentum smooths the steps "
        "and lengthens them. Nesterov momentum looks one step ahead.",
    ),
    "Adam": (
        "Adam(lr=0.003)",
        "Often fast in the first epochs, without much tuning of `lr`.",
    ),
    "AdamW": (
        "AdamW(lr=0.003)",
        "As Adam; the recipe's `weight_decay` does not pass through its averages.",
    ),
    "RMSprop": (
        "RMSprop(lr=0.001)",
        "As Adam without momentum: steps of similar size for all weights.",
    ),
    "Constant": ("Constant()", "The last epochs jump about as much as those in the middle."),
    "Step": (
        "Step(every=6, gamma=0.2)",
        "Test accuracy rises at once where the rate drops, and jumps less after it.",
    ),
    "MultiStep": ("MultiStep(milestones=(6, 12))", "As Step, at the epochs that you name."),
    "Plateau": (
        "Plateau(patience=2)",
        "The rate drops where the training loss has stopped falling.",
    ),
    "Cosine": ("Cosine(warmup=0.1)", "A calm end: the last steps are nearly zero."),
    "Triangular": (
        "Triangular(peak_at=0.2)",
        "A slow start that allows a higher peak, and a calm end.",
    ),
    "OneCycle": ("OneCycle(peak_at=0.3)", "As Triangular, with round corners."),
    "Rotation": ("Rotation(degrees=10)", "Training accuracy falls; the gap shrinks."),
    "Shift": ("Shift(pixels=2)", "Training accuracy falls; helps digits off the center."),
    "Scale": ("Scale(fraction=0.1)", "Training accuracy falls; helps large and small digits."),
    "Shear": ("Shear(degrees=10)", "Training accuracy falls; helps slanted digits."),
    "RandomCrop": ("RandomCrop(padding=2)", "As Shift, by whole pixels."),
    "CenterCrop": (
        "CenterCrop(pixels=24, probability=0.1)",
        "Enlarges some digits; their borders are lost.",
    ),
    "ResizedCrop": (
        "ResizedCrop(scale=(0.8, 1.0))",
        "Training accuracy falls much: parts of digits are cut off.",
    ),
    "Brightness": ("Brightness(fraction=0.2)", "Little on MNIST, whose ink is white on black."),
    "Contrast": ("Contrast(fraction=0.2)", "Little on MNIST, whose ink is white on black."),
    "RandomErasing": (
        "RandomErasing(probability=0.2, pixels=6)",
        "Training accuracy falls: strokes are missing.",
    ),
}
KEYS = {
    "epochs": "More epochs: training accuracy keeps rising, test accuracy stops at some point.",
    "batch_size": "Smaller batches: more steps an epoch, and noisier ones.",
    "optimizer": "See below.",
    "schedule": "See below.",
    "augment": "Training accuracy falls, the gap between training and test shrinks.",
    "interpolation": "`nearest` leaves ragged digits, which are harder to read.",
    "label_smoothing": "The loss stays higher; the network is less sure of its answers.",
    "weight_decay": "A little closes the gap; much lowers both curves.",
    "ema": "The test curve is calmer; in the first epochs it lags behind.",
    "init": "Only the first epochs differ, as a rule.",
    "l1": "Pulls many weights to zero; much lowers both curves.",
    "clip_grad_norm": "Rescues a training whose loss explodes in single steps.",
}


def allowed(annotation: Any, metadata: list[Any]) -> str:
    """What a value may be, in words."""
    marks = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}
    bounds = [
        f"{sign} {value:,g}"
        for one in metadata
        for key, sign in marks.items()
        if (value := getattr(one, key, None)) is not None
    ]
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        return allowed(inner, [*more, *metadata])
    if origin in (typing.Union, types.UnionType):
        parts = [allowed(one, metadata) for one in typing.get_args(annotation)]
        return " or ".join(dict.fromkeys(part for part in parts if part))
    if origin is tuple:
        inner = [one for one in typing.get_args(annotation) if one is not Ellipsis]
        several = "several: " if Ellipsis in typing.get_args(annotation) else f"{len(inner)} of: "
        return several + " or ".join(dict.fromkeys(allowed(one, []) for one in inner))
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return ", ".join(f"`{one.value}`" for one in annotation)
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return f"`{annotation.__name__}`"
    if origin is typing.Literal:
        return ", ".join(f"`{one}`" for one in typing.get_args(annotation))
    name = {"int": "whole number", "float": "number", "bool": "True or False"}
    unit = name.get(getattr(annotation, "__name__", ""), str(annotation))
    for one in metadata:  # a FieldInfo inside of Annotated carries its own
        bounds += [allowed_bound for allowed_bound in _inner(one, marks)]
    return " ".join([unit, " and ".join(dict.fromkeys(bounds))]).strip()


def _inner(info: Any, marks: dict[str, str]) -> list[str]:
    return [
        f"{sign} {value:,g}"
        for one in getattr(info, "metadata", [])
        for key, sign in marks.items()
        if (value := getattr(one, key, None)) is not None
    ]


def arguments(part: type[Part]) -> list[tuple[str, str, str]]:
    """Name, what it may be, and default of each key."""
    hints = typing.get_type_hints(part, include_extras=True)
    return [
        (
            name,
            allowed(hints[name], []),
            "required" if info.is_required() else f"`{_shown(info.default)}`",
        )
        for name, info in part.model_fields.items()
        if name != "kind"
    ]


def _shown(value: Any) -> str:
    return value.value if isinstance(value, Enum) else repr(value)


def entry(name: str) -> str:
    """Heading, first sentence, arguments, example and effect of one part."""
    part = getattr(recipe, name)
    words = " ".join((inspect.getdoc(part) or "").split("\n\n")[0].split())
    words = re.sub(r":\w+:`~?([\w.]+)`", r"`\1`", words).replace("``", "`")
    example, effect = PARTS[name]
    rows = ["| argument | may be | default |", "|---|---|---|"]
    rows += [f"| `{key}` | {kind} | {default} |" for key, kind, default in arguments(part)]
    table = "\n".join(rows) if len(rows) > 2 else "It has no arguments."
    return (
        f"### {name}\n\n{words}\n\n{table}\n\n```python\n{example}\n```\n\n"
        f"**What it does to a curve.** {effect}"
    )


def page() -> str:
    """The recipe's own keys, then every part by its group."""
    rows = ["| key | may be | default | what it does to a curve |", "|---|---|---|---|"]
    for key, kind, default in arguments(Recipe):
        kind = "a part of this page" if key in ("optimizer", "schedule", "augment") else kind
        rows.append(f"| `{key}` | {kind} | {default} | {KEYS[key]} |")
    parts = ["\n".join(rows)]
    for group, names in GROUPS.items():
        parts.append(f"## {group}")
        parts += [entry(name) for name in names.split()]
    return "\n\n".join(parts)


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {"generated/recipes.md": page()}
