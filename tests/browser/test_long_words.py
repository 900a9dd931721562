"""A word without a place to break, in a name or in a text, does not make the page scroll sideways."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.browser, pytest.mark.torch, pytest.mark.slow]

FILL = """() => {
  const places = document.querySelectorAll("main h1, main h2, main h3, main p");
  for (const place of places) (place.querySelector("a") || place).textContent = "W".repeat(900);
  return places.length;
}"""


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("path", ["", "p/harbour/", "p/harbour/queues/", "p/harbour/snapshots/", "p/harbour/members/"])
def test_a_word_of_900_letters_stays_inside_the_page(log_in, site, path, width):
    page = log_in("cleo", viewport={"width": width, "height": 800})
    page.goto(f"{site.url}/{path}")
    assert page.evaluate(FILL) > 0
    assert page.evaluate("document.documentElement.scrollWidth") == width
