"""axe finds nothing against WCAG 2.2 AA on any page: light and dark, on a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

import pytest

from tests.browser.conftest import Site, give_password

pytestmark = [pytest.mark.browser, pytest.mark.slow]

AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
WINDOWS = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 375, "height": 812}}
NO_PAGES = ("admin", "api", "snapshot-download", "set_language")
"""Django's and Swagger's own pages, a file, and a form's target."""
RUN = """async (levels) => {
  const found = await axe.run(document, { runOnly: levels, resultTypes: ["violations"] });
  return found.violations.flatMap((each) => each.nodes.map((node) => `${each.id}: ${node.target.join(" ")}`));
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(workers=0) as running:
        running.pages = json.loads(running.fill("tests.browser.every_page_site").splitlines()[-1])
        running.start()
        yield running


def look(browser, site: Site, person: str, theme: str, window: str, pages: dict[str, str]) -> dict[str, list[str]]:
    """Return what axe says of each page that shows something; bypasses the policy, for axe is no file of the site."""
    context = browser.new_context(
        viewport=WINDOWS[window], color_scheme=theme, reduced_motion="reduce", bypass_csp=True
    )
    page = context.new_page()
    if person:
        give_password(page, site, person)
    found, seen = {}, 0
    for name, address in pages.items():
        if "<main" not in context.request.get(f"{site.url}{address}").text():
            continue  # a fragment, which has its page elsewhere in the list, or an address that takes posts only
        page.goto(f"{site.url}{address}")
        seen += 1
        page.evaluate(AXE)
        if violations := page.evaluate(RUN, LEVELS):
            found[name] = violations
    context.close()
    assert seen >= min(len(pages), 3)
    return found


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_annotators(browser, site, theme, window):
    assert look(browser, site, "ann", theme, window, site.pages["ann"]) == {}


@pytest.mark.parametrize(("theme", "window"), [("light", "desk"), ("dark", "phone")])
def test_pages_of_curators_and_ml_staff(browser, site, theme, window):
    others = {name: path for name, path in site.pages["everybody"].items() if not name.startswith(NO_PAGES)}
    assert look(browser, site, "everybody", theme, window, others) == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_of_visitors(browser, site, theme):
    visits = {"login": "/accounts/login/", "signup": "/accounts/signup/", "missing": "/nowhere/"}
    assert look(browser, site, "", theme, "phone", visits) == {}


def test_what_opens_on_the_annotators_page(browser, site):
    """The keys, the pause, the ways to skip, the guidelines and the menu, each open."""
    context = browser.new_context(viewport=WINDOWS["desk"], reduced_motion="reduce", bypass_csp=True)
    page = context.new_page()
    give_password(page, site, "ann")
    found = {}
    for kind in ("comparison", "ranking", "rating"):
        page.goto(f"{site.url}{site.pages['ann'][f'label {kind}']}")
        page.evaluate(AXE)
        for key in ("?", "p", "s", "g"):
            page.keyboard.press("Escape")
            page.keyboard.press(key)
            found[f"{kind} {key}"] = page.evaluate(RUN, LEVELS)
        page.keyboard.press("Escape")
        page.locator(".menu-end > summary").click()
        found[f"{kind} menu"] = page.evaluate(RUN, LEVELS)
    context.close()
    assert {name: violations for name, violations in found.items() if violations} == {}
