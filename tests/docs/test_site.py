"""What a visitor meets, in a real browser: quiet pages that are readable for everybody."""

import os
import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
HOME_LIMIT = 500_000  # bytes of everything that the home page loads, not compressed
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


PAGES = [url_of(p) for p in pages_of(yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"])]


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


class Visit:
    """A page open in the browser, and what it did meanwhile."""

    def __init__(self, browser: Any, address: str, scheme: str = "light") -> None:
        self.errors: list[str] = []
        self.outside: list[str] = []
        self.weight = 0
        context = browser.new_context(
            viewport={"width": 1280, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
        )
        context.route(lambda url: not url.startswith(address), self._refuse)
        self.page = context.new_page()
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("response", self._weigh)

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

    def violations(self, scheme: str) -> list[str]:
        """What axe-core finds, a line each."""
        self.page.evaluate(f"document.body.setAttribute('data-md-color-scheme', '{scheme}')")
        rules = {"runOnly": LEVELS} if scheme == "default" else {"runOnly": ["color-contrast"]}
        found = self.page.evaluate("rules => axe.run(document, rules)", rules)["violations"]
        return [
            f"{scheme}: {one['id']}: {node['target']} {node['failureSummary']}"
            for one in found
            for node in one["nodes"][:3]
        ]


@pytest.mark.parametrize("page", PAGES)
def test_page_is_quiet_accessible_and_fits_a_phone(page: str, browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    try:
        visit.page.goto(address + page, wait_until="networkidle")
        assert not visit.errors, f"errors in the console: {visit.errors}"
        assert not visit.outside, f"requests that leave the site: {visit.outside}"
        axe = resources.files("axe_playwright_python") / "axe.min.js"
        visit.page.evaluate(axe.read_text())
        assert not (visit.violations("default") + visit.violations("slate"))
        visit.page.set_viewport_size({"width": 360, "height": 780})
        width = visit.page.evaluate("document.documentElement.scrollWidth")
        assert width <= 360, f"{width} px wide on a screen of 360"
    finally:
        visit.page.context.close()


def test_home_page_is_light(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    visit.page.goto(f"{address}/", wait_until="networkidle")
    visit.page.context.close()
    assert 10_000 < visit.weight < HOME_LIMIT


def test_a_request_that_leaves_the_site_is_noticed(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    visit.page.goto(f"{address}/", wait_until="networkidle")
    visit.page.evaluate("fetch('http://192.0.2.1/font.woff2').catch(() => 0)")
    visit.page.context.close()
    assert visit.outside == ["http://192.0.2.1/font.woff2"]


def test_search_finds_a_lesson(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    visit.page.goto(f"{address}/", wait_until="networkidle")
    visit.page.keyboard.press("/")
    visit.page.keyboard.type("binomial")
    link = visit.page.locator(".md-search-result__link").first
    link.wait_for(timeout=20_000)
    assert "lessons/consistency" in (link.get_attribute("href") or "")
    visit.page.context.close()
