"""What a browser would post from a form on a page, untouched: for tests that change one field of many."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse


class Fields(HTMLParser):
    """Collects the fields of the first form that has a field called `marker`."""

    def __init__(self, marker: str) -> None:
        super().__init__()
        self.marker = marker
        self.forms: list[dict[str, Any]] = []
        self.inside = False
        self.select = ""
        self.text = ""

    def add(self, name: str, value: str) -> None:
        fields = self.forms[-1]
        if name in fields:
            before = fields[name]
            fields[name] = [*(before if isinstance(before, list) else [before]), value]
        else:
            fields[name] = value

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.inside = True
            self.forms.append({})
        elif not self.inside:
            return
        elif tag == "textarea" and "form" not in values:
            self.text = values["name"]
            self.add(self.text, "")
        elif tag == "select":
            self.select = values["name"]
        elif tag == "option" and self.select:
            if "selected" in values or self.select not in self.forms[-1]:
                self.forms[-1][self.select] = values.get("value", "")
        elif tag == "input" and values.get("name") and "form" not in values:
            if values.get("type") not in ("checkbox", "radio"):
                self.add(values["name"], values.get("value", ""))
            elif "checked" in values:
                self.add(values["name"], values.get("value", "on"))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.inside = False
        elif tag == "textarea":
            if self.inside and self.text:
                self.forms[-1][self.text] = self.forms[-1][self.text].removeprefix("\n")
            self.text = ""
        elif tag == "select":
            self.select = ""

    def handle_data(self, data: str) -> None:
        if self.text and self.inside:
            self.forms[-1][self.text] += data


def fields_on(page: HttpResponse, marker: str) -> dict[str, Any]:
    """Return what the form with a field called `marker` would post as it stands."""
    parser = Fields(marker)
    parser.feed(page.content.decode())
    found = [fields for fields in parser.forms if marker in fields]
    assert found, f"no form has a field {marker}"
    return found[0]
