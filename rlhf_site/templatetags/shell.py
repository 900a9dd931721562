"""What base.html and the shared includes need: the header with its tabs, form widgets, small words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms, template
from django.conf import settings
from django.forms import BoundField
from django.middleware.csrf import get_token
from django.template.context import Context
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import get_language, gettext_lazy

from feedback.access import may
from feedback.contract import PREFERENCE_LIMIT
from feedback.markdown import render, render_document
from feedback.models import Project, Role

register = template.Library()


@dataclass(frozen=True)
class Tab:
    label: str
    url: str
    current: bool


TABS: tuple[tuple[Any, str, tuple[str, ...], str], ...] = (
    (gettext_lazy("Overview"), "project", ("project",), "feedback.view_project"),
    (gettext_lazy("My work"), "own-standing", ("own-standing",), "feedback.label"),
    ("Prompts", "prompts", ("prompt", "finding", "splits", "cluster", "languages"), "feedback.manage_prompts"),
    ("Queues", "queues", ("queue", "task", "skip", "self-naming"), "feedback.read_queues"),
    ("Judgments", "judgments", ("judgment", "dispute", "bulk", "review-rate", "audit"), "feedback.read_judgments"),
    ("Quality", "quality", ("quality",), "feedback.read_judgments"),
    ("Snapshots", "snapshots", ("snapshot",), "feedback.read_snapshots"),
    ("Runs", "runs", ("run", "run-"), "training.read"),
    ("Checkpoints", "checkpoints", ("checkpoint",), "training.read"),
    ("Members", "members", ("member", "consent-text", "erasure", "person-"), "feedback.read_queues"),
)
"""Label, URL name, prefixes of the URL names that lie under it, permission."""


def tabs_of(project: Project, person: Any, current: str) -> list[Tab]:
    """Return the tabs that `person`'s roles in `project` open; `current` is the URL name of the page."""
    return [
        Tab(str(label), reverse(name, args=[project.slug]), current == name or current.startswith(prefixes))
        for label, name, prefixes, permission in TABS
        if may(person, permission, project)
    ]


@register.inclusion_tag("_site_header.html", takes_context=True)
def site_header(context: Context, project: Project | str | None = None) -> dict[str, Any]:
    """Render the header: brand, project switcher, account menu and, inside a project, its tabs."""
    request = context.get("request")
    person = getattr(request, "user", None)
    if request is None:
        return {"person": None}
    switch = {
        "languages": settings.LANGUAGES,
        "language": get_language(),
        "here": request.get_full_path() if request.method in ("GET", "HEAD") else reverse("home"),
        "csrf_token": get_token(request),
    }
    if person is None or not person.is_authenticated:
        return {"person": None, **switch}
    inside = project if isinstance(project, Project) else None
    match = request.resolver_match
    held = inside.memberships.filter(user=person).values_list("role", flat=True) if inside else ()
    return {
        "person": person,
        "project": inside,
        "projects": Project.objects.visible_to(person),
        "roles": [Role(role).label for role in held],
        "tabs": tabs_of(inside, person, match.url_name or "" if match else "") if inside else [],
        **switch,
    }


@register.filter
def styled(field: BoundField, focus: bool = False) -> SafeString:
    """Render a form field's widget with the house's classes, and the cursor in it when `focus`."""
    widget = field.field.widget
    if isinstance(widget, forms.CheckboxSelectMultiple | forms.RadioSelect | forms.CheckboxInput):
        css = "form-check-input"
    elif isinstance(widget, forms.Select):
        css = "form-select"
    else:
        css = "form-control"
    if field.errors:
        css += " is-invalid"
    own = widget.attrs.get("class", "")
    attributes: dict[str, Any] = {"class": f"{css} {own}".strip()}
    if focus:
        attributes["autofocus"] = True
    return field.as_widget(attrs=attributes)


@register.filter
def is_checkbox(field: BoundField) -> bool:
    return isinstance(field.field.widget, forms.CheckboxInput)


@register.filter
def markdown(text: str) -> SafeString:
    """Render what people and models say in a chat as safe HTML; a line break stays one."""
    return render(text)


@register.filter
def document(text: str) -> SafeString:
    """Render a written document, such as guidelines, as safe HTML."""
    return render_document(text)


@dataclass(frozen=True)
class Mark:
    value: int
    on: bool


@register.inclusion_tag("_preference.html")
def preference(value: int, words: str) -> dict[str, Any]:
    """Show a preference in response coordinates as seven marks from A to B; `words` say it to those who do not see."""
    marks = [Mark(step, step == value) for step in range(-PREFERENCE_LIMIT, PREFERENCE_LIMIT + 1)]
    return {"marks": marks, "words": words}
