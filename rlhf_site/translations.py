"""The texts that the source marks for translation, read without any tool of the system.

A message is (context, text, plural text); context and plural are empty where there is none.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings
from django.utils.translation.template import templatize

Message = tuple[str, str, str]

FOLDERS = ("feedback", "training", "rlhf_site")
CALLS = {
    "_": "t",
    "gettext": "t",
    "gettext_lazy": "t",
    "gettext_noop": "t",
    "ngettext": "tp",
    "ngettext_lazy": "tp",
    "pgettext": "ct",
    "npgettext": "ctp",
}
"""What each argument is: c = context, t = text, p = plural."""
STRING = r"""(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")"""
IN_TEMPLATE = re.compile(rf"\b(n?p?gettext)\(\s*(?:u?{STRING}\s*,?\s*)+")


def messages() -> set[Message]:
    """Return every message that Python or a template of a page asks for; the API speaks English."""
    found: set[Message] = set()
    for folder in FOLDERS:
        base = settings.BASE_DIR / folder
        for path in base.rglob("*.py"):
            if not {"migrations", "api"} & set(path.relative_to(base).parts) and not path.name.startswith("api_"):
                found.update(in_python(path))
        for path in base.rglob("*.html"):
            found.update(in_template(path.read_text(), str(path)))
    return found


def in_python(path: Path) -> Iterator[Message]:
    for node in ast.walk(ast.parse(path.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        if name in CALLS:
            given = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
            if len(given) >= len(CALLS[name]):
                yield message(CALLS[name], given)


def in_template(text: str, origin: str = "") -> Iterator[Message]:
    for call in IN_TEMPLATE.finditer(templatize(text, origin=origin)):
        yield message(CALLS[call[1]], [ast.literal_eval(each) for each in re.findall(STRING, call[0])])


def message(arguments: str, given: list[str]) -> Message:
    said = dict(zip(arguments, given, strict=False))
    return said.get("c", ""), said["t"], said.get("p", "")
