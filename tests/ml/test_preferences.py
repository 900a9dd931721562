"""Snapshots are checked before a row of them is used, and a row that does not fit is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from feedback.contract import table_file
from tests.ml.conftest import easy_preferences, in_this_process, make_run_directory, write_snapshot
from training.ml.chat import prompt_ids, response_ids
from training.ml.preferences import read_preferences, read_split
from training.ml.snapshots import SnapshotDamaged
from training.rundir import RunSpec

pytestmark = pytest.mark.torch


def spec_of(directory: str, sha256: str, **fields) -> RunSpec:
    return RunSpec(run_id="run", kind="dpo", config={}, snapshot=directory, snapshot_sha256=sha256, **fields)


@pytest.fixture
def fresh(tmp_path: Path) -> tuple[str, str]:
    return write_snapshot(tmp_path / "snapshot", easy_preferences(4), easy_preferences(2, seed=1))


def test_rows_become_the_ids_that_sampling_produces(fresh, tokenizer):
    train, evaluation = read_preferences(spec_of(*fresh), tokenizer, max_length=200)
    assert (len(train), len(evaluation)) == (4, 2)
    source = easy_preferences(4)[0]
    assert train[0].prompt == prompt_ids(tokenizer, source["prompt"])
    assert tokenizer.decode(train[0].prompt).endswith("<|im_start|>assistant\n")
    assert train[0].chosen == response_ids(tokenizer, source["chosen"][0]["content"])
    assert train[0].chosen[-1] == tokenizer.eos_token_id
    assert train[0].margin == source["margin"]


def test_a_split_without_a_file_is_empty(tmp_path, tokenizer):
    directory, sha256 = write_snapshot(tmp_path / "one", easy_preferences(3))
    train, evaluation = read_preferences(spec_of(directory, sha256), tokenizer, max_length=200)
    assert (len(train), evaluation) == (3, [])


def test_a_changed_file_is_refused(fresh):
    path = Path(fresh[0]) / "data" / "preference" / "train.parquet"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(SnapshotDamaged, match=r"train\.parquet has sha256 .* as when it was frozen"):
        read_split(spec_of(*fresh), "train")


def test_a_changed_evaluation_file_is_refused_even_when_only_train_is_read(fresh):
    (Path(fresh[0]) / "data" / "preference" / "evaluation.parquet").write_bytes(b"")
    with pytest.raises(SnapshotDamaged, match="evaluation"):
        read_split(spec_of(*fresh), "train")


def test_a_gone_file_is_refused(fresh):
    (Path(fresh[0]) / "data" / "preference" / "train.parquet").unlink()
    with pytest.raises(SnapshotDamaged, match="is gone"):
        read_split(spec_of(*fresh), "train")


def test_a_rewritten_manifest_is_refused(fresh):
    path = Path(fresh[0]) / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "note": "later"}))
    with pytest.raises(SnapshotDamaged, match=r"manifest\.json has sha256"):
        read_split(spec_of(*fresh), "train")


def test_a_directory_without_a_manifest_is_refused(tmp_path):
    with pytest.raises(SnapshotDamaged, match=r"no manifest\.json"):
        read_split(spec_of(str(tmp_path), "0" * 64), "train")


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_a_damaged_snapshot_ends_the_run_with_a_message(tmp_path, fresh, tiny, kind):
    (Path(fresh[0]) / "data" / "preference" / "train.parquet").write_bytes(b"PAR1")
    run = make_run_directory(
        tmp_path / "run", kind, {"steps": 1}, policy=tiny, snapshot=fresh[0], snapshot_sha256=fresh[1]
    )
    assert in_this_process(run) == 1
    assert "as when it was frozen" in run.error()
    assert "Traceback" not in run.error()
    assert run.outcome() is None
    assert not run.model_path.exists()


@pytest.mark.parametrize("kind", ["dpo", "reward"])
@pytest.mark.parametrize("split", ["train", "evaluation"])
def test_a_row_that_is_too_long_is_refused_with_its_place(tmp_path, tiny, kind, split):
    rows, held_out = easy_preferences(5), easy_preferences(3, seed=1)
    (rows if split == "train" else held_out)[2]["rejected"][0]["content"] = "z" * 150
    directory, sha256 = write_snapshot(tmp_path / "snapshot", rows, held_out)
    run = make_run_directory(
        tmp_path / "run",
        kind,
        {"steps": 1, "max_length": 100},
        policy=tiny,
        snapshot=directory,
        snapshot_sha256=sha256,
    )
    assert in_this_process(run) == 1
    assert "1 of 8 rows are longer than max_length = 100 tokens" in run.error()
    assert f"{split} row 3 (judgment judgment-2) has" in run.error()
    assert not run.metrics()


def test_a_snapshot_without_train_rows_is_refused(tmp_path, tiny):
    directory, sha256 = write_snapshot(tmp_path / "snapshot", [], easy_preferences(3))
    run = make_run_directory(tmp_path / "run", "dpo", {}, policy=tiny, snapshot=directory, snapshot_sha256=sha256)
    assert in_this_process(run) == 1
    assert "no preference in its train split" in run.error()


def test_what_a_person_wrote_over_a_response_trains_but_does_not_measure(tmp_path, tokenizer):
    train, held_out = easy_preferences(2), easy_preferences(3, seed=1)
    train[1]["origin"], held_out[0]["origin"], held_out[1]["origin"] = "edit", "correction", "ranking"
    directory, sha256 = write_snapshot(tmp_path / "snapshot", train, held_out)
    learned, measured = read_preferences(spec_of(directory, sha256), tokenizer, max_length=200)
    assert [row.origin for row in learned] == ["comparison", "edit"]
    assert [row.origin for row in measured] == ["ranking", "comparison"]


@pytest.mark.parametrize("kind", ["dpo", "reward"])
def test_a_snapshot_without_preferences_is_refused_with_what_it_holds(tmp_path, tiny, kind):
    path = tmp_path / "snapshot" / table_file("sft", "train")
    path.parent.mkdir(parents=True)
    path.write_bytes(b"rows")
    manifest = json.dumps({"files": {table_file("sft", "train"): hashlib.sha256(b"rows").hexdigest()}}).encode()
    (tmp_path / "snapshot" / "manifest.json").write_bytes(manifest)
    fields = {"snapshot": str(tmp_path / "snapshot"), "snapshot_sha256": hashlib.sha256(manifest).hexdigest()}
    run = make_run_directory(tmp_path / "run", kind, {"steps": 1}, policy=tiny, **fields)
    assert in_this_process(run) == 1
    assert f"no preference rows, which a {kind} run reads; it holds sft" in run.error()


def test_rows_of_a_snapshot_without_weights_all_weigh_the_same(fresh, tokenizer):
    train, _ = read_preferences(spec_of(*fresh), tokenizer, max_length=200)
    assert {row.weight for row in train} == {1.0}


def test_rows_are_drawn_in_proportion_to_their_weight_and_the_same_ones_for_the_same_seed():
    from training.ml.trl_runs import ByWeight

    drawn = ByWeight([1.0, 3.0, 0.0, 0.5] * 5_000, seed=3)
    first, again = list(drawn), list(drawn)
    assert first == again
    assert len(first) == len(drawn) == 20_000
    counts = [sum(1 for row in first if row % 4 == place) for place in range(4)]
    assert counts[2] == 0
    for place, weight in enumerate([1.0, 3.0, 0.0, 0.5]):
        assert abs(counts[place] - 20_000 * weight / 4.5) < 5 * (20_000 * 0.25) ** 0.5
    drawn.set_epoch(1)
    assert list(drawn) != first
