"""Maps of some neurons over the whole image, as pictures and the self-check ask for them."""

from collections.abc import Callable

import torch
from torch import Tensor

from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.maps.threads import in_threads
from xinc_pl.canvas.rules.rule import ContributionRule

MakeMaps = Callable[[MapGroup, Tensor], Tensor]
"""Makes maps of some neurons of a group, (m, R, C): ``signed_maps``, or ``MapGroup.magnitudes``."""


def signed_maps(group: MapGroup, neurons: Tensor) -> Tensor:
    """A group's signed maps."""
    return group.signed(neurons)


def collected(rule: ContributionRule, neurons: Tensor, make: MakeMaps, num_threads: int = 1) -> Tensor:
    """What ``make`` gives for some neurons, in their order: float32 (n, H, W)."""
    maps = torch.empty(len(neurons), *rule.size, device=neurons.device)
    if tiles := rule.tiles():
        for tile in tiles:
            tile.crop(maps)[...] = collected(rule.within(tile), neurons, make, num_threads)
        return maps
    places = torch.empty(rule.num_neurons, dtype=torch.int64, device=neurons.device)
    places[neurons] = torch.arange(len(neurons), device=neurons.device)

    def write(item: tuple[MapGroup, Tensor]) -> None:
        group, part = item
        rule.backend.spread(make(group, part), group, maps, places[part])

    parts = ((group, part) for group in rule.groups(neurons) for part in group.parts())
    if num_threads > 1:
        in_threads(write, list(parts), num_threads)
    else:
        for item in parts:
            write(item)
    return maps
