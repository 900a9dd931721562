"""Pages of checkpoints: what models there are, where each came from, and what came of it."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe
from django.views.decorators.vary import vary_on_headers

from feedback.access import may, project_or_404
from feedback.erasing import holdings
from feedback.markdown import render as rendered
from feedback.models import Job, Project, Snapshot, User
from feedback.views.requests import SignedInRequest
from training.base_models import MISSING_MODEL, find_base_model, resolve_path
from training.importing import start_base
from training.lineage import CheckpointGone, learned_from, lineage, model_source, where_used
from training.lineage_graph import lineage_graph
from training.model_cards import evaluations
from training.models import Checkpoint
from training.plans import includes_simulated
from training.promotions import current_promotion, current_promotions
from training.registry import licence_of

PAGE = 50


@require_safe
@login_required
def checkpoint_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "training.read")
    checkpoints = within.checkpoints.select_related("parent", "run", "snapshot")
    kind, snapshot = request.GET.get("kind", ""), chosen_snapshot(within, request.GET.get("snapshot", ""))
    if kind in Checkpoint.Kind.values:
        checkpoints = checkpoints.filter(kind=kind)
    if snapshot is not None:
        checkpoints = checkpoints.filter(snapshot=snapshot)
    may_run = may(request.user, "training.run", within)
    current = current_promotions(within)
    has_base = within.checkpoints.filter(kind=Checkpoint.Kind.BASE).exists()
    context = {
        "project": within,
        "page_obj": Paginator(checkpoints, PAGE).get_page(request.GET.get("page")),
        "kinds": Checkpoint.Kind.choices,
        "snapshots": within.snapshots.all(),
        "chosen": {"kind": kind, "snapshot": snapshot},
        "current": current,
        "current_ids": {one.checkpoint_id for one in current},
        "may_run": may_run,
        "may_add_base": may_run and not has_base and find_base_model() is not None,
        "missing_model": "" if has_base or find_base_model() is not None else MISSING_MODEL,
    }
    return render(request, "training/checkpoints.html", context)


@require_POST
@login_required
def checkpoint_base(request: SignedInRequest, project: str) -> HttpResponse:
    """Give the project its checkpoint of the installation's base model."""
    within = project_or_404(request.user, project, "training.run")
    job = start_base(project=within, by=request.user)
    if job is None:
        messages.error(request, MISSING_MODEL)
        return redirect("checkpoints", within.slug)
    return to_imported(request, job)


def to_imported(request: SignedInRequest, job: Job) -> HttpResponse:
    """Lead to the checkpoint that an import has made, or to the job that is still at it or has failed."""
    if job.state != Job.State.SUCCEEDED:
        return redirect("job", job.project.slug, job.pk)
    messages.success(request, job.result["words"])
    return redirect("checkpoint", job.project.slug, job.result["checkpoint"])


@require_safe
@login_required
def checkpoint_detail(request: SignedInRequest, project: str, checkpoint: str) -> HttpResponse:
    within = project_or_404(request.user, project, "training.read")
    related = within.checkpoints.select_related("parent", "run", "run__policy", "run__reward", "snapshot")
    found = get_object_or_404(related, pk=checkpoint)
    origin, promotion = lineage(found), current_promotion(within, found.kind)
    context = {
        "project": within,
        "checkpoint": found,
        "lineage": origin,
        "chain": [*reversed(origin.ancestors), found],
        "graph": lineage_graph(found),
        "promotion": promotion,
        "is_current": promotion is not None and promotion.checkpoint_id == found.pk,
        "licence": licence_of(found, origin.ancestors),
        "note": rendered(found.note),
        "used": where_used(found),
        "place": resolve_path(found.path),
        "gone": missing_files(found),
        "evaluations": evaluations(found),
        "simulated": origin.snapshot is not None and includes_simulated(origin.snapshot),
        "may_run": may(request.user, "training.run", within),
    }
    return render(request, "training/checkpoint.html", context)


@require_safe
@vary_on_headers("HX-Request")
@login_required
def snapshot_checkpoints(request: SignedInRequest, project: str, snapshot: str) -> HttpResponse:
    """Answer what the snapshot page loads into itself; a whole page where a person opens it alone."""
    within = project_or_404(request.user, project, "training.read")
    found = get_object_or_404(within.snapshots, pk=snapshot)
    if not request.htmx:
        return redirect(f"{reverse('checkpoints', args=[within.slug])}?snapshot={found.pk}")
    context = {
        "project": within,
        "snapshot": found,
        "checkpoints": found.checkpoints.select_related("run"),
        "runs": found.runs.unfinished(),
        "may_run": may(request.user, "training.run", within),
    }
    return render(request, "training/_snapshot_checkpoints.html", context)


@require_safe
@vary_on_headers("HX-Request")
@login_required
def person_learned(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    """Answer what learned from one person's labels and texts: what the pages of an erasure load into themselves."""
    within = project_or_404(request.user, project, "feedback.erase")
    found = get_object_or_404(User, pk=person)
    held = holdings(project=within, person=found)
    if not held and not within.memberships.filter(user=found).exists():
        raise Http404("nobody of this project")
    context = {"project": within, "person": found, "learned": learned_from([one.snapshot for one in held])}
    return render(request, "training/_learned.html" if request.htmx else "training/learned.html", context)


def chosen_snapshot(project: Project, text: str) -> Snapshot | None:
    return next((one for one in project.snapshots.all() if str(one.pk) == text), None)


def missing_files(checkpoint: Checkpoint) -> str:
    try:
        model_source(checkpoint)
    except CheckpointGone as error:
        return str(error)
    return ""
