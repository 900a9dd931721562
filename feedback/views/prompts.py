"""Pages of prompts and of the responses to them."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, OuterRef, Q, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from feedback.access import project_or_404
from feedback.forms import PromptFilter
from feedback.models import Finding, Response
from feedback.views.requests import SignedInRequest

PAGE = 50


@require_safe
@login_required
def prompt_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    filters = PromptFilter(request.GET, label_suffix="")
    # By a subquery, so that only the responses of the prompts on this page of the list are counted.
    written = Response.objects.filter(prompt=OuterRef("pk")).order_by().values("prompt").annotate(number=Count("pk"))
    counted = within.prompts.pool().annotate(response_count=Coalesce(Subquery(written.values("number")), 0))
    found = filters.select(counted.order_by("-id"))
    context = {
        "project": within,
        "filters": filters,
        "page_obj": Paginator(found, PAGE).get_page(request.GET.get("page")),
        "any": within.prompts.pool().exists(),
    }
    return render(request, "feedback/prompts.html", context)


@require_safe
@login_required
def prompt_detail(request: SignedInRequest, project: str, prompt: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    found = get_object_or_404(within.prompts, pk=prompt)
    tasks = (
        found.tasks.select_related("queue")
        .annotate(judgment_count=Count("judgments__annotator", distinct=True))
        .order_by("-id")
    )
    context = {
        "project": within,
        "prompt": found,
        "responses": found.responses.select_related("person"),
        "tasks": tasks[:PAGE],
        "near": within.prompts.filter(cluster=found.cluster).count(),
        "findings": Finding.objects.filter(Q(prompt=found) | Q(response__prompt=found))[:PAGE],
    }
    return render(request, "feedback/prompt.html", context)
