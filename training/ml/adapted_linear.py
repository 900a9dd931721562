"""LoRA layers without detours: the adapters' share is added in place, forward and back.

peft's own forward pass makes three tensors of the layer's output size that are gone at once (the share, the share
scaled, the sum), and looks at every option of its library for each token that is written. Here the product that makes
the share adds it, too. The numbers are the same to rounding; an adapter that adds nothing changes no bit.
"""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from peft.tuners.lora import Linear as LoraLinear
from torch import Tensor, nn
from torch.nn import functional


class AdaptedLinear(torch.autograd.Function):
    """x W^T + bias + sum over adapters of scale (x A^T) B^T; W and the bias are not trained."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...], *factors: Tensor
    ) -> Tensor:
        """x [N, in] to [N, out]; `factors` are A [rank, in] and B [out, rank] of each adapter in turn."""
        out, inner = add_up(x, weight, bias, scales, factors)
        ctx.scales = scales
        ctx.save_for_backward(x, weight, *factors, *inner)
        return out

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        (gradient,) = gradients
        x, weight, *rest = ctx.saved_tensors
        count = len(ctx.scales)
        factors, inner = rest[: 2 * count], rest[2 * count :]
        needs_x, needs = ctx.needs_input_grad[0], ctx.needs_input_grad[4:]
        to_x = gradient @ weight if needs_x else None
        found: list[Tensor | None] = []
        for number, scale in enumerate(ctx.scales):
            down, up = factors[2 * number : 2 * number + 2]
            needs_down, needs_up = needs[2 * number : 2 * number + 2]
            to_inner = (gradient @ up).mul_(scale) if needs_x or needs_down else None
            if to_x is not None:
                to_x.addmm_(to_inner, down)
            found.append(to_inner.t() @ x if needs_down and to_inner is not None else None)
            found.append((gradient.t() @ inner[number]).mul_(scale) if needs_up else None)
        return to_x, None, None, None, *found


def add_up(
    x: Tensor, weight: Tensor, bias: Tensor | None, scales: tuple[float, ...], factors: tuple[Tensor, ...]
) -> tuple[Tensor, list[Tensor]]:
    """Return (the sum, x A^T of each adapter)."""
    out = functional.linear(x, weight, bias)
    inner = [functional.linear(x, down) for down in factors[::2]]
    for scale, narrow, up in zip(scales, inner, factors[1::2], strict=True):
        out.addmm_(narrow, up.t(), alpha=scale)
    return out, inner


def forward(layer: LoraLinear, x: Tensor) -> Tensor:
    """What takes the place of the forward pass of a plain LoRA layer: [..., in] to [..., out]."""
    if layer.disable_adapters or layer.merged or torch.is_autocast_enabled(x.device.type):
        return LoraLinear.forward(layer, x)  # nothing to add, or not in the weights' own precision
    base = layer.get_base_layer()
    active = [name for name in layer.active_adapters if name in layer.lora_A]
    factors = [one[name].weight for name in active for one in (layer.lora_A, layer.lora_B)]
    if any(one.dtype != x.dtype for one in (base.weight, *factors)):
        return LoraLinear.forward(layer, x)  # a backbone in bfloat16 has adapters in float32
    scales = tuple(layer.scaling[name] for name in active)
    flat = x.reshape(-1, x.shape[-1])
    if torch.is_grad_enabled():
        out = AdaptedLinear.apply(flat, base.weight, base.bias, scales, *factors)
    else:
        out, _ = add_up(flat, base.weight, base.bias, scales, tuple(factors))
    return out.view(*x.shape[:-1], -1)


def without_detours(model: nn.Module) -> None:
    """Let every plain LoRA layer of `model` compute as `forward` does; dropout must be off, and nothing merged."""
    for layer in model.modules():
        if isinstance(layer, LoraLinear) and is_plain(layer):
            vars(layer)["forward"] = MethodType(forward, layer)


def is_plain(layer: LoraLinear) -> bool:
    return type(layer.get_base_layer()) is nn.Linear and not layer.lora_variant and not any(layer.lora_bias.values())
