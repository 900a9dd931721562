import pytest

from tests.factories import make_snapshot

pytestmark = pytest.mark.django_db


def test_a_snapshot_holds_one_row_per_judgment():
    snapshot = make_snapshot()
    assert snapshot.manifest["counts"]["rows"] == {"train": 3, "evaluation": 1}
