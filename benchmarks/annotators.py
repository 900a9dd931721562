"""Annotators without think time, over HTTP: each has a token and a connection of its own and answers at random.

One asyncio process plays them all; a request costs it about a tenth of a millisecond, so that the cores are the
server's. HTTP/1.1 is spoken by hand for that reason, and only as much of it as Concord's answers need.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PATIENCE = 60.0
"""Seconds after which a request that has no answer counts as broken off."""


class BrokenOff(Exception):
    """The connection ended before the answer was whole: what was asked may have happened, or not."""


@dataclass
class Answered:
    status: int
    body: bytes

    @property
    def said(self) -> dict[str, Any]:
        return json.loads(self.body)


@dataclass
class Connection:
    """One kept-alive connection for one token; it opens anew after it was broken off."""

    port: int
    token: str
    streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, values: Mapping[str, Any] | None = None) -> Answered:
        """Send one request and return its answer. Raises BrokenOff."""
        body = b"" if values is None else json.dumps(values).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\nAuthorization: Token {self.token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.exchange(head.encode() + body)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise BrokenOff(f"{method} {path}: {type(error).__name__} {error}") from error

    async def exchange(self, request: bytes) -> Answered:
        if self.streams is None:
            self.streams = await asyncio.open_connection("127.0.0.1", self.port)
        reader, writer = self.streams
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
        lines = head.split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Answered(int(lines[0].split(" ")[1]), body)

    def close(self) -> None:
        if self.streams is not None:
            with contextlib.suppress(Exception):
                self.streams[1].close()
        self.streams = None


@dataclass
class Seen:
    """What the annotators saw together."""

    next_seconds: list[float] = field(default_factory=list)
    submit_seconds: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    """Submission ids of the judgments that the server said it has."""
    refused: int = 0
    """4xx: none is expected."""
    locked: int = 0
    """5xx, and any answer that speaks of a locked database."""
    broken_off: int = 0
    exhausted: bool = False
    """Somebody found nothing left to judge."""

    def note(self, answered: Answered) -> None:
        if answered.status >= 500 or b"database is locked" in answered.body:
            self.locked += 1
        elif answered.status >= 400:
            self.refused += 1


async def annotate(*, port: int, token: str, queue: str, until: float, seen: Seen) -> None:
    """Claim and submit without pause until the clock of the event loop says `until`, or nothing is left."""
    clock = asyncio.get_running_loop().time
    connection = Connection(port, token)
    while clock() < until:
        try:
            asked = clock()
            claimed = await connection.ask("POST", f"/api/v1/queues/{queue}/claim/")
            seen.next_seconds.append(clock() - asked)
            seen.note(claimed)
            if claimed.status == 204:
                seen.exhausted = True
                break
            if claimed.status != 200:
                continue
            task = claimed.said
            judgment = drawn_judgment(task)
            asked = clock()
            stored = await connection.ask("POST", f"/api/v1/assignments/{task['assignment']}/submit/", judgment)
            seen.submit_seconds.append(clock() - asked)
            seen.note(stored)
            if stored.status == 201:
                seen.acknowledged.append(judgment["submission_id"])
        except BrokenOff:
            seen.broken_off += 1
    connection.close()


def drawn_judgment(task: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "lease_token": task["lease_token"],
        "submission_id": str(uuid.uuid4()),
        "answer": {"preference": random.choice([-3, -2, -1, 1, 2, 3])},
        "active_seconds": 5.0,
    }
