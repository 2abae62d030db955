"""What every part of a recipe has in common: frozen, strictly checked, errors that name the key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from eva.errors import RecipeError
from eva.recipe.names import meant_by, meant_elsewhere, mend_value

Share = Annotated[float, Field(ge=0, lt=1)]
Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]


class Part(BaseModel):
    """Base of a recipe and its parts: frozen, strictly typed, no unknown keys.

    Values are given by name. A part with one natural value takes it without a name too:
    ``Rotation(7)``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    first: ClassVar[str | None] = None
    """The key that may be given without its name."""
    later: ClassVar[tuple[str, ...]] = ()
    """Keys that came after recipes were first kept: left out of JSON where they have defaults.

    So an old recipe keeps its JSON, and with it every digest that is made of it.
    """

    if TYPE_CHECKING:  # type checkers read the fields as arguments

        def __init__(self, *values: Any, **named: Any) -> None: ...

    else:

        def __init__(self, *values: Any, **named: Any) -> None:
            try:
                super().__init__(**_by_name(type(self), values, named))
            except ValidationError as error:
                raise recipe_error(type(self), error) from None

    @model_serializer(mode="wrap")
    def _without_later_defaults(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        written: dict[str, Any] = write(self)
        return {key: value for key, value in written.items() if not self._is_later_default(key)}

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for key, value in super().__repr_args__():
            if key is None or not self._is_later_default(key):
                yield key, value

    def _is_later_default(self, key: str) -> bool:
        return key in self.later and getattr(self, key) == type(self).model_fields[key].default


def recipe_error(owner: type[Part], error: ValidationError) -> RecipeError:
    """Say the first mistake that pydantic found, with its key and what the key may be."""
    # An unknown key says more than the one that is missing in its place.
    first = min(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    *path, key = [str(part) for part in first["loc"]] or ["?"]
    where = ".".join([owner.__name__, *path])
    at = _part_at(owner, path)
    if first["type"] == "extra_forbidden":
        known = sorted(k for k in at.model_fields if k != "kind")
        hint = meant_by(at.__name__, key, first["input"]) or _nearest(at, key, first["input"])
        listed = f"Known keys: {', '.join(known)}." if known else "It has no keys."
        return RecipeError(f"{where} has no key {key!r}.", f"{hint} {listed}".strip())
    wrong = first["msg"].removeprefix("Value error, ")
    if wrong.startswith(("Input should be a valid dictionary", "Unable to extract tag")):
        wrong = "this is no part of a recipe"
    problem = f"{where}.{key}: {wrong}, got {_show(first['input'])}."
    return RecipeError(problem, mend_value(at.__name__, key, first["input"], first["type"]))


def _nearest(at: type[Part], key: str, value: object) -> str:
    """A sentence with the right name that is nearest to an unknown one: here, or elsewhere."""
    known = [k for k in at.model_fields if k != "kind"]
    typed = key.lower()
    for cutoff in (0.75, 0.5):
        close = difflib.get_close_matches(typed, known, n=1, cutoff=cutoff)
        close = close or [k for k in known if len(k) > 1 and (typed in k or k in typed)]
        if close:
            return f"Did you mean {close[0]!r}?"
        owners = [part.__name__ for part in _subclasses(Part) if key in part.model_fields]
        if owners:
            return f"{key} belongs to {' or '.join(owners[:3])}: {owners[0]}({key}={_show(value)})."
        if elsewhere := meant_elsewhere(key, value):
            return elsewhere
    return f"Did you mean {at.first!r}?" if at.first else ""


def _show(value: object) -> str:
    text = " ".join(repr(value).split())  # of an optimizer of PyTorch's it has thirty lines
    return text if len(text) <= 200 else f"{text[:200]}..."


def _by_name(owner: type[Part], values: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
    """Give a value that came without a name the name that it must have."""
    if not values:
        return named
    name, first = owner.__name__, owner.first
    if first is None:
        known = ", ".join(f"{key}=" for key in owner.model_fields if key != "kind")
        hint = f"Its keys: {known}" if known else f"Write {name}()."
        raise RecipeError(f"{name} takes its values by name, got {_show(values[0])}.", hint)
    if len(values) > 1:
        known = ", ".join(f"{key}=" for key in owner.model_fields if key not in ("kind", first))
        raise RecipeError(
            f"{name} takes only {first!r} without a name, got {len(values)} values.",
            f"Give the others by name: {known}" if known else f"Write {name}({_show(values[0])}).",
        )
    if first in named:
        raise RecipeError(f"{name} got {first!r} twice, without a name and with it.")
    return {first: values[0]} | named


def _part_at(owner: type[Part], path: list[str]) -> type[Part]:
    """The part that an error path such as ``["optimizer", "sgd"]`` points into."""
    kinds = {
        part.model_fields["kind"].default: part
        for part in _subclasses(Part)
        if "kind" in part.model_fields
    }
    return kinds.get(path[-1], owner) if path else owner


def _subclasses(part: type[Part]) -> Iterator[type[Part]]:
    for child in part.__subclasses__():
        yield child
        yield from _subclasses(child)
