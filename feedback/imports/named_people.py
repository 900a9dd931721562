"""The people named in files: each becomes a person of the project who cannot log in."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from django.contrib.auth.hashers import make_password

from feedback.imports.inserting import Insert
from feedback.models import FileImport, ImportedPerson, Project, User
from feedback.models.people import IMPORTED

SHOWN_LENGTH = 80
NOBODY = "dataset: "
"""Begins the name of the person who stands for a dataset that names nobody."""


def username_of(project: Project, name: str) -> str:
    """Return the username of an imported person. No other can have it: a colon is in no name that people choose."""
    if len(name) <= SHOWN_LENGTH:
        return f"{IMPORTED}:{project.pk}:{name}"
    return f"{IMPORTED}:{project.pk}#{name[:SHOWN_LENGTH]}:{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def voice(label: str, number: int) -> str:
    """Return the name of one who stands for a dataset; more than one is needed where it contradicts itself."""
    return f"{NOBODY}{label[:150]}" + ("" if number == 1 else f" ({number})")


def known_people(project: Project, names: Iterable[str]) -> dict[str, int]:
    """Return the ids of those people who were imported before."""
    found = ImportedPerson.objects.filter(project=project, external_id__in=list(names))
    return dict(found.values_list("external_id", "user_id"))


def add_people(file_import: FileImport, names: Iterable[str]) -> dict[str, int]:
    """Make a person of each name that the project does not know; part of a transaction that has locked the project."""
    project = file_import.project
    wanted = list(dict.fromkeys(names))
    known = known_people(project, wanted)
    usernames = {name: username_of(project, name) for name in wanted if name not in known}
    if not usernames:
        return known
    Insert(User, ("username", "password", "is_active", "date_joined")).rows(
        (username, make_password(None), False, file_import.created_at) for username in usernames.values()
    )
    ids = dict(User.objects.filter(username__in=usernames.values()).values_list("username", "id"))
    made = {name: ids[username] for name, username in usernames.items()}
    Insert(ImportedPerson, ("project", "external_id", "user", "stands_for_many", "file_import")).rows(
        (project.pk, name, user, name.startswith(NOBODY), file_import.pk) for name, user in made.items()
    )
    return {**known, **made}
