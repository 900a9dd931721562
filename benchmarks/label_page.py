"""How fast the annotator's page is, measured in a browser against a site in production mode: `make bench-page`.

Prints one JSON line per figure:

    first_page   bytes on the wire, requests, and when the first comparison was painted (cold and warm cache)
    submit       from the Enter key to the next comparison painted; `think_s` is the pause before each key press

"Painted" is the end of the second animation frame after the swap, which is later than the paint itself by up to one
frame; `event_ms` is the browser's own figure for a key press (Event Timing: key press to next paint, in steps of 8 ms).
Times are the browser's (performance.now). The site, the browser and the measurement share the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import secrets
import shutil
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.label_rows import ANNOTATOR, PASSWORD
from benchmarks.own_site import OwnSite, SiteFailed

ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
WINDOW = {"width": 1440, "height": 900}
PRODUCTION = {
    "CONCORD_MODE": "production",
    "ALLOWED_HOSTS": "127.0.0.1",
    "CSRF_TRUSTED_ORIGINS": "https://127.0.0.1",
    "SECURE_SSL_REDIRECT": "false",
}
WATCH_PAINT = """() => {
  const seen = (window.seen = { painted: 0, contentful: 0, scripted: 0 });
  const watch = (type, take) =>
    new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true });
  watch("paint", (entry) => entry.name === "first-contentful-paint" && (seen.contentful = entry.startTime));
  watch("largest-contentful-paint", (entry) => (seen.painted = entry.startTime));
}"""
WATCH_SUBMIT = """() => {
  window.measured = [];
  window.events = [];
  let pressed = 0;
  document.addEventListener("keydown", (event) => event.key === "Enter" && (pressed = event.timeStamp), true);
  new MutationObserver((changes) => {
    if (!pressed || !changes.some((change) => [...change.addedNodes].some((node) => node.id === "task"))) return;
    const since = pressed;
    pressed = 0;
    requestAnimationFrame(() => requestAnimationFrame(() => measured.push(performance.now() - since)));
  }).observe(document.querySelector("#bench"), { childList: true });
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (entry.name === "keydown") events.push(entry.duration);
  }).observe({ type: "event", durationThreshold: 16 });
}"""


def say(name: str, **figures: Any) -> None:
    print(json.dumps({"benchmark": f"label_page.{name}", **figures}), flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[round(share * 100) - 1]


def spread(values: Sequence[float]) -> dict[str, float]:
    return {
        "median_ms": round(statistics.median(values), 1),
        "p95_ms": round(percentile(values, 0.95), 1),
        "max_ms": round(max(values), 1),
        "n": len(values),
    }


def open_queue_page(page: Any, url: str) -> dict[str, Any]:
    """Open the queue and return when what was painted, and what went over the wire."""
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    sizes: list[float] = []
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.goto(url, wait_until="load")
    page.wait_for_function("() => window.bench?.now")
    page.evaluate(WATCH_PAINT)
    page.wait_for_function("() => seen.painted > 0")
    seen = page.evaluate("() => seen")
    came = page.evaluate(
        "() => { const at = performance.getEntriesByType('navigation')[0];"
        " return [at.responseStart, at.domContentLoadedEventEnd] }"
    )
    # What the page fetches ahead comes after; only its own files and the document count as the first page.
    own = page.evaluate(
        "() => [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".filter((entry) => entry.initiatorType !== 'fetch').map((entry) => entry.transferSize)"
    )
    session.detach()
    return {
        "transfer_kb": round(sum(own) / 1000, 1),
        "wire_kb_with_next_task": round(sum(sizes) / 1000, 1),
        "requests": sum(size > 0 for size in own),
        "first_byte_ms": came[0],
        "painted_ms": seen["painted"],
        "keys_work_ms": came[1],
    }


def measure_first_page(browser: Any, url: str, state: Any, repeats: int) -> None:
    found: dict[str, list[dict[str, Any]]] = {"cold": [], "warm": []}
    for _ in range(repeats):
        context = browser.new_context(storage_state=state, viewport=WINDOW)
        page = context.new_page()
        for cache in ("cold", "warm"):
            found[cache].append(open_queue_page(page, url))
            page.goto("about:blank")
        context.close()
    for cache, pages in found.items():
        say(
            "first_page",
            cache=cache,
            repeats=repeats,
            **{name: round(statistics.median(page[name] for page in pages), 1) for name in pages[0]},
            painted_max_ms=max(page["painted_ms"] for page in pages),
        )


def measure_submit(browser: Any, url: str, state: Any, count: int, think_s: float) -> None:
    context = browser.new_context(storage_state=state, viewport=WINDOW)
    page = context.new_page()
    page.goto(url, wait_until="load")
    page.wait_for_function("() => window.bench?.now")
    page.evaluate(WATCH_SUBMIT)
    for number in range(count):
        page.wait_for_timeout(1000 * think_s)
        page.keyboard.press("1" if number % 2 else "6")
        page.keyboard.press("Enter")
        page.wait_for_function("n => measured.length === n", arg=number + 1)
    page.wait_for_function("() => !bench.outbox.pending().length")
    say(
        "submit",
        think_s=think_s,
        **spread(page.evaluate("() => measured")),
        event_ms=spread(page.evaluate("() => events")),
    )
    context.close()


def log_in(browser: Any, site: OwnSite) -> Any:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/accounts/login/")
    page.fill("[name=login]", ANNOTATOR)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda address: "/accounts/" not in address)
    state = context.storage_state()
    context.close()
    return state


def measure(site: OwnSite, queue: str, options: argparse.Namespace, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    url = f"{site.url}/q/{queue}/"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        state = log_in(browser, site)
        say("machine", cores=os.cpu_count(), python=platform.python_version(), chromium=browser.version)
        measure_first_page(browser, url, state, options.repeats)
        for think_s in (options.think, 0.0):
            measure_submit(browser, url, state, options.submissions, think_s)
        browser.close()


def main(arguments: Sequence[str] | None = None, tell: Callable[[str], None] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.label_page", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--submissions", type=int, default=60, help="Key presses that are measured, for each pause.")
    parser.add_argument("--think", type=float, default=1.0, help="Seconds of pause before a key press.")
    parser.add_argument("--repeats", type=int, default=7, help="First pages, each with a cold and a warm cache.")
    options = parser.parse_args(arguments)
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("There is no Chromium; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    try:
        with OwnSite(workers=0, say=tell or (lambda text: print(text, file=sys.stderr))) as site:
            site.environment |= {**PRODUCTION, "SECRET_KEY": secrets.token_urlsafe(50)}
            queue = site.fill("benchmarks.label_rows").split()[-1]
            site.start()
            measure(site, queue, options, chromium)
    except SiteFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
