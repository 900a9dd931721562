"""The drawing of a checkpoint's relations."""

from __future__ import annotations

import pytest

from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from training.lineage_graph import DESCENDANTS_SHOWN, lay_out, lineage_graph


def test_each_node_stands_below_all_that_it_was_made_from_and_beside_its_peers():
    links = [("base", "reward"), ("labels", "reward"), ("base", "policy"), ("reward", "policy"), ("base", "other")]
    places = lay_out(["labels", "base", "reward", "policy", "other"], links)
    assert all(places[above][1] < places[below][1] for above, below in links)
    assert len(set(places.values())) == 5


def test_what_nothing_was_made_from_stands_right_above_what_was_made_from_it():
    places = lay_out(["a", "b", "c", "labels"], [("a", "b"), ("b", "c"), ("labels", "c")])
    assert places["labels"][1] == places["b"][1]


@pytest.mark.django_db
def test_it_shows_ancestors_data_reward_models_and_descendants(project):
    snapshot = make_snapshot(project, labels=4)
    base = make_base_checkpoint(project)
    reward = make_reward_checkpoint(project, parent=base, snapshot=snapshot)
    run = make_run(project, "ppo", state="succeeded", policy=base, reward=reward)
    policy = make_policy_checkpoint(project, parent=base, run=run, snapshot=snapshot)
    child = make_policy_checkpoint(project, parent=policy)
    everything = {snapshot.name, base.name, reward.name, policy.name, child.name}
    for one in (base, reward, policy, child):
        graph = lineage_graph(one)
        assert {node.name for node in graph.nodes} == everything
        assert [node.name for node in graph.nodes if node.is_here] == [one.name]
    says = sorted(edge.says for edge in lineage_graph(policy).edges)
    assert says == [
        "DPO: starts from",
        "PPO: is scored by",
        "PPO: starts from",
        "Reward model: learns from",
        "Reward model: starts from",
    ]


@pytest.mark.django_db
def test_the_nearest_descendants_are_drawn_and_the_others_counted(project):
    base = make_base_checkpoint(project)
    for _ in range(DESCENDANTS_SHOWN + 3):
        make_policy_checkpoint(project, parent=base)
    graph = lineage_graph(base)
    assert (len(graph.nodes), graph.hidden) == (DESCENDANTS_SHOWN + 1, 3)


@pytest.mark.django_db
def test_a_base_model_alone_is_one_node(project):
    graph = lineage_graph(make_base_checkpoint(project, name="a name that is much too long for a node"))
    assert [node.shown_name for node in graph.nodes] == ["a name that is much t…"]
    assert graph.edges == []
