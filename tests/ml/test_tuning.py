"""What of a model is trained, and that what was trained is loaded again as it was."""

from __future__ import annotations

import json

import pytest

from training.configs import SFTConfig
from training.ml import CannotRun
from training.rundir import ModelSource, RunDirectory

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

PROMPTS = [[5, 9, 30, 41, 7], [8, 60]]
RESPONSES = [[11, 2], [70, 33, 12, 2]]


def logits_of(model):
    """Return the logits of a padded batch on its response tokens, one row after the other."""
    from training.ml.sequences import lay_out, response_logits

    rollouts = lay_out(PROMPTS, RESPONSES, 0, torch.device("cpu"))
    with torch.no_grad():
        return response_logits(model, rollouts)[rollouts.response_mask]


def trained(tiny, tokenizer, **config):
    """Return a tuned model whose trained weights have been moved, as training would move them."""
    from training.ml.tuning import load_to_train, tuned

    torch.manual_seed(0)
    settings = SFTConfig(**config)
    model = tuned(load_to_train(tiny, tokenizer, settings), settings)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter += 0.05 * torch.randn_like(parameter)
    return model


@pytest.mark.parametrize("tuning", ["lora", "dora", "full", "prompt"])
def test_what_was_trained_is_loaded_again_as_it_was(tmp_path, tiny, tokenizer, tuning):
    from training.ml.models import load_policy, publish_model
    from training.ml.tuning import as_policy

    model = trained(tiny, tokenizer, tuning=tuning)
    with as_policy(model) as policy:
        before = logits_of(policy)
    run = RunDirectory(tmp_path)
    publish_model(run, model, tokenizer, kind="policy", source=tiny, step=3)

    whole = tuning == "full"
    assert json.loads((run.model_path / "checkpoint.json").read_text())["is_whole"] is whole
    source = ModelSource(str(run.model_path)) if whole else ModelSource(tiny.base, (str(run.model_path),))
    loaded = load_policy(source, tokenizer).eval()
    assert torch.allclose(logits_of(loaded), before, atol=1e-4)
    assert not torch.allclose(logits_of(load_policy(tiny, tokenizer)), before, atol=0.1)


@pytest.mark.parametrize("tuning", ["lora", "dora"])
def test_a_fresh_adapter_changes_nothing(tiny, tokenizer, tuning):
    from training.ml.models import load_policy
    from training.ml.tuning import as_policy, load_to_train, tuned

    config = SFTConfig(tuning=tuning)
    with as_policy(tuned(load_to_train(tiny, tokenizer, config), config)) as policy:
        assert torch.allclose(logits_of(policy), logits_of(load_policy(tiny, tokenizer)), atol=1e-5)


@pytest.mark.parametrize("tuning", ["lora", "prompt"])
def test_the_reference_is_the_model_before_training(tiny, tokenizer, tuning):
    from training.ml.models import load_policy
    from training.ml.tuning import as_reference

    with as_reference(trained(tiny, tokenizer, tuning=tuning)) as reference:
        assert torch.equal(logits_of(reference), logits_of(load_policy(tiny, tokenizer)))


def test_virtual_tokens_are_what_the_library_reads_and_padding_changes_nothing(tiny, tokenizer):
    from training.ml.sequences import lay_out, response_logits
    from training.ml.tuning import as_policy

    model = trained(tiny, tokenizer, tuning="prompt", prompt_tokens=3).eval()
    with as_policy(model) as policy, torch.no_grad():
        together = logits_of(policy)
        alone = []
        for prompt, response in zip(PROMPTS, RESPONSES, strict=True):
            rollouts = lay_out([prompt], [response], 0, torch.device("cpu"))
            alone.append(response_logits(policy, rollouts)[0])
    assert torch.allclose(together, torch.cat(alone), atol=1e-4)
    with torch.no_grad():
        for prompt, response, ours in zip(PROMPTS, RESPONSES, alone, strict=True):
            theirs = model(input_ids=torch.tensor([[*prompt, *response]])).logits[0, 3 + len(prompt) - 1 : -1]
            assert torch.allclose(ours, theirs, atol=1e-4)


def test_a_policy_with_virtual_tokens_writes_what_its_logits_say(tiny, tokenizer):
    from training.ml.sampling import generate_tokens
    from training.ml.tuning import as_policy

    model = trained(tiny, tokenizer, tuning="prompt", prompt_tokens=3).eval()
    with as_policy(model) as policy:
        written = generate_tokens(
            policy, tokenizer, PROMPTS, [1, 2], temperature=0.0, top_p=1.0, max_new_tokens=6, min_new_tokens=1
        )
        for prompt, tokens in zip(PROMPTS, written, strict=True):
            ids = list(prompt)
            for number, token in enumerate(tokens):
                with torch.no_grad():
                    logits = policy(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
                if number == 0:
                    logits[tokenizer.eos_token_id] = -torch.inf
                assert token == int(logits.argmax())
                ids.append(token)


def test_full_fine_tuning_freezes_the_first_layers_and_the_embeddings(tiny, tokenizer):
    from training.ml.tuning import load_to_train

    model = load_to_train(tiny, tokenizer, SFTConfig(tuning="full", freeze_layers=1))
    learns = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(name.startswith(("model.layers.1.", "model.norm.")) for name in learns)
    assert {name.split(".")[2] for name in learns if "layers" in name} == {"1"}


def test_freezing_every_layer_is_refused(tiny, tokenizer):
    from training.ml.tuning import load_to_train

    with pytest.raises(CannotRun, match="the model has 2 layers; freeze at most 1"):
        load_to_train(tiny, tokenizer, SFTConfig(tuning="full", freeze_layers=2))


def test_qlora_is_refused_without_a_gpu(tiny, tokenizer, monkeypatch):
    from training.ml.tuning import load_to_train

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(CannotRun, match="this machine has none"):
        load_to_train(tiny, tokenizer, SFTConfig(tuning="qlora"))


def test_nothing_is_trained_on_top_of_a_tuned_prompt(tmp_path, tiny, tokenizer):
    from training.ml.models import publish_model
    from training.ml.tuning import load_to_train

    run = RunDirectory(tmp_path)
    publish_model(run, trained(tiny, tokenizer, tuning="prompt"), tokenizer, kind="policy", source=tiny, step=1)
    with pytest.raises(CannotRun, match="Start from the model below it"):
        load_to_train(ModelSource(tiny.base, (str(run.model_path),)), tokenizer, SFTConfig())
