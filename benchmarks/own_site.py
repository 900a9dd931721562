"""A site of one's own: `manage.py up` on a temporary database and data directory and a free port, then all gone.

For programs that work with Concord from outside: the headless demo, the screenshots, measurements, browser tests.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import httpx

ROOT = Path(__file__).resolve().parent.parent
MANAGE = [sys.executable, str(ROOT / "manage.py")]
START_SECONDS = 90
STOP_SECONDS = 60


class SiteFailed(Exception):
    """The site could not be prepared, started or stopped; the message says which and why."""


def base_model(say: Callable[[str], None]) -> str:
    """Return where the base model is: BASE_MODEL, or the one in the ordinary data directory, fetched if missing."""
    if os.environ.get("BASE_MODEL"):
        return os.environ["BASE_MODEL"]
    say("Looking for the base model; the first time it is fetched and converted ...")
    fetched = subprocess.run([*MANAGE, "fetch_base_model"], cwd=ROOT, capture_output=True, text=True, check=False)
    if fetched.returncode:
        raise SiteFailed(fetched.stderr.strip() or fetched.stdout.strip())
    question = "from training.base_models import find_base_model; print(find_base_model())"
    found = subprocess.run([*MANAGE, "shell", "-v", "0", "-c", question], cwd=ROOT, capture_output=True, text=True)
    if found.returncode or not found.stdout.strip() or found.stdout.strip() == "None":
        raise SiteFailed(f"The base model was fetched but is not found: {found.stderr.strip()}")
    return found.stdout.strip().splitlines()[-1]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class OwnSite:
    """Context manager: `manage(...)` commands first, then `start()`. Leaving it stops every process it started.

    Leaving includes SIGTERM, which becomes SystemExit here. Only the main thread may enter.
    """

    def __init__(
        self,
        *,
        base_model: str = "",
        database_url: str = "",
        workers: int = 1,
        talkers: int = 0,
        clerks: int = 1,
        keep: bool = False,
        say: Callable[[str], None] = print,
    ) -> None:
        self.workers, self.talkers, self.clerks, self.keep, self.say = workers, talkers, clerks, keep, say
        self.data = Path(tempfile.mkdtemp(prefix="concord-"))
        self.log = self.data / "site.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.process: subprocess.Popen[bytes] | None = None
        own = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CONCORD_MODE")}
        self.environment = {
            **own,
            "DJANGO_SETTINGS_MODULE": "rlhf_site.settings",
            "CONCORD_DATA_DIR": str(self.data),
            **({"DATABASE_URL": database_url} if database_url else {}),
            "BASE_MODEL": base_model,
            "LOGIN_THROTTLE": "1000/min",
            "OMP_WAIT_POLICY": "PASSIVE",
            "TOKENIZERS_PARALLELISM": "false",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }

    def __enter__(self) -> OwnSite:
        signal.signal(signal.SIGTERM, lambda signum, frame: sys.exit(128 + signum))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            left = self.stop()
            if error is not None and self.process is not None and not isinstance(error, KeyboardInterrupt):
                self.say(f"The end of the site's log:\n{self.log_tail()}")
        finally:
            if self.keep:
                self.say(f"The data directory stays at {self.data}")
            else:
                shutil.rmtree(self.data, ignore_errors=True)
        if left and error is None:
            raise SiteFailed(f"`manage.py up` has ended but left processes behind, now killed: {', '.join(left)}")

    def manage(self, *arguments: str, password: str = "") -> str:
        """Run one management command to its end and return what it printed."""
        environment = {**self.environment, **({"DJANGO_SUPERUSER_PASSWORD": password} if password else {})}
        return self.run([*MANAGE, *arguments], f"manage.py {arguments[0]}", environment)

    def fill(self, module: str) -> str:
        """Run a module that puts rows into the site's database, and return what it printed."""
        return self.run([sys.executable, "-m", module], module, self.environment)

    def run(self, command: list[str], name: str, environment: dict[str, str]) -> str:
        done = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )
        if done.returncode:
            raise SiteFailed(f"{name} failed:\n{(done.stderr or done.stdout).strip()[-2000:]}")
        return done.stdout

    def start(self) -> None:
        """Start the site and its workers; returns once the site answers."""
        self.say(f"Starting the site at {self.url} ...")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*MANAGE, "up", "--port", str(self.port)),
                    *("--workers", str(self.workers), "--talkers", str(self.talkers), "--clerks", str(self.clerks)),
                ],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SiteFailed(f"`manage.py up` ended with {self.process.returncode}:\n{self.log_tail()}")
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200:
                    return
            time.sleep(0.2)
        raise SiteFailed(f"The site did not answer within {START_SECONDS} s:\n{self.log_tail()}")

    def log_tail(self, lines: int = 30) -> str:
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def stop(self) -> list[str]:
        """End the site as Ctrl-C would; return the processes that were still there afterwards, now killed."""
        if self.process is None:
            return []
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
        deadline = time.monotonic() + 5
        while (left := self.processes()) and time.monotonic() < deadline:
            time.sleep(0.2)
        for pid in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return [f"{pid} ({command})" for pid, command in left.items()]

    def kill(self) -> None:
        """End every process of the site at once by SIGKILL, as a lost machine would; `start` starts it again."""
        assert self.process is not None, "a site that was started"
        while left := self.processes():
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            time.sleep(0.01)

    def processes(self) -> dict[int, str]:
        """Return the living processes that carry this site's data directory in their environment (Linux)."""
        mark = f"CONCORD_DATA_DIR={self.data}".encode()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            if int(folder.name) == os.getpid():
                continue
            with contextlib.suppress(OSError):
                if mark in (folder / "environ").read_bytes().split(b"\0"):
                    command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                    found[int(folder.name)] = command.strip()[:80]
        return found
