"""A run does not begin with weights that are not those that were recorded."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_run
from tests.training.conftest import with_files
from training.lineage import CheckpointGone
from training.run_inputs import write_inputs

pytestmark = pytest.mark.django_db


@pytest.fixture
def chain(project):
    base = with_files(make_base_checkpoint(project))
    return {"base": base, "policy": with_files(make_policy_checkpoint(project, parent=base))}


@pytest.mark.parametrize("which", ["base", "policy"])
def test_one_changed_byte_anywhere_below_a_policy_is_refused_by_name(project, chain, which):
    weights = Path(settings.DATA_DIR) / chain[which].path / "adapter_model.safetensors"
    weights.write_bytes(b"\x01")
    with pytest.raises(CheckpointGone, match=f"the files of checkpoint {chain[which].name} .* their sha256 differs"):
        write_inputs(make_run(project, "sample", policy=chain["policy"]))


def test_weights_that_are_those_that_were_recorded_begin_a_run(project, chain):
    assert write_inputs(make_run(project, "sample", policy=chain["policy"])).kind == "sample"
