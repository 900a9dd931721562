"""Bring locale/ in step with the source: new texts in, old ones out, and what is translated compiled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from django.conf import settings
from django.core.management.base import BaseCommand

from rlhf_site.translations import messages


class Command(BaseCommand):
    help = "Update locale/*/LC_MESSAGES/django.po from the source and compile it. Needs Babel (the `dev` extra)."
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        for code, name in settings.LANGUAGES:
            if code != settings.LANGUAGE_CODE:
                missing = update(settings.LOCALE_PATHS[0] / code / "LC_MESSAGES" / "django.po", code)
                self.stdout.write(f"{name}: {len(missing)} texts to translate")
                for text in missing:
                    self.stdout.write(f"  {text}")


def update(path: Path, code: str) -> list[str]:
    """Write the catalog anew with the source's texts, compile it, and return what is not translated yet."""
    before = read_catalog(path, code) if path.exists() else Catalog(locale=code)
    after = Catalog(
        locale=code,
        header_comment="# Texts of Concord. `manage.py translations` keeps them in step with the source.",
        project="Concord",
        version=code,
        creation_date=before.creation_date,
        revision_date=before.creation_date,
        last_translator="Concord",
        language_team="Concord",
        msgid_bugs_address="Concord",
        fuzzy=False,
    )
    missing = []
    for context, text, plural in sorted(messages()):
        known = before.get(text, context or None)
        said = known.string if known is not None else ""
        if isinstance(said, str) is bool(plural):
            said = ("", "") if plural else ""  # it has become one text, or two
        if not said or not all(said):
            missing.append(text)
        after.add((text, plural) if plural else text, said, context=context or None)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        write_po(file, after, width=100, omit_header=False)
    with open(path.with_suffix(".mo"), "wb") as file:
        write_mo(file, after)
    return missing


def read_catalog(path: Path, code: str) -> Catalog:
    with open(path, "rb") as file:
        return read_po(file, locale=code)
