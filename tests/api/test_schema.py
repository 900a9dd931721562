"""The schema describes the API, and says so without a warning."""

from __future__ import annotations

import re

import pytest
from django.core.management import call_command

from feedback.answers import KEYS
from feedback.api.urls import urlpatterns


@pytest.fixture(scope="module")
def schema(tmp_path_factory):
    import yaml

    path = tmp_path_factory.mktemp("schema") / "schema.yml"
    call_command("spectacular", "--validate", "--fail-on-warn", "--file", str(path))
    return yaml.safe_load(path.read_text())


PATHS = [re.sub(r"<\w+:", "<", f"/api/v1/{pattern.pattern}") for pattern in urlpatterns]


@pytest.mark.parametrize("path", PATHS)
def test_every_endpoint_is_in_the_schema_and_says_what_it_is_for(schema, path):
    operations = schema["paths"][path.replace("<", "{").replace(">", "}")]
    assert operations
    for method, operation in operations.items():
        assert operation.get("description"), (method, path)


def test_what_annotators_get_has_no_field_that_unblinds(schema):
    task = schema["components"]["schemas"]["Task"]["properties"]
    assert not {"propensity", "display_order", "model_name", "origin", "run", "sampling", "arm", "gold"} & set(task)
    assert set(schema["components"]["schemas"]["ShownResponse"]["properties"]) == {"text"}


def test_the_answer_of_every_kind_is_described(schema):
    shapes = [one["$ref"].split("/")[-1] for one in schema["components"]["schemas"]["Answer"]["oneOf"]]
    described = [set(schema["components"]["schemas"][name]["properties"]) for name in shapes]
    asked = [set(keys) for keys in KEYS.values() if keys]
    assert all(keys in described for keys in asked)
    assert all(keys in asked for keys in described)
