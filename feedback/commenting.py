"""Talk about a judgment or a task: among curators, or with the annotator, who sees it on their own page and answers."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils.translation import gettext_noop

from feedback.audit import record
from feedback.models import Comment, Judgment, Task, User
from feedback.refusals import Refusal

COMMENT_LENGTH_LIMIT = 5_000


class CommentRefused(Refusal):
    """A comment cannot be stored as asked; `field` says which value is wrong."""


@transaction.atomic
def comment_on(
    *, author: User, text: str, judgment: Judgment | None = None, task: Task | None = None,
    for_annotator: bool = False, now: datetime,
) -> Comment:  # fmt: skip
    """Say something about a judgment, or about a task as a whole; raises CommentRefused.

    With `for_annotator` whoever made the judgment reads it and can answer; otherwise only curators do. A curator does
    not comment on their own judgment.
    """
    about = judgment.task if judgment is not None else task
    if about is None:
        raise ValueError("a comment is about a judgment or a task")
    if for_annotator and judgment is None:
        raise CommentRefused("for_annotator", "a task has no one annotator; comment on a judgment instead")
    if judgment is not None and judgment.annotator_id == author.pk:
        raise CommentRefused("judgment", "this judgment is your own; answer on your own page")
    made = Comment.objects.create(
        task=about, judgment=judgment, author=author, text=checked_comment(text), for_annotator=for_annotator,
        created_at=now,
    )  # fmt: skip
    subject = judgment if judgment is not None else about
    record(
        project=about.queue.project, actor=author,
        action="judgment.comment" if judgment is not None else "task.comment", subject=subject,
        after={"text": made.text, "for_annotator": for_annotator}, now=now,
    )  # fmt: skip
    return made


@transaction.atomic
def answer_comment(*, judgment: Judgment, annotator: User, text: str, now: datetime) -> Comment:
    """Let the annotator say something back, once a curator has written to them. Raises CommentRefused."""
    if judgment.annotator_id != annotator.pk:
        raise CommentRefused("judgment", "only whoever made the judgment answers here")
    if not comments_for_annotator(judgment).exists():
        raise CommentRefused("judgment", gettext_noop("nobody has written to you about this judgment"))
    made = Comment.objects.create(
        task=judgment.task, judgment=judgment, author=annotator, text=checked_comment(text), for_annotator=True,
        created_at=now,
    )  # fmt: skip
    record(
        project=judgment.queue.project, actor=annotator, action="judgment.answer_comment", subject=judgment,
        after={"text": made.text}, now=now,
    )  # fmt: skip
    return made


def comments_for_annotator(judgment: Judgment) -> QuerySet[Comment]:
    """Return what curators and the annotator said to each other of this slot's judgment, in all its revisions."""
    of_slot = Comment.objects.filter(judgment__assignment=judgment.assignment_id, for_annotator=True)
    return of_slot.select_related("author").order_by("id")


def unanswered(*, annotator: User, queue_id: UUID) -> int:
    """Count the person's judgments in a queue of which a curator said the last word to them."""
    later = Comment.objects.filter(judgment=OuterRef("judgment"), for_annotator=True, pk__gt=OuterRef("pk"))
    said = Comment.objects.filter(judgment__annotator=annotator, judgment__queue=queue_id, for_annotator=True)
    return said.filter(~Exists(later)).exclude(author=annotator).count()


def checked_comment(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text or len(text) > COMMENT_LENGTH_LIMIT or "\x00" in text:
        raise CommentRefused("text", gettext_noop("write 1 to 5,000 characters, without NUL"))
    return text
