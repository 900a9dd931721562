"""Prompts that say nearly the same share a cluster, and with it a split, whatever comes in and in whatever order."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from feedback.contract import digest
from feedback.hygiene.near_index import folder_of, forget, near_index
from feedback.hygiene.scanning import look_at, place_prompts_looked_at, store_findings
from feedback.hygiene.sketching import bands, likeness, similarity, sketch, text_of
from feedback.models import Finding, Project, Prompt
from feedback.splits import normal_text
from tests.factories import make_project

pytestmark = pytest.mark.django_db

LONG = (
    "Explain to a child of ten why the sky is blue at noon and red in the evening, without a word that they would "
    "have to look up, and with one picture that they can draw themselves."
)


def bring_in(project: Project, *texts: str) -> list[Prompt]:
    """Look at the texts as one batch and store them, as an import does."""
    prompts = []
    for text in texts:
        messages = [{"role": "user", "content": text}]
        prompts.append(Prompt(project=project, messages=messages, digest=digest(messages)))
    looked = look_at(project=project, prompts=prompts)
    with transaction.atomic():
        place_prompts_looked_at(looked, prompts)
        Prompt.objects.bulk_create(prompts)
        store_findings(looked, prompts=prompts)
    return prompts


def clusters(project: Project) -> dict[str, str]:
    return {prompt.last_turn: prompt.cluster for prompt in project.prompts.all()}


def test_near_duplicates_of_one_batch_share_cluster_and_split(project):
    one, other, third = bring_in(project, LONG, LONG.replace("child of ten", "child of nine"), "Name a river in Spain.")
    assert (one.cluster, one.split) == (other.cluster, other.split)
    assert third.cluster != one.cluster


def test_a_later_near_duplicate_joins_the_cluster_that_is_there(project):
    (first,) = bring_in(project, LONG)
    (later,) = bring_in(project, f"Please: {LONG.lower()}")
    assert (later.cluster, later.split) == (first.cluster, first.split)
    finding = Finding.objects.get()
    assert (finding.kind, finding.prompt, finding.detail["of"]) == ("near_duplicate", later, str(first.pk))
    assert 0.9 < finding.detail["similarity"] <= 1


def test_case_punctuation_and_the_system_message_do_not_tell_prompts_apart(project):
    chats = [
        [{"role": "user", "content": "Where is the Rhine?"}],
        [{"role": "system", "content": "You are a geographer."}, {"role": "user", "content": "WHERE, is the Rhine"}],
    ]
    prompts = [Prompt(project=project, messages=messages, digest=digest(messages)) for messages in chats]
    place_prompts_looked_at(look_at(project=project, prompts=prompts), prompts)
    assert prompts[0].cluster == prompts[1].cluster


def test_one_system_message_over_all_prompts_makes_no_duplicates(project):
    system = {"role": "system", "content": LONG}
    chats = [[system, {"role": "user", "content": text}] for text in ("Where is the Rhine?", "Who wrote Faust?")]
    prompts = [Prompt(project=project, messages=messages, digest=digest(messages)) for messages in chats]
    place_prompts_looked_at(look_at(project=project, prompts=prompts), prompts)
    assert prompts[0].cluster != prompts[1].cluster


def test_short_texts_with_other_numbers_are_other_prompts(project):
    bring_in(project, *(f"What is {number} plus forty-two?" for number in range(100)))
    assert len(set(clusters(project).values())) == 100


@pytest.mark.parametrize("text", ["?", "a", "好", "👍", "2+2", "    x    "])
def test_the_shortest_texts_have_a_cluster_too(project, text):
    one, other = bring_in(project, text, "An entirely different question.")
    assert len(one.cluster) == 64
    assert one.cluster != other.cluster


# What happens between two clusters ----------------------------------------------------------------------


def in_between(text: str, other: str) -> str:
    """Half of one text and half of another, near enough to both for the threshold that the tests set."""
    return f"{text} {other}"


TWO = (
    "Tell the story of the lighthouse keeper who found a letter in a bottle.",
    "Write down how the baker of our village learned to fly on a broom.",
)


def split_between(project: Project, split_of_other: str) -> tuple[Prompt, Prompt, Prompt]:
    one, other = bring_in(project, *TWO)
    Prompt.objects.filter(pk=one.pk).update(split="train")
    Prompt.objects.filter(pk=other.pk).update(split=split_of_other)
    (between,) = bring_in(project, in_between(*TWO))
    one.refresh_from_db()
    other.refresh_from_db()
    return one, other, between


def test_a_prompt_between_two_clusters_of_one_split_makes_them_one(project, settings):
    settings.NEAR_DUPLICATE_PERCENT = 35
    one, other, between = split_between(project, "train")
    assert one.cluster == other.cluster == between.cluster
    assert {one.split, other.split, between.split} == {"train"}
    assert not Finding.objects.filter(kind="leak").exists()


def test_a_prompt_between_two_splits_moves_nothing_and_is_a_leak_to_settle(project, settings):
    settings.NEAR_DUPLICATE_PERCENT = 35
    one, other, between = split_between(project, "evaluation")
    assert (one.split, other.split) == ("train", "evaluation")
    assert one.cluster != other.cluster
    home, away = (one, other) if between.split == "train" else (other, one)
    assert between.cluster == home.cluster
    leak = Finding.objects.get(kind="leak")
    assert leak.prompt == between
    assert [(near["prompt"], near["split"]) for near in leak.detail["near"]] == [(str(away.pk), away.split)]


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_near_duplicate_is_in_another_split_unless_a_finding_says_so(data):
    """Whatever the texts, the order, the batches and the shares are."""
    project = make_project(evaluation_percent=40)
    words = st.sampled_from(
        [
            "river",
            "mountain",
            "letter",
            "bottle",
            "baker",
            "broom",
            "village",
            "keeper",
            "story",
            "flight",
            "winter",
            "glass",
        ]
    )
    stems = data.draw(st.lists(st.lists(words, min_size=12, max_size=25), min_size=2, max_size=6))
    texts = []
    for _ in range(data.draw(st.integers(5, 25))):
        text = list(data.draw(st.sampled_from(stems)))
        text[data.draw(st.integers(0, len(text) - 1))] = data.draw(words)
        texts.append(" ".join(text))
    texts = list(dict.fromkeys(texts))
    size = data.draw(st.integers(1, 10))
    splits: dict[str, str] = {}
    for start in range(0, len(texts), size):
        bring_in(project, *texts[start : start + size])
        moved = {prompt.last_turn: prompt.split for prompt in project.prompts.all()}
        assert splits.items() <= moved.items(), "a split never moves"
        splits = moved
    prompts = list(project.prompts.all())
    by_cluster: dict[str, set[str]] = {}
    for prompt in prompts:
        by_cluster.setdefault(prompt.cluster, set()).add(prompt.split)
    assert all(len(each) == 1 for each in by_cluster.values()), "a cluster lies in one split"
    leaks = set(Finding.objects.filter(project=project, kind="leak").values_list("prompt", flat=True))
    texts = [text_of(prompt.messages) for prompt in prompts]
    sketches = sketch(texts)
    for number, prompt in enumerate(prompts):
        for other in range(number):
            estimate = similarity(sketches[number], sketches[other])
            near = estimate >= 0.85 or (estimate >= 0.55 and likeness(texts[number], texts[other]) >= 0.7)
            found = (bands(sketches[[number]]) == bands(sketches[[other]])).any()
            if near and found and prompt.split == prompts[other].split:
                assert prompt.cluster == prompts[other].cluster
            elif near and found:
                assert prompt.pk in leaks or prompts[other].pk in leaks


# What is found -------------------------------------------------------------------------------------------


def planted(count: int, *, seed: int = 7) -> tuple[list[str], list[str]]:
    """Texts of 60 words, and each again with three words changed."""
    draw = random.Random(seed)
    words = ["".join(draw.choices("abcdefghijklmnoprstuvwz", k=draw.randint(3, 9))) for _ in range(3_000)]
    texts = [draw.choices(words, k=60) for _ in range(count)]
    changed = []
    for text in texts:
        text = list(text)
        for place in draw.sample(range(60), 3):
            text[place] = draw.choice(words)
        changed.append(text)
    return [" ".join(text) for text in texts], [" ".join(text) for text in changed]


def test_planted_near_duplicates_are_found_and_nothing_else(project):
    texts, changed = planted(400)
    for batch in (texts[:250], texts[250:], changed[:100], changed[100:]):
        bring_in(project, *batch)
    found = clusters(project)
    assert [found[one] == found[other] for one, other in zip(texts, changed, strict=True)].count(True) == 400
    assert len(set(found.values())) == 400


def test_the_estimate_is_the_share_of_runs_in_common():
    texts, changed = planted(300)
    runs = [{text[at : at + 5] for at in range(len(text) - 4)} for text in texts + changed]
    exact = [len(a & b) / len(a | b) for a, b in zip(runs[:300], runs[300:], strict=True)]
    estimated = similarity(sketch(texts), sketch(changed))
    assert abs(sum(estimated) / 300 - sum(exact) / 300) < 0.01
    assert max(abs(one - other) for one, other in zip(estimated, exact, strict=True)) < 0.2


def test_where_the_estimate_is_unsure_the_texts_decide(project, settings):
    texts, changed = planted(300)
    exact = [likeness(one, other) for one, other in zip(texts, changed, strict=True)]
    settings.NEAR_DUPLICATE_PERCENT = 100 * sorted(exact)[150] + 1e-9  # half of the pairs reach it, half just do not
    bring_in(project, *texts)
    bring_in(project, *changed)
    found = clusters(project)
    for one, other, share in zip(texts, changed, exact, strict=True):
        assert (found[one] == found[other]) == (share >= settings.NEAR_DUPLICATE_PERCENT / 100)


def test_a_sketch_depends_on_its_own_text_only():
    texts = ["short", "a somewhat longer text about rivers", "x", normal_text(LONG), "12 apples"]
    together = sketch(texts)
    alone = [sketch([text])[0] for text in texts]
    assert all((one == other).all() for one, other in zip(together, alone, strict=True))


# The files -----------------------------------------------------------------------------------------------


def batches(texts: Sequence[str], size: int) -> list[Sequence[str]]:
    return [texts[start : start + size] for start in range(0, len(texts), size)]


def test_files_of_keys_are_merged_and_still_find_everything(project):
    texts, changed = planted(200)
    for batch in batches(texts, 10):
        bring_in(project, *batch)
    with near_index(project) as index:
        assert index.count == 200
        assert len(index.pieces) < 8
    bring_in(project, *changed)
    assert len(set(clusters(project).values())) == 200


def test_what_was_half_written_is_cut_off_again(project):
    bring_in(project, LONG)
    folder = folder_of(project)
    for name in ("sketches", "prompts"):
        with (folder / name).open("ab") as file:
            file.write(b"half a row")
    (folder / "1-9.keys").write_bytes(b"short")
    (later,) = bring_in(project, f"{LONG} Now.")
    assert Prompt.objects.filter(cluster=later.cluster).count() == 2
    assert not (folder / "1-9.keys").exists()


def test_what_a_failed_transaction_left_in_the_files_does_no_harm(project):
    messages = [{"role": "user", "content": LONG}]
    lost = Prompt(project=project, messages=messages, digest=digest(messages))
    place_prompts_looked_at(look_at(project=project, prompts=[lost]), [lost])  # and never stored
    (stored,) = bring_in(project, LONG)
    assert not Finding.objects.exists()
    (later,) = bring_in(project, f"{LONG} Now.")
    assert later.cluster == stored.cluster


def test_forgotten_files_begin_anew(project):
    bring_in(project, LONG)
    forget(project)
    with near_index(project) as index:
        assert (index.count, index.newest()) == (0, None)


def test_projects_do_not_see_each_other(project):
    bring_in(project, LONG)
    other = make_project(evaluation_percent=90)
    bring_in(other, LONG)
    assert not Finding.objects.exists()
