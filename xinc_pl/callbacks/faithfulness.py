"""Do contributions tell what neurons do, and which of them could go?"""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from xinc_pl.analysis.bootstrap import Estimate
from xinc_pl.analysis.canvas_sample import sample_neurons
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.faithfulness import Agreement, agreements
from xinc_pl.analysis.removal import Judges, RemovalCurve, removal_curves
from xinc_pl.analysis.removal_orders import Candidates, Evidence, evidence_of
from xinc_pl.arguments import check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.canvas import CONVENTIONS, Convention, DissectionError

ALL_LAYERS = "all_layers"
_NUM_FRAMES = 4


class Faithfulness(XINCCallback):
    """Takes neurons away and compares what happens with their contributions, under several conventions side by side.

    Of a sample of each layer's neurons every one is taken away alone: do those matter that contribute much, and where
    they do? Squares are held against squares, absolute values against absolute values; intervals are about other
    samples of neurons. Then ever more neurons are taken away together, those first that an order says matter least,
    within each layer and over all layers at once: what is lost? The orders: what neurons change together to first order
    (``gram``: at each step the neuron that adds least), also where what they add on average stays in the bias
    (``gram_mean``); each one's own contributions under each convention (``effect`` and the others: squares;
    ``effect_l1``: absolute values); input times weights (``rms_times_norm``) and the weights' magnitudes, both over
    their layer's mean; plain magnitude; and random ones.

    Logs the picture ``xinc/faithfulness/all_layers/faithfulness`` and the scalars below, each about all ``frames``: of
    a video four evenly spaced ones, if nothing else is said. A convention that cannot dissect the network is left out,
    with a line that says so. What is lost is measured against the frames' targets, or where there is none against what
    the network returns.

    Args:
        num_neurons: How many neurons of each layer are taken away one by one.
        num_candidates: How many neurons of each layer may be among those that are taken away together: a seeded sample
            of a larger layer, the same for all orders. Where they are a small part of it, little is lost by any order:
            give more, up to some 4,000 over all layers; time grows with the square of that.
        conventions: Which of ``paper``, ``released`` and ``effect`` to compare. All by default.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "faithfulness": "per layer: both correlations up to now, with 95 % intervals over neurons, and dB lost by the "
        "share of neurons taken away, those first that an order says matter least",
        "<convention>/rank_correlation": "over sampled neurons, Spearman's, between the sum of squared contributions "
        "and the squared change of the output without the neuron: 1 for the same order, 0 for no relation",
        "<convention>/spatial_correlation": "median over sampled neurons, over pixels, between the map's magnitude and "
        "the absolute change of the output; mean over the frames",
        "<convention>/spatial_correlation_control": "the same with the change that another neuron makes",
        "<convention>/blind": "sampled neurons that change the output, though their maps are zero everywhere",
        "<order>/pruning": "dB lost without the 1 to 50 % of the neurons that go first, mean: the smaller the better "
        "the order",
    }

    def __init__(
        self,
        num_neurons: int = 64,
        num_candidates: int = 256,
        conventions: list[Convention] | None = None,
        **kwargs: Any,  # noqa: ANN401 - the command line looks them up
    ) -> None:
        # What neurons do is found out by the recording of this convention, which needs no chain of layers.
        super().__init__(convention="effect", **kwargs)
        check_whole("Faithfulness", "num_neurons", num_neurons, 2)
        check_whole("Faithfulness", "num_candidates", num_candidates, 2)
        wanted = CONVENTIONS if conventions is None else conventions
        unknown = [each for each in wanted if each not in CONVENTIONS]
        if unknown or not wanted:
            raise ValueError(f"Faithfulness: conventions is {conventions!r}; choose from {', '.join(CONVENTIONS)}")
        self.num_neurons = num_neurons
        self.num_candidates = num_candidates
        self.conventions = tuple(each for each in CONVENTIONS if each in wanted)
        self._agreements: dict[int, list[Agreement]] = {}
        self._refused: set[Convention] = set()

    @property
    def follows(self) -> bool:
        """Its pictures go on from those of the moment before."""
        return True

    def choose_frames(self, indices: Sequence[int] | None, num_frames: int | None) -> Sequence[int]:
        """Four evenly spaced frames of a video."""
        if indices is not None or num_frames is None or num_frames <= 1:
            return super().choose_frames(indices, num_frames)
        number = min(_NUM_FRAMES, num_frames)
        return [round(place * (num_frames - 1) / (number - 1)) for place in range(number)]

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Both correlations, for each layer."""
        return {
            f"{what.replace('_', ' ')}, {layer}": [f"{layer}/[a-z]+/{what}"]
            for layer in layers
            for what in ("rank_correlation", "spatial_correlation")
        }

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Look at every layer, and at all of them together."""
        from xinc_pl.plots.faithfulness import draw_faithfulness

        others = self._under_conventions(frames)
        found = [each for layer in layers for each in self._agreements_of(frames, others, layer)]
        self._agreements[outputs.epoch] = found
        evidence = self._evidence(frames, others, layers)
        curves = self._curves(frames, evidence, layers)
        for agreement in found:
            outputs.scalars(agreement.layer, _finite(_agreement_scalars(agreement)))
        for layer, of_layer in curves.items():
            outputs.scalars(layer, {f"{curve.order}/pruning": curve.mean_lost for curve in of_layer})
        outputs.arrays(ALL_LAYERS, "faithfulness", _agreement_arrays(found) | _curve_arrays(curves))
        sizes = {
            layer: (len(own), frames[0].canvas[layer].num_neurons) for layer, own in evidence.candidates.neurons.items()
        }
        shown = [(each.frame.index, each.psnr) for each in frames]
        picture = partial(draw_faithfulness, self._agreements, curves, sizes, epoch=outputs.epoch, frames=shown)
        outputs.image(ALL_LAYERS, "faithfulness", picture)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to go on with its curves."""
        return {
            "agreements": {epoch: [_as_row(each) for each in found] for epoch, found in self._agreements.items()},
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the interrupted run has stopped."""
        self._agreements = {epoch: [_from_row(row) for row in rows] for epoch, rows in state_dict["agreements"].items()}

    def _under_conventions(self, effects: Sequence[DissectedFrame]) -> dict[Convention, list[DissectedFrame]]:
        """The frames under each convention that can dissect their network."""
        possible = {}
        for convention in self.conventions:
            frames = [effect.under(convention) for effect in effects]
            try:
                for frame in frames:
                    len(frame.canvas)
            except DissectionError as error:
                if convention not in self._refused:
                    rank_zero_info(f"Faithfulness: the convention {convention} is left out: {error}")
                self._refused.add(convention)
                continue
            possible[convention] = frames
        return possible

    def _agreements_of(
        self,
        effects: Sequence[DissectedFrame],
        others: Mapping[Convention, Sequence[DissectedFrame]],
        layer: str,
    ) -> list[Agreement]:
        canvases = {
            convention: [frame.canvas[layer] for frame in frames]
            for convention, frames in others.items()
            if layer in frames[0].canvas
        }
        number = effects[0].canvas[layer].num_neurons
        neurons = torch.from_numpy(sample_neurons(number, self.num_neurons, self.seed))
        return agreements([effect.canvas for effect in effects], canvases, layer, neurons, self.seed)

    def _evidence(
        self,
        effects: Sequence[DissectedFrame],
        others: Mapping[Convention, Sequence[DissectedFrame]],
        layers: Sequence[str],
    ) -> Evidence:
        sizes = {layer: effects[0].canvas[layer].num_neurons for layer in layers}
        neurons = {
            layer: torch.from_numpy(sample_neurons(number, self.num_candidates, self.seed))
            for layer, number in sizes.items()
        }
        known = {
            convention: [frame.canvas for frame in frames]
            for convention, frames in others.items()
            if all(layer in frames[0].canvas for layer in layers)
        }
        return evidence_of([effect.canvas for effect in effects], known, Candidates(neurons))

    def _curves(
        self, effects: Sequence[DissectedFrame], evidence: Evidence, layers: Sequence[str]
    ) -> dict[str, list[RemovalCurve]]:
        """For each layer, and for all of them at once, what is left by the order of removal."""
        targets = [
            effect.canvas.removal.image.clamp(0, 1) if effect.frame.target is None else effect.frame.target
            for effect in effects
        ]
        judges = Judges([effect.canvas for effect in effects], targets)
        groups = {**{layer: [layer] for layer in layers}, ALL_LAYERS: list(layers)}
        return {name: removal_curves(judges, evidence, some, self.seed) for name, some in groups.items()}


def _agreement_scalars(agreement: Agreement) -> dict[str, float]:
    values = {
        "rank_correlation": agreement.rank_correlation.value,
        "spatial_correlation": agreement.spatial_correlation.value,
        "spatial_correlation_control": agreement.spatial_control.value,
        "blind": agreement.num_blind,
    }
    return {f"{agreement.convention}/{key}": value for key, value in values.items()}


def _agreement_arrays(found: Sequence[Agreement]) -> dict[str, tuple[float, ...]]:
    """Value and interval, for ``head.effect.rank_correlation`` and so on."""
    arrays: dict[str, tuple[float, ...]] = {}
    for each in found:
        for what in ("rank_correlation", "spatial_correlation", "spatial_control"):
            estimate: Estimate = getattr(each, what)
            arrays[f"{each.layer}.{each.convention}.{what}"] = (estimate.value, estimate.low, estimate.high)
    return arrays


def _curve_arrays(curves: Mapping[str, Sequence[RemovalCurve]]) -> dict[str, tuple[float, ...]]:
    """DB lost by share, for ``head.gram.lost`` and so on."""
    arrays = {"shares": next(iter(curves.values()))[0].shares}
    for layer, of_layer in curves.items():
        arrays |= {f"{layer}.{curve.order}.lost": curve.lost for curve in of_layer}
    return arrays


def _finite(values: Mapping[str, float]) -> dict[str, float]:
    return {key: value for key, value in values.items() if math.isfinite(value)}


def _as_row(agreement: Agreement) -> tuple[Any, ...]:
    """Plain numbers and words: nothing in a checkpoint is of a class of this package."""
    estimates = (agreement.rank_correlation, agreement.spatial_correlation, agreement.spatial_control)
    numbers = [(each.value, each.low, each.high) for each in estimates]
    return (agreement.layer, agreement.convention, *numbers, agreement.num_neurons, agreement.num_blind)


def _from_row(row: Sequence[Any]) -> Agreement:
    layer, convention, *numbers, num_neurons, num_blind = row
    rank, spatial, control = (Estimate(*each) for each in numbers)
    return Agreement(layer, convention, rank, spatial, control, num_neurons, num_blind)
