"""Pages of the site: links lead somewhere, numbers have a source, lists are complete."""

import importlib.util
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType, SimpleNamespace
from urllib.parse import unquote, urldefrag

import pytest

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        self.ids |= {value for key in ("id", "name") if (value := found.get(key))}
        self.links += [value for key in ("href", "src") if (value := found.get(key))]


@cache
def read(path: Path) -> _Links:
    parser = _Links()
    parser.feed(path.read_text())
    return parser


def target(page: Path, link: str, site: Path) -> str | None:
    """What is wrong with a link, or None."""
    place, anchor = urldefrag(unquote(link))
    path = page if not place else (page.parent / place).resolve()
    if path.is_dir():
        path = path / "index.html"
    if not path.is_relative_to(site) or not path.is_file():
        return f"{page.relative_to(site)}: {link} leads nowhere"
    if anchor and path.suffix == ".html" and anchor not in read(path).ids:
        return f"{page.relative_to(site)}: {link} has no such place"
    return None


def test_links_and_anchors_lead_somewhere_inside(site: Path) -> None:
    site = site.resolve()
    problems = []
    for page in site.rglob("*.html"):
        if page.name == "404.html":  # is served from anywhere: its links are absolute
            continue
        for link in read(page).links:
            if not re.match(r"[a-z]+:|//", link):
                problems.append(target(page, link, site))
    assert not [p for p in problems if p]


def test_a_link_to_nowhere_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "index.html"
    page.write_text('<h2 id="here">.</h2>')
    assert target(page, "#here", tmp_path) is None
    assert target(page, "#there", tmp_path) == "index.html: #there has no such place"
    assert target(page, "gone/", tmp_path) == "index.html: gone/ leads nowhere"


def test_what_is_only_for_building_is_not_published(site: Path) -> None:
    for private in (
        "records",
        "makers",
        "generated",
        "snippets",
        "hooks.py",
        "generate.py",
        "overrides",
    ):
        assert not (site / private).exists()


def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", DOCS / "hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_number_without_a_source_stops_the_build() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_path="page.md"))
    with pytest.raises(KeyError, match=r"page\.md: numbers\.json has no number 'exp9\.test'"):
        hooks().on_page_markdown("It ends at {{ exp9.test }} %.", page=page)


def test_a_number_is_put_in() -> None:
    page = SimpleNamespace(file=SimpleNamespace(src_path="page.md"), meta={})
    text = hooks().on_page_markdown("An error of {{ binomial.error }} points.", page=page)
    assert text == "An error of 0.077 points."


def test_versions_are_offered_only_where_mike_publishes_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EVA_DOCS_VERSIONS", raising=False)
    assert hooks().on_config({"extra": {}})["extra"] == {}
    monkeypatch.setenv("EVA_DOCS_VERSIONS", "mike")
    assert hooks().on_config({"extra": {}})["extra"] == {"version": {"provider": "mike"}}


def test_every_list_of_errors_is_on_the_page_of_errors() -> None:
    page = (DOCS / "guides" / "errors.md").read_text()
    lists = sorted(path.name for path in (DOCS / "generated").glob("errors-*.md"))
    assert lists and not [name for name in lists if f"generated/{name}" not in page]


def test_everything_generated_is_used() -> None:
    pages = "".join(p.read_text() for p in DOCS.rglob("*.md") if "generated" not in p.parts)
    unused = [p.name for p in (DOCS / "generated").iterdir() if f"generated/{p.name}" not in pages]
    # Numbers and abbreviations are put into every page.
    assert set(unused) <= {"abbreviations.md", "numbers.json", "reference-epochs.md"}


def test_every_page_has_a_description_and_is_in_the_list_for_language_models(site: Path) -> None:
    listed = (site / "llms.txt").read_text(encoding="utf-8")
    for page in site.rglob("index.html"):
        (words,) = re.findall(r'<meta name="description" content="([^"]*)"', page.read_text())
        assert len(words) > 30, page
        assert f"]({page.parent.relative_to(site)}/)".replace("(./)", "()") in listed, page


def test_a_description_is_the_first_prose_without_markup() -> None:
    page = "# Title\n\n<div>\n\n**The idea: a *small* [window](x.md) slides.**\n\nMore."
    assert hooks().description(page) == "a small window slides."
    assert len(hooks().description("word " * 99)) <= 164


def test_a_card_is_drawn_for_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS))
    from makers.cards import SIZE, card

    card("What a convolution is", "A window slides over an image.", tmp_path / "a" / "card.png")
    from PIL import Image

    with Image.open(tmp_path / "a" / "card.png") as image:
        assert image.size == SIZE
        assert len(image.getcolors(100_000) or ()) > 2
