"""The packages of eva by layer, as import-linter checks them; words from the docstrings."""

from __future__ import annotations

import ast
import re
import tomllib

from makers.records import ROOT


def layers() -> list[list[str]]:
    """Packages by layer, the lowest first."""
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for contract in config["tool"]["importlinter"]["contracts"]:
        if contract["type"] == "layers":
            return [re.split(r" [:|] ", layer) for layer in reversed(contract["layers"])]
    raise LookupError("pyproject.toml has no contract of type layers")


def purpose(package: str) -> str:
    """First sentence of a package's docstring."""
    base = ROOT.joinpath(*package.split("."))
    path = base / "__init__.py" if base.is_dir() else base.with_suffix(".py")
    text = " ".join((ast.get_docstring(ast.parse(path.read_text())) or "").split())
    sentence = re.split(r"(?<=\.)\s", text)[0]
    return re.sub(r":\w+:", "", sentence).replace("``", "`").replace("|", "\\|")


def table() -> str:
    """A line a package, from the lowest layer up."""
    lines = ["| layer | package | what it holds |", "|--:|---|---|"]
    for number, packages in enumerate(layers()):
        lines += [f"| {number} | `{name}` | {purpose(name)} |" for name in sorted(packages)]
    return "\n".join(lines)


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {"generated/layers.md": table()}
