"""Tables of the assignments, from their assignment.toml."""

from __future__ import annotations

from eva.grading.checks.rubric import load_assignment
from makers.records import ROOT

ASSIGNMENTS = ROOT / "assignments"


def table(name: str) -> str:
    """Checks and points of one assignment."""
    assignment = load_assignment(ASSIGNMENTS / name)
    lines = ["| | check | points | hints |", "|--:|---|--:|--:|"]
    for index, spec in enumerate(assignment.checks.values(), start=1):
        lines.append(f"| {index} | {spec.title} | {spec.points:g} | {len(spec.hints)} |")
    total = f"{assignment.points:g}"
    return "\n".join([*lines, f"| | **all** | **{total}** | |"])


def texts() -> dict[str, str]:
    """All that this file makes."""
    folders = sorted(path.parent.name for path in ASSIGNMENTS.glob("*/assignment.toml"))
    return {f"generated/rubric-{name}.md": table(name) for name in folders}
