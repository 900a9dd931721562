import pytest
from django.utils import timezone

from feedback.commenting import CommentRefused, answer_comment, comment_on, comments_for_annotator, unanswered
from feedback.models import AuditEvent, Comment, Role
from tests.factories import make_judgment, make_member, make_user

pytestmark = pytest.mark.django_db
NOW = timezone.now()


@pytest.fixture
def judgment(db):
    return make_judgment()


@pytest.fixture
def curator(judgment):
    return make_member(judgment.queue.project, Role.CURATOR)


def test_a_curator_asks_and_the_annotator_answers(judgment, curator):
    comment_on(judgment=judgment, author=curator, text="Why so?", for_annotator=True, now=NOW)
    assert unanswered(annotator=judgment.annotator, queue_id=judgment.queue_id) == 1
    answer_comment(judgment=judgment, annotator=judgment.annotator, text="It names the river.", now=NOW)
    assert [one.text for one in comments_for_annotator(judgment)] == ["Why so?", "It names the river."]
    assert unanswered(annotator=judgment.annotator, queue_id=judgment.queue_id) == 0
    assert AuditEvent.objects.acting("judgment").count() == 2


def test_what_curators_say_among_themselves_is_not_for_the_annotator(judgment, curator):
    comment_on(judgment=judgment, author=curator, text="Watch this one.", now=NOW)
    assert not comments_for_annotator(judgment).exists()
    with pytest.raises(CommentRefused, match="nobody has written to you"):
        answer_comment(judgment=judgment, annotator=judgment.annotator, text="What?", now=NOW)


def test_only_the_annotator_answers(judgment, curator):
    comment_on(judgment=judgment, author=curator, text="Why so?", for_annotator=True, now=NOW)
    with pytest.raises(CommentRefused):
        answer_comment(judgment=judgment, annotator=make_user(), text="Because.", now=NOW)


def test_a_task_can_be_talked_about_among_curators_only(judgment, curator):
    assert comment_on(task=judgment.task, author=curator, text="A hard one.", now=NOW).judgment is None
    with pytest.raises(CommentRefused) as caught:
        comment_on(task=judgment.task, author=curator, text="Hm.", for_annotator=True, now=NOW)
    assert caught.value.field == "for_annotator"


@pytest.mark.parametrize("text", ["", "  ", "x" * 5_001, "a\x00b"])
def test_a_comment_that_cannot_be_kept_is_refused(judgment, curator, text):
    with pytest.raises(CommentRefused) as caught:
        comment_on(judgment=judgment, author=curator, text=text, now=NOW)
    assert caught.value.field == "text"
    assert not Comment.objects.exists()


def test_nobody_comments_on_their_own_judgment(judgment):
    with pytest.raises(CommentRefused, match="your own"):
        comment_on(judgment=judgment, author=judgment.annotator, text="Well said.", now=NOW)
