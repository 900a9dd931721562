"""The form that starts a run: built from the configs, preselected by the query string, refused beside the field."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from feedback.models import Project, Queue, User
from feedback.selection import Selection
from tests.every_kind import judge
from tests.factories import (
    make_base_checkpoint,
    make_member,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from training.configs import CONFIGS, config_values
from training.forms import RunForm
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db
KINDS = list(CONFIGS)


def url(project: Project, kind: str) -> str:
    return reverse("run-start", args=[project.slug, kind])


def text(response) -> str:
    return response.content.decode()


def usable_base(project: Project, name: str = "base") -> Checkpoint:
    directory = Path(settings.DATA_DIR) / "models" / f"{project.slug}-{name}"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").touch()
    return make_base_checkpoint(project, name=name, path=f"models/{directory.name}")


def usable(checkpoint: Checkpoint) -> Checkpoint:
    directory = Path(settings.DATA_DIR) / checkpoint.path
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "adapter_config.json").write_text("{}")
    (directory / "adapter_model.safetensors").touch()
    return checkpoint


def filled(project: Project, kind: str, **changes: Any) -> dict[str, Any]:
    """What a browser sends when a person changes only `changes`."""
    form = RunForm(project=project, kind=kind)
    sent: dict[str, Any] = {}
    for name in form.fields:
        value = form[name].value()
        if value is not None and value is not False:
            sent[name] = "on" if value is True else value
    return {**sent, **changes}


@pytest.fixture
def ready(project: Project) -> dict[str, Any]:
    """A project from which a run of every kind can be started."""
    base = usable_base(project)
    snapshot = make_snapshot(project, labels=8)
    reward = usable(make_reward_checkpoint(project, name="scorer", parent=base, snapshot=snapshot))
    annotator = make_member(project)
    judge(project, annotator, "demonstration", answer={"text": "As a person says it."})
    judge(
        project,
        annotator,
        "rating",
        ("It is so.",),
        answer={"ratings": [{"helpfulness": 4, "correctness": 4, "thumbs": 1}]},
    )
    make_snapshot(project, name="Written and rated", selection=Selection(kinds=("demonstration", "rating")))
    return {"base": base, "snapshot": snapshot, "reward": reward}


@pytest.fixture
def adapter(project: Project, ready: dict[str, Any]) -> Checkpoint:
    return usable(make_policy_checkpoint(project, name="pupil", parent=ready["base"], snapshot=ready["snapshot"]))


@pytest.mark.parametrize("kind", KINDS)
def test_ml_staff_opens_it_and_others_do_not(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User, project_admin: User, curator: User,
    annotator: User, outsider: User, kind: str,
) -> None:  # fmt: skip
    for person, status in ((ml_staff, 200), (project_admin, 200), (curator, 403), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        assert client.get(url(project, kind)).status_code == status, person


@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404)])
def test_others_start_nothing(
    client: Client, project: Project, ready: dict[str, Any], request: pytest.FixtureRequest, person: str, status: int
) -> None:
    client.force_login(request.getfixturevalue(person))
    before = Run.objects.count()
    assert client.post(url(project, "dpo"), filled(project, "dpo")).status_code == status
    assert Run.objects.count() == before


def test_a_visitor_is_asked_to_log_in(client: Client, project: Project) -> None:
    assert client.get(url(project, "dpo"))["Location"].startswith(reverse("account_login"))
    assert client.post(url(project, "dpo"), {})["Location"].startswith(reverse("account_login"))


def test_there_is_no_other_kind(client: Client, project: Project, ml_staff: User) -> None:
    client.force_login(ml_staff)
    assert client.get(url(project, "distillation")).status_code == 404


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_has_every_setting_of_the_kind(project: Project, kind: str) -> None:
    form = RunForm(project=project, kind=kind)
    advanced = [field for group in form.advanced_settings for field in group.fields]
    shown = [field.name for field in [*form.main_settings, *advanced]]
    assert len(shown) == len(set(shown))
    assert set(shown) == {setting.name for setting in dataclasses.fields(CONFIGS[kind])}
    for setting in dataclasses.fields(CONFIGS[kind]):
        assert form[setting.name].label == setting.metadata["label"]
        assert form[setting.name].help_text == setting.metadata["help"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_form_as_it_comes_starts_a_run_with_the_default_settings(
    client: Client, project: Project, ready: dict[str, Any], adapter: Checkpoint, ml_staff: User, kind: str
) -> None:
    client.force_login(ml_staff)
    before = set(Run.objects.values_list("pk", flat=True))
    response = client.post(url(project, kind), filled(project, kind, guideline="Prefer the better one."))
    assert response.status_code == 302, response.context["form"].errors
    run = Run.objects.exclude(pk__in=before).get()
    assert response["Location"] == reverse("run", args=[project.slug, run.pk])
    assert run.kind == kind
    assert run.state == "queued"
    assert run.created_by == ml_staff
    assert run.config == config_values(CONFIGS[kind]())


def test_dpo_starts_with_what_was_typed(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    client.post(url(project, "dpo"), filled(project, "dpo", steps="7", learning_rate="2e-5", name="Careful"))
    run = Run.objects.get(name="Careful")
    assert run.config["steps"] == 7
    assert run.config["learning_rate"] == 2e-5
    assert (run.policy, run.snapshot) == (ready["base"], ready["snapshot"])


def test_a_switched_off_setting_is_off(client: Client, project: Project, ready: dict[str, Any], ml_staff: User) -> None:
    client.force_login(ml_staff)
    sent = filled(project, "reward", name="Flat")
    del sent["use_margin"]
    client.post(url(project, "reward"), sent)
    assert Run.objects.get(name="Flat").config["use_margin"] is False


def test_sampling_opens_a_new_queue_with_the_newest_guidelines(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    make_queue(project, guideline="Kind before clever.")
    client.force_login(ml_staff)
    response = client.post(url(project, "sample"), filled(project, "sample", queue_name="Round two"))
    queue = Queue.objects.get(project=project, name="Round two")
    assert response.status_code == 302
    assert queue.guideline.text == "Kind before clever."
    assert queue.sample_runs.get().prompt_ids == []


def test_sampling_takes_a_queue_that_is_there(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    queue = make_queue(project)
    client.force_login(ml_staff)
    before = project.queues.count()
    sent = filled(project, "sample", queue=str(queue.pk), queue_name="", guideline="", temperatures="0.2 0.9, 1.4")
    assert client.post(url(project, "sample"), sent).status_code == 302
    assert project.queues.count() == before
    assert queue.sample_runs.get().config["temperatures"] == [0.2, 0.9, 1.4]


def test_a_refused_run_opens_no_queue(client: Client, project: Project, ready: dict[str, Any], ml_staff: User) -> None:
    client.force_login(ml_staff)
    (Path(settings.DATA_DIR) / ready["base"].path / "config.json").unlink()
    sent = filled(project, "sample", queue_name="Never", guideline="Prefer the better one.")
    response = client.post(url(project, "sample"), sent)
    assert response.status_code == 422
    assert "is gone" in response.context["form"].errors["policy"][0]
    assert not Queue.objects.filter(name="Never").exists()


def test_prompts_of_one_split_or_some_at_random(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    queue = make_queue(project)
    client.force_login(ml_staff)
    held_out = {str(pk) for pk in project.prompts.filter(split="evaluation").values_list("pk", flat=True)}
    chosen = {}
    for which in ("evaluation", "random"):
        sent = filled(project, "sample", queue=str(queue.pk), prompts=which, prompt_count="3", name=which)
        assert client.post(url(project, "sample"), sent).status_code == 302
        chosen[which] = Run.objects.get(name=which).prompt_ids
    assert set(chosen["evaluation"]) == held_out
    assert len(chosen["random"]) == 3
    again = filled(project, "sample", queue=str(queue.pk), prompts="random", prompt_count="3", name="again")
    client.post(url(project, "sample"), again)
    assert Run.objects.get(name="again").prompt_ids == chosen["random"]


def test_ppo_draws_from_the_train_split_only(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    sent = filled(project, "ppo", prompts="random", prompt_count="99", name="All there is")
    assert client.post(url(project, "ppo"), sent).status_code == 302
    train = {str(pk) for pk in project.prompts.filter(split="train").values_list("pk", flat=True)}
    assert set(Run.objects.get(name="All there is").prompt_ids) == train


def test_evaluate_takes_a_reward_model_or_a_policy(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    policy = usable(make_policy_checkpoint(project, name="pupil", parent=ready["base"], snapshot=ready["snapshot"]))
    client.force_login(ml_staff)
    for model in (policy, ready["reward"]):
        sent = filled(project, "evaluate", model=str(model.pk), name=f"of {model.name}")
        assert client.post(url(project, "evaluate"), sent).status_code == 302
    assert Run.objects.get(name="of pupil").policy == policy
    assert Run.objects.get(name="of scorer").reward == ready["reward"]


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("dpo", "steps", "0"),
        ("dpo", "learning_rate", "much"),
        ("dpo", "beta", "1e9"),
        ("dpo", "max_length", ""),
        ("ppo", "minibatch_size", "3"),
        ("ppo", "gradient_accumulation", "3"),
        ("sample", "temperatures", "warm"),
        ("sample", "temperatures", "9"),
        ("sample", "temperatures", ""),
        ("sample", "queue_name", ""),
        ("sample", "guideline", " "),
        ("dpo", "policy", "00000000-0000-0000-0000-000000000000"),
        ("dpo", "snapshot", "nonsense"),
        ("reward", "precision", "float8"),
        ("dpo", "name", "x" * 201),
    ],
)
def test_a_bad_value_is_refused_beside_its_field_and_what_was_typed_stays(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User, kind: str, field: str, value: str
) -> None:
    client.force_login(ml_staff)
    before = Run.objects.count()
    sent = {**filled(project, kind, guideline="Prefer the better one.", seed="4711"), field: value}
    response = client.post(url(project, kind), sent)
    assert response.status_code == 422
    assert list(response.context["form"].errors) == [field]
    assert 'value="4711"' in text(response)
    assert Run.objects.count() == before


def test_random_needs_a_number(client: Client, project: Project, ready: dict[str, Any], ml_staff: User) -> None:
    client.force_login(ml_staff)
    response = client.post(url(project, "ppo"), filled(project, "ppo", prompts="random", prompt_count=""))
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["prompt_count"]


def test_a_wrong_advanced_setting_unfolds_the_advanced_ones(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    folded = text(client.get(url(project, "dpo")))
    wrong = text(client.post(url(project, "dpo"), filled(project, "dpo", lora_rank="0")))
    assert '<details class="panel">' in folded
    assert '<details class="panel" open>' in wrong


def test_inputs_of_another_project_are_not_offered(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    other = make_project()
    theirs = usable_base(other, "theirs")
    client.force_login(ml_staff)
    assert "theirs" not in text(client.get(url(project, "dpo")))
    response = client.post(url(project, "dpo"), filled(project, "dpo", policy=str(theirs.pk)))
    assert response.status_code == 422
    assert list(response.context["form"].errors) == ["policy"]


def test_only_what_the_run_can_read_and_fill_is_offered(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    from tests.factories import make_judgment

    written = make_queue(project, name="Written by people", kind="demonstration")
    make_judgment(queue=written, answer={"text": "As a person says it."})
    make_snapshot(project, name="Written by people", selection=Selection(kinds=("demonstration",)))
    make_queue(project, name="Ranked by people", kind="ranking")
    client.force_login(ml_staff)
    for kind in ("dpo", "sample"):
        assert "Written by people" not in text(client.get(url(project, kind)))
    assert "Ranked by people" in text(client.get(url(project, "sample")))


def test_a_ranking_wants_more_responses_than_a_comparison(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    asked = filled(project, "sample", queue=str(make_queue(project, kind="ranking").pk))
    page = text(client.get(url(project, "sample"), asked, headers={"HX-Request": "true"}))
    assert "2 responses make no ranking, which shows 3 to a prompt" in page


def test_the_query_string_preselects(client: Client, project: Project, ready: dict[str, Any], ml_staff: User) -> None:
    make_snapshot_of_more(project)
    policy = make_policy_checkpoint(project, name="pupil", parent=ready["base"], snapshot=ready["snapshot"])
    client.force_login(ml_staff)
    asked = {"policy": str(policy.pk), "snapshot": str(ready["snapshot"].pk)}
    form = client.get(url(project, "dpo"), asked).context["form"]
    assert form["policy"].value() == policy.pk
    assert form["snapshot"].value() == ready["snapshot"].pk
    assert client.get(url(project, "dpo"), {"policy": "nonsense"}).status_code == 200
    evaluated = client.get(url(project, "evaluate"), {"reward": str(ready["reward"].pk)}).context["form"]
    assert evaluated["model"].value() == ready["reward"].pk


def make_snapshot_of_more(project: Project) -> None:
    from tests.factories import make_judgment, make_member, make_task

    judge = make_member(project)
    make_judgment(task=make_task(make_queue(project), prompt=make_prompt(project)), annotator=judge)
    make_snapshot(project, name="The later one")


def test_another_run_is_repeated_with_its_settings(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    config = config_values(CONFIGS["dpo"](steps=123, lora_rank=5))
    run = make_run(project, "dpo", policy=ready["base"], snapshot=ready["snapshot"], config=config)
    client.force_login(ml_staff)
    form = client.get(url(project, "dpo"), {"like": str(run.pk)}).context["form"]
    assert form["steps"].value() == 123
    assert form["lora_rank"].value() == 5


def test_it_tells_before_the_start_what_would_be_used(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    page = client.get(url(project, "dpo"))
    figures = {figure.label: figure.value for figure in page.context["plan"].figures}
    assert figures["Rows to train on"] == "6"
    assert figures["Held-out labels"] == "2"
    assert figures["Passes over the rows"] == "26.7"  # 40 steps of 4 pairs over 6 rows
    asked = {**filled(project, "dpo", steps="3", gradient_accumulation="2")}
    fragment = client.get(url(project, "dpo"), asked, headers={"HX-Request": "true"})
    figures = {figure.label: figure.value for figure in fragment.context["plan"].figures}
    assert figures["Passes over the rows"] == "4.0"
    assert "<html" not in text(fragment)


def test_the_plan_bears_a_half_typed_form(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    for kind in KINDS:
        broken = dict.fromkeys(filled(project, kind), "")
        response = client.get(url(project, kind), broken, headers={"HX-Request": "true"})
        assert response.status_code == 200, kind


def test_one_response_per_prompt_is_warned_of(
    client: Client, project: Project, ready: dict[str, Any], ml_staff: User
) -> None:
    client.force_login(ml_staff)
    asked = filled(project, "sample", temperatures="0.7")
    page = text(client.get(url(project, "sample"), asked, headers={"HX-Request": "true"}))
    assert "One response makes no comparison, which shows 2 to a prompt" in page


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("sample", ["base", "prompts"]),
        ("reward", ["base", "snapshot"]),
        ("dpo", ["base", "snapshot"]),
        ("sft", ["base", "snapshot"]),
        ("kto", ["base", "snapshot"]),
        ("ppo", ["base", "prompts"]),
        ("grpo", ["base", "prompts"]),
        ("merge", ["adapter"]),
        ("evaluate", ["snapshot", "model"]),
        ("score", ["reward"]),
    ],
)
def test_an_empty_project_is_told_what_is_missing(
    client: Client, project: Project, ml_staff: User, kind: str, wanted: list[str]
) -> None:
    client.force_login(ml_staff)
    response = client.get(url(project, kind))
    assert response.status_code == 200
    assert response.context["lacking"] == wanted
    assert client.post(url(project, kind), json.loads("{}")).status_code == 422
