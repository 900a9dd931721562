"""Look at texts as they come in.

In two halves, so that nobody waits for it: `look_at` reads texts and touches nothing (that is where the time goes);
`place_prompts_looked_at` and `store_findings` write what came of it, in the transaction that stores the texts. So:

    looked = look_at(project=project, prompts=prompts, responses=responses)
    with transaction.atomic():
        Project.objects.select_for_update().get(pk=project.pk)
        new = ...                                   # those that the project does not have, Prompt or PromptText
        place_prompts_looked_at(looked, new)        # gives each its cluster, split and text_language
        Prompt.objects.bulk_create(new)
        Response.objects.bulk_create(responses)
        store_findings(looked, prompts=new, responses=responses)
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from feedback.contract import Message, digest
from feedback.hygiene.clusters import NEIGHBOURS_TOLD, Neighbour, Placed, place_prompts
from feedback.hygiene.languages import contradicts, language_of
from feedback.hygiene.near_index import near_index
from feedback.hygiene.personal import personal_data
from feedback.hygiene.sketching import Sketches, sketch, text_of
from feedback.models import Finding, Judgment, Project, Prompt, Response
from feedback.splits import cluster_of

STORED_AT_ONCE = 500
PERSONAL_DATA = Finding.Kind.PERSONAL_DATA

Key: TypeAlias = tuple[str, uuid.UUID | None]
"""Kind of a finding, and the id of what it is of."""


@dataclass(slots=True)
class PromptText:
    """A prompt that is looked at before it is one."""

    pk: uuid.UUID
    messages: list[Message]
    language: str = ""
    of_talk: bool = False
    cluster: str = ""
    split: str = ""
    text_language: str = ""


@dataclass(slots=True)
class ResponseText:
    pk: uuid.UUID
    text: str


@dataclass
class LookedAt:
    """What was seen in a batch of texts; nothing of it is stored yet."""

    project: Project
    sketches: Sketches
    places: dict[uuid.UUID, int]
    """Row of each prompt in `sketches`."""
    names: list[str]
    """Of the clusters that the prompts start, in the order of `sketches`."""
    languages: dict[uuid.UUID, str]
    personal: dict[uuid.UUID, list[dict[str, Any]]]
    """Spans of each prompt, response and judgment in which personal data stand."""
    placed: Placed = field(default_factory=Placed)


def look_at(
    *,
    project: Project,
    prompts: Sequence[Prompt | PromptText] = (),
    responses: Sequence[Response | ResponseText] = (),
    judgments: Sequence[Judgment] = (),
) -> LookedAt:
    """Look at a batch of texts, stored or not: a few hundred to a few thousand at a time. Writes no row.

    Outside of any transaction where there are prompts: the index is kept quick from here.
    """
    if prompts:
        tidy_up(project)
    texts = [text_of(prompt.messages) for prompt in prompts]
    pieces: list[tuple[uuid.UUID, Mapping[str, str]]] = [
        *((prompt.pk, texts_of_prompt(prompt)) for prompt in prompts),
        *((response.pk, {"": response.text}) for response in responses),
        *((judgment.pk, texts_of_judgment(judgment)) for judgment in judgments),
    ]
    return LookedAt(
        project=project,
        sketches=sketch(texts),
        names=[name_of(prompt.messages, text) for prompt, text in zip(prompts, texts, strict=True)],
        places={prompt.pk: place for place, prompt in enumerate(prompts)},
        languages={prompt.pk: language_of(prompt.messages[-1]["content"]) for prompt in prompts},
        personal={pk: spans for pk, pieces in pieces if (spans := spans_in(pieces))},
    )


def name_of(messages: Sequence[Message], text: str) -> str:
    """Return `cluster_of(messages)`; where all of them count for the normal `text`, that is not made twice."""
    return digest(text) if text and messages[0]["role"] != "system" else cluster_of(messages)


def place_prompts_looked_at(looked: LookedAt, prompts: Sequence[Prompt | PromptText], *, stored: bool = False) -> None:
    """Give these of the prompts their cluster, split and text_language; see `feedback.hygiene.clusters`."""
    rows = [looked.places[prompt.pk] for prompt in prompts]
    for prompt in prompts:
        prompt.text_language = looked.languages[prompt.pk]
    if prompts:
        looked.placed = place_prompts(
            project=looked.project,
            prompts=prompts,
            sketches=looked.sketches[rows],
            names=[looked.names[row] for row in rows],
            stored=stored,
        )


def store_findings(
    looked: LookedAt,
    *,
    prompts: Sequence[Prompt | PromptText] = (),
    responses: Sequence[Response | ResponseText] = (),
    judgments: Sequence[Judgment] = (),
    again: bool = False,
) -> int:
    """Store what was found in these, which are stored; return how many findings are new.

    With `again` they were looked at before: what nobody has settled is brought up to date, or taken away where it is
    not found any more; what was left stays left; what was redacted waits again if there is something left.
    """
    found = [finding for prompt in prompts for finding in findings_of_prompt(looked, prompt)]
    for name, rows in (("response", responses), ("judgment", judgments)):
        found += [
            Finding(project=looked.project, kind=PERSONAL_DATA, **{f"{name}_id": row.pk}, detail={"spans": spans})
            for row in rows
            if (spans := looked.personal.get(row.pk))
        ]
    known: dict[Key, Finding] = {}
    if again:
        for name, of in (("prompt", prompts), ("response", responses), ("judgment", judgments)):
            known |= known_findings(looked.project, name, [row.pk for row in of])
        bring_up_to_date(known, {key_of(finding): finding for finding in found})
    new = [finding for finding in found if key_of(finding) not in known]
    Finding.objects.bulk_create(new, batch_size=STORED_AT_ONCE, ignore_conflicts=True)
    return len(new)


def bring_up_to_date(known: Mapping[Key, Finding], found: Mapping[Key, Finding]) -> None:
    gone = [there.pk for key, there in known.items() if key not in found and not there.settlement]
    Finding.objects.filter(pk__in=gone).delete()
    changed = []
    for key, finding in found.items():
        there = known.get(key)
        if there is None or there.settlement not in ("", Finding.Settlement.REDACT) or there.detail == finding.detail:
            continue
        there.detail, there.settlement, there.settled_by, there.settled_at = finding.detail, "", None, None
        changed.append(there)
    Finding.objects.bulk_update(
        changed, ["detail", "settlement", "settled_by", "settled_at"], batch_size=STORED_AT_ONCE
    )


def findings_of_prompt(looked: LookedAt, prompt: Prompt | PromptText) -> list[Finding]:
    details: dict[str, dict[str, Any]] = {}
    if spans := looked.personal.get(prompt.pk):
        details[PERSONAL_DATA] = {"spans": spans}
    language = looked.languages.get(prompt.pk, "")
    if contradicts(prompt.language, language):
        details[Finding.Kind.LANGUAGE] = {"said": prompt.language, "found": language}
    if (near := looked.placed.near.get(prompt.pk)) and not prompt.of_talk:
        details[Finding.Kind.NEAR_DUPLICATE] = {"of": str(near[0].prompt), "similarity": round(near[0].similarity, 2)}
    if leaks := looked.placed.leaks.get(prompt.pk):
        details[Finding.Kind.LEAK] = {"near": [told(each) for each in leaks[:NEIGHBOURS_TOLD]]}
    return [
        Finding(project=looked.project, kind=kind, prompt_id=prompt.pk, detail=detail)
        for kind, detail in details.items()
    ]


def told(near: Neighbour) -> dict[str, Any]:
    return {"prompt": str(near.prompt), "split": near.split, "similarity": round(near.similarity, 2)}


def key_of(finding: Finding) -> Key:
    return str(finding.kind), finding.prompt_id or finding.response_id or finding.judgment_id


def known_findings(project: Project, name: str, ids: Sequence[uuid.UUID]) -> dict[Key, Finding]:
    """Return what is stored of these prompts, responses or judgments (`name`)."""
    known = {}
    for start in range(0, len(ids), STORED_AT_ONCE):
        part = Finding.objects.filter(project=project, **{f"{name}__in": ids[start : start + STORED_AT_ONCE]})
        known.update({key_of(each): each for each in part})
    return known


def tidy_up(project: Project) -> None:
    """Keep lookups quick after many batches; outside of any transaction."""
    with near_index(project) as index:
        pass
    index.merge()


# The texts of a thing, by the place in it -----------------------------------------------------------------------


def texts_of_prompt(prompt: Prompt | PromptText) -> dict[str, str]:
    return {str(number): message["content"] for number, message in enumerate(prompt.messages)}


def texts_of_judgment(judgment: Judgment) -> dict[str, str]:
    return {"rationale": judgment.rationale, **texts_within(judgment.content, "content")}


def texts_within(value: object, place: str) -> dict[str, str]:
    """Return the texts of a JSON value by the way to them, such as `content.text` or `content.spans.0.note`."""
    if isinstance(value, str):
        return {place: value}
    parts: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        parts = value.items()
    elif isinstance(value, list):
        parts = enumerate(value)
    return {at: text for key, part in parts for at, text in texts_within(part, f"{place}.{key}").items()}


def spans_in(texts: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"place": place, "start": span.start, "end": span.end, "kind": span.kind}
        for place, text in texts.items()
        for span in personal_data(text)
    ]
