"""Settle what was found: take personal data out of texts for good, let something stay, or leave it out."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import reduce
from typing import Any

from django.db import models, transaction
from django.db.models import Q, QuerySet

from feedback.audit import event_of, record_all
from feedback.hygiene.personal import PLACEHOLDERS
from feedback.hygiene.scanning import spans_in, texts_of_judgment, texts_of_prompt
from feedback.models import (
    Adjudication,
    AuditEvent,
    Comment,
    Draft,
    Finding,
    Judgment,
    Project,
    Prompt,
    Response,
    Review,
    Snapshot,
    Task,
    TaskResponse,
    Turn,
    User,
)
from feedback.refusals import Refusal
from feedback.snapshot_members import snapshots_holding_any

SETTLED_AT_ONCE = 200
LEAST_REPEATED = 5
"""Characters of what is also looked for in the texts around; less may be a part of any word."""

FITTING: Mapping[str, tuple[str, ...]] = {
    Finding.Kind.PERSONAL_DATA: ("redact", "leave", "leave_out"),
    Finding.Kind.LANGUAGE: ("leave", "leave_out"),
    Finding.Kind.NEAR_DUPLICATE: ("leave", "leave_out"),
    Finding.Kind.LEAK: ("leave", "leave_out"),
}
"""What may become of each kind of finding."""


class FindingRefused(Refusal):
    """A finding cannot be settled as asked; `field` says why."""


def settle_findings(
    *, project: Project, findings: Iterable[Finding], settlement: str, settled_by: User, now: datetime
) -> list[Finding]:
    """Settle those of the project's `findings` that wait; return them. Settled ones stay as they are.

    `redact` puts [e-mail] and the like in place of what was found, in the text and wherever else the same words stand
    around it: in the other texts of the prompt, its talks, judgments, drafts, fixes, adjudications and comments, and
    in what the audit log copied of these. Nothing keeps the original; digests stay, so that importing it again adds
    nothing. Files of snapshots that are frozen keep what they hold: `snapshots_with` lists them. `leave_out` keeps the
    text and lets it into no later snapshot and queue.
    Raises FindingRefused; then nothing is settled. At most SETTLED_AT_ONCE.
    """
    wanted = [finding.pk for finding in findings]
    if len(wanted) > SETTLED_AT_ONCE:
        raise FindingRefused("findings", f"{len(wanted)} findings at once are too many; the most is {SETTLED_AT_ONCE}")
    with transaction.atomic():
        waiting = list(
            Finding.objects.select_for_update(of=("self",))
            .filter(pk__in=wanted, project=project)
            .unsettled()
            .select_related("prompt", "response__prompt", "judgment__task__prompt")
            .order_by("pk")
        )
        for finding in waiting:
            if settlement not in FITTING[finding.kind]:
                fitting = ", ".join(FITTING[finding.kind])
                raise FindingRefused(
                    "settlement", f"{settlement!r} does not fit {finding.get_kind_display().lower()}; use {fitting}"
                )
        if settlement == Finding.Settlement.REDACT:
            waiting = redact_all(waiting)
        for finding in waiting:
            finding.settlement, finding.settled_by, finding.settled_at = settlement, settled_by, now
        Finding.objects.bulk_update(waiting, ["settlement", "settled_by", "settled_at", "detail"])
        record_all(
            event_of(
                project=project, actor=settled_by, action=f"finding.{settlement}", subject=finding, now=now,
                before={"settlement": ""}, after={"settlement": settlement, "kind": finding.kind, **of_what(finding)},
            )
            for finding in waiting
        )  # fmt: skip
    return waiting


def take_back(*, finding: Finding, by: User, now: datetime) -> Finding:
    """Let a finding wait again. What was redacted is gone and stays so. Raises FindingRefused."""
    with transaction.atomic():
        open_again = Finding.objects.filter(pk=finding.pk, settlement__in=("leave", "leave_out"))
        before = finding.settlement
        if not open_again.update(settlement="", settled_by=None, settled_at=None):
            raise FindingRefused("settlement", "only what was left or left out can be taken back")
        finding.refresh_from_db()
        record_all(
            [
                event_of(
                    project=finding.project, actor=by, action="finding.take-back", subject=finding, now=now,
                    before={"settlement": before}, after={"settlement": ""},
                )
            ]
        )  # fmt: skip
    return finding


def of_what(finding: Finding) -> dict[str, uuid.UUID]:
    """Return what the finding is of, by name: {"prompt": id}, {"response": id} or {"judgment": id}."""
    named = {"prompt": finding.prompt_id, "response": finding.response_id, "judgment": finding.judgment_id}
    return {name: pk for name, pk in named.items() if pk is not None}


# Redacting -------------------------------------------------------------------------------------------------


def redact_all(findings: Sequence[Finding]) -> list[Finding]:
    """Redact one after the other, each as the ones before it left its text.

    Return them, and findings around them that have nothing left to mark.
    """
    done: dict[int, Finding] = {}
    for pk in [finding.pk for finding in findings]:
        if pk not in done:
            finding = Finding.objects.select_related("prompt", "response__prompt", "judgment__task__prompt").get(pk=pk)
            done[pk] = finding
            done |= {other.pk: other for other in redact(finding) if other.pk not in done}
    return list(done.values())


def redact(finding: Finding) -> list[Finding]:
    """Put placeholders in place of what the finding marks, there and wherever the same words stand around it.

    Return the other findings that have nothing left to mark.
    """
    texts = texts_of(finding)
    words = {
        texts[span["place"]][span["start"] : span["end"]]: PLACEHOLDERS[span["kind"]]
        for span in finding.detail["spans"]
        if span["place"] in texts
    }
    replace_spans(finding, texts)
    words = {word: placeholder for word, placeholder in words.items() if len(word) >= LEAST_REPEATED}
    kinds = kinds_of(finding)
    emptied = replace_around(prompt_of(finding), words, but=finding) if words else []
    finding.detail = {"kinds": kinds}
    return emptied


def kinds_of(finding: Finding) -> list[str]:
    return sorted({span["kind"] for span in finding.detail["spans"]})


def texts_of(finding: Finding) -> dict[str, str]:
    """Return the texts that the finding's places name."""
    if finding.prompt is not None:
        return texts_of_prompt(finding.prompt)
    if finding.response is not None:
        return {"": finding.response.text}
    assert finding.judgment is not None, "a finding is of one of the three"
    return texts_of_judgment(finding.judgment)


def prompt_of(finding: Finding) -> Prompt:
    if finding.prompt is not None:
        return finding.prompt
    if finding.response is not None:
        return finding.response.prompt
    assert finding.judgment is not None, "a finding is of one of the three"
    return finding.judgment.task.prompt


def replace_spans(finding: Finding, texts: Mapping[str, str]) -> None:
    """Store the finding's own thing with its spans replaced."""
    by_place: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for span in finding.detail["spans"]:
        by_place[span["place"]].append(span)
    redacted = {place: with_placeholders(texts[place], spans) for place, spans in by_place.items() if place in texts}
    if finding.prompt is not None:
        messages = [
            {**message, "content": redacted.get(str(number), message["content"])}
            for number, message in enumerate(finding.prompt.messages)
        ]
        finding.prompt.messages = messages
        Prompt.objects.filter(pk=finding.prompt.pk).update(messages=messages)
    elif finding.response is not None:
        finding.response.text = redacted.get("", finding.response.text)
        Response.objects.filter(pk=finding.response.pk).update(text=finding.response.text)
    elif finding.judgment is not None:
        content = with_texts(finding.judgment.content, "content", redacted)
        rationale = redacted.get("rationale", finding.judgment.rationale)
        Judgment.objects.filter(pk=finding.judgment.pk).update(content=content, rationale=rationale)


def with_placeholders(text: str, spans: Sequence[Mapping[str, Any]]) -> str:
    for span in sorted(spans, key=lambda span: -int(span["start"])):
        text = text[: span["start"]] + PLACEHOLDERS[span["kind"]] + text[span["end"] :]
    return text


def with_texts(value: Any, place: str, texts: Mapping[str, str]) -> Any:
    """Return a JSON value with those of its texts replaced that stand in `texts` by the way to them."""
    if isinstance(value, str):
        return texts.get(place, value)
    if isinstance(value, dict):
        return {key: with_texts(part, f"{place}.{key}", texts) for key, part in value.items()}
    if isinstance(value, list):
        return [with_texts(part, f"{place}.{number}", texts) for number, part in enumerate(value)]
    return value


def replace_around(prompt: Prompt, words: Mapping[str, str], *, but: Finding) -> list[Finding]:
    """Replace `words` in everything that belongs to the prompt: its talks, responses, and what people said of them.

    Findings in what is changed so, `but` one, mark anew what is left; return those that have nothing left to mark.
    """
    talks = Turn.objects.filter(task__prompt=prompt)
    prompts = Q(pk=prompt.pk) | Q(pk__in=talks.values("prompt"))
    around: list[tuple[QuerySet[Any], tuple[str, ...]]] = [
        (Prompt.objects.filter(prompts), ("messages",)),
        (Response.objects.filter(Q(prompt=prompt) | Q(prompt__turns__in=talks)).distinct(), ("text",)),
        (Judgment.objects.filter(task__prompt=prompt), ("content", "rationale")),
        (Draft.objects.filter(task__prompt=prompt), ("content", "rationale")),
        (talks, ("rationale",)),
        (Review.objects.filter(judgment__task__prompt=prompt), ("fixed",)),
        (Adjudication.objects.filter(task__prompt=prompt), ("answer",)),
        (Comment.objects.filter(task__prompt=prompt), ("text",)),
        (events_about(prompt), ("before", "after")),
    ]
    changed = [row for rows, fields in around for row in rows if replace_in(row, fields, words)]
    return [emptied for row in changed for emptied in mark_anew(row) if emptied.pk != but.pk]


def events_about(prompt: Prompt) -> QuerySet[AuditEvent]:
    """Return what the audit log says of the prompt's tasks and judgments: it copies fixes, adjudications, comments."""
    tasks = [str(pk) for pk in Task.objects.filter(prompt=prompt).values_list("pk", flat=True)]
    judgments = [str(pk) for pk in Judgment.objects.filter(task__prompt=prompt).values_list("pk", flat=True)]
    about = Q(subject="task", subject_id__in=tasks) | Q(subject="judgment", subject_id__in=judgments)
    return AuditEvent.objects.filter(about, project=prompt.project)


def replace_in(row: models.Model, fields: tuple[str, ...], words: Mapping[str, str]) -> bool:
    before = {name: getattr(row, name) for name in fields}
    after = {name: without_words(value, words) for name, value in before.items()}
    if before == after:
        return False
    for name, value in after.items():
        setattr(row, name, value)
    type(row)._default_manager.filter(pk=row.pk).update(**after)
    return True


def mark_anew(row: models.Model) -> Iterator[Finding]:
    """Mark what is left in a text that was changed around a waiting finding, whose marks fit it no more.

    Yield the finding if there is nothing left to mark.
    """
    what = type(row).__name__.lower()
    if what not in ("prompt", "response", "judgment"):
        return
    waiting = Finding.objects.unsettled().filter(kind=Finding.Kind.PERSONAL_DATA, **{what: row})
    for finding in waiting.select_related(what):
        if spans := spans_in(texts_of(finding)):
            Finding.objects.filter(pk=finding.pk).update(detail={"spans": spans})
        else:
            finding.detail = {"kinds": kinds_of(finding)}
            yield finding


def without_words(value: Any, words: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return reduce(lambda text, pair: text.replace(*pair), words.items(), value)
    if isinstance(value, dict):
        return {key: without_words(part, words) for key, part in value.items()}
    if isinstance(value, list):
        return [without_words(part, words) for part in value]
    return value


def snapshots_with(project: Project, findings: Iterable[Finding]) -> list[tuple[Snapshot, int]]:
    """Return the frozen snapshots whose files may hold the texts of these findings, and in how many judgments."""
    of = [of_what(finding) for finding in findings]
    prompts, responses, judgments = ([o[name] for o in of if name in o] for name in ("prompt", "response", "judgment"))
    turns = Turn.objects.filter(Q(prompt__in=prompts) | Q(first__in=responses) | Q(second__in=responses))
    shown = TaskResponse.objects.filter(response__in=responses)
    judged = Judgment.objects.filter(
        Q(task__prompt__in=prompts) | Q(task__in=shown.values("task")) | Q(task__in=turns.values("task"))
        | Q(pk__in=judgments)
    )  # fmt: skip
    return snapshots_holding_any(project=project, ids=list(judged.values_list("pk", flat=True)))
