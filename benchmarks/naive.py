"""The published way: one kernel after the other, all maps in memory, everything sorted. To measure against.

Written anew from the method's description, in the same plain PyTorch loops as the authors' notebooks: repeat,
rearrange, mask, box filter, upsample for each kernel; a loop over neurons for each statistic.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl import FFN, NeRV


@torch.no_grad()
def ffn_maps(network: FFN, coordinates: Tensor, size: tuple[int, int], layer: int) -> Tensor:
    """Maps of one layer's neurons, through a tensor of neurons x outputs x pixels: (n, H, W)."""
    values = network.encoding(coordinates)
    for each in network.layers[:layer]:
        values = each(values).relu()
    weight = network.layers[layer].weight
    return torch.stack([(values[:, [i]] * weight[:, i]).sum(1).view(size) for i in range(weight.shape[1])])


@torch.no_grad()
def nerv_maps(network: NeRV, time: Tensor, layer: str, kernels: Sequence[int]) -> Tensor:
    """Maps of some kernels of one layer: (n, H, W)."""
    features = F.gelu(network.stem(network.encoding(time)[:, :, None, None].float())).view(1, -1, *network.grid)
    number = len(network.blocks) if layer == "head" else int(layer.removeprefix("block_")) - 1
    for block in network.blocks[:number]:
        features = block(features)
    conv = network.head if layer == "head" else network.blocks[number].conv
    stride = 1 if layer == "head" else network.blocks[number].stride
    later = [*network.blocks[number + 1 :], network.head] if layer != "head" else []
    return torch.stack([_kernel_map(features, conv, stride, later, kernel) for kernel in kernels])


def _kernel_map(
    features: Tensor, conv: torch.nn.Conv2d, stride: int, later: Sequence[torch.nn.Module], kernel: int
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
    phase = target % stride**2
    repeated = values.repeat_interleave(stride, 2).repeat_interleave(stride, 3)
    mask = torch.zeros_like(repeated)
    mask[:, :, phase // stride :: stride, phase % stride :: stride] = 1
    values = F.gelu(repeated * mask)
    for following in later:
        following_conv = following if isinstance(following, torch.nn.Conv2d) else following.conv
        side = following_conv.kernel_size[0]
        values = F.conv2d(values, torch.full((1, 1, side, side), 1 / side**2), padding=side // 2)
        if following is not later[-1]:
            values = F.gelu(F.interpolate(values, scale_factor=following.stride, mode="nearest"))
    return values[0, 0]


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
