"""The page of models: whom people prefer, how sure that is, and what length and style have to do with it."""

from __future__ import annotations

import math
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import NoReverseMatch, reverse
from django.views.decorators.http import require_safe

from feedback.access import names_for, project_or_404
from feedback.models import Project, Report, User
from feedback.quality.reports import shown_for
from feedback.quality.verdicts_in_words import Lead
from feedback.views.charts import Track, number, percent, track
from feedback.views.quality import report_context
from feedback.views.requests import SignedInRequest

FEW_SHARE = 0.01
"""Where leaving out a smaller share of the votes puts another model first, first place is not known."""


@require_safe
@login_required
def quality_models(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    shown = shown_for(project=within, kind=Report.Kind.MODELS)
    found = shown.content
    comparisons, rankings = found.get("comparisons"), found.get("rankings")
    context = {
        "project": within,
        "found": found,
        "lead": lead_of(found) if shown.report else None,
        "rows": model_rows(within, comparisons["models"]) if comparisons else [],
        "effects": effect_rows(comparisons["effects"]) if comparisons else [],
        "wins": table_of_wins(comparisons) if comparisons else None,
        "flip_people": people_words(within, request.user, comparisons) if comparisons else None,
        "ranked": ranked_rows(within, rankings["models"]) if rankings else [],
        **report_context(within, shown),
    }  # fmt: skip
    return render(request, "feedback/quality_models.html", context)


def lead_of(found: dict[str, Any]) -> Lead:
    comparisons = found.get("comparisons")
    if not comparisons:
        if found.get("rankings"):
            return Lead("plain", "Models are ranked, not compared", "See the strengths from rankings below.")
        reason = (
            f"{found['unnamed']:,} votes are on responses of which nobody says who wrote them. Give responses a "
            "model_name when you import them."
            if found.get("unnamed")
            else "Nobody has compared the responses of two models yet."
        )
        return Lead("plain", "No two models can be compared", reason)
    lead, flip = comparisons["lead"], comparisons["flip_votes"]
    if lead is None:
        return Lead(
            "warn",
            "No first place can be said",
            "No two models have each been preferred to the other, directly or by way of others; more votes will tell.",
        )
    words = (
        f"{lead['first']} is preferred to {lead['second']} in {100 * lead['beats']:.0f} % of comparisons that name a "
        f"better one; their gap is {lead['errors'] or 0:.1f} standard errors."
    )
    if flip is None:
        return Lead("good", f"{lead['first']} is first", f"{words} No votes that could be left out change that.")
    fragile = f"Leaving out {flip['dropped']:,} of {flip['of']:,} votes would put {flip['rival']} first."
    if flip["dropped"] < FEW_SHARE * flip["of"] or (lead["errors"] or 0) < 2:
        return Lead("warn", f"First place is not sure: {lead['first']} or {flip['rival']}", f"{words} {fragile}")
    return Lead("good", f"{lead['first']} is first", f"{words} {fragile}")


def model_rows(project: Project, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row per model, in the order of raw strength, with its place once length and style are held equal."""
    scale = scale_of([each[name] for each in models for name in ("raw", "controlled")])
    known = [each for each in models if each["controlled"]]
    order = sorted(known, key=lambda each: -each["controlled"][0])
    places = {each["name"]: place for place, each in enumerate(order, start=1)}
    return [
        {
            **each,
            "place": place if each["raw"] else None,
            "url": checkpoint_url(project, each["checkpoint"]),
            "raw_track": track(each["raw"], scale=scale),
            "raw_words": number(each["raw"]),
            "share": percent(share_of(each["raw"])),
            "controlled_track": track(each["controlled"], scale=scale, tone="muted"),
            "controlled_words": number(each["controlled"]),
            "controlled_place": places.get(each["name"]),
            "davidson_words": number(each["davidson"]),
        }
        for place, each in enumerate(models, start=1)
    ]


def ranked_rows(project: Project, models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    scale = scale_of([each["raw"] for each in models])
    return [
        {
            **each,
            "url": checkpoint_url(project, each["checkpoint"]),
            "track": track(each["raw"], scale=scale),
            "words": number(each["raw"]),
            "share": percent(share_of(each["raw"])),
        }
        for each in models
    ]


def share_of(figure: list[float | None] | None) -> list[float | None] | None:
    """Turn a strength in log-odds into how often the model is preferred to the average one."""
    if figure is None:
        return None
    return [None if each is None else 1 / (1 + math.exp(-each)) for each in figure]


def scale_of(figures: list[list[float | None] | None]) -> tuple[float, float]:
    """Return a line's ends that hold all the intervals, the same distance from 0 on both sides."""
    ends = [abs(each) for figure in figures if figure for each in figure if each is not None]
    end = max([0.5, *ends])
    return -end, end


def effect_rows(effects: list[dict[str, Any]]) -> list[tuple[str, str, Track | None]]:
    return [(each["name"], number(each["effect"]), effect_track(each)) for each in effects]


def effect_track(effect: dict[str, Any]) -> Track | None:
    figure = effect["effect"]
    sure = figure[1] is not None and figure[2] is not None and figure[1] * figure[2] > 0
    return track(figure, scale=(-0.5, 0.5), tone="warn" if sure else "muted")


def checkpoint_url(project: Project, checkpoint: str | None) -> str:
    """Return the page of a checkpoint of ours; training serves it, and feedback knows only its name."""
    if not checkpoint:
        return ""
    try:
        return reverse("checkpoint", args=[project.slug, checkpoint])
    except NoReverseMatch:
        return ""


def table_of_wins(comparisons: dict[str, Any]) -> dict[str, Any]:
    """Return models by models: how often the row was preferred to the column, in percent and shade."""
    names = [each["name"] for each in comparisons["models"]][: len(comparisons["table"]["won"])]
    won, tied = comparisons["table"]["won"], comparisons["table"]["tied"]
    rows = []
    for one, name in enumerate(names):
        cells: list[dict[str, Any] | None] = []
        for other in range(len(names)):
            votes = won[one][other] + won[other][one] + tied[one][other]
            share = (won[one][other] + tied[one][other] / 2) / votes if votes else 0.0
            cells.append(
                {"share": f"{100 * share:.0f}", "won": won[one][other], "votes": votes,
                 "shade": min(5, max(0, int(share * 6)))} if votes else None
            )  # fmt: skip
        rows.append((name, cells))
    return {"names": names, "rows": rows}


def people_words(project: Project, reader: User, comparisons: dict[str, Any]) -> dict[str, Any] | None:
    """Return whose votes put another model first when all of theirs are left out, as `reader` sees their names."""
    flip = comparisons["flip_people"]
    if not flip:
        return None
    name_of = names_for(reader, project)
    people = User.objects.in_bulk(flip["people"])
    named = [(key, name_of(people[key])) for key in flip["people"] if key in people]
    return {**flip, "named": named, "more": flip["dropped"] - len(named)}
