"""What JSON can hold, and models that are read from it strictly."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]


class FrozenModel(BaseModel):
    """Frozen, and no key that it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")
