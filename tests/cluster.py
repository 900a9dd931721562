"""A PostgreSQL cluster of the tests' own, on a Unix socket in a temporary directory, gone when the tests end."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

INSTALL_HINT = "PostgreSQL's server is not installed; on Debian: apt-get install postgresql"
PATIENCE = 30
"""Seconds until a start is given up."""


class NoCluster(Exception):
    """There is no PostgreSQL here to start; the message says what to install."""


def find_binaries() -> Path:
    """Return the directory of the newest server binaries. Raises NoCluster."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    if beside := shutil.which("initdb"):
        return Path(beside).parent
    raise NoCluster(INSTALL_HINT)


def unprivileged_user() -> pwd.struct_passwd | None:
    """Return who shall run the server: None for ourselves, or somebody else when we are root (initdb refuses root)."""
    if os.getuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NoCluster("PostgreSQL does not run as root, and there is neither a user `postgres` nor `nobody`")


def end_with_parent() -> None:
    """Ask the kernel for an immediate shutdown of this process when its parent dies (PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGQUIT)


class Cluster:
    """A running server. `durable` keeps PostgreSQL's own settings, which wait for the disk; tests need not."""

    def __init__(self, *, durable: bool = False) -> None:
        self.binaries = find_binaries()
        owner = unprivileged_user()
        self.as_owner = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}
        # A socket's path has to be short, and its owner has to be able to walk down to it.
        self.directory = Path(tempfile.mkdtemp(prefix="concord-pg-", dir="/tmp"))
        if owner:
            os.chown(self.directory, owner.pw_uid, owner.pw_gid)
        self.numbers = itertools.count(1)
        self.call("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
        self.durable = durable
        self.start()

    def start(self) -> None:
        """Start the server, also after `kill`; returns when it answers."""
        hasty = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
        with open(self.directory / "log", "wb") as log:
            self.server = subprocess.Popen(
                [
                    str(self.binaries / "postgres"),
                    *("-D", "data", "-k", str(self.directory), "-c", "listen_addresses=", "-c", "max_connections=60"),
                    *(() if self.durable else hasty),
                ],
                cwd=self.directory,
                env={"PATH": os.environ["PATH"], "LC_ALL": "C"},
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
                **self.as_owner,
            )
        self.wait()

    def call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / program), *arguments],
            cwd=self.directory,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C", "PGHOST": str(self.directory), "PGUSER": "postgres"},
            capture_output=True,
            text=True,
            **self.as_owner,
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed:\n{done.stdout}{done.stderr}")

    def wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.server.poll() is None:
            ready = subprocess.run(
                [str(self.binaries / "pg_isready"), "-q", "-h", str(self.directory), "-U", "postgres"], check=False
            )
            if ready.returncode == 0:
                return
            time.sleep(0.05)
        raise RuntimeError(f"PostgreSQL did not start:\n{(self.directory / 'log').read_text()}")

    def new_database(self) -> str:
        """Make an empty database and return its DATABASE_URL."""
        name = f"concord_{next(self.numbers)}"
        self.call("createdb", name)
        return f"postgres://postgres@{quote(str(self.directory), safe='')}/{name}"

    def kill(self) -> None:
        """End every process of the server at once by SIGKILL."""
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
        for pid in (self.server.pid, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.wait(PATIENCE)
        deadline = time.monotonic() + PATIENCE
        while any(Path(f"/proc/{pid}").exists() for pid in children) and time.monotonic() < deadline:
            time.sleep(0.02)

    def stop(self) -> None:
        self.server.send_signal(signal.SIGQUIT)
        self.server.wait(PATIENCE)
        shutil.rmtree(self.directory, ignore_errors=True)
