"""What changed between two experiments, and what each network looks like, from the code itself."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import re
from types import ModuleType

from eva.summary import summary
from makers.records import PUBLISHED

FENCE = "```"


def module(name: str) -> ModuleType:
    """An experiment's module."""
    return importlib.import_module(f"eva.experiments.{name}")


def recipe_source(name: str) -> list[str]:
    """Lines of ``RECIPE = ...`` in an experiment."""
    source = inspect.getsource(module(name))
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "RECIPE":
            return (ast.get_source_segment(source, node) or "").splitlines()
    raise LookupError(f"{name} has no RECIPE")


def layers(name: str) -> list[str]:
    """The printed network without what would hide a change: positions and BatchNorm's defaults."""
    text = repr(module(name).build_model())
    text = re.sub(r"\(\d+\): ", "", text)
    text = re.sub(r"(BatchNorm2d\(\d+)[^)]*", r"\1", text)
    return [line for line in text.splitlines() if line.strip() != ")"]


def diff(before: list[str], after: list[str], names: tuple[str, str]) -> str:
    """Fenced unified diff, or a sentence where nothing changed."""
    lines = list(difflib.unified_diff(before, after, *names, lineterm="", n=2))
    if not lines:
        return "Nothing changed."
    return "\n".join([f"{FENCE}diff", *lines, FENCE])


def texts() -> dict[str, str]:
    """All that this file makes."""
    made = {}
    names = list(PUBLISHED)
    for before, name in zip([None, *names], names, strict=False):
        model = layers(name)
        table = str(summary(module(name).build_model(), (1, 28, 28)))
        made[f"generated/{name}-summary.md"] = _fenced(table.splitlines(), "text")
        if before is None:
            made[f"generated/{name}-recipe.md"] = _fenced(recipe_source(name), "python")
            made[f"generated/{name}-model.md"] = _fenced(model, "text")
            continue
        pair = (before, name)
        made[f"generated/{name}-recipe.md"] = diff(recipe_source(before), recipe_source(name), pair)
        made[f"generated/{name}-model.md"] = diff(layers(before), model, pair)
    return made


def _fenced(lines: list[str], language: str) -> str:
    return "\n".join([f"{FENCE}{language}", *lines, FENCE])
