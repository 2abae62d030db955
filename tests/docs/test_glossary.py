"""Each term of the course is explained where it first appears, in the lesson that introduces it."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
TERMS: list[dict[str, Any]] = tomllib.loads((DOCS / "glossary.toml").read_text())["term"]
LESSONS: list[str] = [
    one["name"] for one in tomllib.loads((DOCS / "exercises" / "course.toml").read_text())["lesson"]
]


def paragraphs(name: str) -> list[str]:
    """The prose of a lesson: no headings, code, pictures, tables or widgets."""
    text = (DOCS / "lessons" / f"{name}.md").read_text(encoding="utf-8")
    text = re.sub(r"(?ms)^```.*?^```$|^<div class=\"widget.*?^</div>$", "", text)
    text = re.sub(r"`[^`\n]*`|\]\([^)]*\)|\*\*The idea:.*", " ", text)
    dropped = ("#", "|", "<", "--8<--", "*Further reading:", "Next:")
    return [part for part in text.split("\n\n") if not part.strip().startswith(dropped)]


def first_use(term: dict[str, Any], parts: list[str]) -> str | None:
    """The paragraph that uses a term first."""
    words = "|".join(map(re.escape, (term["name"], *term.get("forms", []))))
    return next((p for p in parts if re.search(rf"(?i)(?<![\w-])(?:{words})(?![\w-])", p)), None)


def explains(term: dict[str, Any], paragraph: str) -> bool:
    """Whether the term stands there in italics or bold, as a word that is being explained."""
    words = "|".join(map(re.escape, (term["name"], *term.get("forms", []))))
    return re.search(rf"(?i)\*(?:[\w-]+ )?(?:{words})\.?\*", paragraph) is not None


@pytest.mark.parametrize("term", TERMS, ids=lambda term: str(term["name"]))
def test_a_term_is_explained_before_its_first_use(term: dict[str, Any]) -> None:
    at = LESSONS.index(term["lesson"])
    for earlier in LESSONS[:at]:
        used = first_use(term, paragraphs(earlier))
        assert used is None, f"{earlier} uses {term['name']!r}: {used}"
    own = first_use(term, paragraphs(term["lesson"]))
    assert own is not None and explains(term, own), own


def test_a_term_used_too_early_is_noticed() -> None:
    term = {"name": "stride", "forms": ["strides"]}
    assert first_use(term, ["Here.", "With a Stride of 2."]) == "With a Stride of 2."
    assert not explains(term, "With a stride of 2.") and explains(term, "A *stride* of 2.")
    assert first_use(term, ["Astride, and a strider."]) is None
