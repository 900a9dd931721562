"""Pages of what annotators passed over, and of responses in which a model names itself: look, and settle."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.models import Assignment, Response, Skip
from feedback.refusals import Refusal
from feedback.settling import AlreadySettled, settle_skip
from feedback.steering import settle_naming
from feedback.steering_forms import SkipFilter
from feedback.views.requests import SignedInRequest
from feedback.views.words import count, sentence

PAGE = 50


@require_safe
@login_required
def skip_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_queues")
    name_of = names_for(request.user, within)
    filters = SkipFilter(request.GET, project=within)
    found = filters.select().filter(task__queue__project=within)
    found = found.select_related("task__prompt", "task__queue", "annotator", "settled_by").order_by("-id")
    page_obj = Paginator(found, PAGE).get_page(request.GET.get("page"))
    context = {
        "project": within,
        "filters": filters,
        "page_obj": page_obj,
        "rows": [(skip, name_of(skip.annotator)) for skip in page_obj],
        "may_settle": may(request.user, "feedback.review", within),
    }
    return render(request, "feedback/skips.html", context)


@require_POST
@login_required
def skip_settle(request: SignedInRequest, project: str, skip: int) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    found = get_object_or_404(Skip.objects.filter(task__queue__project=within), pk=skip)
    settlement = request.POST.get("settlement", "")
    try:
        settle_skip(skip=found, settlement=settlement, settled_by=request.user, now=timezone.now())
    except AlreadySettled as settled:
        messages.info(request, sentence(settled))
    except Refusal as refusal:
        return HttpResponse(refusal.message, status=422, content_type="text/plain")
    else:
        done = "The task is in the queue again." if settlement == "return" else "The task is left out for good."
        messages.success(request, done)
    return redirect("skips", within.slug)


@require_safe
@login_required
def naming_list(request: SignedInRequest, project: str) -> HttpResponse:
    """List the responses that give away their model, those that nobody has decided of first."""
    within = project_or_404(request.user, project, "feedback.read_queues")
    free = Q(tasks__assignments__state__in=[Assignment.State.OPEN, Assignment.State.LEASED])
    found = (
        Response.objects.naming_itself()
        .in_project(within)
        .select_related("prompt", "naming_settled_by", "person")
        .prefetch_related("tasks__queue")
        .annotate(waiting=Count("tasks__assignments", filter=free, distinct=True))
    )
    undecided = found.filter(naming_settled_at__isnull=True).count()
    shown = found if request.GET.get("show") == "all" else found.filter(naming_settled_at__isnull=True)
    context = {
        "project": within,
        "page_obj": Paginator(shown.order_by("-id"), PAGE).get_page(request.GET.get("page")),
        "undecided": undecided,
        "shows_all": request.GET.get("show") == "all",
        "may_settle": may(request.user, "feedback.review", within),
    }
    return render(request, "feedback/self_naming.html", context)


@require_POST
@login_required
def naming_settle(request: SignedInRequest, project: str, response: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    found = get_object_or_404(Response.objects.in_project(within), pk=response)
    settlement = request.POST.get("settlement", "")
    try:
        slots = settle_naming(response=found, settlement=settlement, settled_by=request.user, now=timezone.now())
    except AlreadySettled as settled:
        messages.info(request, sentence(settled))
    except Refusal as refusal:
        return HttpResponse(refusal.message, status=422, content_type="text/plain")
    else:
        out = f"Its tasks are taken out: {count(slots, 'free slot')}."
        messages.success(request, out if settlement == "discard" else "It stays where it is.")
    return redirect("self-naming", within.slug)
