"""Pages of prompts and of the responses to them."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_safe

from feedback.access import project_or_404
from feedback.forms import ImportForm, PromptFilter
from feedback.models import Finding
from feedback.prompt_import import ImportRefused, ImportReport, import_upload
from feedback.views.requests import SignedInRequest

PAGE = 50


@require_safe
@login_required
def prompt_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    filters = PromptFilter(request.GET, label_suffix="")
    found = filters.select(within.prompts.pool().annotate(response_count=Count("responses")).order_by("-id"))
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


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def prompts_import(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    form = ImportForm(request.POST, request.FILES) if request.method == "POST" else ImportForm()
    context = {"project": within, "form": form}
    if request.method != "POST":
        return render(request, "feedback/prompts_import.html", context)
    if not form.is_valid():
        return render(request, "feedback/prompts_import.html", context, status=422)
    try:
        about = form.cleaned_data
        report = import_upload(project=within, upload=about.pop("file"), created_by=request.user, **about)
    except ImportRefused as refusal:
        return render(request, "feedback/prompts_import.html", {**context, "refusal": refusal}, status=422)
    messages.success(request, report_in_words(report))
    return redirect("prompts", within.slug)


def report_in_words(report: ImportReport) -> str:
    if not report.added:
        return f"Nothing new: all {report.read} prompts of this file were already there."
    words = f"Imported {report.added} {'prompt' if report.added == 1 else 'prompts'}."
    return f"{words} {report.already_there} were already there." if report.already_there else words
