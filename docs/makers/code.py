"""What changed between two experiments, and what each network looks like, from the code itself."""

from __future__ import annotations

import ast
import difflib
import importlib
import inspect
import re
from types import ModuleType

from eva.model_summary import summary
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


def known(name: str) -> str:
    """What an experiment's docstring says of the published run: known, and reconstructed."""
    text = inspect.getdoc(module(name)) or ""
    (paragraph,) = [part for part in text.split("\n\n") if part.startswith("Known: ")]
    first, _, second = " ".join(paragraph.split()).partition("Reconstructed: ")
    published, ours = first.removeprefix("Known: ").strip(), second[:1].upper() + second[1:]
    return (
        f"**Published:** {published[:1].upper()}{published[1:]}\n\n**Reconstructed by us:** {ours}"
    )


def layers(name: str) -> list[str]:
    """The printed network without what would hide a change: positions and BatchNorm's defaults."""
    text = repr(module(name).build_model())
    text = re.sub(r"\(\d+\): ", "", text)
    text = re.sub(r"(BatchNorm2d\(\d+)[^)]*", r"\1", text)
    return [line for line in text.splitlines() if line.strip() != ")"]


def layer_diff(before: list[str], after: list[str], names: tuple[str, str]) -> str:
    """Fenced diff of two printed networks, block by block, a layer against one of its kind.

    A plain diff of two networks of different widths pairs whatever lines happen to be equal, and
    says that everything moved.
    """
    if before == after:
        return "Nothing changed."
    old, new = _blocks(before), _blocks(after)
    lines = [f"--- {names[0]}", f"+++ {names[1]}"]
    for name in dict.fromkeys([*old, *new]):
        first, second = old.get(name, []), new.get(name, [])
        if first == second:
            lines.append(f" {first[0]}" + ("  # as before" if len(first) > 1 else ""))
            continue
        kinds = [[line.split("(")[0] for line in block] for block in (first, second)]
        matcher = difflib.SequenceMatcher(None, *kinds, autojunk=False)
        for tag, i1, i2, j1, j2 in matcher.get_opcodes():
            pairs = zip(first[i1:i2], second[j1:j2], strict=True) if tag == "equal" else ()
            for one, other in pairs:
                lines += [f" {one}"] if one == other else [f"-{one}", f"+{other}"]
            if tag != "equal":
                lines += [f"-{line}" for line in first[i1:i2]]
                lines += [f"+{line}" for line in second[j1:j2]]
    return "\n".join([f"{FENCE}diff", *lines, FENCE])


def _blocks(lines: list[str]) -> dict[str, list[str]]:
    """Lines by the child of the network that they belong to."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in lines:
        if not line.startswith("    "):
            name = line.split(":")[0].strip()
        found.setdefault(name, []).append(line)
    return found


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
        made[f"generated/{name}-known.md"] = known(name)
        made[f"generated/{name}-summary.md"] = _fenced(table.splitlines(), "text")
        if before is None:
            made[f"generated/{name}-recipe.md"] = _fenced(recipe_source(name), "python")
            made[f"generated/{name}-model.md"] = _fenced(model, "text")
            continue
        pair = (before, name)
        made[f"generated/{name}-recipe.md"] = diff(recipe_source(before), recipe_source(name), pair)
        made[f"generated/{name}-model.md"] = layer_diff(layers(before), model, pair)
    return made


def _fenced(lines: list[str], language: str) -> str:
    return "\n".join([f"{FENCE}{language}", *lines, FENCE])
