"""Promoting a checkpoint: one holds of each kind, with who said so and why."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.models import AuditEvent, User
from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_reward_checkpoint
from tests.training.conftest import with_files
from training.models import Checkpoint, Promotion
from training.promotions import PromotionRefused, current_promotion, current_promotions, promote

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(project) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=with_files(make_base_checkpoint(project))))


def test_the_latest_promotion_of_a_kind_holds(project, ml_staff: User, policy):
    newer = with_files(make_policy_checkpoint(project, parent=policy.parent))
    promote(checkpoint=policy, reason="The first that answers.", promoted_by=ml_staff)
    promote(checkpoint=newer, reason="Wins 70 % against it.", promoted_by=ml_staff)
    held = current_promotion(project, "policy")
    assert (held.checkpoint, held.reason, held.promoted_by) == (newer, "Wins 70 % against it.", ml_staff)
    event = AuditEvent.objects.filter(action="checkpoint.promote").latest("pk")
    assert (event.before, event.after) == ({"current": policy.name}, {"current": newer.name})


def test_a_reward_model_takes_nothing_from_the_policy(project, ml_staff: User, policy):
    reward = with_files(make_reward_checkpoint(project, parent=policy.parent))
    promote(checkpoint=policy, reason="It is good.", promoted_by=ml_staff)
    promote(checkpoint=reward, reason="It is right.", promoted_by=ml_staff)
    assert [one.checkpoint for one in current_promotions(project)] == [policy, reward]


def refusal(checkpoint: Checkpoint, ml_staff: User, reason: str = "Better.") -> PromotionRefused:
    before = list(Promotion.objects.all())
    with pytest.raises(PromotionRefused) as caught:
        promote(checkpoint=checkpoint, reason=reason, promoted_by=ml_staff)
    assert list(Promotion.objects.all()) == before
    return caught.value


def test_a_promotion_says_why(policy, ml_staff: User):
    assert refusal(policy, ml_staff, reason="  ").field == "reason"
    assert refusal(policy, ml_staff, reason="x" * 5_001).field == "reason"


def test_the_current_one_is_not_promoted_again(policy, ml_staff: User):
    promote(checkpoint=policy, reason="Better.", promoted_by=ml_staff)
    assert "is the current policy" in refusal(policy, ml_staff).message


def test_a_base_model_is_not_promoted(policy, ml_staff: User):
    assert "is a base model" in refusal(policy.parent, ml_staff).message


def test_a_checkpoint_without_its_files_is_not_promoted(policy, ml_staff: User):
    Checkpoint.objects.filter(pk=policy.pk).update(files_deleted_at=timezone.now())
    policy.refresh_from_db()
    assert "were deleted on" in refusal(policy, ml_staff).message
