"""Who imports whom, what names there are, and where all of it can be imported."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import grimp

ROOT = Path(__file__).parents[1]

# Names that several modules must have: the two of a submission, the function of a format, and
# `check`, which makes a check of a function and is what `eva.check` does with all of them.
CONVENTIONS = {"RECIPE", "build_model", "render", "check"}

# Two things never share a name. These still do; the list may only get shorter.
SHARED = {
    "BATCH",
    "CHANNELS",
    "EXAMPLE",
    "Hull",
    "IDENTITY",
    "IMAGES",
    "Line",
    "Net",
    "Result",
    "Row",
    "SCHEMA",
    "SIZES",
    "Size",
    "Status",
    "Step",
    "WIDTH",
    "confusion",
    "fits",
    "linear",
    "main",
    "permute",
    "receptive_field",
    "shift",
}


def _modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / "eva").rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        yield name.removesuffix(".__init__"), ast.parse(path.read_text(encoding="utf-8"))


def _defined(tree: ast.Module) -> set[str]:
    """Public names that a module defines itself."""
    names: set[str] = set()
    for node in tree.body:
        match node:
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                names.add(name)
            case ast.Assign(targets=targets):
                names |= {target.id for target in targets if isinstance(target, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                names.add(name)
    return {name for name in names if not name.startswith("_")}


def test_two_things_never_share_a_name() -> None:
    homes = defaultdict(list)
    for module, tree in _modules():
        for name in _defined(tree):
            homes[name].append(module)
    shared = {name for name, places in homes.items() if len(places) > 1} - CONVENTIONS
    new = {name: homes[name] for name in shared - SHARED}
    assert not new, "a name of its own for each, please"
    assert shared >= SHARED, f"mended, so take it off the list: {SHARED - shared}"


def test_no_circle_of_imports() -> None:
    graph = grimp.build_graph("eva", exclude_type_checking_imports=True, cache_dir=None)
    left = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    while free := {module for module, needs in left.items() if not needs & left.keys()}:
        left = {module: needs for module, needs in left.items() if module not in free}
    assert not left, "these import each other, or what does"
