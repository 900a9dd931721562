from __future__ import annotations

import pytest
from django.core.cache import cache
from django.test import Client
from django.urls import NoReverseMatch, reverse

from tests.factories import PASSWORD, make_user


@pytest.fixture(autouse=True)
def fresh_rate_limits():
    cache.clear()


def test_a_person_logs_in_and_lands_at_home(client, db):
    make_user(username="ada")
    answer = client.post(reverse("account_login"), {"login": "ada", "password": PASSWORD})
    assert answer.status_code == 302
    assert answer["Location"] == reverse("home")


def test_login_goes_on_to_the_page_that_was_asked_for(curator, project, client):
    target = reverse("queues", args=[project.slug])
    page = client.get(f"{reverse('account_login')}?next={target}").content.decode()
    assert f'value="{target}"' in page
    answer = client.post(reverse("account_login"), {"login": "curator", "password": PASSWORD, "next": target})
    assert answer["Location"] == target


def test_a_wrong_password_is_said_on_the_page(client, db):
    make_user(username="ada")
    page = client.post(reverse("account_login"), {"login": "ada", "password": "wrong"}).content.decode()
    assert "not correct" in page


def test_logout_asks_first_and_then_ends_the_session(annotator, client):
    client.force_login(annotator)
    assert "Log out?" in client.get(reverse("account_logout")).content.decode()
    answer = client.post(reverse("account_logout"))
    assert answer["Location"] == reverse("account_login")
    assert client.get(reverse("home")).status_code == 302


def test_a_person_changes_their_password(annotator, client):
    client.force_login(annotator)
    new = "horse-battery-staple"
    answer = client.post(
        reverse("account_change_password"), {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    assert answer.status_code == 302
    annotator.refresh_from_db()
    assert annotator.check_password(new)


def test_signup_is_closed_unless_opened(client, db, settings):
    page = client.get(reverse("account_signup")).content.decode()
    assert "Accounts are made for you" in page
    settings.SIGNUP_OPEN = True
    assert "Make an account" in client.get(reverse("account_signup")).content.decode()


def test_pages_of_allauth_that_need_mail_are_not_served():
    for name in ("account_reset_password", "account_email"):
        with pytest.raises(NoReverseMatch):
            reverse(name)


def test_the_header_shows_the_tabs_of_the_role(project, annotator, curator, ml_staff, client):
    def tabs(person) -> set[str]:
        client.force_login(person)
        page = client.get(reverse("project", args=[project.slug])).content.decode()
        nav = page.split('<nav class="tabs"')[1].split("</nav>")[0]
        return {part.split("</a>")[0].split(">")[-1] for part in nav.split("<a ")[1:]}

    assert tabs(annotator) == {"Overview", "My work"}
    everything = {
        "Overview",
        "Prompts",
        "Queues",
        "Judgments",
        "Quality",
        "Snapshots",
        "Runs",
        "Checkpoints",
        "Members",
    }
    assert tabs(curator) == everything
    assert tabs(ml_staff) == everything - {"Prompts"}


def test_a_form_without_its_token_gets_the_house_page(curator, project):
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(curator)
    answer = strict.post(reverse("queue-open", args=[project.slug]), {})
    assert answer.status_code == 403
    assert "This form had expired" in answer.content.decode()


def test_error_pages_wear_the_house_style(annotator, project, client):
    client.force_login(annotator)
    missing = client.get("/p/nowhere/")
    assert missing.status_code == 404
    assert "There is nothing here for you" in missing.content.decode()
    forbidden = client.get(reverse("prompts", args=[project.slug]))
    assert forbidden.status_code == 403
    assert "Your role does not open this page" in forbidden.content.decode()


def test_a_broken_page_says_so_and_shows_no_secret(annotator, monkeypatch, client):
    monkeypatch.setattr("rlhf_site.views.next_steps", None)
    from tests.factories import make_member, make_project

    make_member(make_project(), user=annotator)
    client.force_login(annotator)
    client.raise_request_exception = False
    answer = client.get(reverse("home"))
    assert answer.status_code == 500
    page = answer.content.decode()
    assert "Something broke on our side" in page
    assert "Traceback" not in page


def test_a_fragment_asked_for_after_logout_is_answered_with_401(project, client):
    address = reverse("project-loop", args=[project.slug])
    assert client.get(address, headers={"HX-Request": "true"}).status_code == 401
    assert client.get(address).status_code == 302
