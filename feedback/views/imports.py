"""Pages of imports: bring a file in, see what becomes of its rows, have it checked and stored, take it back."""

from __future__ import annotations

import copy
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import FileResponse, Http404, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import project_or_404
from feedback.forms import show_refusal
from feedback.import_forms import KindForm, MappingForm, UploadForm
from feedback.imports.describing import ImportBusy, ImportUnfit, describe, sampled_values, take_over
from feedback.imports.errors import CSV, ERRORS_SHOWN, read_errors
from feedback.imports.fields import missing_fields
from feedback.imports.files import error_filename, errors_of, source_of
from feedback.imports.previewing import preview
from feedback.imports.reading import BadFile
from feedback.imports.starting import SMALL_BYTES, check_import, drop_import, store_import, undo_import
from feedback.imports.uploading import take_upload
from feedback.models import FileImport
from feedback.refusals import Refusal
from feedback.views.requests import SignedInRequest

PAGE = 50
State = FileImport.State


def import_or_404(request: SignedInRequest, project: str, imported: str) -> FileImport:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    return get_object_or_404(within.imports.select_related("job", "queue", "created_by", "project"), pk=imported)


@require_safe
@login_required
def import_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    imports = within.imports.select_related("job", "queue", "created_by")
    context = {"project": within, "page_obj": Paginator(imports, PAGE).get_page(request.GET.get("page"))}
    return render(request, "feedback/imports.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def import_new(request: SignedInRequest, project: str) -> HttpResponse:
    """Take a file in. A small one whose columns are clear is checked at once."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    if request.method != "POST":
        return render(request, "feedback/import_new.html", {"project": within, "form": UploadForm()})
    form = UploadForm(request.POST, request.FILES)
    if form.is_valid():
        about = form.cleaned_data
        upload = about.pop("file")
        try:
            file_import = take_upload(
                project=within, pieces=upload.chunks(), filename=upload.name, created_by=request.user,
                kind=about.pop("kind") or None, tags=tags_of(about.pop("tags")), **about,
            )  # fmt: skip
        except ImportUnfit as refusal:
            show_refusal(form, refusal)
        else:
            if file_import.size <= SMALL_BYTES and not missing_fields(file_import.kind, file_import.mapping):
                check_import(file_import=file_import, by=request.user)
            return redirect("import", within.slug, file_import.pk)
    return render(request, "feedback/import_new.html", {"project": within, "form": form}, status=422)


def tags_of(text: str) -> list[str]:
    return [tag.strip() for tag in text.split(",") if tag.strip()]


@require_safe
@login_required
def import_detail(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    found = import_or_404(request, project, imported)
    return render(request, "feedback/import.html", import_context(found))


def import_context(found: FileImport, form: MappingForm | None = None) -> dict[str, Any]:
    idle = found.job is None or found.job.is_over
    may_change = found.state in (State.UPLOADED, State.CHECKING, State.CHECKED) and idle
    is_there = may_change and source_of(found).exists()
    earlier = FileImport.objects.filter(project=found.project, sha256=found.sha256, state=State.STORED)
    return {
        "project": found.project,
        "imported": found,
        "kind_form": KindForm(initial={"kind": found.kind, "form": found.form}, label_suffix=""),
        "form": form or MappingForm(file_import=found),
        "may_change": is_there,
        "is_gone": may_change and not is_there,
        "rows": preview(found) if is_there else [],
        "errors": read_errors(errors_of(found)) if found.counts.get("bad") else [],
        "errors_shown": ERRORS_SHOWN,
        "has_error_file": errors_of(found).is_file(),
        "missing": missing_fields(found.kind, found.mapping),
        "stored": found.counts.get("stored", {}),
        "earlier": earlier.exclude(pk=found.pk).first(),
        "show_job": found.job is not None and (not idle or found.job.state != "succeeded"),
    }


@require_POST
@login_required
def import_describe(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    """Say that the file holds something else; its columns are guessed anew."""
    found = import_or_404(request, project, imported)
    form = KindForm(request.POST)
    if not form.is_valid():
        return render(request, "feedback/import.html", {**import_context(found), "kind_form": form}, status=422)
    try:
        describe(file_import=found, by=request.user, **form.cleaned_data)
    except Refusal as refusal:
        messages.error(request, refusal.message)
    return redirect("import", found.project.slug, found.pk)


@require_POST
@login_required
def import_preview(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    """Answer the first rows as the posted mapping would store them; nothing is kept of it."""
    found = import_or_404(request, project, imported)
    form = MappingForm(request.POST, file_import=found)
    tried = copy.copy(found)
    problem = ""
    if form.is_valid():
        try:
            take_over(tried, form.changes(), sampled_values(tried))
        except (ImportUnfit, BadFile) as error:
            problem = str(error)
    context = {"project": found.project, "imported": tried, "rows": preview(tried), "problem": problem}
    return render(request, "feedback/_import_preview.html", context)


@require_POST
@login_required
def import_check(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    """Keep the mapping and have the whole file checked."""
    found = import_or_404(request, project, imported)
    form = MappingForm(request.POST, file_import=found)
    if not form.is_valid():
        return render(request, "feedback/import.html", import_context(found, form), status=422)
    try:
        check_import(file_import=describe(file_import=found, by=request.user, **form.changes()), by=request.user)
    except ImportUnfit as refusal:
        show_refusal(form, refusal)
        found.refresh_from_db()
        return render(request, "feedback/import.html", import_context(found, form), status=422)
    except ImportBusy as refusal:
        messages.error(request, refusal.message)
    return redirect("import", found.project.slug, found.pk)


@require_POST
@login_required
def import_store(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    found = import_or_404(request, project, imported)
    return carried(
        request, found, lambda: store_import(
            file_import=found, by=request.user, leave_out_bad=bool(request.POST.get("leave_out_bad"))
        ),
    )  # fmt: skip


@require_POST
@login_required
def import_undo(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    found = import_or_404(request, project, imported)
    return carried(request, found, lambda: undo_import(file_import=found, by=request.user))


@require_POST
@login_required
def import_drop(request: SignedInRequest, project: str, imported: str) -> HttpResponse:
    """Delete a file that was not stored."""
    found = import_or_404(request, project, imported)
    return carried(request, found, lambda: drop_import(file_import=found, by=request.user))


def carried(request: SignedInRequest, found: FileImport, work: Any) -> HttpResponse:
    """Do the work and show the import; say why where it cannot be done."""
    try:
        work()
    except ImportBusy as refusal:
        messages.error(request, refusal.message)
    return redirect("import", found.project.slug, found.pk)


@require_safe
@login_required
def import_errors(request: SignedInRequest, project: str, imported: str) -> HttpResponseBase:
    """Send the errors of every row as CSV."""
    found = import_or_404(request, project, imported)
    path = errors_of(found)
    if not path.is_file():
        raise Http404("the file was not checked")
    return FileResponse(path.open("rb"), as_attachment=True, filename=error_filename(found), content_type=CSV)
