"""A running site with its worker on a data directory of its own, and people in front of a real browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.browser.people import PASSWORD, PROJECT

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE = 120
"""Seconds until a wait for something that must come is given up."""


@dataclass
class Site:
    url: str
    data_dir: Path
    environment: dict[str, str]
    process: subprocess.Popen[bytes]
    log: Path

    def project(self, path: str = "") -> str:
        return f"{self.url}/p/{PROJECT}/{path}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert process.poll() is None, log.read_text()
        try:
            if httpx.get(f"{url}/healthz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.2)
    raise AssertionError(f"the site did not come up:\n{log.read_text()}")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from tests.tiny_model import save_tiny_model

    directory = tmp_path_factory.mktemp("site")
    model = save_tiny_model(directory / "tiny-model")
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CONCORD_MODE")}
    environment |= {
        "CONCORD_DATA_DIR": str(directory / "data"),
        "BASE_MODEL": str(model),
        "DJANGO_SETTINGS_MODULE": "rlhf_site.settings",
        "OMP_NUM_THREADS": "1",
    }
    subprocess.run([sys.executable, "-m", "tests.browser.people"], cwd=ROOT, env=environment, check=True)
    log = directory / "site.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(port)],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until_up(f"http://127.0.0.1:{port}", process, log)
        yield Site(f"http://127.0.0.1:{port}", directory / "data", environment, process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE)


@dataclass
class Complaints:
    """What a browser held against the site: policy violations, script errors, server errors, failed loads."""

    seen: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Collect the browser's complaints and fail the test that leaves any."""
    found = Complaints()
    yield found
    assert found.seen == []


@pytest.fixture
def log_in(browser, site: Site, complaints: Complaints) -> Iterator[Callable]:
    """Return a function that logs a person in and returns their page, in a session of its own."""
    contexts = []

    def enter(username: str, **options: object):
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: complaints.seen.append(f"{page.url}: {error}"))
        page.on("console", lambda message: note_console(page.url, message, complaints))
        page.on("response", lambda answer: note_answer(answer, complaints))
        page.goto(site.url)
        page.get_by_label("Username").or_(page.get_by_label("Login")).first.fill(username)
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        page.wait_for_url(lambda url: "/accounts/" not in url)
        return page

    yield enter
    for context in contexts:
        context.close()


def note_console(url: str, message, complaints: Complaints) -> None:
    expected = "the server responded with a status of 4" in message.text
    if message.type == "error" and not expected:
        complaints.seen.append(f"{url}: {message.text}")


def note_answer(answer, complaints: Complaints) -> None:
    if answer.status >= 500:
        complaints.seen.append(f"{answer.url}: {answer.status}")
