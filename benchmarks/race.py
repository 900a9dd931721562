"""The race: `make race`. Nothing is lost, doubled or asked for too often, whatever dies in the middle.

50 annotators claim, save drafts, skip and submit through the HTTP API, some of them in two windows at once, until
2,000 comparisons have their three judgments each. At a third and at two thirds of the way every process of the site is
killed by SIGKILL and started again, the second time PostgreSQL's server with it. Whoever was broken off asks again, as
a client would. Prints one JSON line per database; ends with status 1 unless every count of what never may happen is 0.
tests/feedback/test_race_with_kills.py runs the same race in small.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.annotators import Answered, BrokenOff, Connection, drawn_judgment
from benchmarks.own_site import SiteFailed
from benchmarks.queue_rows import RowsFailed, on_database
from benchmarks.queue_site import DATABASES, ServedDatabase, served_database
from tests.cluster import NoCluster

OVERLAP = 3
TWO_WINDOWS = 0.2
"""Share of the clients that are a second window of somebody else among them."""
NEVER = ("excess", "doubles", "lost", "changed", "lost_drafts", "locked", "refused", "unfinished")
AGAIN_SECONDS = 0.1


@dataclass
class Ledger:
    """What the server acknowledged, and what it must not have answered."""

    port: int
    queue: str
    wanted: int
    """Judgments until the queue is done."""
    judged: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By submission id: what was acknowledged."""
    drafts: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    """By token and task: the texts of which one has to be there, the last acknowledged one first."""
    lost_drafts: int = 0
    drafts_saved: int = 0
    broken_off: int = 0
    conflicts: int = 0
    """409: the person's other window was faster."""
    skips: int = 0
    replays: int = 0
    locked: int = 0
    refused: int = 0
    kills: int = 0
    words: list[str] = field(default_factory=list)
    """The first few answers that should not have been."""

    @property
    def is_done(self) -> bool:
        return len(self.judged) >= self.wanted

    def note(self, answered: Answered) -> Answered:
        if answered.status >= 500 or b"database is locked" in answered.body:
            self.locked += 1
        elif answered.status == 409:
            self.conflicts += 1
        elif answered.status >= 400:
            self.refused += 1
        if answered.status >= 400 and answered.status != 409 and len(self.words) < 5:
            self.words.append(f"{answered.status} {answered.body[:300].decode(errors='replace')}")
        return answered


@dataclass
class Racer:
    """One window of one person."""

    ledger: Ledger
    token: str
    alone: bool
    """The person has no second window, so that the last draft acknowledged is the one that has to be there."""
    chance: random.Random

    def __post_init__(self) -> None:
        self.connection = Connection(self.ledger.port, self.token)

    async def run(self) -> None:
        while not self.ledger.is_done:
            claimed = await self.ask("POST", f"/api/v1/queues/{self.ledger.queue}/claim/")
            if claimed.status == 200:
                await self.work_on(claimed.said)
            else:
                await asyncio.sleep(2 * AGAIN_SECONDS)  # what is left is held by others
        self.connection.close()

    async def ask(self, method: str, path: str, values: Mapping[str, Any] | None = None) -> Answered:
        """Ask until there is an answer: every request of the race may be sent again."""
        while True:
            try:
                return self.ledger.note(await self.connection.ask(method, path, values))
            except BrokenOff:
                self.ledger.broken_off += 1
                await asyncio.sleep(AGAIN_SECONDS)

    async def work_on(self, task: Mapping[str, Any]) -> None:
        expected = self.ledger.drafts.get((self.token, task["task"]))
        # With two windows the answer to this claim may be older than the other window's draft.
        if self.alone and expected and task["draft"]["rationale"] not in expected:
            self.ledger.lost_drafts += 1
        for _ in range(self.chance.choice([0, 1, 1, 2])):
            await self.save_draft(task)
        if self.chance.random() < 0.05:
            self.ledger.skips += 1
            values = {"lease_token": task["lease_token"], "kind": "others", "reason": "cannot_decide"}
            await self.ask("POST", f"/api/v1/assignments/{task['assignment']}/skip/", values)
        else:
            await self.submit(task)

    async def save_draft(self, task: Mapping[str, Any]) -> None:
        text, key = f"draft {uuid.uuid4()}", (self.token, task["task"])
        had = self.ledger.drafts.get(key)
        if had:
            had.append(text)
        values = {"answer": {"preference": 1}, "rationale": text, "active_seconds": 1.0}
        saved = await self.ask("PUT", f"/api/v1/tasks/{task['task']}/draft/", values)
        if saved.status == 200:
            self.ledger.drafts_saved += 1
            self.ledger.drafts[key] = [text] if self.alone else [*self.ledger.drafts.get(key, []), text]

    async def submit(self, task: Mapping[str, Any]) -> None:
        said = {**drawn_judgment(task), "rationale": f"because {uuid.uuid4()}"}
        path = f"/api/v1/assignments/{task['assignment']}/submit/"
        stored = await self.ask("POST", path, said)
        if stored.status != 201:
            # What is refused for a lost lease is kept as the draft, in the place of an earlier one.
            key = (self.token, task["task"])
            self.ledger.drafts[key] = [*self.ledger.drafts.get(key, []), said["rationale"]]
            return
        self.ledger.judged[said["submission_id"]] = {
            "task": task["task"], "preference": said["answer"]["preference"], "rationale": said["rationale"]
        }  # fmt: skip
        self.ledger.drafts.pop((self.token, task["task"]), None)
        if self.chance.random() < 0.05:
            self.ledger.replays += 1
            again = await self.ask("POST", path, said)
            if again.status != 201 or again.said["id"] != stored.said["id"]:
                self.ledger.refused += 1


def race(
    *, database: str, clients: int, comparisons: int, kills: int, minutes: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run the race on one database and return what it counted; every name in NEVER has to be 0."""
    with served_database(database, say) as served:
        people = clients - int(clients * TWO_WINDOWS)
        filled = on_database(served.site.environment, "fill", comparisons=comparisons, overlap=OVERLAP, people=people)
        served.site.start()
        ledger = Ledger(port=served.site.port, queue=filled["queues"][0], wanted=comparisons * OVERLAP)
        began = time.monotonic()
        finished = asyncio.run(compete(served, ledger, filled["tokens"], clients, kills, 60 * minutes))
        lasted = time.monotonic() - began
        drafts = [[token, task, texts] for (token, task), texts in ledger.drafts.items()]
        came = on_database(
            served.site.environment,
            "outcome",
            queues=filled["queues"],
            overlap=OVERLAP,
            acknowledged=list(ledger.judged),
        )
        kept = on_database(served.site.environment, "kept", judged=ledger.judged, drafts=drafts)
        locked_in_log = served.site.log.read_text(errors="replace").count("database is locked")
        if ledger.locked or ledger.refused or not finished:
            say(f"The end of the site's log:\n{served.site.log_tail(60)}")
    return {
        "benchmark": "race", "database": database, "clients": clients, "people": people, "comparisons": comparisons,
        "overlap": OVERLAP, "kills": ledger.kills, "seconds": round(lasted, 1), "judgments": came["judgments"],
        "acknowledged": len(ledger.judged), "drafts_saved": ledger.drafts_saved, "drafts_open_at_the_end": len(drafts),
        "broken_off": ledger.broken_off, "skips": ledger.skips, "replays": ledger.replays,
        "conflicts": ledger.conflicts, "excess": came["excess"], "doubles": came["doubles"], "lost": came["lost"],
        "changed": kept["changed"], "lost_drafts": ledger.lost_drafts + kept["lost_drafts"],
        "locked": ledger.locked + locked_in_log, "refused": ledger.refused,
        "unfinished": 0 if finished else ledger.wanted - len(ledger.judged), "words": ledger.words,
    }  # fmt: skip


async def compete(
    served: ServedDatabase, ledger: Ledger, tokens: list[str], clients: int, kills: int, seconds: float
) -> bool:
    """Let everybody work until the queue is done; False when that took longer than `seconds`."""
    shared = clients - len(tokens)
    racers = [
        Racer(ledger, tokens[number % len(tokens)], alone=number % len(tokens) >= shared,
              chance=random.Random(number))
        for number in range(clients)
    ]  # fmt: skip
    try:
        async with asyncio.timeout(seconds):
            await asyncio.gather(kill_on_the_way(served, ledger, kills), *(racer.run() for racer in racers))
    except TimeoutError:
        return False
    return True


async def kill_on_the_way(served: ServedDatabase, ledger: Ledger, kills: int) -> None:
    for number in range(1, kills + 1):
        while len(ledger.judged) < ledger.wanted * number / (kills + 1):
            await asyncio.sleep(0.02)
        served.kill(with_database=number > 1)
        await asyncio.to_thread(served.site.start)
        ledger.kills += 1


def main() -> int:
    parser = argparse.ArgumentParser(prog="make race ARGS=...", description=__doc__)
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=list(DATABASES))
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--comparisons", type=int, default=2_000)
    parser.add_argument("--kills", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=10.0, help="The most per database (default 10).")
    asked = vars(parser.parse_args())
    fine = True
    for database in asked.pop("databases"):
        try:
            counted = race(database=database, say=lambda text: print(text, file=sys.stderr, flush=True), **asked)
        except (SiteFailed, RowsFailed, NoCluster) as failure:
            print(f"race: {failure}", file=sys.stderr)
            return 1
        print(json.dumps(counted), flush=True)
        fine &= not any(counted[name] for name in NEVER) and counted["kills"] == asked["kills"]
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
