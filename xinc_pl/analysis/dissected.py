"""A frame and its canvas at one moment of the training, shared by all who ask for it."""

from collections.abc import Callable, Iterable
from contextlib import nullcontext, suppress
from functools import cached_property
from typing import Any

from torch import Tensor, nn

from xinc_pl.analysis.partitions import Partition, PartitionUnavailableError, labels_of
from xinc_pl.analysis.request import EVERY_NEURON, Request, Sample
from xinc_pl.canvas import Canvas, Convention, LayerStatistics, LayerTotals, Recording, record
from xinc_pl.canvas.maps.threads import one_torch_thread
from xinc_pl.frames import Frame, psnr_from_mse

Output = list[int | str] | int | str | Callable[..., Any] | None
"""Where the image is in what a network returns: a key, an index, a path of them, a function; None: it is the image."""


_NAME_LENGTH = 24
"""Longer names of frames are cut in titles."""


class FramePartitions:
    """The partitions of all frames, each computed once and kept for the whole training.

    Args:
        tell: Takes a line about a partition that a frame does not allow; nobody is told otherwise.
    """

    def __init__(self, tell: Callable[[str], None] | None = None) -> None:
        self._tell = tell
        self._known: dict[tuple[int, Partition], Tensor | Exception] = {}
        self._frames: dict[int, Frame] = {}

    def labels(self, frame: Frame, partition: Partition) -> Tensor:
        """The clusters of a partition in a frame, as ``labels_of`` gives them, on the CPU.

        Raises:
            PartitionUnavailableError: The frame does not allow it.
            Exception: Whatever went wrong when it was first asked for.
        """
        self._frames[id(frame)] = frame  # so that the number stays this frame's
        key = (id(frame), partition)
        if key not in self._known:
            try:
                self._known[key] = labels_of(partition, frame)
            except Exception as error:
                self._known[key] = error
                if self._tell is not None and isinstance(error, PartitionUnavailableError) and not partition.shuffled:
                    self._tell(f"The partition {partition.name} is left out: {error}")
        known = self._known[key]
        if isinstance(known, Exception):
            raise known
        return known


class DissectedFrame:
    """A frame and its canvas; everything is computed when it is first asked for, and then kept.

    Args:
        frame: The frame.
        network: The network that shows it; or what was recorded of one.
        convention: The formulas to follow.
        requests: What all callbacks that share it want to know of whole layers.
        partitions: Remembers the frames' partitions.
        share: Finds the same frame's dissection under another convention, where several callbacks share them.
        output: Where the image is in what the network returns.
    """

    def __init__(
        self,
        frame: Frame,
        network: nn.Module | Recording,
        convention: Convention,
        requests: Iterable[Request] = (),
        partitions: FramePartitions | None = None,
        share: Callable[[Convention], "DissectedFrame"] | None = None,
        output: Output = None,
    ) -> None:
        self.frame = frame
        self._network = network
        self.convention: Convention = convention
        self._requests = tuple(requests)
        self._partitions = partitions or FramePartitions()
        self._share = share
        self._output: Output = output
        self._statistics: dict[tuple[str, Sample], LayerStatistics] = {}
        self._totals: dict[tuple[str, Sample], LayerTotals] = {}

    @property
    def network(self) -> nn.Module | None:
        """The network itself, as it is now; None where only what it computed is known."""
        return None if isinstance(self._network, Recording) else self._network

    @cached_property
    def recording(self) -> Recording:
        """What the network computes to show the frame."""
        if isinstance(self._network, Recording):
            return self._network
        return record(self._network, self.frame.inputs, size=self.frame.size, output=self._output)

    @cached_property
    def canvas(self) -> Canvas:
        """The frame's canvas."""
        recording = self.recording
        # Many small steps: with several threads they mostly wait for each other, the more so where others are at work.
        steps_are_small = self.convention != "effect" and recording.device.type == "cpu"
        with one_torch_thread() if steps_are_small else nullcontext():
            return recording.dissect(convention=self.convention)

    @cached_property
    def reconstruction(self) -> Tensor:
        """What the network makes of the frame: float32 (C, H, W) in [0, 1], on the CPU."""
        return self.recording.image.detach().float().cpu().clamp(0, 1)

    @cached_property
    def psnr(self) -> float | None:
        """PSNR of the reconstruction in dB; None without a target.

        Raises:
            ValueError: The target has another number of channels.
        """
        if self.frame.target is None:
            return None
        self.check_channels()
        error = (self.reconstruction - self.frame.target.float().cpu()).double().square().mean()
        return float(psnr_from_mse(error))

    @property
    def quality(self) -> str:
        """Which frame this is and how good its reconstruction, if that is known: ``collage 7: 28.31 dB``."""
        name = self.frame.name or f"frame {self.frame.index}"
        name = name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"
        return name if self.psnr is None else f"{name}: {self.psnr:.2f} dB"

    def check_channels(self) -> None:
        """Insist that the network makes as many channels as the target has.

        Raises:
            ValueError: It does not.
        """
        target = self.frame.target
        made = len(self.recording.image)
        if target is not None and len(target) != made:
            raise ValueError(
                f"frame {self.frame.index} has a target of {len(target)} channels, but the network's output has "
                f"{made}; give the target as many as the network makes"
            )

    def under(self, convention: Convention) -> "DissectedFrame":
        """The same frame at the same moment, under another convention."""
        if convention == self.convention:
            return self
        if self._share is not None:
            return self._share(convention)
        return DissectedFrame(
            self.frame, self.recording, convention, self._requests, self._partitions, output=self._output
        )

    def labels(self, partition: Partition) -> Tensor:
        """The clusters of a partition in this frame: labels int64 (H, W) or masks bool (K, H, W).

        Raises:
            PartitionUnavailableError: The frame does not allow it.
        """
        return self._partitions.labels(self.frame, partition)

    def available(self, partitions: Iterable[Partition]) -> tuple[Partition, ...]:
        """Those of some partitions that the frame allows. One that it does not is told of once, in one line."""
        return tuple(each for each in partitions if self._allows(each))

    def totals(self, layer: str, request: Request | None = None) -> LayerTotals:
        """Sums of one layer, and all that has been requested of the same neurons, in as many passes as that takes.

        Partitions are called by their ``key``.

        Args:
            layer: The layer.
            request: What is to be in them, one of those that were given; by default they are about all neurons.
        """
        sample = self._sample(layer, request)
        wanted = self._wanted(layer, sample)
        if (layer, sample) in self._statistics or wanted.masses:
            return self.statistics(layer, request)
        if (layer, sample) not in self._totals:
            canvas = self.canvas[layer]
            self._totals[layer, sample] = canvas.totals(self._labels_of(wanted), canvas.sampled(*sample))
        return self._totals[layer, sample]

    def statistics(self, layer: str, request: Request | None = None) -> LayerStatistics:
        """As ``totals``, and what only a second pass can tell, whether or not it has been requested."""
        sample = self._sample(layer, request)
        if (layer, sample) not in self._statistics:
            canvas, wanted = self.canvas[layer], self._wanted(layer, sample)
            self._statistics[layer, sample] = canvas.statistics(
                self._labels_of(wanted), wanted.masses, canvas.sampled(*sample)
            )
        return self._statistics[layer, sample]

    def _sample(self, layer: str, request: Request | None) -> Sample:
        return EVERY_NEURON if request is None else request.sample(len(self.canvas[layer].sample))

    def _labels_of(self, wanted: Request) -> dict[str, Tensor]:
        """Partitions by their ``key``. One that fails is the trouble of the callback that asks for its labels."""
        found = {}
        for each in wanted.partitions:
            with suppress(Exception):
                found[each.key] = self.labels(each)
        return found

    def _wanted(self, layer: str, sample: Sample) -> Request:
        """All that has been requested of these neurons of a layer."""
        num_neurons = len(self.canvas[layer].sample)
        return Request.united(each for each in self._requests if each.sample(num_neurons) == sample)

    def _allows(self, partition: Partition) -> bool:
        try:
            self.labels(partition)
        except PartitionUnavailableError:
            return False
        return True
