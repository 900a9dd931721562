from __future__ import annotations

import random
import uuid

import numpy as np
import pytest

from feedback.models import Judgment
from feedback.snapshot_members import (
    ID,
    MembersGone,
    are_held,
    as_bytes,
    held_among,
    in_snapshot,
    judgments_of,
    member_ids,
    snapshots_holding,
    snapshots_holding_any,
    write_members,
)
from tests.factories import make_judgment, make_project, make_queue, make_snapshot

pytestmark = pytest.mark.django_db


def test_a_snapshot_knows_its_judgments_and_a_judgment_its_snapshots(project):
    first = make_snapshot(project)
    known = list(Judgment.objects.order_by("pk"))
    later = make_judgment(queue=known[0].queue)
    second = make_snapshot(project)
    assert member_ids(first) == [judgment.pk for judgment in known]
    assert set(judgments_of(first)) == set(known)
    assert set(judgments_of(second)) == {*known, later}
    assert snapshots_holding(known[0]) == [second, first]
    assert snapshots_holding(later) == [second]
    assert held_among(first, [later.pk, known[1].pk, uuid.uuid4()]) == [known[1].pk]
    assert list(in_snapshot(Judgment.objects.filter(pk=later.pk), first)) == []


def test_an_erasure_learns_of_every_snapshot_and_how_many_of_the_judgments_it_holds(project):
    first = make_snapshot(project)
    known = [judgment.pk for judgment in Judgment.objects.all()]
    later = make_judgment(queue=make_queue(project))
    second = make_snapshot(project)
    make_snapshot(make_project())
    asked = [known[0], known[1], later.pk]
    assert snapshots_holding_any(project=project, ids=asked) == [(second, 3), (first, 2)]
    assert snapshots_holding_any(project=project, ids=[uuid.uuid4()]) == []


def test_members_that_are_gone_are_said_to_be_gone(project):
    snapshot = make_snapshot(project)
    (snapshot.directory / "judgments.ids").unlink()
    with pytest.raises(MembersGone):
        member_ids(snapshot)
    assert snapshots_holding(Judgment.objects.first()) == []
    assert not judgments_of(snapshot).exists()


@pytest.mark.parametrize("size", [0, 1, 2, 500])
def test_many_ids_are_found_as_one_by_one(project, tmp_path, size):
    """Ids that follow each other closely, some with zeros at either end, as their bytes sort."""
    draw = random.Random(size)
    known = {uuid.UUID(int=draw.choice([draw.getrandbits(9), draw.getrandbits(120) << 8, draw.getrandbits(128)]))
             for _ in range(size)}  # fmt: skip
    write_members(tmp_path, as_bytes(list(known)).view(ID))
    kept = np.fromfile(tmp_path / "judgments.ids", ID)
    assert [one.tobytes() for one in kept] == sorted(one.bytes for one in known)
    asked = [uuid.UUID(int=number) for number in range(600)] + draw.sample(sorted(known), size // 2)
    asked += [uuid.UUID(int=draw.getrandbits(120) << 8), uuid.UUID(int=2**128 - 1)]
    assert are_held(kept, as_bytes(asked)).tolist() == [one in known for one in asked]
    assert are_held(kept, as_bytes([])).tolist() == []
