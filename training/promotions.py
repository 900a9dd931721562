"""Say that a checkpoint is the project's current one of its kind, and who said so and why."""

from __future__ import annotations

from django.db import transaction

from feedback.audit import record
from feedback.models import Project, User
from feedback.refusals import Refusal
from training.lineage import CheckpointGone, hold, model_source
from training.models import Checkpoint, Promotion

REASON_LIMIT = 5_000
PROMOTED = (Checkpoint.Kind.POLICY, Checkpoint.Kind.REWARD)
"""Kinds of which a project has a current one; base models come from outside."""


class PromotionRefused(Refusal):
    """The project's current checkpoint stays as it is; `field` says which value is wrong."""


def current_promotion(project: Project, kind: str) -> Promotion | None:
    """Return the latest promotion of a checkpoint of this kind."""
    made = project.promotions.filter(checkpoint__kind=kind).select_related("checkpoint", "promoted_by")
    return made.order_by("-id").first()


def current_promotions(project: Project) -> list[Promotion]:
    """Return the promotion that holds, of each kind that has one: the policy, then the reward model."""
    return [found for kind in PROMOTED if (found := current_promotion(project, kind)) is not None]


@transaction.atomic
def promote(*, checkpoint: Checkpoint, reason: str, promoted_by: User) -> Promotion:
    """Make `checkpoint` the project's current one of its kind. Raises PromotionRefused."""
    reason = reason.strip()
    if checkpoint.kind not in PROMOTED:
        raise PromotionRefused("checkpoint", f"{checkpoint} is a base model; promote a policy or a reward model")
    if not reason or len(reason) > REASON_LIMIT or "\x00" in reason:
        raise PromotionRefused("reason", f"say why, in at most {REASON_LIMIT:,} characters; everybody reads it")
    hold([checkpoint])
    try:
        model_source(checkpoint)
    except CheckpointGone as error:
        raise PromotionRefused("checkpoint", f"it cannot be used: {error}") from error
    before = current_promotion(checkpoint.project, checkpoint.kind)
    if before is not None and before.checkpoint_id == checkpoint.pk:
        raise PromotionRefused("checkpoint", f"{checkpoint} is the current {checkpoint.get_kind_display().lower()}")
    made = Promotion.objects.create(
        project=checkpoint.project, checkpoint=checkpoint, reason=reason, promoted_by=promoted_by
    )
    record(
        project=checkpoint.project,
        actor=promoted_by,
        action="checkpoint.promote",
        subject=checkpoint,
        before={"current": before.checkpoint.name if before else ""},
        after={"current": checkpoint.name},
        reason=reason,
    )
    return made
