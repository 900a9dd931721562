"""The page of everybody's reliability: who needs a look first, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.models import Project, Queue, Report, Standing, User
from feedback.quality.people import PeopleReport, PersonRow, params_of, people_report
from feedback.quality.reports import measure
from feedback.quality.verdicts_in_words import Lead
from feedback.standings import suspended_people
from feedback.views.charts import number, percent, track
from feedback.views.person_pictures import Histogram, histogram
from feedback.views.quality import report_context
from feedback.views.requests import SignedInRequest
from feedback.views.words import count

PAGE = 50
SORTS = {
    "": "Who needs a look first",
    "judgments": "Most judgments",
    "accuracy": "Least like what others settle on",
    "gold": "Fewest known answers right",
    "agreement": "Least agreement",
    "pace": "Fastest",
    "useful": "Most useful labels",
}


class PeopleFilter(forms.Form):
    queue = forms.ModelChoiceField(label="Queue", required=False, queryset=Queue.objects.none(), empty_label="All")
    sort = forms.ChoiceField(label="Order", required=False, choices=list(SORTS.items()))
    stands = forms.ChoiceField(
        label="Shows",
        required=False,
        choices=[
            ("", "Everybody"),
            ("look", "Who needs a look"),
            ("suspended", "Suspended"),
            ("simulated", "Simulated"),
        ],
    )
    q = forms.CharField(label="Name", required=False, max_length=150)

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data, label_suffix="")
        self.fields["queue"].queryset = project.queues.order_by("name")  # type: ignore[attr-defined]
        self.asked = self.cleaned_data if self.is_valid() else {}

    def select(self, rows: Sequence[PersonRow], *, suspended: set[int], named: set[int] | None) -> list[PersonRow]:
        """Return the rows that are asked for, in the order that is asked for; `named`: who has the name."""
        stands, sort = self.asked.get("stands", ""), self.asked.get("sort", "")
        shown = [row for row in rows if row.simulated == (stands == "simulated")]
        if stands == "look":
            shown = [row for row in shown if row.looks]
        elif stands == "suspended":
            shown = [row for row in shown if row.person in suspended]
        if named is not None:
            shown = [row for row in shown if row.person in named]
        return sorted(shown, key=lambda row: sort_key(row, sort)) if sort else shown


def sort_key(row: PersonRow, sort: str) -> tuple[bool, float]:
    """Order by a figure; who has none stands last."""
    figures = row.figures
    value = {
        "judgments": -figures["judgments"],
        "accuracy": figures["accuracy"],
        "gold": figures["gold_high"],
        "agreement": figures["agreement"],
        "pace": figures["per_100_words"],
        "useful": None if figures["useful"] is None else -figures["useful"],
    }[sort]
    return value is None, value or 0.0


@require_safe
@login_required
def quality_people(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    filters = PeopleFilter(request.GET, project=within)
    report = people_report(project=within, queue=filters.asked.get("queue"))
    suspended = suspended_people(within)
    rows = filters.select(report.rows, suspended=suspended, named=named_like(request, within, filters))
    page_obj = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    people = User.objects.in_bulk([row.person for row in page_obj])
    name_of = names_for(request.user, within)
    context = {
        "project": within,
        "filters": filters,
        "page_obj": page_obj,
        "rows": [shown_row(row, name_of(people[row.person]), row.person in suspended) for row in page_obj],
        "lead": lead_of(report, within) if report.report else None,
        "waiting": waiting_answers(within) if may(request.user, "feedback.manage_annotators", within) else [],
        "may_look": may(request.user, "feedback.manage_annotators", within),
        "people": sum(not row.simulated for row in report.rows),
        "spread": spread_of(report),
        **report_context(within, report.shown),
        "measure_url": reverse("quality-people-measure", args=[within.slug]),
        "measure_queue": filters.asked["queue"].pk if filters.asked.get("queue") else "",
    }
    return render(request, "feedback/quality_people.html", context)


@require_POST
@login_required
def people_measure(request: SignedInRequest, project: str) -> HttpResponse:
    """Measure people anew, in the whole project or in one queue."""
    within = project_or_404(request.user, project, "feedback.read_judgments")
    filters = PeopleFilter(request.POST, project=within)
    queue = filters.asked.get("queue")
    measure(project=within, kind=Report.Kind.PEOPLE, params=params_of(queue), created_by=request.user)
    chosen = f"?queue={queue.pk}" if queue else ""
    return redirect(f"{reverse('quality-people', args=[within.slug])}{chosen}")


def named_like(request: SignedInRequest, project: Project, filters: PeopleFilter) -> set[int] | None:
    """Return who has the asked words in their name; None when nobody asked, or the reader sees pseudonyms only."""
    words = filters.asked.get("q", "").strip()
    if not words or "\x00" in words or not may(request.user, "feedback.review", project):
        return None
    return set(User.objects.filter(username__icontains=words).values_list("pk", flat=True))


@dataclass(frozen=True)
class Waiting:
    standing: Standing
    said: str


def waiting_answers(project: Project) -> list[Waiting]:
    """Return the decisions to which the annotator answered and no curator has yet."""
    waiting = Standing.objects.waiting().filter(project=project).select_related("person").prefetch_related("answers")
    return [Waiting(standing, list(standing.answers.all())[-1].text) for standing in waiting[:20]]


def shown_row(row: PersonRow, name: str, suspended: bool) -> dict[str, Any]:
    figures = row.figures
    asked = figures["gold_asked"]
    gold = [figures["gold_right"] / asked, figures["gold_low"], figures["gold_high"]] if asked else None
    accuracy = [figures["accuracy"], figures["accuracy_low"], figures["accuracy_high"]]
    tone = "plain" if not row.looks else "bad" if row.looks[0].weight >= 3 else "warn"
    return {
        "row": row,
        "name": name,
        "suspended": suspended,
        "tone": tone,
        "gold_track": track(gold, scale=(0.0, 1.0), tone=tone),
        "gold_words": percent(gold),
        "accuracy_track": track(accuracy, scale=(0.0, 1.0), tone=tone),
        "accuracy_words": percent(accuracy),
        "agreement_words": percent([figures["agreement"], None, None]),
        "pace_words": number([figures["per_100_words"], None, None], 0),
        "bits_words": number([figures["bits"], None, None]),
    }


def lead_of(report: PeopleReport, project: Project) -> Lead:
    """Say who needs a look, and what to do."""
    people = [row for row in report.rows if not row.simulated]
    urgent = [row for row in people if row.looks and row.looks[0].weight >= 3]
    others = [row for row in people if row.looks and row not in urgent]
    if not people:
        return Lead("plain", "Nobody has judged yet", "Figures come with judgments.")
    if urgent:
        return Lead(
            "bad",
            f"{count(len(urgent), 'person').replace('persons', 'people')} to look at first",
            "The evidence is strong. Read their work before you decide: nobody is suspended by a figure, and they can "
            "answer what you decide.",
        )
    if others:
        return Lead(
            "warn",
            f"{count(len(others), 'person').replace('persons', 'people')} worth a look",
            "Something stands out that may be harmless: a habit, haste, or a hard part of the queue.",
        )
    watched = sum(row.figures["gold_asked"] > 0 or row.figures["compared"] > 0 for row in people)
    if watched < len(people):
        words = "Of the others nothing can be said: give them gold, or tasks that several people judge."
        return Lead("plain", f"Nothing stands out among the {watched:,} of {len(people):,} who can be told", words)
    return Lead("good", "Nobody stands out", "Known answers, agreement, repeats and pace give no cause for a look.")


def spread_of(report: PeopleReport) -> Histogram | None:
    """Draw how reliable people are: how many at which accuracy, those who need a look apart."""
    known = [row for row in report.rows if not row.simulated and row.figures["accuracy"] is not None]
    if len(known) < 3:
        return None
    values = [row.figures["accuracy"] for row in known]
    return histogram(
        values,
        marked=[bool(row.looks) and row.looks[0].weight >= 2 for row in known],
        edges=[step / 20 for step in range(21)],
        says=lambda low, high: f"{100 * low:.0f} to {100 * high:.0f} %",
        title="How many people answer like what others settle on, how often",
    )
