"""The page of agreement: how far people agree, where they do not, and what follows for a reward model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from feedback.access import may, names_for, project_or_404
from feedback.models import Project, Report, User
from feedback.quality.published import DECISIVE, SCALES, USUAL_DECISIVE, USUAL_SCALE
from feedback.quality.reports import shown_for
from feedback.quality.verdicts_in_words import lead_of, question_words
from feedback.views.charts import Figure, Plot, Track, number, percent, plot, track
from feedback.views.quality import report_context
from feedback.views.requests import SignedInRequest

TONES = {"low": "bad", "unclear": "warn", "usual": "good", "high": "good", "few": "muted"}
STANDINGS = {
    "low": "below what is usual",
    "unclear": "perhaps below",
    "usual": "usual",
    "high": "above what is usual",
    "few": "too few to say",
}
RUNS = "training.run"
"""What one has to be allowed to start the run that scores responses; training serves its page."""
RULES = {
    "ties": "Ties count as an answer",
    "decisive": "Ties left out",
    "scale": "The whole scale",
}
ROWS = (
    ("percent_of_pairs", "Pairs of answers that agree", partial(percent, digits=1)),
    ("percent", "The same, every task weighing alike", partial(percent, digits=1)),
    ("alpha_nominal", "Krippendorff's alpha, nominal", partial(number, digits=3)),
    ("alpha_ordinal", "Krippendorff's alpha, ordinal", partial(number, digits=3)),
    ("alpha_interval", "Krippendorff's alpha, interval", partial(number, digits=3)),
    ("ac1", "Gwet's AC1", partial(number, digits=3)),
    ("ac2", "Gwet's AC2, quadratic", partial(number, digits=3)),
)


@require_safe
@login_required
def quality_agreement(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    shown = shown_for(project=within, kind=Report.Kind.AGREEMENT)
    who = "simulated" if request.GET.get("who") == "simulated" else "people"
    found = shown.content.get(who)
    asked = found["questions"] if found else []
    chosen = next((one for one in asked if one["key"] == request.GET.get("question")), asked[0] if asked else None)
    context = {
        "project": within,
        "who": who,
        "has_simulated": bool(shown.content.get("simulated")),
        "found": found,
        "lead": lead_of(found, within) if found else None,
        "questions": [(one, question_track(one), main_figure(one)) for one in asked],
        "has_ratings": any("decisive" not in one["figures"] for one in asked),
        "chosen": chosen,
        "score_url": reverse("run-start", args=[within.slug, "score"]) if may(request.user, RUNS, within) else "",
        "what_if_url": reverse("quality-what-if", args=[within.slug]),
        "parts": question_parts(chosen, names_of(within, request.user, chosen)) if chosen else None,
        **report_context(within, shown),
    }
    return render(request, "feedback/quality_agreement.html", context)


def names_of(project: Project, reader: User, question: dict[str, Any] | None) -> Callable[[int], str]:
    """Return how `reader` sees the people whose keys the question's pairs hold."""
    pairs = (question or {}).get("pairs") or {}
    keys = {key for name in ("least", "matrix") for row in pairs.get(name, ()) for key in row["people"]}
    name_of = names_for(reader, project)
    names = {person.pk: name_of(person) for person in User.objects.filter(pk__in=keys)}
    return lambda key: names.get(key, "somebody")


def main_figure(question: dict[str, Any]) -> dict[str, Any]:
    """Return the figures by which a question is held against what others published."""
    figures = question["figures"]
    rule = "decisive" if "decisive" in figures else "scale"
    name = "percent_of_pairs" if rule == "decisive" else "ac2"
    return {
        "words": (percent if rule == "decisive" else number)(figures[rule][name]),
        "units": figures[rule]["units"],
        "standing": STANDINGS[question["standing"]],
        "tone": TONES[question["standing"]],
    }


def question_track(question: dict[str, Any]) -> Track | None:
    figures, tone = question["figures"], TONES[question["standing"]]
    if "decisive" in figures:
        return track(figures["decisive"]["percent_of_pairs"], band=USUAL_DECISIVE, tone=tone)
    return track(figures["scale"]["ac2"], scale=(0.0, 1.0), band=USUAL_SCALE, tone=tone)


def question_parts(question: dict[str, Any], name_of: Callable[[int], str]) -> dict[str, Any]:
    """Return everything that the page shows of one question, ready to be printed."""
    rules = [rule for rule in RULES if rule in question["figures"]]
    decisive = "decisive" in question["figures"]
    return {
        "words": question_words(question),
        "decisive": decisive,
        "rules": [(RULES[rule], question["figures"][rule]) for rule in rules],
        "table": [
            (label, [said(question["figures"][rule].get(name)) for rule in rules])
            for name, label, said in ROWS
            if any(question["figures"][rule].get(name) for rule in rules)
        ],
        "published": published(decisive),
        "own": question_track(question),
        "own_words": main_figure(question)["words"],
        "ceiling": ceiling_rows(question.get("ceiling")),
        "strengths": [
            (each, track(each["agreement"], band=USUAL_DECISIVE), percent(each["agreement"]))
            for each in question.get("strengths", ())
        ],
        "gap": question.get("gap"),
        "gap_plot": gap_plot(question.get("gap")),
        "gap_rows": gap_rows(question.get("gap")),
        "slices": [
            {
                **part,
                "rows": [(row, question_track(row), main_figure(row)) for row in part["rows"]],
                "low": sum(row["standing"] == "low" for row in part["rows"]),
            }
            for part in question.get("slices", ())
        ],
        "least": least_pairs(question.get("pairs"), name_of),
        "matrix": matrix(question.get("pairs"), name_of),
    }


def published(decisive: bool) -> list[tuple[Any, Track | None, str]]:
    scale, known = ((0.5, 1.0), DECISIVE) if decisive else ((0.0, 1.0), SCALES)
    say = percent if decisive else number
    return [
        (each, track((each.middle, each.low, each.high), scale=scale, tone="muted"),
         say((each.middle, each.low, each.high)) if each.low < each.high else say((each.middle, None, None)))
        for each in known
    ]  # fmt: skip


def ceiling_rows(found: dict[str, Any] | None) -> list[tuple[str, Track | None, str]]:
    if not found:
        return []
    words = {"1": "measured against one vote", "3": "against the majority of 3", "5": "against the majority of 5"}
    return [(words[votes], track(figure, tone="plain"), percent(figure)) for votes, figure in found["votes"].items()]


def gap_plot(gap: dict[str, Any] | None) -> Plot | None:
    if not gap or not gap["bins"]:
        return None
    names = [gap_name(each) for each in gap["bins"]]
    lines: Iterable[tuple[str, str, list[Figure]]] = [
        ("People with each other", "line-a", [each["agreement"] for each in gap["bins"]]),
        ("People with the reward model", "line-b", [each["with_model"] for each in gap["bins"]]),
    ]
    return plot(names, list(lines), title="Agreement by the size of the reward model's gap", scale=(0.4, 1.0))


def gap_name(each: dict[str, Any]) -> str:
    return f"{each['low']:.2g} to {each['high']:.2g}"


def gap_rows(gap: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [
        {
            "name": gap_name(each),
            "tasks": each["tasks"],
            "agreement": percent(each["agreement"]),
            "with_model": percent(each["with_model"]),
        }
        for each in (gap or {}).get("bins", ())
    ]


def least_pairs(pairs: dict[str, Any] | None, name_of: Callable[[int], str]) -> list[dict[str, Any]]:
    return [
        {
            "people": [(key, name_of(key)) for key in row["people"]],
            "units": row["units"],
            "track": track(row["percent"], scale=(0.0, 1.0)),
            "words": percent(row["percent"]),
            "kappa": number((row["kappa"], None, None)),
        }
        for row in (pairs or {}).get("least", ())
    ]


def matrix(pairs: dict[str, Any] | None, name_of: Callable[[int], str]) -> dict[str, Any] | None:
    """Return a table of people by people; each cell with its percent, its units and one of six shades."""
    if not pairs or len(pairs["matrix_people"]) < 3:
        return None
    people = pairs["matrix_people"]
    cells = {frozenset(row["people"]): row for row in pairs["matrix"]}
    rows = []
    for one in people:
        row = []
        for other in people:
            known = cells.get(frozenset((one, other))) if one != other else None
            row.append(None if known is None else cell_of(known["percent"][0], known["units"]))
        rows.append((name_of(one), row))
    return {"names": [name_of(one) for one in people], "rows": rows}


def cell_of(share: float, units: int) -> dict[str, Any]:
    return {"percent": f"{100 * share:.0f}", "units": units, "shade": min(5, max(0, int((share - 0.4) * 10)))}
