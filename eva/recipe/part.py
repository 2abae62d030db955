"""What every part of a recipe has in common: frozen, strictly checked, errors that name the key."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from eva.errors import RecipeError

Share = Annotated[float, Field(ge=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """Base of a recipe and its parts: frozen, keyword-only, strictly typed, no unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers read the fields as keyword arguments

        def __init__(self, **values: Any) -> None:
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise recipe_error(type(self), error) from None


def recipe_error(owner: type[Part], error: ValidationError) -> RecipeError:
    """Say the first mistake that pydantic found, with its key and what the key may be."""
    first = error.errors()[0]
    *path, key = [str(part) for part in first["loc"]] or ["?"]
    where = ".".join([owner.__name__, *path])
    if first["type"] == "extra_forbidden":
        known = sorted(k for k in _fields_at(owner, path) if k != "kind")
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"Did you mean {close[0]!r}? " if close else ""
        return RecipeError(f"{where} has no key {key!r}.", f"{hint}Known keys: {', '.join(known)}.")
    return RecipeError(f"{where}.{key}: {first['msg']}, got {first['input']!r}.")


def _fields_at(owner: type[Part], path: list[str]) -> list[str]:
    """Fields of the part that an error path such as ``["optimizer", "sgd"]`` points into."""
    if path:
        kinds = {
            part.model_fields["kind"].default: part
            for part in Part.__subclasses__()
            if "kind" in part.model_fields
        }
        owner = kinds.get(path[-1], owner)
    return list(owner.model_fields)
