"""The implicit neural canvas of one frame."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from types import MappingProxyType

from torch import Tensor

from xinc_pl.canvas.effect.gram import Gram
from xinc_pl.canvas.effect.removal import Removal
from xinc_pl.canvas.layer_canvas import LayerCanvas
from xinc_pl.canvas.mosaic import as_picture, picture_tag, table
from xinc_pl.canvas.recording.recording import Recording
from xinc_pl.canvas.rules.rule import Convention


class Canvas(Mapping[str, LayerCanvas]):
    """The implicit neural canvas of one frame: a mapping from layer name to its canvas, input side first.

    Attributes:
        recording: What it was made from.
        skipped: Layers that are left out, with the reason.
        convention: The formulas followed.
        main_layers: Names of the layers that form a chain up to the image, so that each neuron has its place in it; of
            all layers where there is no chain. A stem that makes pixels of one vector is not among them.
    """

    def __init__(
        self,
        layers: Mapping[str, LayerCanvas],
        recording: Recording,
        skipped: Mapping[str, str],
        convention: Convention,
        removal: Removal | None = None,
        main_layers: Sequence[str] = (),
        gram: Gram | None = None,
    ) -> None:
        self._layers = dict(layers)
        self._removal = removal
        self._gram = gram
        self.recording = recording
        self.skipped = MappingProxyType(dict(skipped))
        self.convention = convention
        self.main_layers = tuple(name for name in layers if name in main_layers) or tuple(layers)

    @property
    def output(self) -> Tensor:
        """What of the network's results is the image, detached, as it came."""
        return self.recording.output.detach()

    @property
    def image(self) -> Tensor:
        """The image that the network shows: (C, H, W)."""
        return self.recording.image.detach()

    @property
    def removal(self) -> Removal:
        """The network without some of its neurons.

        Raises:
            ValueError: The convention is another than ``effect``.
        """
        if self._removal is None:
            raise ValueError(
                f"neurons can be removed where the convention is effect; this canvas follows {self.convention}"
            )
        return self._removal

    def gram(self, neurons: Mapping[str, Sequence[int] | Tensor], means: Mapping[str, Tensor] | None = None) -> Tensor:
        """What neurons change together, to first order: G_ij = sum over outputs and pixels of M_i M_j.

        The squared change of the output without a set of neurons is about the sum of G over it. Of several frames, the
        matrices add up. Memory beyond the matrix is bounded; time grows with the square of the number of neurons.

        Args:
            neurons: Indices of the neurons, by layer: some 4,000 of all layers, or a sample of more.
            means: For mean ablation: what biases add in the place of each neuron, by layer, as ``removal.means`` gives
                it. M_i is then the derivative along the term less this.

        Returns:
            float64 (n, n) on the CPU, in the order of the neurons, layer by layer.

        Raises:
            ValueError: There is no such layer or neuron; or the convention is another than ``effect``.
        """
        if self._gram is None:
            raise ValueError(f"maps add up where the convention is effect; this canvas follows {self.convention}")
        return self._gram(neurons, means)

    def __getitem__(self, name: str) -> LayerCanvas:
        if name not in self._layers:
            raise KeyError(f"there is no layer {name!r}; there are {', '.join(self._layers)}")
        return self._layers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._layers)

    def __len__(self) -> int:
        return len(self._layers)

    def _repr_html_(self) -> str:
        """What a notebook shows: the image, maps of a few neurons of each layer, and what is left out."""
        size = self.image.shape
        rows = [
            (
                f"image, {size[1]} x {size[2]}, convention {self.convention}",
                picture_tag(as_picture(self.image), "what the network shows"),
            ),
            *((layer.words(), layer.small_maps()) for layer in self._layers.values()),
            *((f"{name}: left out", escape(reason)) for name, reason in self.skipped.items()),
        ]
        return table(rows)

    def __repr__(self) -> str:
        return f"Canvas({', '.join(f'{layer.name}: {layer.num_neurons}' for layer in self._layers.values())})"
