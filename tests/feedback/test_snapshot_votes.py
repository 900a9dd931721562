"""What a freeze reads after its votes may be gone by then."""

from __future__ import annotations

import numpy as np
import pytest

from feedback.models import Judgment
from feedback.selection import Selection
from feedback.snapshot_votes import TextsChanged, judgments_by_id, read_votes
from tests.factories import make_judgment, make_project, make_queue

pytestmark = pytest.mark.django_db


def read(project):
    return read_votes(project=project, selection=Selection(), progress=None)


def test_the_content_of_votes_is_read_by_their_ids():
    project = make_project()
    judgment = make_judgment(queue=make_queue(project))
    assert judgments_by_id(read(project), np.array([0])) == {judgment.pk.bytes: judgment.content}


def test_a_judgment_that_an_undone_import_took_out_meanwhile_says_that_texts_changed():
    project = make_project()
    judgment = make_judgment(queue=make_queue(project))
    votes = read(project)
    gone = Judgment.objects.filter(pk=judgment.pk)
    gone._raw_delete(gone.db)
    with pytest.raises(TextsChanged):
        judgments_by_id(votes, np.array([0]))
