"""What a person should do next in a project, worked out from where things stand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from django.db.models import Exists, OuterRef
from django.urls import reverse
from django.utils.translation import gettext as _

from feedback.access import roles_of
from feedback.counting import COUNT_LIMIT, count_up_to, said_count
from feedback.models import Assignment, Judgment, Project, Queue, Response, Role, Skip, Task, User
from feedback.quality.problems import waiting_in
from feedback.schemas import RESPONSES
from feedback.snapshots import since_last_snapshot
from rlhf_site.annotator_steps import annotator_steps
from rlhf_site.steps import Step
from training.models import Checkpoint, Run
from training.watching import worker_is_alive

RECENT = timedelta(days=7)
TAGS: dict[str, str] = {Run.State.QUEUED: "", Run.State.RUNNING: "live", Run.State.PAUSED: "paused"}
"""What stands beside the name of a run that is not over."""


def next_steps(*, project: Project, person: User, now: datetime) -> list[Step]:
    """Return the steps open to `person`'s roles, the most useful first; never empty for a member."""
    roles = roles_of(person, project)
    steps: list[Step] = []
    if Role.ANNOTATOR in roles:
        steps += annotator_steps(project, person, now)
    if roles & {Role.CURATOR, Role.ADMIN} or person.is_superuser:
        steps += curator_steps(project, person)
    if roles & {Role.ML_STAFF, Role.ADMIN} or person.is_superuser:
        steps += training_steps(project, now)
    if Role.ADMIN in roles and project.memberships.values("user").distinct().count() == 1:
        members = reverse("members", args=[project.slug])
        steps.append(Step("Invite people", "You are the only member so far.", members, "Members"))
    if not steps and Role.CURATOR in roles:
        steps += waiting_steps(project, "each judgment comes to you for review")
    if not steps and Role.ML_STAFF in roles and not project.prompts.pool().exists():
        steps.append(Step("Prompts come first", "Curators import them; models answer, and people judge the answers."))
    return steps or [Step(_("All done for now"), _("Nothing waits for you here. Come back later."))]


def curator_steps(project: Project, person: User) -> Iterator[Step]:
    def url(name: str, *rest: object) -> str:
        return reverse(name, args=[project.slug, *rest])

    if not project.prompts.pool().exists():
        yield Step("Import prompts", "The loop starts with what models are asked.", url("import-new"), "Import")
        return
    tasks = Task.objects.filter(queue=OuterRef("pk"))
    queues = project.queues.exclude(state=Queue.State.CLOSED).annotate(has_tasks=Exists(tasks)).order_by("id")
    if not queues:
        yield Step("Open a queue", "Write the guidelines; annotators work from it.", url("queue-open"), "Open a queue")
    yield from attention_steps(project, person)
    for queue in queues:
        if queue.state == Queue.State.OPEN and not queue.has_tasks:
            yield Step(
                f"Fill {queue.name}",
                "It is open and empty. " + what_fills(queue),
                url("queue", queue.pk),
                "Fill",
            )
    yield from judgment_steps(project)
    for queue in queues:
        if queue.state == Queue.State.PAUSED:
            yield Step(queue.name, "Annotators cannot claim from it.", url("queue", queue.pk), "Open again", "paused")


def what_fills(queue: Queue) -> str:
    if queue.is_qualification:
        return "A test is made of tasks whose answer you know."
    if RESPONSES[queue.kind][0]:
        return "Take responses that are there, or sample new ones."
    return "Take the prompts that are there."


def judgment_steps(project: Project) -> Iterator[Step]:
    current = Judgment.objects.in_project(project).current()
    by_people = current.by_people()
    unread = by_people.unreviewed()
    oldest = unread.first()
    if oldest is not None:
        yield Step(
            f"{plural(count_up_to(unread), 'judgment')} not reviewed",
            "Read what people said and why; accept or reject.",
            reverse("judgment", args=[project.slug, oldest.pk]),
            "Review",
        )
    fresh = since_last_snapshot(project, COUNT_LIMIT + 1)
    if fresh:
        yield Step(
            f"{plural(fresh, 'judgment')} in no snapshot yet",
            "A snapshot is the only human feedback that training sees.",
            reverse("snapshot-freeze", args=[project.slug]),
            "Freeze a snapshot",
        )
    elif current.exists() and not project.snapshots.exists() and not by_people.exists():
        yield Step(
            "Only simulated judgments so far",
            "They stay out of snapshots unless you ask for them.",
            reverse("snapshot-freeze", args=[project.slug]),
            "Freeze a snapshot",
        )


def attention_steps(project: Project, person: User) -> Iterator[Step]:
    """Yield what people, scans and the reading of responses have brought up, and nobody has settled."""
    for problem in waiting_in(project, person):
        yield Step(problem.title, problem.detail, problem.url, problem.action)
    up = Skip.objects.up_for_review().filter(task__queue__project=project).values("task").distinct().count()
    if up:
        url = reverse("skips", args=[project.slug])
        yield Step(f"{plural(up, 'task')} up for review", "Annotators took them out and said why.", url, "Settle")
    naming = Response.objects.naming_itself().in_project(project).filter(naming_settled_at__isnull=True).count()
    if naming:
        url = reverse("self-naming", args=[project.slug])
        says = "says which model wrote it" if naming == 1 else "say which model wrote them"
        detail = "That unblinds a task. Take its tasks out, or leave them."
        yield Step(f"{plural(naming, 'response')} {says}", detail, url, "Decide")


def training_steps(project: Project, now: datetime) -> Iterator[Step]:
    def url(name: str, *rest: object) -> str:
        return reverse(name, args=[project.slug, *rest])

    active = list(project.runs.unfinished().order_by("id")[:5])
    if active and not worker_is_alive(now):
        yield Step(
            "No worker is alive", "Runs wait until one is started: manage.py worker.", url("runs"), "Runs", "blocked"
        )
    for run in active:
        if run.waits_for_a_look:
            detail = "It has looked at its data before the first step, and goes on once somebody has read that."
            yield Step(f"{run.name} waits for you", detail, url("run", run.pk), "Read its preflight", "paused")
        else:
            yield Step(run.name, run.get_state_display(), url("run", run.pk), "Watch", TAGS[run.state])
    failed = project.runs.filter(state=Run.State.FAILED, finished_at__gt=now - RECENT).first()
    if failed is not None:
        reason = failed.error.strip().splitlines()[-1:] or [""]
        yield Step(failed.name, reason[0][:200], url("run", failed.pk), "See why", "failed")
    yield from sampling_steps(project)
    yield from learning_steps(project)


def sampling_steps(project: Project) -> Iterator[Step]:
    if not project.prompts.pool().exists() or project.runs.unfinished().filter(kind=Run.Kind.SAMPLE).exists():
        return
    start = reverse("run-start", args=[project.slug, Run.Kind.SAMPLE])
    if not Response.objects.filter(prompt__project=project).exists():
        yield Step("Sample responses", "Prompts are there, and nothing answers them yet.", start, "Sample")
        return
    sampled = Run.objects.filter(kind=Run.Kind.SAMPLE, policy=OuterRef("pk"))
    policies = project.checkpoints.filter(kind=Checkpoint.Kind.POLICY).select_related("run")
    fresh = policies.exclude(Exists(sampled)).first()
    if fresh is not None:
        yield results_step(fresh)
        yield Step(
            f"Sample from {fresh.name}",
            "Its responses go to a queue, and people compare them.",
            f"{start}?policy={fresh.pk}",
            "Sample",
        )


def results_step(checkpoint: Checkpoint) -> Step:
    url = reverse("checkpoint", args=[checkpoint.project.slug, checkpoint.pk])
    stopped = checkpoint.run is not None and checkpoint.run.state == Run.State.CANCELLED
    title = f"{checkpoint.name} was stopped at step {checkpoint.step}" if stopped else f"{checkpoint.name} is trained"
    return Step(title, results_in_words(checkpoint.evaluation), url, "Read results")


def results_in_words(evaluation: dict) -> str:
    """Say what a checkpoint's evaluation says, with its n."""
    if evaluation.get("accuracy") is not None:
        return f"Agrees with {evaluation['accuracy']:.0%} of {plural(evaluation['n'], 'held-out label')}."
    if evaluation.get("score_first") is not None and evaluation.get("score_last") is not None:
        return f"Mean score {evaluation['score_first']:.2f} at first, {evaluation['score_last']:.2f} at the end."
    return "No held-out labels to compare it with."


def waiting_steps(project: Project, then: str) -> Iterator[Step]:
    """Say that annotators have work, and what comes of it; nothing where no slot is open."""
    waiting = count_up_to(Assignment.objects.filter(queue__project=project).waiting())
    if waiting:
        yield Step(
            "Waiting for people's judgments",
            f"{plural(waiting, 'slot')} open; {then}.",
            reverse("queues", args=[project.slug]),
            "Queues",
        )


def learning_steps(project: Project) -> Iterator[Step]:
    """Follow the newest snapshot: a reward model from it, then policies."""
    snapshot = project.snapshots.with_preferences().first()
    if snapshot is None:
        yield from waiting_steps(project, "training starts from a frozen snapshot")
        return
    tried = set(snapshot.runs.exclude(state__in=[Run.State.FAILED, Run.State.CANCELLED]).values_list("kind", flat=True))
    reward = project.checkpoints.reward_models().filter(snapshot=snapshot).first()
    if reward is not None and reward.runs_as_reward.filter(kind=Run.Kind.PPO).exists():
        tried.add(Run.Kind.PPO)
    if reward is not None and Run.Kind.PPO not in tried:
        yield results_step(reward)
    newest, query = "The newest frozen feedback.", f"snapshot={snapshot.pk}"
    offers = [
        (Run.Kind.REWARD, f"Train a reward model on “{snapshot.name}”", newest, query),
        (Run.Kind.DPO, f"Train a policy on “{snapshot.name}” with DPO", newest, query),
    ]
    if reward is not None:
        against = f"Against the reward model {reward.name}."
        offers.append((Run.Kind.PPO, "Train a policy with PPO", against, f"reward={reward.pk}"))
    for kind, title, detail, query in offers:
        if kind not in tried:
            yield Step(title, detail, f"{reverse('run-start', args=[project.slug, kind])}?{query}", "Start")


def plural(count: int, noun: str) -> str:
    return f"{said_count(count)} {noun}{'' if count == 1 else 's'}"
