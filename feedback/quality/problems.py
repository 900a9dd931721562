"""What a curator should look at first: everything that is wrong or waits, with where it is settled."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count
from django.urls import reverse

from feedback.access import may, names_for
from feedback.models import Dispute, ErasureRequest, Finding, Job, Project, Report, Response, Skip, Standing, User
from feedback.quality.people import people_report
from feedback.quality.reports import report_for
from feedback.quality.verdicts_in_words import figure_words, question_url

TONES = ("bad", "warn", "plain")
MANY_CONFLICTS = 0.2
"""Share of the tasks with the widest gaps on which people contradict the reward model."""
MOST_NAMED = 3


@dataclass(frozen=True)
class Problem:
    tone: str
    title: str
    detail: str
    url: str
    action: str


def problems_of(project: Project, reader: User) -> list[Problem]:
    """Return what is wrong or waits, the worst first; only what `reader` may open."""
    found = [problem for look in LOOKS for problem in look(project, reader)]
    return sorted(found, key=lambda problem: TONES.index(problem.tone))


def waiting_in(project: Project, reader: User) -> Iterator[Problem]:
    """Yield what waits for somebody to settle it, without reading a report."""
    for look in WAITING:
        yield from look(project, reader)


def low_agreement(project: Project, reader: User) -> Iterator[Problem]:
    report = report_for(project=project, kind=Report.Kind.AGREEMENT)
    people = report.content.get("people") if report else None
    for question in people["questions"] if people else ():
        if len(question["queues"]) == 1 and question["standing"] in ("low", "unclear"):
            low = question["standing"] == "low"
            yield Problem(
                "bad" if low else "warn",
                f"{'Low' if low else 'Perhaps low'} agreement in {question['label']}",
                figure_words(question),
                question_url(project, question),
                "See where",
            )


def reward_conflicts(project: Project, reader: User) -> Iterator[Problem]:
    report = report_for(project=project, kind=Report.Kind.AGREEMENT)
    people = report.content.get("people") if report else None
    for question in people["questions"] if people else ():
        found = (question.get("gap") or {}).get("conflicts")
        if len(question["queues"]) == 1 and found and found["tasks"]:
            scorer = question["gap"]["scorer_id"]
            yield Problem(
                "warn" if found["tasks"] > MANY_CONFLICTS * found["of"] else "plain",
                f"{found['tasks']:,} tasks of {question['label']} on which people contradict the reward model",
                f"Of the {found['of']:,} with the widest gap in reward. Either people are wrong there, or the model.",
                f"{reverse('judgments', args=[project.slug])}?queue={question['queues'][0]}&against={scorer}"
                f"&gap={found['gap']}",
                "Look at them",
            )


def disputes(project: Project, reader: User) -> Iterator[Problem]:
    waiting = Dispute.objects.filter(queue__project=project).waiting().count()
    if waiting:
        yield Problem(
            "warn",
            f"{waiting:,} {'task' if waiting == 1 else 'tasks'} on which people differ",
            "All who were asked have judged; nobody has settled it.",
            reverse("disputes", args=[project.slug]),
            "Settle",
        )


def people_to_look_at(project: Project, reader: User) -> Iterator[Problem]:
    rows = [row for row in people_report(project=project).rows if row.looks and not row.simulated]
    grave = [row for row in rows if row.looks[0].weight >= 3]
    if not rows:
        return
    worst = grave or rows
    name_of = names_for(reader, project)
    people = User.objects.in_bulk([row.person for row in worst[:MOST_NAMED]])
    names = [f"{name_of(people[row.person])}: {row.looks[0].title.lower()}" for row in worst[:MOST_NAMED]]
    yield Problem(
        "bad" if grave else "warn",
        f"{len(worst):,} {'person' if len(worst) == 1 else 'people'} to look at",
        f"{'; '.join(names)}{f'; and {len(worst) - MOST_NAMED:,} more' if len(worst) > MOST_NAMED else ''}. "
        "Nobody is suspended by a rule.",
        reverse("quality-people", args=[project.slug]),
        "Look at the evidence",
    )


def failed_jobs(project: Project, reader: User) -> Iterator[Problem]:
    job = Job.objects.filter(project=project, kind=Job.Kind.MEASURE).first()
    if job is not None and job.state == Job.State.FAILED:
        yield Problem(
            "warn", "The last measurement failed", job.error, reverse("job", args=[project.slug, job.pk]), "Look"
        )


def findings(project: Project, reader: User) -> Iterator[Problem]:
    if not may(reader, "feedback.manage_prompts", project):
        return
    waiting = Finding.objects.filter(project=project).unsettled()
    for kind, number in waiting.values_list("kind").annotate(Count("pk")).order_by("kind"):
        yield Problem(
            "warn" if kind == Finding.Kind.PERSONAL_DATA else "plain",
            f"{Finding.Kind(kind).label}: {number:,} waiting",
            "A scan found them; somebody has to say what becomes of each.",
            f"{reverse('findings', args=[project.slug])}?kind={kind}",
            "Settle",
        )


def skipped(project: Project, reader: User) -> Iterator[Problem]:
    waiting = Skip.objects.filter(task__queue__project=project).up_for_review().count()
    if waiting:
        yield Problem(
            "plain",
            f"{waiting:,} task{'' if waiting == 1 else 's'} up for review",
            "Annotators took them out and said why.",
            reverse("skips", args=[project.slug]),
            "Settle",
        )
    naming = Response.objects.in_project(project).naming_itself().filter(naming_settlement="").count()
    if naming:
        yield Problem(
            "plain",
            f"{naming:,} response{'' if naming == 1 else 's'} that name the model that wrote them",
            "Whoever reads them no longer judges blindly.",
            reverse("self-naming", args=[project.slug]),
            "Settle",
        )


def answers_waiting(project: Project, reader: User) -> Iterator[Problem]:
    if not may(reader, "feedback.manage_annotators", project):
        return
    waiting = Standing.objects.waiting().filter(project=project).count()
    if waiting:
        yield Problem(
            "warn",
            f"{waiting:,} {'person waits' if waiting == 1 else 'people wait'} for an answer",
            "They answered what was decided about their work, and nobody has replied.",
            reverse("quality-people", args=[project.slug]),
            "Read and answer",
        )


def worn_gold(project: Project, reader: User) -> Iterator[Problem]:
    report = report_for(project=project, kind=Report.Kind.PEOPLE)
    for queue, stand in (report.content.get("gold", {}) if report else {}).items():
        if stand["worn"] or (stand["wanted"] and not stand["in_use"]):
            number = stand["worn"]
            worn = f"{number:,} gold task{'' if number == 1 else 's'} of {stand['name']} worn out"
            yield Problem(
                "warn",
                worn if number else f"No gold is left in {stand['name']}",
                "Seen by too many, or contradicted by good people." if number else "Nothing tells how people do there.",
                reverse("queue-gold", args=[project.slug, queue]),
                "See which" if number else "Make some",
            )


def erasures_asked(project: Project, reader: User) -> Iterator[Problem]:
    if not may(reader, "feedback.erase", project):
        return
    waiting = ErasureRequest.objects.filter(project=project, settled_at__isnull=True).count()
    if waiting:
        yield Problem(
            "bad",
            f"{waiting:,} {'person asks' if waiting == 1 else 'people ask'} to be erased",
            "What they said and wrote, and what learned from it, stands on a receipt before anything is erased.",
            reverse("erasures", args=[project.slug]),
            "Decide",
        )


WAITING: tuple[Callable[[Project, User], Iterator[Problem]], ...] = (
    erasures_asked,
    answers_waiting,
    disputes,
    findings,
)
"""What waits for somebody, told from small tables alone."""

LOOKS: tuple[Callable[[Project, User], Iterator[Problem]], ...] = (
    low_agreement,
    people_to_look_at,
    *WAITING,
    worn_gold,
    reward_conflicts,
    skipped,
    failed_jobs,
)


@dataclass(frozen=True)
class KeyFigure:
    label: str
    value: str
    note: str
    url: str


def key_figures(project: Project) -> list[KeyFigure]:
    """Return the figures at the top of the overview, from the reports that are there."""
    found: list[KeyFigure] = []
    report = report_for(project=project, kind=Report.Kind.AGREEMENT)
    people: dict[str, Any] | None = report.content.get("people") if report else None
    if people is None:
        return found
    agreement = reverse("quality-agreement", args=[project.slug])
    found.append(
        KeyFigure("judgments by people", f"{people['judgments']:,}", f"{people['people']:,} people", agreement)
    )
    for question in people["questions"][:1]:
        decisive = question["figures"].get("decisive")
        if decisive and decisive["percent_of_pairs"]:
            value, low, high = decisive["percent_of_pairs"]
            interval = "" if low is None else f"{100 * low:.0f} to {100 * high:.0f}"
            found.append(KeyFigure("of decisive votes agree", f"{100 * value:.0f} %", interval, agreement))
        if question.get("ceiling"):
            rater = question["ceiling"]["rater"][0]
            found.append(KeyFigure("the most that a reward model can score", f"{100 * rater:.0f} %",
                                   "against single votes", agreement))  # fmt: skip
    found.extend(gold_figure(project))
    return found


def gold_figure(project: Project) -> Iterator[KeyFigure]:
    rows = [row.figures for row in people_report(project=project).rows if not row.simulated]
    asked = sum(row["gold_asked"] or 0 for row in rows)
    if asked:
        right = sum(row["gold_right"] or 0 for row in rows)
        url = reverse("quality-people", args=[project.slug])
        yield KeyFigure("of known answers right", f"{100 * right / asked:.0f} %", f"{right:,} of {asked:,}", url)
