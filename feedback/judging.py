"""Submit and revise judgments, and keep what is typed until then."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Iterable
from datetime import datetime

from django.db import IntegrityError, models, transaction

from feedback.claims import LeaseLost, held_by_token, lease_lost
from feedback.contract import PREFERENCE_LIMIT
from feedback.models import Assignment, Comparison, Draft, Judgment, QueuePolicy, User
from feedback.refusals import Refusal

RATIONALE_LENGTH_LIMIT = 10_000
ACTIVE_SECONDS_LIMIT = 7 * 24 * 3600
INTERFACES = ("page", "api")


class Flag(models.TextChoices):
    """What can be wrong with the responses, whichever is preferred."""

    FAILS_INSTRUCTION = "fails_instruction", "Fails the instruction"
    HALLUCINATION = "hallucination", "Makes things up"
    UNSAFE = "unsafe", "Unsafe"
    PERSONAL_DATA = "personal_data", "Personal data"
    OFF_TOPIC = "off_topic", "Off topic"
    OTHER = "other", "Something else"


def flag_labels(flags: Iterable[str]) -> list[str]:
    """Return stored flags as people read them."""
    return [Flag(flag).label for flag in flags]


class BadJudgment(Refusal):
    """A judgment's values are wrong; `field` says which and `message` what would be right."""


class SubmissionIdTaken(Exception):
    """Another judgment was submitted under this id."""


class SubmissionDiffers(SubmissionIdTaken):
    """This judgment was submitted under the id before, with another content; the earlier one is what counts."""


class AlreadyJudged(Exception):
    """The person has judged the comparison; a draft of it would come back to nobody."""


class NotCurrent(Exception):
    """The judgment has been revised since, or is somebody else's."""


def submit_judgment(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    submission_id: uuid.UUID,
    preference: int,
    rationale: str = "",
    flags: Iterable[str] = (),
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Store what the person says of the comparison they hold, and close the slot.

    `preference` is in response coordinates (`Assignment.turn` makes it from display order). The same `submission_id`
    with the same content again returns the stored judgment. When the lease is lost, everything typed is kept as a
    draft before LeaseLost is raised, unless the person has judged the comparison already.
    Raises LeaseLost, BadJudgment, SubmissionIdTaken, SubmissionDiffers.
    """
    flags = checked_flags(flags)
    rationale = checked_rationale(rationale)
    check_preference(preference)
    check_seconds(active_seconds)
    check_interface(interface)
    try:
        return store_submission(
            assignment_id=assignment_id,
            annotator=annotator,
            lease_token=lease_token,
            submission_id=submission_id,
            preference=preference,
            rationale=rationale,
            flags=flags,
            active_seconds=active_seconds,
            interface=interface,
            now=now,
        )
    except LeaseLost:
        comparison = Comparison.objects.filter(assignments=assignment_id).first()
        if comparison is not None:
            with contextlib.suppress(AlreadyJudged):
                save_draft(
                    comparison=comparison,
                    annotator=annotator,
                    preference=preference,
                    rationale=rationale,
                    flags=flags,
                    active_seconds=active_seconds,
                )
        raise


@transaction.atomic
def store_submission(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    submission_id: uuid.UUID,
    preference: int,
    rationale: str,
    flags: list[str],
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Close the slot by one UPDATE fenced on the lease, and write the judgment with its provenance."""
    content = (preference, rationale, flags)
    if stored := submitted_before(submission_id, annotator, content, assignment_id=assignment_id):
        return stored
    held = held_by_token(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    slot = held.select_related("comparison", "policy").first()
    if slot is not None and slot.policy is not None:
        check_against_policy(slot.policy, preference, rationale)
    if slot is None or not held.update(state=Assignment.State.DONE):
        if stored := submitted_before(submission_id, annotator, content, assignment_id=assignment_id):
            return stored  # the same submission was committed a moment ago, by another process
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    # The constraint assignment_holder_matches_state says the same to the database.
    assert slot.shown_first_id is not None
    assert slot.guideline_id is not None
    assert slot.policy_id is not None
    judgment = write(
        Judgment(
            assignment=slot,
            comparison=slot.comparison,
            queue_id=slot.queue_id,
            annotator=annotator,
            submission_id=submission_id,
            preference=preference,
            rationale=rationale,
            flags=flags,
            active_seconds=active_seconds,
            shown_first_id=slot.shown_first_id,
            guideline_id=slot.guideline_id,
            policy_id=slot.policy_id,
            propensity=slot.comparison.propensity,
            interface=interface,
            simulation_rule=annotator.simulation_rule,
            created_at=now,
        )
    )
    Draft.objects.filter(comparison=slot.comparison, annotator=annotator).delete()
    return judgment


@transaction.atomic
def revise_judgment(
    *,
    judgment: Judgment,
    annotator: User,
    submission_id: uuid.UUID,
    preference: int,
    rationale: str = "",
    flags: Iterable[str] = (),
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Store a new revision that supersedes `judgment`, under the queue's guidelines and policy of now.

    Snapshots that hold the old revision keep it. The same `submission_id` with the same content again returns the
    stored revision. Raises NotCurrent, BadJudgment, SubmissionIdTaken, SubmissionDiffers.
    """
    if judgment.annotator_id != annotator.pk:
        raise NotCurrent("only its own annotator revises a judgment")
    flags = checked_flags(flags)
    rationale = checked_rationale(rationale)
    content = (preference, rationale, flags)
    if stored := submitted_before(submission_id, annotator, content, supersedes_id=judgment.pk):
        return stored
    policy = judgment.queue.policy
    check_preference(preference)
    check_seconds(active_seconds)
    check_interface(interface)
    check_against_policy(policy, preference, rationale)
    Assignment.objects.select_for_update().get(pk=judgment.assignment_id)  # one revision at a time
    if stored := submitted_before(submission_id, annotator, content, supersedes_id=judgment.pk):
        return stored
    if Judgment.objects.filter(supersedes=judgment).exists():
        raise NotCurrent("this judgment has been revised since")
    return write(
        Judgment(
            assignment_id=judgment.assignment_id,
            comparison_id=judgment.comparison_id,
            queue_id=judgment.queue_id,
            annotator=annotator,
            submission_id=submission_id,
            revision=judgment.revision + 1,
            supersedes=judgment,
            preference=preference,
            rationale=rationale,
            flags=flags,
            active_seconds=active_seconds,
            shown_first_id=judgment.shown_first_id,
            guideline=judgment.queue.guideline,
            policy=policy,
            propensity=judgment.propensity,
            interface=interface,
            simulation_rule=annotator.simulation_rule,
            created_at=now,
        )
    )


def save_draft(
    *,
    comparison: Comparison,
    annotator: User,
    preference: int | None,
    rationale: str,
    flags: Iterable[str],
    active_seconds: float,
) -> Draft:
    """Keep what a person has entered so far; it outlives the lease. Raises BadJudgment, AlreadyJudged."""
    if Judgment.objects.filter(comparison=comparison, annotator=annotator).exists():
        raise AlreadyJudged("you have judged this comparison; revise the judgment instead")
    if preference is not None:
        check_preference(preference)
    check_seconds(active_seconds)
    draft, _ = Draft.objects.update_or_create(
        comparison=comparison,
        annotator=annotator,
        defaults={
            "preference": preference,
            "rationale": checked_rationale(rationale),
            "flags": checked_flags(flags),
            "active_seconds": active_seconds,
        },
    )
    return draft


def submitted_before(
    submission_id: uuid.UUID, annotator: User, content: tuple[int, str, list[str]], **same: object
) -> Judgment | None:
    """Return the judgment stored under this id if it is this very one, with this preference, rationale and flags.

    Raises SubmissionIdTaken if it is another one, SubmissionDiffers if it says something else: a person who changed
    their mind between two attempts must not be told that the change was saved.
    """
    stored = Judgment.objects.filter(submission_id=submission_id).first()
    if stored is None:
        return None
    wanted = {"annotator_id": annotator.pk, **same}
    if any(str(getattr(stored, name)) != str(value) for name, value in wanted.items()):
        raise SubmissionIdTaken(f"submission id {submission_id} was used for another judgment; make a new one")
    if (stored.preference, stored.rationale, stored.flags) != content:
        raise SubmissionDiffers("an earlier submission of this judgment arrived and said something else; revise it")
    return stored


def write(judgment: Judgment) -> Judgment:
    try:
        with transaction.atomic():
            judgment.save()
    except IntegrityError as error:
        if Judgment.objects.filter(submission_id=judgment.submission_id).exists():
            raise SubmissionIdTaken(f"submission id {judgment.submission_id} was used for another judgment") from error
        raise
    return judgment


def check_preference(preference: object) -> None:
    if not isinstance(preference, int) or isinstance(preference, bool) or abs(preference) > PREFERENCE_LIMIT:
        raise BadJudgment(
            "preference", f"{preference!r} is not a whole number from -{PREFERENCE_LIMIT} to {PREFERENCE_LIMIT}"
        )


def check_seconds(active_seconds: float) -> None:
    if not math.isfinite(active_seconds) or not 0 <= active_seconds <= ACTIVE_SECONDS_LIMIT:
        raise BadJudgment("active_seconds", f"{active_seconds!r} is not a time in seconds from 0 to a week")


def check_interface(interface: str) -> None:
    if interface not in INTERFACES:
        raise BadJudgment("interface", f"{interface!r} is not one of {', '.join(INTERFACES)}")


def check_against_policy(policy: QueuePolicy, preference: int, rationale: str) -> None:
    if preference == 0 and not policy.allow_tie:
        raise BadJudgment("preference", "this queue allows no tie; prefer one response, if only slightly")
    if not rationale and policy.require_rationale:
        raise BadJudgment("rationale", "this queue asks for a reason with every judgment")


def checked_rationale(rationale: str) -> str:
    rationale = rationale.replace("\r\n", "\n").strip()
    if len(rationale) > RATIONALE_LENGTH_LIMIT:
        raise BadJudgment(
            "rationale", f"{len(rationale):,} characters are too many; the most is {RATIONALE_LENGTH_LIMIT:,}"
        )
    if "\x00" in rationale:
        raise BadJudgment("rationale", "the text contains a NUL character")
    return rationale


def checked_flags(flags: Iterable[str]) -> list[str]:
    """Return the flags once each, in the order of `Flag`."""
    raised = set(flags)
    if unknown := sorted(raised - set(Flag.values)):
        raise BadJudgment("flags", f"{', '.join(unknown)}: use {', '.join(Flag.values)}")
    return [flag for flag in Flag.values if flag in raised]
