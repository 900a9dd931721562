"""A lease's token shows whose it was, after the database has forgotten it."""

from __future__ import annotations

import uuid

from feedback.lease_tokens import draw_token, was_given_out

SLOT = uuid.uuid4()
MINE = {"salt": "salt", "assignment_id": SLOT, "person": 7}


def test_no_two_tokens_are_alike_and_each_is_known_again():
    tokens = {draw_token(**MINE) for _ in range(100)}
    assert len(tokens) == 100
    assert all(was_given_out(token, **MINE) for token in tokens)


def test_a_token_of_another_slot_person_or_project_was_not_given_out():
    token = draw_token(**MINE)
    assert not was_given_out(token, **{**MINE, "assignment_id": uuid.uuid4()})
    assert not was_given_out(token, **{**MINE, "person": 8})
    assert not was_given_out(token, **{**MINE, "salt": "pepper"})


def test_a_token_that_was_made_up_was_not_given_out():
    assert not was_given_out(uuid.uuid4(), **MINE)
