from __future__ import annotations

import re

from django.urls import reverse
from django.utils import timezone

from feedback.models import Membership, Project
from rlhf_site.loop import draw, stations
from tests.factories import (
    make_assignment,
    make_judgment,
    make_prompt,
    make_queue,
    make_run,
    make_task,
    make_user,
)


def test_the_loop_shows_live_counts_at_each_station(project, curator, client):
    queue = make_queue(project)
    make_judgment(queue=queue)
    make_task(queue)
    counts = {station.label: station.count for station in stations(project, curator, timezone.now())}
    assert counts == {
        "Prompts": "2",
        "Responses": "4",
        "Waiting": "1",
        "Judgments": "1",
        "Snapshots": "0",
        "Reward models": "0",
        "Policies": "0",
    }
    client.force_login(curator)
    page = client.get(reverse("project", args=[project.slug])).content.decode()
    assert reverse("judgments", args=[project.slug]) in page
    assert "hx-trigger" not in page.split('id="loop"')[1].split(">")[0]


def test_the_picture_polls_while_something_moves(project, curator, client):
    make_run(project, "reward")
    client.force_login(curator)
    fragment = client.get(reverse("project-loop", args=[project.slug])).content.decode()
    assert 'hx-trigger="every 4s"' in fragment
    assert "training now" in fragment


def test_a_held_comparison_makes_the_queue_station_live(project, curator):
    make_assignment(make_task(make_queue(project)))
    waiting = stations(project, curator, timezone.now())[2]
    assert (waiting.count, waiting.note, waiting.live) == ("1", "1 in hand now", True)


def test_stations_are_linked_only_where_the_role_opens_them(project, ml_staff):
    linked = {station.label: bool(station.url) for station in stations(project, ml_staff, timezone.now())}
    assert linked["Prompts"] is False
    assert linked["Judgments"] is True


def test_every_arrow_is_a_straight_line_inside_the_picture(project, curator):
    for wide in (True, False):
        picture = draw(stations(project, curator, timezone.now()), wide=wide)
        assert len(picture.arrows) == 7
        for path in picture.arrows:
            x, y, axis, end = re.fullmatch(r"M(\d+) (\d+)([HV])(\d+)", path).groups()
            assert 0 <= int(x) <= picture.width
            assert 0 <= int(y) <= picture.height
            assert 0 <= int(end) <= (picture.width if axis == "H" else picture.height)


def test_an_annotator_sees_their_queues_and_no_counts_of_others(project, annotator, client):
    make_queue(project, name="Round one")
    make_prompt(project)
    client.force_login(annotator)
    page = client.get(reverse("project", args=[project.slug])).content.decode()
    assert "Round one" in page
    assert 'id="loop"' not in page
    assert reverse("judgments", args=[project.slug]) not in page


def test_a_superuser_starts_a_project_and_becomes_its_admin(client, db):
    chief = make_user(is_superuser=True)
    client.force_login(chief)
    answer = client.post(reverse("project-new"), {"name": "Kind answers", "evaluation_percent": 25})
    made = Project.objects.get()
    assert answer.status_code == 302
    assert answer["Location"] == reverse("members", args=[made.slug])
    assert (made.slug, made.evaluation_percent) == ("kind-answers", 25)
    assert Membership.objects.get(project=made).user == chief


def test_a_project_name_that_is_taken_is_refused_on_the_form(project, client):
    client.force_login(make_user(is_superuser=True))
    answer = client.post(reverse("project-new"), {"name": project.name, "evaluation_percent": 20})
    assert answer.status_code == 422
    assert "another project has the address" in answer.content.decode()


def test_others_may_not_start_projects(curator, client):
    client.force_login(curator)
    assert client.get(reverse("project-new")).status_code == 403
