"""Networks from the weights of the published code."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor

from xinc_pl.models.ffn import FFN
from xinc_pl.models.nerv import NeRV


def ffn_from_released(frequencies: Tensor, layers: Sequence[tuple[Tensor, Tensor]]) -> FFN:
    """Build an FFN from the authors' weights.

    Args:
        frequencies: B, (num_frequencies, 2).
        layers: Weight (outputs, inputs) and bias (outputs,) of each linear layer, input side first.
    """
    widths = [len(bias) for _, bias in layers]
    network = FFN(len(frequencies), widths[:-1], out_channels=widths[-1])
    state = {"encoding.frequencies": frequencies}
    for index, (weight, bias) in enumerate(layers):
        state |= {f"layers.{index}.weight": weight, f"layers.{index}.bias": bias}
    network.load_state_dict(state)
    return network


def nerv_from_released(state: Mapping[str, Tensor], grid: tuple[int, int]) -> NeRV:
    """Build a NeRV from the authors' state dict, whose shapes tell widths, strides and kernel sizes.

    Args:
        state: With keys such as ``decoder.1.conv.upconv.0.weight`` and ``head_layer.weight``.
        grid: Height and width of the stem's output (8, 16 in the paper).

    Raises:
        ValueError: The state dict is not that of a NeRV.
    """
    blocks = sorted(int(match[1]) for key in state if (match := re.fullmatch(_BLOCK.format(r"(\d+)", "weight"), key)))
    weights = [state[f"decoder.{block}.conv.upconv.0.weight"] for block in blocks]
    if not weights or "head_layer.weight" not in state:
        raise ValueError(f"not a NeRV of the published code: its state dict has the keys {sorted(state)}")
    widths = [weight.shape[1] for weight in [*weights, state["head_layer.weight"]]]
    strides = [math.isqrt(len(weight) // after) for weight, after in zip(weights, widths[1:], strict=True)]
    network = NeRV(
        size=(grid[0] * math.prod(strides), grid[1] * math.prod(strides)),
        strides=strides,
        kernel_sizes=[weight.shape[-1] for weight in weights],
        head_kernel_size=state["head_layer.weight"].shape[-1],
        width=widths[0],
        levels=state["decoder.0.conv.downconv.weight"].shape[1] // 2,
    )
    renamed = {"encoding.bits": network.encoding.bits}
    for kind in ("weight", "bias"):
        renamed[f"stem.{kind}"] = state[f"decoder.0.conv.downconv.{kind}"]
        renamed[f"head.{kind}"] = state[f"head_layer.{kind}"]
        for index, block in enumerate(blocks):
            renamed[f"blocks.{index}.conv.{kind}"] = state[f"decoder.{block}.conv.upconv.0.{kind}"]
    try:
        network.load_state_dict({key: torch.as_tensor(value) for key, value in renamed.items()})
    except RuntimeError as error:
        raise ValueError(f"not a NeRV of the published code: {error}") from error
    return network


def how_to_load(keys: Iterable[object]) -> str | None:
    """How weights of the published code come into this package; None if they are not from there.

    Args:
        keys: Of their state dict; there may be other words among them.
    """
    words = {re.sub(r"^((module|model)\.)+", "", key) for key in keys if isinstance(key, str)}
    if "positional_encoding.B" in words and "net.0.linear.weight" in words:
        return (
            "read it with torch.load(file, weights_only=False), which needs omegaconf and runs what the file holds, so "
            "that it must be the authors' own; and give B and the layers to xinc_pl.models.ffn_from_released"
        )
    if any(re.fullmatch(_BLOCK.format(r"\d+", "weight"), word) for word in words):
        return "give its state_dict and the grid, (8, 16) in the paper, to xinc_pl.models.nerv_from_released"
    return None


_BLOCK = r"decoder\.{}\.conv\.upconv\.0\.{}"
