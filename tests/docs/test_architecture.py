"""Names in the texts for developers: each module, function and file that they send a reader to."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXTS = ("docs/architecture.md", "CONTRIBUTING.md")


def _resolve(name: str) -> object:
    """A module, or a name in one."""
    parts = name.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = getattr(found, part)
        return found
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("text", TEXTS)
def test_every_dotted_name_is_there(text: str) -> None:
    names = set(re.findall(r"`(eva(?:\.\w+)+)`", (ROOT / text).read_text(encoding="utf-8")))
    for name in sorted(names):
        assert _resolve(name) is not None, name


@pytest.mark.parametrize("text", TEXTS)
def test_every_file_is_there(text: str) -> None:
    """A word in capitals stands for a name that the reader chooses."""
    content = (ROOT / text).read_text(encoding="utf-8")
    paths = re.findall(r"`((?:eva|docs|tests|assignments|\.ci|\.github)/[\w./-]*)`", content)
    for path in paths:
        fixed = re.split(r"[A-Z]{3,}", path)[0]
        assert (ROOT / fixed.rpartition("/")[0] if fixed != path else ROOT / path).exists(), path


def test_each_walk_is_there_and_goes_through_the_packages() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    walks = re.findall(r"(?ms)^## Walk \d: (.*?)\n(.*?)(?=^## )", text)
    assert len(walks) == 4
    for title, walk in walks:
        steps = re.findall(r"(?m)^\d\. \*\*", walk)
        assert 5 <= len(steps) <= 7, title
        assert len(re.findall(r"`eva\.", walk)) >= len(steps), title
