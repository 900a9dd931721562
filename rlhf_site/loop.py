"""The picture of the loop: one station per kind of thing, with its live count and a link."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, QuerySet
from django.urls import reverse

from feedback.access import may
from feedback.counting import count_up_to, said_count
from feedback.models import Assignment, Judgment, Project, Response, User
from training.models import Checkpoint, Run

WIDTH, HEIGHT = 168, 84
GAP_X, GAP_Y = 56, 64
RING = [(0, 0), (1, 0), (2, 0), (3, 0), (3, 1), (2, 1), (1, 1)]
"""Column and row of each station."""


@dataclass(frozen=True)
class Station:
    label: str
    count: str
    """In words, "10,000+" for more than anybody would read."""
    note: str
    url: str = ""
    live: bool = False


@dataclass(frozen=True)
class Placed:
    station: Station
    x: int
    y: int


@dataclass(frozen=True)
class Picture:
    """Stations on a ring of two sides, clockwise, with the arrows between them; plain numbers for SVG attributes."""

    css: str
    width: int
    height: int
    placed: list[Placed] = field(default_factory=list)
    arrows: list[str] = field(default_factory=list)


def stations(project: Project, person: User, now: datetime) -> list[Station]:
    """Count what lies at each station of the loop, in the order of the loop; links only where `person` may go."""
    slots = Assignment.objects.filter(queue__project=project)
    leased = count_up_to(slots.filter(state=Assignment.State.LEASED, lease_expires_at__gt=now))
    said = Judgment.objects.in_project(project).current()
    simulated = count_up_to(said.simulated())
    active = dict(project.runs.unfinished().values_list("kind").annotate(Count("pk")).order_by())
    models = dict(project.checkpoints.values_list("kind").annotate(Count("pk")).order_by())
    policies = models.get(Checkpoint.Kind.POLICY, 0)

    def link(name: str, perm: str) -> str:
        return reverse(name, args=[project.slug]) if may(person, perm, project) else ""

    sampling = active.get(Run.Kind.SAMPLE, 0)
    learning = active.get(Run.Kind.DPO, 0) + active.get(Run.Kind.PPO, 0)
    scoring = active.get(Run.Kind.REWARD, 0)
    return [
        Station("Prompts", counted(project.prompts.pool()), "what models are asked",
                link("prompts", "feedback.manage_prompts")),
        Station("Responses", counted(Response.objects.filter(prompt__project=project)),
                "sampling now" if sampling else "sampled from policies", link("runs", "training.read"), bool(sampling)),
        Station("Waiting", counted(slots.waiting()),
                f"{said_count(leased)} in hand now" if leased else "in open queues",
                link("queues", "feedback.read_queues"), bool(leased)),
        Station("Judgments", counted(said), f"{said_count(simulated)} simulated" if simulated else "by people",
                link("judgments", "feedback.read_judgments")),
        Station("Snapshots", counted(project.snapshots.all()), "frozen feedback",
                link("snapshots", "feedback.read_snapshots")),
        Station("Reward models", said_count(models.get(Checkpoint.Kind.REWARD, 0)),
                "training now" if scoring else "learned preference", link("checkpoints", "training.read"),
                bool(scoring)),
        Station("Policies", said_count(policies), "training now" if learning else f"from {models.get('base', 0)} base",
                link("checkpoints", "training.read"), bool(learning)),
    ]  # fmt: skip


def counted(rows: QuerySet[Any, Any]) -> str:
    return said_count(count_up_to(rows))


def draw(found: list[Station], *, wide: bool) -> Picture:
    """Lay the stations in two rows, or in two columns on a phone; the last one leads back to the second."""
    step_x, step_y = WIDTH + GAP_X, HEIGHT + (GAP_Y if wide else GAP_Y // 2)
    grid = RING if wide else [(row, column) for column, row in RING]
    placed = [Placed(station, 4 + x * step_x, 4 + y * step_y) for station, (x, y) in zip(found, grid, strict=True)]
    columns, rows = 1 + max(x for x, _ in grid), 1 + max(y for _, y in grid)
    return Picture(
        css="loop-wide" if wide else "loop-tall",
        width=8 + columns * step_x - GAP_X,
        height=8 + (rows - 1) * step_y + HEIGHT,
        placed=placed,
        arrows=[arrow(one, two) for one, two in zip(placed, [*placed[1:], placed[1]], strict=True)],
    )


def arrow(one: Placed, two: Placed) -> str:
    """Return the SVG path of a straight arrow from one station's edge to the next one's."""
    middle_x, middle_y = one.x + WIDTH // 2, one.y + HEIGHT // 2
    if one.y == two.y:
        forward = two.x > one.x
        start, end = (one.x + WIDTH + 6, two.x - 10) if forward else (one.x - 6, two.x + WIDTH + 10)
        return f"M{start} {middle_y}H{end}"
    down = two.y > one.y
    start, end = (one.y + HEIGHT + 6, two.y - 10) if down else (one.y - 6, two.y + HEIGHT + 10)
    return f"M{middle_x} {start}V{end}"
