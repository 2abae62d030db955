"""The glossary as a page, and as abbreviations that every page shows on hover."""

from __future__ import annotations

import tomllib
from typing import Any

from makers.records import DOCS


def terms() -> list[dict[str, Any]]:
    """Terms in the order in which the lessons introduce them."""
    found: list[dict[str, Any]] = tomllib.loads((DOCS / "glossary.toml").read_text())["term"]
    return found


def lessons() -> dict[str, str]:
    """Title of each lesson by its name."""
    listed = tomllib.loads((DOCS / "exercises" / "course.toml").read_text())["lesson"]
    return {one["name"]: one["title"] for one in listed}


def page() -> str:
    """A term a line, by the alphabet."""
    titles = lessons()
    lines = ["| term | meaning | lesson |", "|---|---|---|"]
    for term in sorted(terms(), key=lambda one: one["name"].lower()):
        name = term["lesson"]
        link = f"[{titles[name]}](lessons/{name}.md)"
        lines.append(f"| **{term['name']}** | {term['meaning']} | {link} |")
    return "\n".join(lines)


def abbreviations() -> str:
    """What the extension `abbr` reads."""
    shown = [term for term in terms() if term.get("hover", True)]
    return "\n".join(
        f"*[{word}]: {term['meaning']}"
        for term in shown
        for word in (term["name"], *term.get("forms", []))
    )


def texts() -> dict[str, str]:
    """All that this file makes."""
    return {"generated/glossary.md": page(), "generated/abbreviations.md": abbreviations()}
