"""The quick way through a LoRA layer must be the library's own way, forward and back."""

from __future__ import annotations

import pytest
import torch
from peft import LoraConfig, get_peft_model
from peft.tuners.lora import Linear as LoraLinear
from torch import nn

from training.ml.adapted_linear import without_detours

pytestmark = pytest.mark.torch


class TwoLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.wide = nn.Linear(6, 10)
        self.narrow = nn.Linear(10, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.narrow(torch.tanh(self.wide(x)))


def adapted(**more):
    """Return two layers with the adapters "default" (trained) and "frozen", both switched on."""
    torch.manual_seed(0)
    config = LoraConfig(r=3, lora_alpha=6, target_modules=["wide", "narrow"], init_lora_weights=False, **more)
    model = get_peft_model(TwoLayers(), config)
    model.add_adapter("frozen", config)
    model.base_model.set_adapter(["default", "frozen"], inference_mode=True)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(".default." in name)
    return model


def passed(model, x):
    """Return (output, gradients of x and of what is trained) of one pass."""
    x = x.clone().requires_grad_(True)
    out = model(x)
    out.pow(2).sum().backward()
    trained = {name: parameter.grad for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert all(parameter.grad is None for name, parameter in model.named_parameters() if name not in trained)
    return out.detach(), {"x": x.grad, **trained}


@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 6)])
def test_output_and_gradients_are_those_of_the_library(shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    expected, gradients = passed(adapted(), x)
    model = adapted()
    without_detours(model)
    out, found = passed(model, x)
    torch.testing.assert_close(out, expected)
    assert set(found) == set(gradients)
    assert len(found) == 5
    for name, gradient in gradients.items():
        torch.testing.assert_close(found[name], gradient)
    with torch.no_grad():
        torch.testing.assert_close(model(x), expected)


def test_switching_adapters_is_heeded():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    model = adapted()
    without_detours(model)
    both = model(x)
    model.base_model.set_adapter("default")
    one = model(x)
    expected = adapted()
    expected.base_model.set_adapter("default")
    torch.testing.assert_close(one, expected(x))
    assert not torch.allclose(one, both)


def test_an_adapter_that_adds_nothing_changes_no_bit():
    model = get_peft_model(TwoLayers(), LoraConfig(r=3, target_modules=["wide", "narrow"]))
    x = torch.randn(4, 6)
    without_detours(model)
    assert torch.equal(model(x), model.get_base_model().narrow.base_layer(torch.tanh(
        model.get_base_model().wide.base_layer(x)
    )))  # fmt: skip


@pytest.mark.parametrize("more", [{"use_dora": True}, {"lora_bias": True}])
def test_layers_that_are_not_plain_keep_the_librarys_way(more):
    model = adapted(**more)
    without_detours(model)
    layers = [layer for layer in model.modules() if isinstance(layer, LoraLinear)]
    assert len(layers) == 2
    assert all("forward" not in vars(layer) for layer in layers)


def test_an_adapter_that_is_switched_off_or_merged_adds_nothing_more():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    model, library = adapted(), adapted()
    without_detours(model)
    with model.disable_adapter(), library.disable_adapter():
        assert torch.equal(model(x), library(x))
    model.merge_adapter()
    library.merge_adapter()
    assert torch.equal(model(x), library(x))


def test_what_is_computed_in_less_precision_is_left_to_the_library():
    x = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    model, library = adapted(), adapted()
    without_detours(model)
    with torch.autocast("cpu", torch.bfloat16):
        out, found = passed(model, x)
        expected, gradients = passed(library, x)
    assert torch.equal(out, expected)
    assert all(torch.equal(found[name], gradient) for name, gradient in gradients.items())
