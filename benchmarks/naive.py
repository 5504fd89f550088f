"""Plain ways to make maps and statistics, to measure against, in two degrees of faithfulness.

Lean loops: one kernel after the other, one neuron after the other, without work that does not reach the result.

As published (``published_*``): our reading of the method's description, written anew. A kernel's response is repeated
for every phase of the pixel shuffle, re-arranged by it and masked; a linear layer's maps are a tensor of neurons x
outputs x pixels; every figure sorts all values of the layer for itself, makes its share maps for itself, and loops over
neurons and clusters. The authors' own code may be quicker or slower than this.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl import FFN, NeRV

Place = Callable[[Tensor, int, int], Tensor]
"""Puts a response (1, 1, h, w) on the pixels of a phase, zero on the others: stride and phase come second and third."""


@torch.no_grad()
def ffn_maps(network: FFN, coordinates: Tensor, size: tuple[int, int], layer: int) -> Tensor:
    """Maps of one layer's neurons, through a tensor of neurons x outputs x pixels: (n, H, W)."""
    values = network.encoding(coordinates)
    for each in network.layers[:layer]:
        values = each(values).relu()
    weight = network.layers[layer].weight
    return torch.stack([(values[:, [i]] * weight[:, i]).sum(1).view(size) for i in range(weight.shape[1])])


@torch.no_grad()
def nerv_maps(network: NeRV, time: Tensor, layer: str, kernels: Sequence[int], place: Place | None = None) -> Tensor:
    """Maps of some kernels of one layer: (n, H, W)."""
    features = F.gelu(network.stem(network.encoding(time)[:, :, None, None].float())).view(1, -1, *network.grid)
    number = len(network.blocks) if layer == "head" else int(layer.removeprefix("block_")) - 1
    for block in network.blocks[:number]:
        features = block(features)
    conv = network.head if layer == "head" else network.blocks[number].conv
    stride = 1 if layer == "head" else network.blocks[number].stride
    later = [*network.blocks[number + 1 :], network.head] if layer != "head" else []
    return torch.stack([_kernel_map(features, conv, stride, later, kernel, place or _place) for kernel in kernels])


def _kernel_map(
    features: Tensor, conv: torch.nn.Conv2d, stride: int, later: Sequence[torch.nn.Module], kernel: int, place: Place
) -> Tensor:
    source, target = divmod(kernel, conv.out_channels)
    assert conv.bias is not None
    values = F.conv2d(
        features[:, [source]],
        conv.weight[target, source][None, None],
        conv.bias[[target]] / conv.in_channels,
        padding=conv.padding,  # type: ignore[arg-type]
    )
    if not later:
        return values[0, 0]
    values = F.gelu(place(values, stride, target % stride**2))
    for following in later:
        following_conv = following if isinstance(following, torch.nn.Conv2d) else following.conv
        side = following_conv.kernel_size[0]
        values = F.conv2d(values, torch.full((1, 1, side, side), 1 / side**2), padding=side // 2)
        if following is not later[-1]:
            values = F.gelu(F.interpolate(values, scale_factor=following.stride, mode="nearest"))
    return values[0, 0]


def _place(response: Tensor, stride: int, phase: int) -> Tensor:
    placed = response.new_zeros(1, 1, response.shape[2] * stride, response.shape[3] * stride)
    placed[:, :, phase // stride :: stride, phase % stride :: stride] = response
    return placed


@torch.no_grad()
def statistics(maps: Tensor, partitions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every statistic of a layer, from all of its maps (n, H, W)."""
    magnitudes = maps.abs()
    num_neurons = len(magnitudes)
    total = magnitudes.sum(0)
    share = magnitudes / total
    result = {"total": total, "pixels_per_neuron": torch.stack([(each > 1 / num_neurons).sum() for each in share])}
    ordered = magnitudes.flatten().sort(descending=True).values
    cumulative = ordered.double().cumsum(0)
    for mass in (0.1, 0.5):
        threshold = ordered[(cumulative >= (1 - mass) * cumulative[-1]).nonzero()[0]]
        result[f"neurons_per_pixel_{mass}"] = (magnitudes > threshold).sum(0) / num_neurons
    for name, labels in partitions.items():
        masks = [labels == label for label in range(int(labels.max()) + 1)]
        means = torch.stack([torch.stack([each[mask].mean() for mask in masks]) for each in magnitudes])
        areas = torch.stack([mask.sum() for mask in masks])
        expected = magnitudes.sum((1, 2))[:, None] * areas / labels.numel()
        delta = (means * areas - expected) / expected
        result |= {f"{name}_mean": means, f"{name}_delta": delta, f"{name}_variance": delta.var(1)}
    return result


@torch.no_grad()
def published_ffn_maps(network: FFN, coordinates: Tensor, size: tuple[int, int], layer: int) -> Tensor:
    """Maps of one layer's neurons, through a tensor of neurons x outputs x pixels: (n, H, W)."""
    values = network.encoding(coordinates)
    for each in network.layers[:layer]:
        values = each(values).relu()
    contributions = network.layers[layer].weight.T[:, :, None] * values.T[:, None, :]
    return contributions.sum(1).view(-1, *size)


@torch.no_grad()
def published_nerv_maps(network: NeRV, time: Tensor, layer: str, kernels: Sequence[int]) -> Tensor:
    """Maps of some kernels of one layer: (n, H, W)."""
    return nerv_maps(network, time, layer, kernels, _published_place)


def _published_place(response: Tensor, stride: int, phase: int) -> Tensor:
    copies = response.repeat(1, stride**2, 1, 1)
    mask = torch.zeros_like(copies)
    mask[:, phase] = 1
    return F.pixel_shuffle(copies, stride) * F.pixel_shuffle(mask, stride)


@torch.no_grad()
def published_statistics(maps: Tensor, partitions: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every statistic of a layer, from all of its maps (n, H, W)."""
    magnitudes = maps.abs()
    result = {"total": magnitudes.sum(0)}
    shares = [each / result["total"] for each in magnitudes]
    counts = torch.stack([(share > 1 / len(maps)).sum() for share in shares])
    result["pixels_per_neuron"] = counts.sort(descending=True).values
    for mass in (0.1, 0.5):
        ordered = magnitudes.flatten().sort(descending=True).values
        cumulative = ordered.double().cumsum(0)
        threshold = ordered[(cumulative >= (1 - mass) * cumulative[-1]).nonzero()[0]]
        result[f"neurons_per_pixel_{mass}"] = torch.stack([each > threshold for each in magnitudes]).sum(0) / len(maps)
    result["distribution"] = magnitudes.flatten().sort(descending=True).values
    for name, labels in partitions.items():
        result[f"{name}_delta"] = torch.stack([_published_deltas(each, labels) for each in magnitudes])
        result[f"{name}_variance"] = torch.stack([deltas.var() for deltas in result[f"{name}_delta"]])
    return result


def _published_deltas(magnitudes: Tensor, labels: Tensor) -> Tensor:
    deltas = []
    for label in range(int(labels.max()) + 1):
        mask = labels == label
        expected = magnitudes.sum() * mask.sum() / mask.numel()
        deltas.append(((magnitudes * mask).sum() - expected) / expected)
    return torch.stack(deltas)
