"""What pages and API say of findings: marked text, clusters side by side, languages, and whether anything leaks."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet

from feedback.changes import Piece, text_changes
from feedback.contract import SPLITS
from feedback.hygiene.personal import KINDS
from feedback.hygiene.redacting import FITTING
from feedback.hygiene.scanning import texts_of_judgment, texts_of_prompt
from feedback.models import Finding, Job, Project, Prompt

AROUND = 160
"""Characters of text that are shown on each side of what is marked."""
MEMBERS_SHOWN = 50
COUNTED_AT_ONCE = 50_000
"""Prompts up to which a page counts for itself, in about 0.3 s; above, it shows what the last scan counted."""
SPREAD_TOLD = 20


# Marked text -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stretch:
    """A piece of a text; `kind` says in words what it is where it is marked."""

    text: str
    kind: str = ""


@dataclass(frozen=True)
class ShownFinding:
    finding: Finding
    noun: str
    """prompt, response or judgment."""
    prompt: Prompt
    texts: list[tuple[str, list[Stretch]]]
    """Which text of it, in words, and its stretches."""
    kinds: list[str]
    """Of the personal data in it, in words."""
    near: list[Near] = field(default_factory=list)

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What may become of it, and the words on the button."""
        return choices_of(self.finding.kind)


@dataclass(frozen=True)
class Near:
    """A prompt that says nearly the same, and how the words of the two differ."""

    prompt: Prompt
    similarity: float
    changes: list[Piece]

    @property
    def percent(self) -> int:
        return round(100 * self.similarity)


def choices_of(kind: str) -> list[tuple[str, str]]:
    """Return what may become of a kind of finding, and the words on its button; of any kind where it is empty."""
    words = {"redact": "Redact", "leave": "Leave as it is", "leave_out": "Leave out for good"}
    return [(each, words[each]) for each in words if each in FITTING.get(kind, ("leave", "leave_out"))]


def shown_findings(findings: Iterable[Finding], *, whole: bool = False) -> list[ShownFinding]:
    """Return findings as they are shown; `whole` shows all of each text, else what is around the marks."""
    rows = list(findings)
    wanted = {uuid.UUID(pk) for finding in rows for pk, _ in near_of(finding)}
    others = {prompt.pk: prompt for prompt in Prompt.objects.filter(pk__in=wanted)}
    return [shown(finding, others, whole=whole) for finding in rows]


def shown(finding: Finding, others: Mapping[uuid.UUID, Prompt], *, whole: bool) -> ShownFinding:
    noun, prompt, texts = subject_of(finding)
    spans: Sequence[Mapping[str, Any]] = finding.detail.get("spans", ())
    places = list(dict.fromkeys(span["place"] for span in spans)) or list(texts)[-1:]
    kinds = dict.fromkeys(KINDS[kind] for kind in finding.detail.get("kinds", [span["kind"] for span in spans]))
    own = prompt.messages[-1]["content"]
    return ShownFinding(
        finding=finding,
        noun=noun,
        prompt=prompt,
        texts=[
            (
                place_in_words(noun, place, prompt),
                marked(texts[place], [s for s in spans if s["place"] == place], whole),
            )
            for place in (texts if whole else places)
            if place in texts
        ],
        kinds=list(kinds),
        near=[
            Near(other, share, text_changes(other.messages[-1]["content"], own))
            for pk, share in near_of(finding)
            if (other := others.get(uuid.UUID(pk))) is not None
        ],
    )


def near_of(finding: Finding) -> list[tuple[str, float]]:
    if finding.kind == Finding.Kind.NEAR_DUPLICATE:
        return [(finding.detail["of"], finding.detail["similarity"])]
    if finding.kind == Finding.Kind.LEAK:
        return [(one["prompt"], one["similarity"]) for one in finding.detail["near"]]
    return []


def subject_of(finding: Finding) -> tuple[str, Prompt, dict[str, str]]:
    """Return what the finding is of: a word for it, the prompt that it belongs to, and its texts by place."""
    if finding.prompt is not None:
        return "prompt", finding.prompt, texts_of_prompt(finding.prompt)
    if finding.response is not None:
        return "response", finding.response.prompt, {"": finding.response.text}
    assert finding.judgment is not None, "a finding is of one of the three"
    return "judgment", finding.judgment.task.prompt, texts_of_judgment(finding.judgment)


def place_in_words(noun: str, place: str, prompt: Prompt) -> str:
    if noun == "prompt":
        return str(prompt.messages[int(place)]["role"])
    if noun == "response":
        return "response"
    return "rationale" if place == "rationale" else "answer"


def marked(text: str, spans: Sequence[Mapping[str, Any]], whole: bool) -> list[Stretch]:
    """Return `text` in stretches, those in `spans` marked, and what is far from any mark left out unless `whole`."""
    stretches: list[Stretch] = []
    at = 0
    for span in sorted(spans, key=lambda span: int(span["start"])):
        if span["start"] < at or span["end"] > len(text):
            continue  # not of this text any more
        stretches += [
            Stretch(text[at : span["start"]]),
            Stretch(text[span["start"] : span["end"]], KINDS[span["kind"]]),
        ]
        at = span["end"]
    stretches.append(Stretch(text[at:]))
    if whole:
        return [stretch for stretch in stretches if stretch.text]
    last = len(stretches) - 1
    return [
        stretch if stretch.kind else Stretch(shortened(stretch.text, number > 0, number < last))
        for number, stretch in enumerate(stretches)
        if stretch.text
    ]


def shortened(text: str, mark_before: bool, mark_behind: bool) -> str:
    """Keep of an unmarked stretch what is near to a mark; where there is none, its beginning."""
    if len(text) <= 2 * AROUND:
        return text
    if mark_before and mark_behind:
        return f"{text[:AROUND]} … {text[-AROUND:]}"
    if mark_behind:
        return f"… {text[-AROUND:]}"
    return f"{text[: AROUND if mark_before else 2 * AROUND]} …"


# Counts ----------------------------------------------------------------------------------------------------


def waiting_by_kind(project: Project) -> dict[str, int]:
    """Return how many findings of each kind nobody has settled."""
    counted = Finding.objects.filter(project=project).unsettled().order_by().values_list("kind").annotate(Count("pk"))
    return dict.fromkeys(Finding.Kind.values, 0) | dict(counted)


@dataclass(frozen=True)
class Counted:
    """How a project's prompts lie in splits, clusters and languages, and since when that is known."""

    splits: list[tuple[str, int, int]]
    spread: list[str]
    languages: list[dict[str, Any]]
    at: datetime | None = None
    """Empty when it was counted just now."""

    def to_json(self) -> dict[str, Any]:
        return {"splits": self.splits, "spread": self.spread, "languages": self.languages}


def counted(project: Project) -> Counted | None:
    """Return the counts: of now where that is quick, else of the last scan; None where there was none yet."""
    if project.prompts.count() <= COUNTED_AT_ONCE:
        return count(project)
    scan = project.jobs.filter(kind=Job.Kind.SCAN, state=Job.State.SUCCEEDED).first()
    if scan is None or "counted" not in scan.result:
        return None
    told = scan.result["counted"]
    return Counted([tuple(row) for row in told["splits"]], told["spread"], told["languages"], scan.finished_at)


def count(project: Project) -> Counted:
    return Counted(by_split(project), clusters_in_two_splits(project)[:SPREAD_TOLD], languages(project))


def by_split(project: Project) -> list[tuple[str, int, int]]:
    """Return (split, prompts, clusters) of every split."""
    rows = project.prompts.pool().order_by().values("split")
    counted = {
        row["split"]: (row["prompts"], row["clusters"])
        for row in rows.annotate(prompts=Count("pk"), clusters=Count("cluster", distinct=True))
    }
    return [(split, *counted.get(split, (0, 0))) for split in SPLITS]


def clusters_in_two_splits(project: Project) -> list[str]:
    """Return the clusters whose prompts lie in several splits: by the way that prompts are placed there is none."""
    spread = project.prompts.order_by().values("cluster").annotate(low=Min("split"), high=Max("split"))
    return list(spread.filter(~Q(low=F("high"))).values_list("cluster", flat=True))


def languages(project: Project) -> list[dict[str, Any]]:
    """Return how many prompts there are of each language said and each found, the most first."""
    rows = project.prompts.pool().order_by().values("language", "text_language").annotate(prompts=Count("pk"))
    return [dict(row) for row in rows.order_by("-prompts", "language", "text_language")]


# Clusters --------------------------------------------------------------------------------------------------


def clusters_with_duplicates(project: Project) -> QuerySet[Any, Any]:
    """Return the clusters in which near-duplicates were found, the latest first: {cluster, found, waiting}."""
    near = Finding.objects.filter(project=project, kind=Finding.Kind.NEAR_DUPLICATE)
    return (
        near.order_by()
        .values(cluster=F("prompt__cluster"))
        .annotate(found=Count("pk"), waiting=Count("pk", filter=Q(settlement="")), latest=Max("pk"))
        .order_by("-latest")
    )


@dataclass(frozen=True)
class Member:
    """A prompt of a cluster, and how it differs from the oldest one."""

    prompt: Prompt
    changes: list[Piece]
    finding: Finding | None


def members_of(project: Project, cluster: str) -> list[Member]:
    """Return the prompts of a cluster, the oldest first, each with its differences from that one."""
    prompts = list(project.prompts.filter(cluster=cluster).order_by("pk")[:MEMBERS_SHOWN])
    near = Finding.objects.filter(prompt__in=prompts, kind=Finding.Kind.NEAR_DUPLICATE).select_related("settled_by")
    findings = {finding.prompt_id: finding for finding in near}
    first = "\n\n".join(message["content"] for message in prompts[0].messages) if prompts else ""
    return [
        Member(
            prompt,
            text_changes(first, "\n\n".join(message["content"] for message in prompt.messages)),
            findings.get(prompt.pk),
        )
        for prompt in prompts
    ]
