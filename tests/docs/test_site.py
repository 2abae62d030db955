"""What a visitor meets, in a real browser: quiet pages that are readable for everybody."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOME_LIMIT = 500_000  # bytes of everything that the home page loads, not compressed
PAGE_LIMIT = 700_000  # of any other page, its widgets included
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
INSTALL = "install it with `apt-get install chromium`, and `pip install -e '.[dev]'`"


def pages_of(entry: Any) -> Iterator[str]:
    """Paths of Markdown files in the nav."""
    if isinstance(entry, str):
        yield entry
    for inner in entry.values() if isinstance(entry, dict) else entry:
        if isinstance(entry, (dict, list)):
            yield from pages_of(inner)


def url_of(page: str) -> str:
    return "/" + page.removesuffix("index.md").replace(".md", "/")


CONFIG = (ROOT / "mkdocs.yml").read_text()
PAGES = [url_of(p) for p in pages_of(yaml.safe_load(CONFIG.replace("!ENV ", ""))["nav"])]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium; its absence is a failure where CI=true, else a reason to skip."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        found = None
    if found is None:
        missing = f"this test needs chromium and playwright: {INSTALL}"
        if os.environ.get("CI") == "true":
            pytest.fail(missing)
        pytest.skip(missing)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=found, args=["--no-sandbox", "--disable-background-networking"]
        )
        yield chromium
        chromium.close()


# Marks one element of each look (colors, size, weight, ground) for the slow rule of contrast:
# a thousand tokens of code have about ten looks.
MARK_LOOKS = """() => {
  const seen = new Set();
  for (const old of document.querySelectorAll("[data-look]")) old.removeAttribute("data-look");
  for (const element of document.body.querySelectorAll("*")) {
    const texts = [...element.childNodes].filter((n) => n.nodeType === 3 && n.data.trim());
    if (!texts.length || !element.checkVisibility()) continue;
    const style = getComputedStyle(element);
    const look = [style.color, style.fill, style.fontSize, style.fontWeight];
    for (let at = element; at; at = at.parentElement) {
      const { backgroundColor, backgroundImage, opacity } = getComputedStyle(at);
      look.push(backgroundColor, backgroundImage, opacity);
    }
    const key = look.join(" ");
    if (!seen.has(key)) element.setAttribute("data-look", "");
    seen.add(key);
  }
  return seen.size;
}"""
AXE = "/_axe.js"  # served beside the site, and only to the tests


class Visit:
    """A page open in the browser, and what it did since it was last sent somewhere."""

    def __init__(self, browser: Any, address: str) -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.weight = 0
        self.address = address
        self.context = browser.new_context(
            viewport={"width": 1280, "height": 900}, reduced_motion="reduce"
        )
        self.context.route(lambda url: not url.startswith(address), self._refuse)
        self.page = self.context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._weigh)

    def go(self, path: str, wait_until: str = "load") -> None:
        """Open a page of the site, on a wide screen."""
        self.page.set_viewport_size({"width": 1280, "height": 900})
        self.errors, self.outside, self.weight = [], [], 0
        self.page.goto(self.address + path, wait_until=wait_until)

    def _refuse(self, route: Any) -> None:
        url = route.request.url
        if url.startswith(("data:", "blob:", "about:")):
            route.continue_()
            return
        self.outside.append(url)
        route.abort()

    def _listen(self, message: Any) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def _weigh(self, response: Any) -> None:
        self.weight += int(response.headers.get("content-length", 0))

    def violations(self) -> list[str]:
        """What axe-core finds of level A and AA, in the light and in the dark, a line each."""
        self.page.add_script_tag(url=self.address + AXE)
        rules = {"color-contrast": {"enabled": False}}
        found = self.axe("document", {"runOnly": LEVELS, "rules": rules})
        for scheme in ("default", "slate"):
            self.page.evaluate(
                "name => document.body.setAttribute('data-md-color-scheme', name)", scheme
            )
            assert self.page.evaluate(MARK_LOOKS) > 0
            inside = "{include: [['[data-look]']]}"
            contrast = self.axe(inside, {"runOnly": ["color-contrast"]})
            found += [f"{scheme}: {line}" for line in contrast]
        return found

    def axe(self, where: str, options: dict[str, Any]) -> list[str]:
        """Run axe-core on a part of the page; a line for each of the first elements it blames."""
        options = options | {"resultTypes": ["violations"]}
        found = self.page.evaluate(f"options => axe.run({where}, options)", options)["violations"]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            for node in one["nodes"][:3]
        ]


@pytest.fixture(scope="session")
def visit(browser: Any, address: str) -> Iterator[Visit]:
    """One visitor who goes from page to page."""
    visitor = Visit(browser, address)
    yield visitor
    visitor.context.close()


def unreachable(visit: Visit, seconds: int = 10) -> list[str]:
    """What scrolls and no key reaches; the page has `seconds` to mark it after it was resized."""
    for _ in range(4 * seconds):
        found = visit.axe("document", {"runOnly": ["scrollable-region-focusable"]})
        if not found:
            break
        visit.page.wait_for_timeout(250)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_page_is_quiet_accessible_and_fits_a_phone(page: str, visit: Visit) -> None:
    visit.go(page)
    problems = visit.violations()
    visit.page.set_viewport_size({"width": 360, "height": 780})
    width = visit.page.evaluate("document.documentElement.scrollWidth")
    problems += unreachable(visit)
    visit.page.wait_for_load_state("networkidle")
    assert not visit.errors, f"errors in the console: {visit.errors}"
    assert not visit.outside, f"requests that leave the site: {visit.outside}"
    assert not problems, "\n".join(problems)
    assert width <= 360, f"{width} px wide on a screen of 360"


def test_pale_text_and_a_picture_without_words_are_noticed(visit: Visit) -> None:
    visit.go("/")
    visit.page.evaluate(
        "document.querySelector('article').insertAdjacentHTML('beforeend',"
        "`<p style='color: #ddd'>pale</p><img src='assets/favicon.svg'>`)"
    )
    found = visit.violations()
    assert sorted(line.split(":")[0] for line in found) == ["default", "image-alt"]


def test_a_table_that_scrolls_out_of_reach_is_noticed(visit: Visit) -> None:
    visit.go("/experiments/frontier/")
    assert not visit.violations()
    visit.page.evaluate("Element.prototype.setAttribute = () => {}")  # so nothing gets a tabindex
    visit.page.set_viewport_size({"width": 360, "height": 780})
    assert any("scrollable-region-focusable" in line for line in unreachable(visit, seconds=1))


@pytest.mark.parametrize(
    ("path", "limit"),
    [
        ("/", HOME_LIMIT),
        ("/lessons/regularization/", PAGE_LIMIT),
        ("/experiments/frontier/", PAGE_LIMIT),
        ("/reference/rf/", PAGE_LIMIT),
    ],
)
def test_a_page_is_light(path: str, limit: int, browser: Any, address: str) -> None:
    first = Visit(browser, address)  # with an empty cache
    first.go(path, wait_until="networkidle")
    first.context.close()
    assert 10_000 < first.weight < limit


def test_a_request_that_leaves_the_site_is_noticed(visit: Visit) -> None:
    visit.go("/")
    visit.page.evaluate("fetch('http://192.0.2.1/font.woff2').catch(() => 0)")
    assert visit.outside == ["http://192.0.2.1/font.woff2"]


def test_an_error_in_the_console_is_noticed(visit: Visit) -> None:
    visit.go("/")
    visit.page.evaluate("console.error('planted')")
    assert visit.errors == ["planted"]


FOUND = {  # what somebody types -> a page that answers
    "binomial": "lessons/consistency",
    "nesterov": "reference/recipes",
    "momentum": "lessons/pipeline",
    "softmax": "lessons/pipeline",
    "--holdout": "reference/cli",
    "shape mismatch": "guides/errors",
    "99.39": "experiments/exp3",
    "threat": "guides/threat-model",
}


@pytest.mark.parametrize("typed", FOUND)
def test_search_finds_what_is_typed(typed: str, visit: Visit) -> None:
    visit.go("/", wait_until="networkidle")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type(typed)
    links = visit.page.locator(".md-search-result__link")
    links.first.wait_for(timeout=20_000)
    found = [link.get_attribute("href") or "" for link in links.all()]
    assert any(FOUND[typed] in one for one in found), found
