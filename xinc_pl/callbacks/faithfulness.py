"""Do contributions tell what neurons do, and which of them could go?"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.faithfulness import Agreement, agreements, contributions
from xinc_pl.analysis.removal import RemovalCurve, random_removal_curve, removal_curve
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import CONVENTIONS, Convention, DissectionError

ALL_LAYERS = "all_layers"


class Faithfulness(XINCCallback):
    """Takes neurons away and compares what happens with their contributions, under several conventions side by side.

    Of a sample of each layer's neurons every one is taken away alone: do those matter that contribute much, and where
    they do? Then ever more neurons are taken away together, the largest contributions first, or the smallest (as
    pruning does), within each layer and over all layers at once: what is left of the image? Beside these stand a random
    order and that of the weights' magnitudes. Logs, of the first frame, the picture
    ``xinc/faithfulness/all_layers/faithfulness`` and the scalars below.

    A convention that cannot dissect the network is left out, with a line that says so. What is lost is measured against
    the frame's target, or where there is none against what the network returns.

    Args:
        num_neurons: How many neurons of each layer are taken away one by one.
        conventions: Which of ``paper``, ``released`` and ``effect`` to compare. All by default.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "faithfulness": "per layer: both correlations up to now, and PSNR by the share of neurons taken away, those "
        "first that contribute most, or least",
        "<convention>/rank_correlation": "over sampled neurons, Spearman's, between the contribution and the squared "
        "change of the output without the neuron: 1 for the same order, 0 for no relation",
        "<convention>/spatial_correlation": "median over sampled neurons, over pixels, between the map and the "
        "absolute change of the output",
        "<convention>/spatial_correlation_control": "the same with the change that another neuron makes",
        "<convention>/blind": "sampled neurons that change the output, though their map is zero everywhere",
        "<order>/deletion": "dB lost without the first 1 to 50 % of the neurons, mean: the larger the better the order "
        "(paper, released, effect, magnitude of the weights, random)",
        "<order>/pruning": "dB lost without the last 1 to 50 % of the neurons, mean: the smaller the better the order",
    }

    def __init__(self, num_neurons: int = 64, conventions: list[Convention] | None = None, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        # What neurons do is found out by the recording of this convention, which needs no chain of layers.
        super().__init__(convention="effect", **kwargs)
        check_whole("Faithfulness", "num_neurons", num_neurons, 2)
        wanted = CONVENTIONS if conventions is None else conventions
        unknown = [each for each in wanted if each not in CONVENTIONS]
        if unknown or not wanted:
            raise ValueError(f"Faithfulness: conventions is {conventions!r}; choose from {', '.join(CONVENTIONS)}")
        self.num_neurons = num_neurons
        self.conventions = tuple(each for each in CONVENTIONS if each in wanted)
        self._agreements: dict[int, list[Agreement]] = {}
        self._refused: set[Convention] = set()

    @property
    def follows(self) -> bool:
        """Its pictures go on from those of the moment before."""
        return True

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Both correlations, for each layer."""
        return {
            f"{what.replace('_', ' ')}, {layer}": [f"{layer}/[a-z]+/{what}"]
            for layer in layers
            for what in ("rank_correlation", "spatial_correlation")
        }

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Look at every layer of the first frame, and at all of them together."""
        from xinc_pl.plots.faithfulness import draw_faithfulness

        effect = frames[0]
        others = self._under_conventions(effect)
        found = [each for layer in layers for each in self._agreements_of(effect, others, layer)]
        self._agreements[outputs.epoch] = found
        curves = self._curves(effect, others, layers)
        for each in found:
            outputs.scalars(each.layer, _finite(_agreement_scalars(each)))
        for layer, of_layer in curves.items():
            for curve in of_layer:
                values = {"deletion": curve.deletion, "pruning": curve.pruning}
                outputs.scalars(layer, {f"{curve.order}/{key}": value for key, value in values.items()})
        outputs.arrays(ALL_LAYERS, "faithfulness", _curve_arrays(curves))
        picture = draw_faithfulness(self._agreements, curves, epoch=outputs.epoch, quality=effect.quality)
        outputs.image(ALL_LAYERS, "faithfulness", picture)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on with its curves."""
        return {
            "agreements": {epoch: [_as_row(each) for each in found] for epoch, found in self._agreements.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the interrupted run has stopped."""
        self._agreements = {
            epoch: [Agreement(*row) for row in rows] for epoch, rows in state_dict["agreements"].items()
        }

    def _under_conventions(self, effect: DissectedFrame) -> dict[Convention, DissectedFrame]:
        """The frame under each convention that can dissect its network."""
        possible = {}
        for convention in self.conventions:
            frame = effect.under(convention)
            try:
                len(frame.canvas)
            except DissectionError as error:
                if convention not in self._refused:
                    rank_zero_info(f"Faithfulness: the convention {convention} is left out: {error}")
                self._refused.add(convention)
                continue
            possible[convention] = frame
        return possible

    def _agreements_of(
        self, effect: DissectedFrame, others: Mapping[Convention, DissectedFrame], layer: str
    ) -> list[Agreement]:
        canvases = {convention: frame.canvas[layer] for convention, frame in others.items() if layer in frame.canvas}
        neurons = sample_neurons(effect.canvas[layer].num_neurons, self.num_neurons, self.seed)
        return agreements(effect.canvas, canvases, layer, torch.from_numpy(neurons))

    def _curves(
        self, effect: DissectedFrame, others: Mapping[Convention, DissectedFrame], layers: Sequence[str]
    ) -> dict[str, list[RemovalCurve]]:
        """For each layer, and for all of them at once, what is left by the order of removal."""
        orders: dict[str, dict[str, Tensor]] = {}
        for convention, frame in others.items():
            if all(layer in frame.canvas for layer in layers):
                orders[convention] = {layer: contributions(frame.canvas[layer]) for layer in layers}
        orders["magnitude"] = {layer: effect.canvas.removal.weight_norms(layer).cpu() for layer in layers}
        target = effect.canvas.removal.image.clamp(0, 1) if effect.frame.target is None else effect.frame.target
        curves = {}
        for name, together in [*((layer, [layer]) for layer in layers), (ALL_LAYERS, layers)]:
            curves[name] = [
                removal_curve(effect.canvas, {layer: scores[layer] for layer in together}, order, target)
                for order, scores in orders.items()
            ]
            sizes = {layer: effect.canvas[layer].num_neurons for layer in together}
            curves[name].append(random_removal_curve(effect.canvas, sizes, target, self.seed))
        return curves


def _agreement_scalars(agreement: Agreement) -> dict[str, float]:
    values = {
        "rank_correlation": agreement.rank_correlation,
        "spatial_correlation": agreement.spatial_correlation,
        "spatial_correlation_control": agreement.spatial_control,
        "blind": agreement.num_blind,
    }
    return {f"{agreement.convention}/{key}": value for key, value in values.items()}


def _curve_arrays(curves: Mapping[str, Sequence[RemovalCurve]]) -> dict[str, tuple[float, ...]]:
    """PSNR by share, for ``head.effect.first`` and so on."""
    arrays = {"shares": next(iter(curves.values()))[0].shares}
    for layer, of_layer in curves.items():
        for curve in of_layer:
            arrays |= {f"{layer}.{curve.order}.first": curve.first, f"{layer}.{curve.order}.last": curve.last}
    return arrays


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _as_row(agreement: Agreement) -> tuple[Any, ...]:
    return (
        agreement.layer,
        agreement.convention,
        agreement.rank_correlation,
        agreement.spatial_correlation,
        agreement.spatial_control,
        agreement.num_neurons,
        agreement.num_blind,
    )
