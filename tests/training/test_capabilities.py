"""Workers say what they have, and take the runs that they can carry out."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from feedback.models import Worker
from tests.factories import make_run
from training.capabilities import Capabilities, lacks, own_capabilities, waits_in_vain
from training.devices import Device, first_gpu, own_device
from training.leases import claim_run
from training.worker import RunWorker

CPU = Capabilities(Device("cpu", "a processor", 16.0))
CARD = Capabilities(Device("cuda", "a card", 80.0), frozenset({"fast"}))

pytestmark = pytest.mark.django_db


def test_a_worker_takes_the_oldest_run_that_it_can_carry_out():
    make_run(needs={"device": "cuda"})
    plain = make_run()
    assert claim_run(worker="one", capabilities=CPU).pk == plain.pk
    assert claim_run(worker="one", capabilities=CPU) is None


def test_a_worker_with_more_than_is_asked_for_takes_the_run():
    run = make_run(needs={"device": "cuda", "memory_gb": 40.0, "labels": "fast"})
    assert claim_run(worker="one", capabilities=CARD).pk == run.pk


@pytest.mark.parametrize(
    ("needs", "launch", "said"),
    [
        ({"device": "cuda"}, {}, "a device of kind cuda"),
        ({"memory_gb": 16.5}, {}, "16.5 GiB of memory"),
        ({"labels": "fast here"}, {}, "the labels fast, here"),
        ({}, {"launcher": "ray"}, "the label ray"),
        ({"device": "any", "memory_gb": 16.0}, {"launcher": "accelerate"}, ""),
    ],
)
def test_what_a_worker_lacks_is_said(needs, launch, said):
    assert lacks("cpu", 16.0, [], launch, needs) == said


def test_a_run_for_a_cluster_asks_the_cluster_for_its_device():
    assert lacks("cpu", 16.0, ["ray"], {"launcher": "ray"}, {"device": "cuda", "memory_gb": 640.0}) == ""


def test_a_worker_that_does_not_know_its_memory_takes_no_run_that_asks_for_some():
    assert lacks("cpu", None, [], {}, {"memory_gb": 1.0}) == "1 GiB of memory"


def test_a_run_that_no_living_worker_can_take_says_what_is_lacking():
    run, now = make_run(needs={"device": "cuda"}), timezone.now()
    assert waits_in_vain(run, now) == ""  # nobody is there: that is said elsewhere
    Worker.objects.create(name="small", last_seen_at=now, **CPU.as_values())
    assert waits_in_vain(run, now) == "a device of kind cuda"
    Worker.objects.create(name="large", last_seen_at=now, **CARD.as_values())
    assert waits_in_vain(run, now) == ""


def test_a_worker_signs_on_with_what_it_has():
    worker = RunWorker(name="large", poll=0.1, capabilities=CARD)
    worker.alive.give()
    signed = Worker.objects.get(name="large")
    assert (signed.device, signed.device_name, signed.memory_gb, signed.labels) == ("cuda", "a card", 80.0, ["fast"])


def test_this_machine_is_described_without_torch():
    found = own_device()
    assert found.kind in ("cpu", "cuda")
    assert found.memory_gb > 0
    assert found.name


def test_the_cards_that_a_worker_may_use_are_counted():
    told = "NVIDIA H100, 81559\nNVIDIA H100, 81559\nTesla T4, 15360\n"
    assert first_gpu(told, "") == Device("cuda", "NVIDIA H100", 79.6, 3)
    assert first_gpu(told, "2") == Device("cuda", "Tesla T4", 15.0, 1)
    assert first_gpu("", "") is None


def test_a_cluster_is_a_label_where_it_can_be_reached(monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.delenv("SLURM_CLUSTER", raising=False)
    monkeypatch.setenv("PATH", "")
    assert own_capabilities(["here"]).labels == {"here"}
    monkeypatch.setenv("RAY_ADDRESS", "http://head:8265")
    monkeypatch.setenv("SLURM_CLUSTER", "local")
    assert own_capabilities().labels == {"ray", "slurm"}


def test_a_label_of_two_words_is_refused():
    with pytest.raises(CommandError, match="it must be one word"):
        call_command("worker", "--once", "--label", "two words")
