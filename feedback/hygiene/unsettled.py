"""Conditions on judgments and prompts: something was found in their texts that nobody has settled, or that stays out.

Subqueries that do not depend on the row, so that the database makes each list once: findings are few, judgments many.
"""

from __future__ import annotations

from django.db.models import Q, QuerySet

from feedback.models import Finding, Project, Prompt, Task, TaskResponse, Turn

PERSONAL = (Finding.Kind.PERSONAL_DATA,)
REPEATS = (Finding.Kind.NEAR_DUPLICATE, Finding.Kind.LEAK)


def waiting(project: Project, kinds: tuple[str, ...]) -> QuerySet[Finding]:
    """Return the findings that a choice to leave `kinds` out means: undecided ones, and those left out for good."""
    return Finding.objects.filter(project=project, kind__in=kinds, settlement__in=["", Finding.Settlement.LEAVE_OUT])


def undecided(project: Project, kinds: tuple[str, ...]) -> QuerySet[Finding]:
    """Return the findings of these kinds that nobody has settled."""
    return Finding.objects.filter(project=project, kind__in=kinds, settlement="")


def stays_out(project: Project) -> QuerySet[Finding]:
    """Return the findings whose texts a curator left out for good, whatever anybody chooses."""
    return Finding.objects.filter(project=project, settlement=Finding.Settlement.LEAVE_OUT)


def judgments_with(findings: QuerySet[Finding]) -> Q:
    """Return the condition on judgments: the prompt, a response, a turn, or what the person wrote has one of these."""
    responses = findings.filter(response__isnull=False).values("response")
    prompts = findings.filter(prompt__isnull=False).values("prompt")
    asked = Task.objects.filter(prompt__in=prompts)
    shown = TaskResponse.objects.filter(response__in=responses)
    said = Turn.objects.filter(Q(prompt__in=prompts) | Q(first__in=responses) | Q(second__in=responses))
    return (
        Q(task__in=asked.values("pk"))
        | Q(task__in=shown.values("task"))
        | Q(task__in=said.values("task"))
        | Q(pk__in=findings.filter(judgment__isnull=False).values("judgment"))
    )


def prompts_without(prompts: QuerySet[Prompt], findings: QuerySet[Finding]) -> QuerySet[Prompt]:
    """Leave out the prompts in which one of these was found, or in one of whose responses."""
    return prompts.exclude(pk__in=findings.filter(prompt__isnull=False).values("prompt")).exclude(
        pk__in=findings.filter(response__isnull=False).values("response__prompt")
    )
