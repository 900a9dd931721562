"""Several runs laid over each other, and the glossary of their curves."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Project, User
from tests.factories import make_project, make_run
from training.comparing import MOST_RUNS, rows_of_a_step
from training.configs import CONFIGS, config_values
from training.glossary import CHARTS
from training.glossary.settings import settings_explained
from training.models import Run, RunMetric

pytestmark = pytest.mark.django_db
PAGES = ["runs-compare", "runs-compare-metrics", "runs-glossary"]


def url(project: Project, name: str = "runs-compare") -> str:
    return reverse(name, args=[project.slug])


def run_with_steps(project: Project, steps: int = 3, kind: str = "dpo", **overrides: Any) -> Run:
    overrides.setdefault("config", config_values(CONFIGS[kind]()))
    run = make_run(project, kind, state="succeeded", **overrides)
    for step in range(1, steps + 1):
        RunMetric.objects.create(run=run, step=step, values={"loss": 1 / step, "time": 100.0 + step})
    return run


@pytest.mark.parametrize("name", PAGES)
def test_staff_read_it_and_others_do_not(
    client: Client, project: Project, ml_staff: User, curator: User, annotator: User, outsider: User, name: str
) -> None:
    assert client.get(url(project, name))["Location"].startswith(reverse("account_login"))
    for person, status in ((ml_staff, 200), (curator, 200), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        assert client.get(url(project, name)).status_code == status, person


def test_runs_share_their_charts_and_tell_only_what_differs(client: Client, project: Project, ml_staff: User) -> None:
    slow = run_with_steps(project, config=config_values(CONFIGS["dpo"](learning_rate=1e-6)), name="slow")
    fast = run_with_steps(project, config=config_values(CONFIGS["dpo"](learning_rate=1e-3)), name="fast")
    client.force_login(ml_staff)
    response = client.get(url(project), {"run": [str(fast.pk), str(slow.pk)]})
    page = response.content.decode()
    assert response.context["runs"] == [fast, slow]
    assert [(line.label, line.values) for line in response.context["apart"]] == [("Learning rate", [1e-3, 1e-6])]
    assert page.count('data-chart="loss"') == 1
    assert page.index(f'data-line="{fast.pk}"') < page.index(f'data-line="{slow.pk}"')


def test_kinds_are_laid_over_each_other_where_they_write_the_same(
    client: Client, project: Project, ml_staff: User
) -> None:
    runs = [run_with_steps(project, kind=kind) for kind in ("sft", "dpo")]
    client.force_login(ml_staff)
    charts = client.get(url(project), {"run": [str(run.pk) for run in runs]}).context["charts"]
    assert [chart.key for chart in charts] == ["loss"]


def test_a_sweep_tells_mean_and_spread(client: Client, project: Project, ml_staff: User) -> None:
    together = uuid.uuid4()
    for seed, accuracy in ((1, 0.5), (2, 0.7)):
        run_with_steps(
            project, sweep=together, config=config_values(CONFIGS["dpo"](seed=seed)),
            outcome={"evaluation": {"accuracy": accuracy, "n": 20}},
        )  # fmt: skip
    client.force_login(ml_staff)
    response = client.get(url(project), {"sweep": str(together)})
    assert [(line.label, line.values) for line in response.context["apart"]] == [("Seed", [1, 2])]
    accuracy = response.context["figures"][0]
    assert accuracy.mean == pytest.approx(0.6)
    assert accuracy.spread == pytest.approx(0.02**0.5)
    assert "60 % ± 14 %" in response.content.decode()


def test_a_share_of_held_out_labels_stands_with_its_interval(client: Client, project: Project, ml_staff: User) -> None:
    measured = {"accuracy": 0.75, "n": 4, "low": 0.301, "high": 0.954}
    run = run_with_steps(project, outcome={"evaluation": measured})
    client.force_login(ml_staff)
    page = client.get(url(project), {"run": [run.pk]}).content.decode()
    assert "(30 % to 95 %)" in page


def test_nonsense_and_runs_of_others_are_passed_over(client: Client, project: Project, ml_staff: User) -> None:
    own, theirs = run_with_steps(project), run_with_steps(make_project())
    client.force_login(ml_staff)
    asked = {"run": ["nonsense", str(theirs.pk), str(own.pk), str(own.pk), str(uuid.uuid4())], "sweep": "nonsense"}
    assert client.get(url(project), asked).context["runs"] == [own]
    steps = {"run": [f"{theirs.pk}:0", "nonsense", f"{own.pk}:nonsense", f"{own.pk}"]}
    answer = client.get(url(project, "runs-compare-metrics"), steps).json()
    assert [run["id"] for run in answer["runs"]] == [str(own.pk)]


def test_no_more_runs_than_can_be_told_apart(client: Client, project: Project, ml_staff: User) -> None:
    runs = [run_with_steps(project, 1) for _ in range(MOST_RUNS + 2)]
    client.force_login(ml_staff)
    assert client.get(url(project), {"run": [str(run.pk) for run in runs]}).context["runs"] == runs[:MOST_RUNS]


def test_one_request_brings_the_new_steps_of_all(client: Client, project: Project, ml_staff: User) -> None:
    one, other = run_with_steps(project), run_with_steps(project, 5)
    client.force_login(ml_staff)
    answer = client.get(url(project, "runs-compare-metrics"), {"run": [f"{one.pk}:3", f"{other.pk}:4"]}).json()
    assert [[row["step"] for row in run["rows"]] for run in answer["runs"]] == [[], [5]]
    assert [run["finished"] for run in answer["runs"]] == [True, True]


def test_a_run_leads_to_those_of_its_sweep(client: Client, project: Project, ml_staff: User) -> None:
    run = run_with_steps(project, sweep=uuid.uuid4())
    client.force_login(ml_staff)
    page = client.get(reverse("run", args=[project.slug, run.pk])).content.decode()
    assert f"{url(project)}?sweep={run.sweep}" in page


def test_the_glossary_has_every_metric_of_every_kind(client: Client, project: Project, ml_staff: User) -> None:
    client.force_login(ml_staff)
    page = client.get(url(project, "runs-glossary")).content.decode()
    for kind, charts in CHARTS.items():
        part = page.split(f'id="{kind}"')[1].split("</section>")[0]
        assert all(series.name in part for chart in charts for series in chart.series)


@pytest.mark.parametrize(
    ("kind", "values", "rows"),
    [
        ("dpo", {"batch_size": 4, "gradient_accumulation": 2}, 8),
        ("ppo", {"batch_size": 16, "minibatch_size": 4, "gradient_accumulation": 2}, 16),
        ("grpo", {"prompts_per_step": 3, "responses_per_prompt": 4}, 12),
        ("online_dpo", {"prompts_per_step": 3}, 6),
    ],
)
def test_curves_can_be_drawn_over_the_rows_that_a_step_learns_from(
    client: Client, project: Project, ml_staff: User, kind: str, values: dict[str, Any], rows: int
) -> None:
    run = run_with_steps(project, kind=kind, config=config_values(CONFIGS[kind](**values)))
    assert rows_of_a_step(run) == rows
    client.force_login(ml_staff)
    page = client.get(url(project), {"run": [str(run.pk)]}).content.decode()
    assert f'data-rows="{rows}"' in page
    assert '<option value="rows">' in page


def test_without_known_rows_the_curves_are_not_offered_over_them(client, project: Project, ml_staff: User) -> None:
    run = run_with_steps(project, config={})
    client.force_login(ml_staff)
    page = client.get(url(project), {"run": [str(run.pk)]}).content.decode()
    assert '<option value="minutes">' in page
    assert '<option value="rows">' not in page


def test_the_glossary_explains_every_setting_of_every_kind(client: Client, project: Project, ml_staff: User) -> None:
    told = settings_explained()
    assert [one.name for one in told if not one.help] == []
    for kind, config in CONFIGS.items():
        for name, field in config.__dataclass_fields__.items():
            named = [one for one in told if one.name == name and any(kind in kinds for kinds in one.defaults.values())]
            assert [one.label for one in named] == [field.metadata["label"]], (kind, name)
    client.force_login(ml_staff)
    page = client.get(url(project, "runs-glossary")).content.decode()
    assert page.count(">value_model<") == 1
    assert f"<b>{CONFIGS['ppo']().value_model}</b>" in page
