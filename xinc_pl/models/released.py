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
    needed = [f"{layer}.{kind}" for layer in _nerv_layers(blocks) for kind in ("weight", "bias")]
    if missing := [key for key in needed if key not in state]:
        raise ValueError(f"not a NeRV of the published code: its state dict has no {missing[0]}")
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


def network_from_released(state: Mapping[str, Tensor], grid: tuple[int, int] | None = None) -> FFN | NeRV:
    """Build the network whose weights these are: of an image (FFN) or of a video (NeRV).

    Args:
        state: The authors' state dict, whatever stands before its keys (``module.``, ``model.``, ``blocks.0.``).
        grid: Of a NeRV, height and width of the stem's output; by default it is twice as wide as high, as the paper's
            (8, 16).

    Raises:
        ValueError: They are of neither, or incomplete.
    """
    state = {_PREFIXES.sub("", key): value for key, value in state.items()}
    if _FREQUENCIES in state:
        return _ffn_from_state(state)
    if any(re.fullmatch(_BLOCK.format(r"\d+", "weight"), key) for key in state):
        return nerv_from_released(state, grid or _grid_of(state))
    raise ValueError(
        f"these are no weights of the published code: it has {_FREQUENCIES} or decoder.1.conv.upconv.0.weight, they "
        f"have {', '.join(sorted(state)[:4]) or 'nothing'}"
    )


def how_to_load(keys: Iterable[object]) -> str | None:
    """How weights of the published code come into this package; None if they are not from there.

    Args:
        keys: Of their state dict; there may be other words among them.
    """
    words = {_PREFIXES.sub("", key) for key in keys if isinstance(key, str)}
    is_ffn = _FREQUENCIES in words and "net.0.linear.weight" in words
    if is_ffn or any(re.fullmatch(_BLOCK.format(r"\d+", "weight"), word) for word in words):
        return "make a run of it with `python -m xinc_pl import FILE`"
    return None


def _nerv_layers(blocks: Sequence[int]) -> list[str]:
    """What the authors call the layers of a NeRV, input side first."""
    return ["decoder.0.conv.downconv", *(f"decoder.{block}.conv.upconv.0" for block in blocks), "head_layer"]


def _ffn_from_state(state: Mapping[str, Tensor]) -> FFN:
    found = {match[1]: key for key in state if (match := re.fullmatch(r"(net\.\d+(?:\.linear)?)\.weight", key))}
    layers = sorted(found, key=lambda layer: int(layer.split(".")[1]))
    missing = next((layer for layer in layers if f"{layer}.bias" not in state), None)
    if missing is not None or not layers:
        raise ValueError(f"not an FFN of the published code: there is no {missing or 'net.0.linear'}.bias")
    try:
        return ffn_from_released(
            state[_FREQUENCIES], [(state[f"{layer}.weight"], state[f"{layer}.bias"]) for layer in layers]
        )
    except RuntimeError as error:
        raise ValueError(f"not an FFN of the published code: {' '.join(str(error).split())}") from error


def _grid_of(state: Mapping[str, Tensor]) -> tuple[int, int]:
    """Height and width of the stem's output, if it is twice as wide as high."""
    stem, block = (state.get(key) for key in ("decoder.0.conv.downconv.weight", "decoder.1.conv.upconv.0.weight"))
    if stem is None or block is None:
        raise ValueError("not a NeRV of the published code: its stem or its first block is missing")
    places = len(stem) // block.shape[1]
    height = math.isqrt(places // 2)
    if 2 * height**2 != places:
        raise ValueError(f"the stem makes {places} places, which are not twice as wide as high; say its grid")
    return height, 2 * height


_BLOCK = r"decoder\.{}\.conv\.upconv\.0\.{}"
_FREQUENCIES = "positional_encoding.B"
_PREFIXES = re.compile(r"^((module|model|blocks\.0)\.)+")
"""What training wraps a network in: parallel training, Lightning, a list of one network."""
