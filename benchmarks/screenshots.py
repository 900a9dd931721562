"""Pictures of every page, made from a running site: `make screenshots`.

Starts a site of its own (temporary database and data directory), makes one small turn of the loop in it through the
HTTP API, logs in as each role with Debian's Chromium, and takes each page in light, in dark and at
375 px. With `--selected DIR` it writes only the README's pictures. Console errors and violations of the content
security policy are reported and make it exit with status 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright
from playwright.sync_api import Error as BrowserError

from benchmarks.demo import PROMPTS, Annotator, Client, DemoFailed, Sizes, say, turn
from benchmarks.own_site import ROOT, OwnSite, SiteFailed, base_model
from feedback.schemas import TaskKind

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars",
]  # fmt: skip
DESK, PHONE = (1280, 860), (375, 812)
LOOKS = {"light": (DESK, "light"), "dark": (DESK, "dark"), "phone": (PHONE, "light")}
SELECTED = {
    ("annotator", "label", "light"): "label.png",
    ("annotator", "label", "dark"): "label-dark.png",
    ("curator", "queue", "light"): "queue.png",
    ("curator", "snapshot", "light"): "snapshot.png",
    ("ml", "run-ppo", "light"): "run.png",
    ("ml", "checkpoint", "light"): "checkpoint.png",
    ("annotator", "label", "phone"): "label-phone.png",
}
TALL = {"run-ppo": 1250}
"""Height of a selected desk picture where the usual one would cut off what it is about."""
COLOURS = 96
"""Palette size of a written picture: pages are flat, so a palette keeps them small."""


SMALL = Sizes(
    prompts=24,
    new_prompts=10,
    reward={"steps": 16, "lora_rank": 8, "lora_alpha": 16, "learning_rate": 3e-4},
    dpo={"steps": 12, "lora_rank": 8, "lora_alpha": 16},
    ppo={"updates": 4, "batch_size": 4, "minibatch_size": 4, "max_new_tokens": 32, "lora_rank": 8, "lora_alpha": 16},
)


@dataclass(frozen=True)
class Shot:
    login: str
    name: str
    path: str


@dataclass
class Trouble:
    """What the browser complained about."""

    found: list[str]

    def listen(self, page: Page) -> None:
        def on_console(message: ConsoleMessage) -> None:
            about = message.location.get("url", "")
            # A page of plain text has no <link rel="icon">, so the browser asks for the traditional place.
            if message.type == "error" and not about.endswith("/favicon.ico"):
                self.found.append(f"{page.url}: {message.text} ({about})")

        page.on("console", on_console)
        page.on("pageerror", lambda error: self.found.append(f"{page.url}: {error}"))


def shots(ids: dict[str, Any]) -> Iterator[Shot]:
    """Yield every page of every role; `ids` is what make_rows returned."""
    demo = "/p/demo"
    yield Shot("annotator", "home", "/")
    yield Shot("annotator", "project", f"{demo}/")
    yield Shot("annotator", "label", f"/q/{ids['queue']}/")
    yield Shot("annotator", "label-history", f"/q/{ids['queue']}/history/")
    yield Shot("annotator", "label-revise", f"/q/{ids['queue']}/history/{ids['judgment']}/")
    yield Shot("annotator", "label-guidelines", f"/q/{ids['queue']}/guidelines/")
    yield Shot("annotator", "label-me", f"/q/{ids['queue']}/me/")
    for kind, queue in ids["kinds"].items():
        yield Shot("annotator", f"label-{kind}", f"/q/{queue}/")
    for login in ("curator", "ml", "admin"):
        yield Shot(login, "home", "/")
        yield Shot(login, "project", f"{demo}/")
    for name, path in {
        "prompts": "prompts/",
        "prompt": f"prompts/{ids['prompt']}/",
        "imports": "imports/",
        "import-new": "imports/new/",
        "queues": "queues/",
        "queue-kinds": "queues/open/",
        **{f"queue-open-{kind}": f"queues/open/{kind}/" for kind in TaskKind.values},
        "queue": f"queues/{ids['full_queue']}/",
        "queue-guidelines": f"queues/{ids['queue']}/guidelines/",
        "queue-schema": f"queues/{ids['queue']}/schema/",
        "queue-policy": f"queues/{ids['queue']}/policy/",
        "queue-versions": f"queues/{ids['queue']}/versions/",
        "queue-people": f"queues/{ids['queue']}/people/",
        "tasks": f"queues/{ids['queue']}/tasks/",
        "task": f"tasks/{ids['task']}/",
        "skips": "queues/skips/",
        "self-naming": "queues/naming/",
        "judgments": "judgments/",
        "judgment": f"judgments/{ids['judgment']}/",
        "snapshots": "snapshots/",
        "snapshot-freeze": "snapshots/freeze/",
        "snapshot": f"snapshots/{ids['snapshot']}/",
    }.items():
        yield Shot("curator", name, f"{demo}/{path}")
    yield Shot("admin", "members", f"{demo}/members/")
    yield Shot("ml", "runs", f"{demo}/runs/")
    for kind in ("sample", "reward", "dpo", "ppo", "evaluate", "score"):
        yield Shot("ml", f"run-start-{kind}", f"{demo}/runs/start/{kind}/")
    for kind, run in ids["runs"].items():
        yield Shot("ml", f"run-{kind}", f"{demo}/runs/{run}/")
    yield Shot("ml", "run-log", f"{demo}/runs/{ids['runs']['dpo']}/log/")
    yield Shot("ml", "checkpoints", f"{demo}/checkpoints/")
    yield Shot("ml", "checkpoint", f"{demo}/checkpoints/{ids['checkpoint']}/")
    yield Shot("ml", "not-found", f"{demo}/checkpoints/{ids['prompt']}/")


def log_in(browser: Browser, site: OwnSite, login: str, password: str) -> dict[str, Any]:
    """Log in as a person does and return the browser's state."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{site.url}/accounts/login/")
    page.fill("input[name=login]", login)
    page.fill("input[name=password]", password)
    page.press("input[name=password]", "Enter")
    page.wait_for_url(lambda url: "/accounts/login" not in url)
    state: dict[str, Any] = context.storage_state()  # type: ignore[assignment]
    context.close()
    return state


def take(site: OwnSite, ids: dict[str, Any], folder: Path, selected: bool, only: str) -> list[str]:
    """Write the pictures; return what the browser complained about, and pages that are wider than a phone."""
    trouble = Trouble([])
    folder.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        states: dict[str, dict[str, Any]] = {}
        pictures = [("", Shot("", "login", "/accounts/login/")), *((s.login, s) for s in shots(ids))]
        for login, shot in pictures:
            if only and only not in shot.name:
                continue
            if login and login not in states:
                states[login] = log_in(browser, site, login, ids["passwords"][login])
            for look, ((width, height), scheme) in LOOKS.items():
                chosen = SELECTED.get((login, shot.name, look))
                if selected and not chosen:
                    continue
                if selected and look != "phone":
                    height = TALL.get(shot.name, height)
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if scheme == "dark" else "light",
                    reduced_motion="reduce",
                    storage_state=states.get(login),  # type: ignore[arg-type]
                )
                page = context.new_page()
                if shot.name != "not-found":
                    trouble.listen(page)
                answer = page.goto(f"{site.url}{shot.path}")
                if answer is None or (answer.status >= 400 and shot.name != "not-found"):
                    trouble.found.append(f"{shot.path} as {login}: {answer.status if answer else 'no answer'}")
                page.wait_for_timeout(500)
                if look == "phone":
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        trouble.found.append(f"{shot.path} as {login}: {wide} px wide on a phone of {width} px")
                name = chosen if selected and chosen else f"{login or 'nobody'}-{shot.name}-{look}.png"
                page.screenshot(path=folder / name, full_page=not selected)
                context.close()
        browser.close()
    return trouble.found


def compress(folder: Path) -> None:
    """Rewrite the pictures with a palette where Pillow is at hand; as they are otherwise."""
    try:
        from PIL import Image
    except ImportError:
        print("Pillow is not installed; the pictures stay as the browser wrote them.")
        return
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as picture:
            small = picture.convert("RGB").quantize(colors=COLOURS, method=Image.Quantize.MEDIANCUT, dither=0)
        small.save(path, optimize=True)


def make_rows(http: httpx.Client, passwords: dict[str, str]) -> dict[str, Any]:
    """Make one small turn of the loop through the API; return the ids that the pages' addresses need."""

    def client(login: str) -> Client:
        return Client(http, Client(http).post("token/", {"username": login, "password": passwords[login]})["token"])

    admin, annotator = client("admin"), client("annotator")
    turn(admin, http, PROMPTS, SMALL)
    found = admin.every("projects/demo/queues/")
    queues = {queue["name"]: queue["id"] for queue in found}
    fresh = queues["Round 2"]
    Annotator(annotator, "careful", seed=9).label(fresh, at_most=4)
    task = annotator.post(f"queues/{fresh}/claim/")
    passed_over = {"lease_token": task["lease_token"], "reason": "expertise", "note": "I do not know this subject."}
    annotator.call("POST", f"assignments/{task['assignment']}/skip/", json=passed_over, expect=(204,))
    judgments = admin.every("projects/demo/judgments/", queue=fresh)
    checkpoints = admin.every("projects/demo/checkpoints/")
    return {
        "passwords": passwords,
        "queue": fresh,
        # The list starts with the latest: of each kind the queue that seed_demo opened is the last one.
        "kinds": {queue["kind"]: queue["id"] for queue in found if queue["kind"] != TaskKind.COMPARISON},
        "full_queue": queues["Round 1"],
        "prompt": admin.every("projects/demo/prompts/")[0]["id"],
        "judgment": judgments[0]["id"],
        "task": judgments[0]["task"],
        "snapshot": admin.every("projects/demo/snapshots/")[0]["id"],
        "runs": {run["kind"]: run["id"] for run in admin.every("projects/demo/runs/")},
        "checkpoint": next(c["id"] for c in checkpoints if c["kind"] == "policy"),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--all", type=Path, metavar="DIR", help="Every page in every look.")
    where.add_argument("--selected", type=Path, metavar="DIR", help="The README's pictures.")
    parser.add_argument("--only", default="", help="Only pages whose name contains this.")
    parser.add_argument("--tiny", action="store_true", help="A tiny random model instead of the base model: fast.")
    options = parser.parse_args()
    folder = options.selected or options.all or Path(tempfile.mkdtemp(prefix="concord-pictures-"))
    if not Path(CHROMIUM).exists():
        print(f"There is no {CHROMIUM}; on Debian: apt-get install chromium", file=sys.stderr)
        return 1
    started = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="concord-model-") as scratch:
            model = tiny_model(Path(scratch) / "tiny") if options.tiny else base_model(say)
            with OwnSite(base_model=model, talkers=1, say=say) as site:
                said = site.manage("seed_demo", "--migrate", "--without-run")
                passwords = dict(re.findall(r"(\w+) / (\S+)$", said, re.MULTILINE))
                site.start()
                with httpx.Client(base_url=site.url, timeout=60) as http:
                    ids = make_rows(http, passwords)
                trouble = take(site, ids, folder, bool(options.selected), options.only)
    except (SiteFailed, DemoFailed, BrowserError, httpx.HTTPError) as error:
        print(f"No pictures: {error}", file=sys.stderr)
        return 1
    if options.selected:
        compress(folder)
    print(f"{len(list(folder.glob('*.png')))} pictures in {folder}, {time.monotonic() - started:.0f} s")
    for line in trouble:
        print(f"  {line}", file=sys.stderr)
    return 1 if trouble else 0


def tiny_model(path: Path) -> str:
    """Make a tiny random model and return where it is."""
    program = (
        "import sys, pathlib; from tests.tiny_model import save_tiny_model; save_tiny_model(pathlib.Path(sys.argv[1]))"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise SiteFailed(f"The tiny model could not be made:\n{done.stderr[-2000:]}")
    return str(path)


if __name__ == "__main__":
    sys.exit(main())
