"""How much of the output neurons change together, to first order: the Gram matrix of their maps.

Maps of the convention ``effect`` add up. So the squared change of the output without a set S of neurons is, to first
order, the sum over S x S of G_ij = sum over outputs c and pixels p of M_i(c, p) M_j(c, p).
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from xinc_pl.canvas.effect.ablation import indices_of
from xinc_pl.canvas.effect.effect import EffectRule
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.undisturbed import undisturbed

MOST_VALUES = 1 << 27
"""Of maps that are held at the same time: 512 MiB of float32."""
_EXACT = 1 << 13
"""So many products are added up in the precision of maps before they go to float64."""


class Gram:
    """The Gram matrix of neurons' maps on one frame.

    Args:
        rules: Of the layers, by name.
    """

    def __init__(self, rules: Mapping[str, EffectRule]) -> None:
        self._rules = dict(rules)

    def __call__(
        self,
        neurons: Mapping[str, Sequence[int] | Tensor],
        means: Mapping[str, Tensor] | None = None,
        most_values: int = MOST_VALUES,
    ) -> Tensor:
        """See ``Canvas.gram``. No more than ``most_values`` of maps, or one row of each, are held at the same time."""
        rules = [self._rule(name) for name in neurons]
        with undisturbed():
            chosen = [indices_of(rule.layer, each) for rule, each in zip(rules, neurons.values(), strict=True)]
            kept = [
                None if means is None else means[name].to(own.device) for name, own in zip(neurons, chosen, strict=True)
            ]
            number = sum(map(len, chosen))
            if not number:
                return torch.zeros(0, 0, dtype=torch.float64)
            height, width = rules[0].size
            num_outputs = len(rules[0].by_pixel.recording.image)
            num_rows = min(max(most_values // (number * num_outputs * width), 1), height)
            total = torch.zeros(number, number, dtype=torch.float64, device=chosen[0].device)
            for top in range(0, height, num_rows):
                window = Window((top, min(top + num_rows, height)), (0, width))
                total += _products(_maps_in(window, rules, chosen, kept))
        return total.cpu()

    def _rule(self, name: str) -> EffectRule:
        if name not in self._rules:
            raise ValueError(f"there is no layer {name!r}; there are {', '.join(self._rules)}")
        return self._rules[name]


def _maps_in(
    window: Window, rules: Sequence[EffectRule], neurons: Sequence[Tensor], means: Sequence[Tensor | None]
) -> Tensor:
    """The maps of all neurons per output, within a window: (N, C * pixels)."""
    maps: Tensor | None = None
    start = 0
    for rule, own, kept in zip(rules, neurons, means, strict=True):
        within = rule.within(window) if window.size != rule.size else rule
        # Where the layer does not know how to look at some pixels alone, whole maps are cut.
        part = within if isinstance(within, EffectRule) else rule
        for places, made in part.outputs(own, kept):
            values = (made if part is within else window.crop(made)).flatten(1)
            if maps is None:
                maps = values.new_empty(sum(map(len, neurons)), values.shape[1])
            maps[start + places] = values
        start += len(own)
    assert maps is not None, "there are neurons"
    return maps


def _products(maps: Tensor) -> Tensor:
    total = torch.zeros(len(maps), len(maps), dtype=torch.float64, device=maps.device)
    for part in maps.split(_EXACT, 1):
        total += part @ part.T
    return total
