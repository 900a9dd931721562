"""One run's page: how far it is, its curves' data, its texts and log, and what to do when it failed."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from feedback.models import Project, User
from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from training.configs import CONFIGS, config_values
from training.glossary import CHARTS
from training.models import Run, RunMetric

pytestmark = pytest.mark.django_db
READS = ["run", "run-live", "run-metrics", "run-numbers", "run-log"]


def url(run: Run, name: str = "run") -> str:
    return reverse(name, args=[run.project.slug, run.pk])


def text(response) -> str:
    return (b"".join(response.streaming_content) if response.streaming else response.content).decode()


def add_metrics(run: Run, *steps: int) -> None:
    for step in steps:
        RunMetric.objects.create(run=run, step=step, values={"time": 100.0 + 2 * step, "loss": 1 / step, "extra": None})


@pytest.mark.parametrize("name", READS)
def test_staff_read_it_and_others_do_not(
    client: Client, project: Project, ml_staff: User, curator: User, annotator: User, outsider: User, name: str
) -> None:
    run = make_run(project, "ppo")
    assert client.get(url(run, name))["Location"].startswith(reverse("account_login"))
    for person, status in ((ml_staff, 200), (curator, 200), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        assert client.get(url(run, name)).status_code == status, person


@pytest.mark.parametrize("name", READS)
def test_a_run_of_another_project_is_not_there(client: Client, project: Project, ml_staff: User, name: str) -> None:
    run = make_run(make_project())
    client.force_login(ml_staff)
    assert client.get(reverse(name, args=[project.slug, run.pk])).status_code == 404


@pytest.mark.parametrize("kind", list(CONFIGS))
@pytest.mark.parametrize("state", ["queued", "running", "paused", "succeeded", "failed", "cancelled"])
def test_the_page_is_there_for_every_kind_in_every_state(
    client: Client, project: Project, ml_staff: User, kind: str, state: str
) -> None:
    queue = make_queue(project) if kind == "sample" else None
    run = make_run(
        project, kind, state=state, queue=queue, policy=make_base_checkpoint(project),
        config=config_values(CONFIGS[kind]()), error="it broke" if state == "failed" else "",
    )  # fmt: skip
    client.force_login(ml_staff)
    page = text(client.get(url(run)))
    unfinished = state in Run.UNFINISHED
    assert (url(run, "run-live") in page) == unfinished
    assert page.count('hx-trigger="every') == unfinished, "one request every two seconds, for everything"
    assert ("it broke" in page) == (state == "failed")
    assert ('data-chart="' in page) == (unfinished and kind in CHARTS)


def test_progress_is_said_in_numbers_and_as_a_bar(client: Client, project: Project, ml_staff: User) -> None:
    now = timezone.now()
    run = make_run(
        project, "dpo", state="running", started_at=now - timedelta(minutes=5),
        progress={"phase": "training", "done": 10, "total": 40},
    )  # fmt: skip
    add_metrics(run, *range(1, 11))
    client.force_login(ml_staff)
    page = text(client.get(url(run, "run-live")))
    assert '<progress max="40" value="10"' in page
    assert "10 of 40 · 25 %" in page
    assert "about 60 s left" in page  # 30 steps of 2 seconds
    assert "Training" in page


def test_a_run_that_waits_for_a_worker_to_stop_it_says_so(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, "dpo", state="queued", attempt=1, cancel_requested_at=timezone.now())
    client.force_login(ml_staff)
    page = text(client.get(url(run, "run-live")))
    assert "Stops and leaves a checkpoint as soon as a worker is free" in page
    assert "to be stopped" in page
    assert "Goes on" not in page


def test_a_run_whose_worker_is_gone_says_so(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, state="running", lease_expires_at=timezone.now() - timedelta(seconds=5), attempt=2)
    client.force_login(ml_staff)
    page = text(client.get(url(run, "run-live")))
    assert "Its worker has not been heard of" in page
    assert "attempt 2" in page


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("the last time the trainer was killed by SIGKILL, often a sign of too little memory", "Halve the batch size"),
        ("[Errno 28] No space left on device", "The disk is full"),
        ("/data/train.parquet has sha256 ab, not cd as when it was frozen", "Restore them from a backup"),
        ("an error that nobody foresaw, about finance", "The log below"),
    ],
)
def test_a_failed_run_says_what_to_do(client: Client, project: Project, ml_staff: User, error: str, word: str) -> None:
    run = make_run(project, "dpo", state="failed", error=error)
    client.force_login(ml_staff)
    page = text(client.get(url(run)))
    assert word in page
    assert f"{reverse('run-start', args=[project.slug, 'dpo'])}?like={run.pk}" in page


def test_changed_settings_are_marked(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, "dpo", config={**config_values(CONFIGS["dpo"](beta=0.7)), "forgotten": 3})
    client.force_login(ml_staff)
    settings = {one.name: one for one in client.get(url(run)).context["settings"]}
    assert (settings["beta"].value, settings["beta"].is_default) == (0.7, False)
    assert settings["steps"].is_default
    assert settings["forgotten"].label == "forgotten"


# Metrics -----------------------------------------------------------------------------------------------


def test_metrics_come_from_where_the_reader_left_off(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, state="running")
    add_metrics(run, 1, 2, 3)
    client.force_login(ml_staff)
    everything = client.get(url(run, "run-metrics")).json()
    assert [row["step"] for row in everything["rows"]] == [1, 2, 3]
    assert everything["rows"][1] == {"step": 2, "time": 104.0, "loss": 0.5, "extra": None}
    assert everything["finished"] is False
    assert everything["attempt"] == 1
    later = client.get(url(run, "run-metrics"), {"after": "2"}).json()
    assert [row["step"] for row in later["rows"]] == [3]
    assert client.get(url(run, "run-metrics"), {"after": "nonsense"}).json() == everything


def test_the_last_steps_of_a_run_that_is_over_say_so(
    client: Client, project: Project, ml_staff: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run(project, state="succeeded")
    add_metrics(run, 1, 2, 3)
    client.force_login(ml_staff)
    assert client.get(url(run, "run-metrics")).json()["finished"] is True


def test_many_steps_come_in_pieces(project: Project) -> None:
    from training.reading import metrics_after

    run = make_run(project, state="succeeded")
    add_metrics(run, 1, 2, 3)
    first = metrics_after(run, 0, limit=2)
    assert ([row["step"] for row in first["rows"]], first["more"], first["finished"]) == ([1, 2], True, False)
    rest = metrics_after(run, 2, limit=2)
    assert ([row["step"] for row in rest["rows"]], rest["more"], rest["finished"]) == ([3], False, True)


def test_metrics_as_a_file(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, "dpo")
    add_metrics(run, 1, 2)
    client.force_login(ml_staff)
    response = client.get(url(run, "run-metrics"), {"format": "csv"})
    rows = list(csv.reader(io.StringIO(text(response))))
    assert rows == [["step", "loss", "extra"], ["1", "1.0", ""], ["2", "0.5", ""]]
    assert "attachment" in response["Content-Disposition"]


def test_the_table_has_the_first_and_the_last_of_many_steps(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, "dpo")
    RunMetric.objects.bulk_create(RunMetric(run=run, step=step, values={"loss": 0.1}) for step in range(1, 502))
    client.force_login(ml_staff)
    response = client.get(url(run, "run-numbers"))
    steps = [step for step, _ in response.context["numbers"].rows]
    assert (steps[0], steps[-1], len(steps)) == (1, 501, 40)
    assert "40 of 501 steps" in text(response)


def test_a_metric_without_a_place_in_the_glossary_gets_a_chart(
    client: Client, project: Project, ml_staff: User
) -> None:
    run = make_run(project, "dpo")
    add_metrics(run, 1)
    client.force_login(ml_staff)
    assert 'data-chart="extra"' in text(client.get(url(run)))


# Texts and log -----------------------------------------------------------------------------------------


def test_a_sample_run_shows_what_has_landed_and_where(client: Client, project: Project, ml_staff: User) -> None:
    queue = make_queue(project, name="Round two")
    prompt = make_prompt(project, "What is soap?")
    run = make_run(project, "sample", queue=queue, config=config_values(CONFIGS["sample"]()), state="running")
    make_response(prompt, "<b>Fat</b> and lye.", run_id=run.pk, sampling={"temperature": 0.3, "finished": False})
    client.force_login(ml_staff)
    page = text(client.get(url(run)))
    assert "1 of 2 landed" in page
    assert "&lt;b&gt;Fat&lt;/b&gt; and lye." in page
    assert "temperature 0.3 · cut off" in page
    assert reverse("queue", args=[project.slug, queue.pk]) in page


def test_prompts_imported_later_leave_no_gap_in_what_a_sample_run_landed(
    client: Client, project: Project, ml_staff: User
) -> None:
    prompt = make_prompt(project, "What is soap? " * 20)
    config = config_values(CONFIGS["sample"](temperatures=(0.5,)))
    run = make_run(project, "sample", config=config, state="succeeded", progress={"done": 1, "total": 1})
    make_response(prompt, "Fat and lye.", run_id=run.pk)
    make_prompt(project, "Who makes it?")
    client.force_login(ml_staff)
    page = text(client.get(url(run)))
    assert "1 of 1 landed" in page
    assert "What is soap? Wha…" in page  # 200 characters of it, and said to be cut


def test_a_ppo_run_shows_the_first_and_the_last_rollouts(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, "ppo", state="running")
    run.directory.mkdir(parents=True)
    lines = [{"step": n, "prompt": "Hello?", "response": f"Answer {n}", "score": n / 10} for n in range(1, 9)]
    torn = '{"step": 9, "prompt": "Hel'
    (run.directory / "samples_preview.jsonl").write_text("\n".join([*map(json.dumps, lines), "[]", torn]))
    client.force_login(ml_staff)
    response = client.get(url(run))
    assert [preview.step for preview in response.context["previews"]] == [8, 7, 1]
    assert "Answer 8" in text(response)
    assert "score 0.8" in text(response)


def test_the_log_is_shown_from_its_end_and_whole_on_request(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, state="running")
    client.force_login(ml_staff)
    assert text(client.get(url(run, "run-log"))) == "There is no log yet."
    run.directory.mkdir(parents=True)
    (run.directory / "log.txt").write_text("first line\n" + "x" * 30_000 + "\n 1%\r 50%\r100%\nlast <line>\n")
    assert text(client.get(url(run, "run-log"))).startswith("first line")
    fragment = text(client.get(url(run, "run-live")))
    assert "first line" not in fragment
    assert "100%\nlast &lt;line&gt;" in fragment
    assert "50%" not in fragment


# Lineage -----------------------------------------------------------------------------------------------


def test_it_links_to_what_it_used_and_what_it_left(client: Client, project: Project, ml_staff: User) -> None:
    snapshot = make_snapshot(project)
    reward = make_reward_checkpoint(project, name="scorer", snapshot=snapshot)
    policy = make_policy_checkpoint(project, name="pupil", reward=reward, snapshot=snapshot)
    run = Run.objects.get(checkpoint=policy)
    Run.objects.filter(pk=run.pk).update(kind="ppo", reward=reward, snapshot=None)
    client.force_login(ml_staff)
    page = text(client.get(url(run)))
    for name, one in (("checkpoint", policy), ("checkpoint", reward), ("checkpoint", policy.parent)):
        assert reverse(name, args=[project.slug, one.pk]) in page
    assert reverse("snapshot", args=[project.slug, snapshot.pk]) in page


# Glossary ----------------------------------------------------------------------------------------------


def test_every_curve_is_explained_in_the_documentation_too() -> None:
    documented = (Path(settings.BASE_DIR) / "docs" / "metrics.md").read_text()
    for charts in CHARTS.values():
        for series in (series for chart in charts for series in chart.series):
            assert f"`{series.name}`" in documented, series.name


def test_every_chart_that_is_not_folded_says_what_is_healthy() -> None:
    for kind, charts in CHARTS.items():
        names = [series.name for chart in charts for series in chart.series]
        assert len(names) == len(set(names)), kind
        for chart in charts:
            assert chart.meaning
            assert chart.folded or chart.healthy, chart.title


def test_a_ppo_run_that_stopped_early_says_at_what_kl(client: Client, project: Project, ml_staff: User) -> None:
    figures = {"score_first": 0.1, "score_last": 0.5, "kl_first": 0.0, "kl_last": 1.2, "n": 8}
    client.force_login(ml_staff)
    for stopped, shown in (({}, False), ({"stopped_at_kl": 2.31}, True)):
        run = make_run(
            project, "ppo", state="succeeded", started_at=timezone.now(), finished_at=timezone.now(),
            outcome={"status": "succeeded", "step": 3, "evaluation": {**figures, **stopped}},
        )  # fmt: skip
        page = text(client.get(url(run)))
        assert ("Stopped early, at a KL of" in page) == shown
        assert ("2.31" in page) == shown


def test_the_table_of_numbers_is_loaded_anew_into_its_place(client: Client, project: Project, ml_staff: User) -> None:
    run = make_run(project, "dpo", state="running")
    add_metrics(run, 1)
    client.force_login(ml_staff)
    for page in (text(client.get(url(run))), text(client.get(url(run, "run-numbers")))):
        assert 'hx-target="find .numbers-body"' in page
        assert page.count('<div class="numbers-body">') == 1


def test_a_curve_of_held_out_rows_goes_on_over_steps_without_a_look(
    client: Client, project: Project, ml_staff: User
) -> None:
    run = make_run(project, "dpo", state="succeeded", config={"evaluate_every": 2})
    for step in range(1, 4):
        values = {"loss": 1.0, **({"held_out_loss": 2.0} if step == 2 else {})}
        RunMetric.objects.create(run=run, step=step, values=values)
    client.force_login(ml_staff)
    page = text(client.get(url(run)))
    assert 'data-series="held_out_loss" data-label="held-out rows" data-sparse' in page
    assert 'data-series="loss" data-label="training rows">' in page
    table = list(csv.reader(io.StringIO(text(client.get(url(run, "run-metrics"), {"format": "csv"})))))
    assert table == [["step", "loss", "held_out_loss"], ["1", "1.0", ""], ["2", "1.0", "2.0"], ["3", "1.0", ""]]


def test_a_reward_model_shows_the_ceiling_of_each_part_and_what_its_heads_make_of_ratings(project, ml_staff):
    client = Client()
    client.force_login(ml_staff)
    part = {"part": "3", "accuracy": 0.8, "n": 60, "low": 0.7, "high": 0.9, "ceiling": 0.93}
    polite = {
        "attribute": "polite",
        "n": 40,
        "error": 0.14,
        "error_of_one": 0.31,
        "order": 0.62,
        "low": 0.4,
        "high": 0.8,
    }
    flat = {**polite, "attribute": "clear", "order": None, "low": None, "high": None}
    figures = {"accuracy": 0.7, "n": 90, "low": 0.6, "high": 0.8, "by_strength": [part], "attributes": [polite, flat]}
    outcome = {"status": "succeeded", "step": 3, "evaluation": figures}
    now = timezone.now()
    run = make_run(project, "reward", state="succeeded", started_at=now, finished_at=now, outcome=outcome)
    page = " ".join(client.get(url(run)).content.decode().split())
    assert "of 60, ceiling 93 %" in page
    assert (
        '<th scope="row">polite</th><td class="num">40</td><td class="num">14 %</td><td class="num">31 %</td>' in page
    )
    assert "too few, or all alike" in page
