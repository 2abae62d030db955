"""The rooms of the house: floors as import-linter checks them, words from the docstrings."""

from __future__ import annotations

import ast
import re
import tomllib

from makers.records import ROOT


def floors() -> list[list[str]]:
    """Rooms by floor, the ground floor first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for contract in config["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            return [re.split(r" [:|] ", layer) for layer in reversed(contract["layers"])]
    raise LookupError("pyproject.toml has no contract of type layers")


def purpose(room: str) -> str:
    """First sentence of a room's docstring."""
    base = ROOT.joinpath(*room.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    sentence = re.split(r"(?<=\.)\s", text)[0]
    return re.sub(r":\w+:", "", sentence).replace("``", "`").replace("|", "\\|")


def table() -> str:
    """A line a room, from the ground up."""
    lines = ["| floor | room | what it holds |", "|--:|---|---|"]
    for number, rooms in enumerate(floors()):
        lines += [f"| {number} | `{room}` | {purpose(room)} |" for room in sorted(rooms)]
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {"generated/rooms.md": table()}
