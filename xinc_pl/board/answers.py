"""What the tab is told: frozen dataclasses of numbers, words and arrays, which ``packing`` makes bytes of."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RunList:
    """Runs that have recordings.

    Attributes:
        runs: Their names, as TensorBoard has them.
        num_listed: How many runs TensorBoard lists, with recordings or without.
        logdir: Where they lie.
    """

    runs: tuple[str, ...]
    num_listed: int
    logdir: str


@dataclass(frozen=True)
class EpochFacts:
    """A recorded moment.

    Attributes:
        epoch: Completed epochs.
        step: Of the training.
        psnr: Of each recorded frame, in dB; None where unknown.
    """

    epoch: int
    step: int | None
    psnr: tuple[float | None, ...]


@dataclass(frozen=True)
class RunFacts:
    """What a run has.

    Attributes:
        name: As TensorBoard has it.
        epochs: Recorded moments, in their order.
        frames: Indices of the recorded frames.
        frame_names: What they are called; may be empty.
    """

    name: str
    epochs: tuple[EpochFacts, ...]
    frames: tuple[int, ...]
    frame_names: tuple[str, ...]


@dataclass(frozen=True)
class LayerFacts:
    """A layer of a canvas.

    Attributes:
        name: Its name.
        num_neurons: How many neurons it has.
        neuron_shape: Their number along each axis of an index.
        completeness_error: The largest relative error that the self-check has found.
    """

    name: str
    num_neurons: int
    neuron_shape: tuple[int, ...]
    completeness_error: float


@dataclass(frozen=True)
class CanvasFacts:
    """A canvas.

    Attributes:
        layers: Input side first.
        skipped: Layers that are left out, with the reason.
        unit: What a map's values are counted in: the image's brightness, or what the layer returns.
    """

    layers: tuple[LayerFacts, ...]
    skipped: Mapping[str, str]
    unit: str


@dataclass(frozen=True)
class InstanceFacts:
    """An instance of a frame.

    Attributes:
        position: In the frame's list.
        name: Its category, and its number where several share it.
        num_pixels: That are visible.
    """

    position: int
    name: str
    num_pixels: int


@dataclass(frozen=True, eq=False)
class Pictures:
    """A frame at an epoch.

    Attributes:
        target: float32 (C, H, W); None where unknown.
        reconstruction: float32 (C, H, W) in [0, 1].
        psnr: In dB; None without a target.
        instances: What is in the frame.
        positions: int32 (H, W), which instance a pixel belongs to, by position, the smallest of several; -1 for none.
    """

    target: Array | None
    reconstruction: Array
    psnr: float | None
    instances: tuple[InstanceFacts, ...]
    positions: Array


@dataclass(frozen=True, eq=False)
class TopNeurons:
    """The neurons of a layer that come first by some order at some pixels.

    Attributes:
        layer: Its name.
        by: The order: what was asked for, or ``magnitude`` where there is no epoch before.
        num_neurons: How many neurons it has.
        neurons: Their indices.
        labels: Their names.
        values: The mean of their magnitude over the pixels.
        signed: The mean of their signed map there.
        shares: Of all that the layer's neurons add up to there.
        means: The mean of their magnitude over the whole image.
        within: Which part of all their magnitude lies in these pixels.
        total: Of the layer there: the sum over all neurons of the mean magnitude.
        num_selected: How many pixels were chosen.
        num_pixels: How many of them were looked at.
        maps: float32 (k, h, w), the signed maps, small: each value is the mean of a square of pixels.
        largest: The largest magnitude in these.
        group_sizes: How many neurons of the layer are in the group of each; None unless the order is by group.
    """

    layer: str
    by: str
    num_neurons: int
    neurons: tuple[int, ...]
    labels: tuple[str, ...]
    values: tuple[float, ...]
    signed: tuple[float, ...]
    shares: tuple[float, ...]
    means: tuple[float, ...]
    within: tuple[float, ...]
    total: float
    num_selected: int
    num_pixels: int
    maps: Array
    largest: float
    group_sizes: tuple[int, ...] | None


@dataclass(frozen=True)
class Changes:
    """What became of neurons since the recorded epoch before, and which of them paint alike.

    Attributes:
        before: That epoch; None where there is none.
        changes: The mean of the map's absolute change over the pixels; None where there is no epoch before.
        groups: A number for each neuron: those with the same one have maps that look alike.
    """

    before: int | None
    changes: tuple[float, ...] | None
    groups: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Maps:
    """Signed contribution maps.

    Attributes:
        maps: float32 (n, h, w).
        means: The mean magnitude of each over the whole image.
        largest: The largest magnitude of each.
    """

    maps: Array
    means: tuple[float, ...]
    largest: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class NeuronFacts:
    """A neuron, and what it adds to each output of the network.

    Attributes:
        label: Its name.
        weights: float32 (rows, columns): a kernel, or one row.
        num_weights: How many there are; a row is cut where there are very many.
        outputs: float32 (C, H, W), its effect on each channel of the image, to first order.
    """

    label: str
    weights: Array
    num_weights: int
    outputs: Array


@dataclass(frozen=True, eq=False)
class Without:
    """The image without some neurons.

    Attributes:
        image: float32 (C, H, W) in [0, 1].
        psnr: In dB, of it; None where it is exact.
        intact: In dB, of the image with all neurons; None where it is exact, or there is no target.
        has_target: Whether these are against the target. If not, ``psnr`` is against the image with all neurons.
    """

    image: Array
    psnr: float | None
    intact: float | None
    has_target: bool


@dataclass(frozen=True)
class MatchedNeuron:
    """A neuron, and the one of another run that is matched to it. Where there is none, all the rest is None.

    Attributes:
        neuron: Of the first run.
        match: Of the second run.
        similarity: Pearson's correlation of the two, over the clusters of ``vectors``.
        source: The run that TensorBoard lists the comparison as.
        epochs: At which the two runs were compared.
        frame: Index of the frame on which.
        convention: The formulas followed.
        vectors: The partition whose clusters neurons were compared by.
        kind: ``other_seed`` or ``other_signal``.
        is_trivial: Whether both runs have one encoding, so that the match says nothing.
    """

    neuron: int
    match: int | None = None
    similarity: float | None = None
    source: str | None = None
    epochs: tuple[int, int] | None = None
    frame: int | None = None
    convention: str | None = None
    vectors: str | None = None
    kind: str | None = None
    is_trivial: bool | None = None


@dataclass(frozen=True)
class Matches:
    """Neurons of one run, and those of another that are matched to them.

    Attributes:
        neurons: One for each that was asked about.
        why: Why some have no match, and how they get one: one line; None where all have.
        remarks: A line for each file of pairs that is damaged.
    """

    neurons: tuple[MatchedNeuron, ...]
    why: str | None
    remarks: tuple[str, ...]
