"""The kinds of run and their settings, over HTTP."""

from __future__ import annotations

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from feedback.models import Project, User
from training.configs import CONFIGS, config_values, parse_config

pytestmark = pytest.mark.django_db


def kinds(project: Project, person: User) -> dict:
    client = APIClient()
    client.force_authenticate(person)
    answer = client.get(reverse("api-run-kinds", args=[project.slug]))
    assert answer.status_code == 200
    return answer.json()


def test_every_kind_is_listed_with_defaults_that_make_a_config(project: Project, ml_staff: User) -> None:
    listed = {one["kind"]: one for one in kinds(project, ml_staff)["kinds"]}
    assert set(listed) == set(CONFIGS)
    for kind, one in listed.items():
        defaults = {setting["name"]: setting["default"] for setting in one["config"]}
        assert defaults == config_values(parse_config(kind, {}))
        assert all(setting["title"] for setting in one["config"])


def test_a_setting_comes_with_its_type_range_and_choices(project: Project, ml_staff: User) -> None:
    (dpo,) = (one for one in kinds(project, ml_staff)["kinds"] if one["kind"] == "dpo")
    assert (dpo["needs"], dpo["may_have"]) == (["policy", "snapshot"], [])
    settings = {one["name"]: one for one in dpo["config"]}
    assert (settings["beta"]["type"], settings["beta"]["minimum"], settings["beta"]["choices"]) == ("float", 1e-4, None)
    assert "simpo" in settings["loss"]["choices"]


@pytest.mark.parametrize(("person", "status"), [("curator", 200), ("annotator", 403), ("outsider", 404)])
def test_who_may_read_them(project: Project, request: pytest.FixtureRequest, person: str, status: int) -> None:
    client = APIClient()
    assert client.get(reverse("api-run-kinds", args=[project.slug])).status_code == 401
    client.force_authenticate(request.getfixturevalue(person))
    assert client.get(reverse("api-run-kinds", args=[project.slug])).status_code == status
