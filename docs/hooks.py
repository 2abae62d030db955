"""What MkDocs does to our pages: measured numbers put in, Sphinx roles turned into links.

``{{ exp5.test }}`` in a page stands for an entry of docs/generated/numbers.json, which
`python docs/generate.py` makes from the records. An unknown name stops the build.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path
from typing import Any

NUMBERS = Path(__file__).parent / "generated" / "numbers.json"
PAGES: list[tuple[str, str, str, str]] = []  # title, address, description, card
NAME = re.compile(r"\{\{ ([\w.]+) \}\}")
# Code, attributes of classes, and folded notes with hundreds of numbers.
UNSEARCHED = re.compile(
    r'(<div(?= class="(?:\S+ )*(?:highlight|doc-attribute)")|<details(?= class="note"))'
)
LONGEST = 160  # characters of a description
ROLE = re.compile(r":(?:class|func|meth|attr|exc|mod):<code>~?([\w.]+)</code>")


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Replace every ``{{ name }}`` by the number of that name."""
    numbers: dict[str, str] = json.loads(NUMBERS.read_text())

    def number(match: re.Match[str]) -> str:
        if match[1] not in numbers:
            raise KeyError(f"{page.file.src_path}: {NUMBERS.name} has no number {match[1]!r}")
        return numbers[match[1]]

    made = NAME.sub(number, markdown)
    notebook = f"notebooks/lesson-{Path(page.file.src_path).stem}.ipynb"
    if (Path(__file__).parent / notebook).exists() and page.file.src_path.startswith("lessons/"):
        link = f"[This lesson as a notebook](../{notebook}), for Jupyter or Colab."
        before, found, after = made.partition("\nNext: ")
        made = f"{before.rstrip()}\n\n{link}\n\n{found.lstrip()}{after}"
    page.meta.setdefault("description", description(made))
    return made


def description(markdown: str) -> str:
    """The first sentences of a page, without markup: what search engines show of it."""
    text = re.sub(r"(?ms)^```.*?^```$|^---$.*?^---$", "", markdown)
    for part in text.split("\n\n"):
        words = " ".join(part.split())
        if not words or words[0] in "#<|!?-`" or words.startswith("--8<--"):
            continue
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)(\{[^}]*\})?|[*`]|\{ [.#]\w+ \}", r"\1", words)
        words = words.removeprefix("The idea: ")
        if len(words) <= LONGEST:
            return words
        return words[:LONGEST].rpartition(" ")[0].rstrip(",.;:") + " ..."
    return ""


def on_page_content(html: str, **_: Any) -> str:
    """Turn roles into references that mkdocs-autorefs resolves; keep details out of the search."""

    def reference(match: re.Match[str]) -> str:
        short = match[1].rpartition(".")[2]
        return f'<autoref identifier="{match[1]}" optional><code>{short}</code></autoref>'

    return ROLE.sub(reference, UNSEARCHED.sub(r"\1 data-search-exclude", html))


def on_page_context(context: Any, page: Any, config: Any, **_: Any) -> Any:
    """Remember the page for llms.txt, and where its card will be."""
    name = page.file.src_path.removesuffix(".md").replace("/", "-")
    page.meta["card"] = f"assets/cards/{name}.png"
    PAGES.append((str(page.title), page.url, page.meta.get("description", ""), page.meta["card"]))
    return context


def on_config(config: Any, **_: Any) -> Any:
    """Let the header choose among versions, where mike publishes several side by side."""
    if os.environ.get("EVA_DOCS_VERSIONS") == "mike":
        config["extra"]["version"] = {"provider": "mike"}
    return config


def on_pre_build(**_: Any) -> None:
    """Forget the pages of an earlier build."""
    PAGES.clear()


def on_post_build(config: Any, **_: Any) -> None:
    """Write llms.txt, and a card for each page where the site has an address."""
    site, address = Path(config["site_dir"]), config["site_url"] or ""
    lines = [f"# {config['site_name']}", "", f"> {config['site_description']}", ""]
    lines += [f"- [{title}]({address}{url}): {words}" for title, url, words, _ in PAGES]
    (site / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    if address:
        sys.path.insert(0, str(Path(__file__).parent))
        from makers.cards import card

        for title, _, words, place in PAGES:
            card(title, words, site / place)
