from __future__ import annotations

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.models import Role
from feedback.people import create_simulated_annotator
from feedback.queues import set_queue_state
from feedback.reviewing import review_judgment
from rlhf_site.next_steps import next_steps
from tests.factories import (
    make_assignment,
    make_base_checkpoint,
    make_judgment,
    make_member,
    make_policy_checkpoint,
    make_prompt,
    make_queue,
    make_response,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
    make_task,
    make_user,
)
from training.models import Run


def titles(project, person) -> list[str]:
    return [step.title for step in next_steps(project=project, person=person, now=timezone.now())]


def test_the_home_lists_the_projects_of_the_person_with_their_steps(project, annotator, client):
    make_task(make_queue(project, name="Round one"))
    client.force_login(annotator)
    page = client.get(reverse("home")).content.decode()
    assert project.name in page
    assert "1 task waits in Round one" in page
    assert "Start labeling" in page
    assert "Elsewhere" not in page


def test_a_person_without_a_project_is_told_how_to_get_into_one(client, db):
    client.force_login(make_user())
    assert "An admin of a project adds you" in client.get(reverse("home")).content.decode()


def test_a_superuser_on_an_empty_site_is_led_to_the_first_project(client, db):
    client.force_login(make_user(is_superuser=True))
    page = client.get(reverse("home")).content.decode()
    assert "Start the first project" in page
    assert reverse("project-new") in page


def test_the_anonymous_are_sent_to_the_login_page(client, db):
    assert client.get(reverse("home")).status_code == 302


def test_an_annotator_with_nothing_to_do_is_told_so(project, annotator):
    assert titles(project, annotator) == ["All done for now"]


def test_an_annotator_is_not_offered_what_they_judged(project, annotator):
    queue = make_queue(project, name="Round one", overlap=2)
    make_judgment(task=make_task(queue), annotator=annotator)
    assert titles(project, annotator) == ["All done for now"]


def test_a_held_comparison_comes_first(project, annotator):
    queue = make_queue(project, name="Round one")
    make_task(queue)
    make_assignment(make_task(queue), annotator)
    assert titles(project, annotator) == ["Go on in Round one"]


def test_a_paused_queue_offers_nothing(project, annotator):
    queue = make_queue(project)
    make_task(queue)
    set_queue_state(queue=queue, state="paused")
    assert titles(project, annotator) == ["All done for now"]


def test_a_rejected_judgment_is_shown_to_its_annotator_with_the_reason(project, annotator, curator):
    judgment = make_judgment(queue=make_queue(project, name="Round one"), annotator=annotator)
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="It names no river.")
    (step,) = next_steps(project=project, person=annotator, now=timezone.now())
    assert step.title == "Look again at a judgment of yours in Round one"
    assert step.detail == "It names no river."


def test_a_curator_is_led_from_prompts_to_a_snapshot(project, curator):
    assert titles(project, curator) == ["Import prompts"]
    prompt = make_prompt(project)
    assert titles(project, curator) == ["Open a queue"]
    queue = make_queue(project, name="Round one")
    assert titles(project, curator) == ["Fill Round one"]
    task = make_task(queue, prompt=prompt)
    assert titles(project, curator) == ["Waiting for people's judgments"]
    judgment = make_judgment(task=task)
    assert titles(project, curator) == ["1 judgment not reviewed", "1 judgment in no snapshot yet"]
    review_judgment(judgment=judgment, reviewer=curator, accepted=True)
    make_snapshot(project)
    assert titles(project, curator) == ["All done for now"]


def test_judgments_of_simulated_annotators_ask_for_no_review(project, curator):
    simulated = create_simulated_annotator(project=project, username="sim", rule="Prefers the shorter response.")
    make_judgment(queue=make_queue(project), annotator=simulated)
    assert titles(project, curator) == ["Only simulated judgments so far"]


def test_ml_staff_are_led_from_sampling_to_policies(project, ml_staff):
    prompt = make_prompt(project)
    assert titles(project, ml_staff) == ["Sample responses"]
    make_response(prompt)
    assert titles(project, ml_staff) == ["All done for now"]
    snapshot = make_snapshot(project)
    assert titles(project, ml_staff) == [
        f"Train a reward model on “{snapshot.name}”",
        f"Train a policy on “{snapshot.name}” with DPO",
    ]
    reward = make_reward_checkpoint(project, snapshot=snapshot)
    assert "Train a policy with PPO" in titles(project, ml_staff)
    make_run(project, "ppo", reward=reward, policy=make_base_checkpoint(project), state="succeeded")
    assert "Train a policy with PPO" not in titles(project, ml_staff)
    policy = make_policy_checkpoint(project, snapshot=snapshot)
    assert titles(project, ml_staff) == [f"{policy.name} is trained", f"Sample from {policy.name}"]


@pytest.mark.parametrize(
    ("evaluation", "words"),
    [
        ({"accuracy": 0.625, "n": 40, "low": 0.47, "high": 0.76}, "Agrees with 62% of 40 held-out labels."),
        ({"accuracy": None, "n": 0}, "No held-out labels to compare it with."),
        ({"score_first": -0.5, "score_last": 0.25, "n": 8}, "Mean score -0.50 at first, 0.25 at the end."),
        ({}, "No held-out labels to compare it with."),
    ],
)
def test_fresh_results_are_told_with_their_n(project, ml_staff, evaluation, words):
    snapshot = make_snapshot(project)
    policy = make_policy_checkpoint(project, snapshot=snapshot, evaluation=evaluation)
    steps = {step.title: step for step in next_steps(project=project, person=ml_staff, now=timezone.now())}
    assert steps[f"{policy.name} is trained"].detail == words


def test_a_policy_of_a_cancelled_run_is_not_called_trained(project, ml_staff):
    policy = make_policy_checkpoint(project, snapshot=make_snapshot(project), step=3)
    Run.objects.filter(pk=policy.run_id).update(state=Run.State.CANCELLED)
    assert f"{policy.name} was stopped at step 3" in titles(project, ml_staff)


def test_ml_staff_see_a_failed_run_with_its_reason_and_a_missing_worker(project, ml_staff):
    make_run(project, "dpo", name="dpo-1", state="failed", error="Traceback\nValueError: loss is nan")
    make_run(project, "reward", name="reward-1", state="running")
    make_run(project, "reward", name="reward-2")
    steps = {step.title: step for step in next_steps(project=project, person=ml_staff, now=timezone.now())}
    assert steps["dpo-1"].detail == "ValueError: loss is nan"
    assert steps["No worker is alive"].tag == "blocked"
    assert (steps["reward-1"].tag, steps["reward-2"].tag) == ("live", "")


def test_a_run_that_waits_for_a_look_says_for_whom(project, ml_staff):
    make_run(project, "dpo", name="dpo-1", state="paused", waits_after_preflight=True, preflight={"checks": []})
    steps = {step.title: step for step in next_steps(project=project, person=ml_staff, now=timezone.now())}
    assert steps["dpo-1 waits for you"].action == "Read its preflight"
    assert steps["dpo-1 waits for you"].tag == "paused"


def test_a_failure_of_long_ago_is_no_news(project, ml_staff):
    make_run(project, "dpo", name="dpo-1", state="failed", finished_at=timezone.now() - timedelta(days=30))
    assert titles(project, ml_staff) == ["Prompts come first"]


def test_a_lone_admin_is_told_to_invite_people(project, project_admin):
    assert titles(project, project_admin) == ["Import prompts", "Invite people"]
    make_member(project, Role.ANNOTATOR)
    assert titles(project, project_admin) == ["Import prompts"]
