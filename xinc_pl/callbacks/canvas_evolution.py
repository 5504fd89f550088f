"""The canvas over the whole training: drift, births and deaths, all numbers in one figure, and films."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningModule, Trainer
from PIL import Image
from torch import Tensor

from xinc_pl.analysis.canvas_sample import CanvasSample, canvas_sample
from xinc_pl.analysis.channels import as_rgb, noted
from xinc_pl.analysis.evolution import drift, panels_of, population
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.board import board_of
from xinc_pl.callbacks.dissected import DissectedFrame
from xinc_pl.callbacks.history import History
from xinc_pl.callbacks.outputs import Outputs, png_bytes


class CanvasEvolution(XINCCallback):
    """Follows the canvas through the training: how far maps turn, which neurons come alive or die, and films of it.

    Logs, of the first frame: ``xinc/canvas_evolution/<layer>/drift`` and the other quantities in the table below; a
    film of each layer, ``film.gif``, which is complete up to the last dissection at any time; and at the end the figure
    ``xinc/canvas_evolution/all_layers/curves``, with every number that any XINC callback has logged, beside PSNR.

    Args:
        num_neurons: How many neurons of each layer the film and the drift are about; always the same ones.
        milliseconds: How long the film shows each moment.
        **kwargs: When to dissect, what, and how, as for every ``XINCCallback``.
    """

    meanings: ClassVar[Mapping[str, str]] = {
        "drift": "median over sampled neurons of 1 - cosine between the map now and at the dissection before: 0 where "
        "maps only change in strength, 1 where they have nothing in common",
        "alive": "neurons whose map is not zero everywhere",
        "births": "neurons whose map was zero everywhere at the dissection before, and is no more",
        "deaths": "neurons whose map has become zero everywhere since the dissection before",
        "psnr": "of the dissected frame, in dB",
        "film": "how the layer's total and the sampled maps form (at the end of the training)",
        "curves": "every number that XINC has logged, over the epochs (at the end of the training)",
    }

    def __init__(self, num_neurons: int = 16, milliseconds: int = 700, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        if not 1 <= num_neurons <= 64:
            raise ValueError(f"CanvasEvolution: num_neurons is {num_neurons}; it must be from 1 to 64")
        if milliseconds < 20:
            raise ValueError(f"CanvasEvolution: milliseconds is {milliseconds}; no viewer shows less than 20")
        self.num_neurons = num_neurons
        self.milliseconds = milliseconds
        self._films: dict[str, list[Tensor]] = {}
        self._maps: dict[str, Tensor] = {}
        self._zero_maps: dict[str, Tensor] = {}
        self._history = History()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Find network and frames, and the numbers that all callbacks log."""
        super().setup(trainer, pl_module, stage)
        self._history = board_of(trainer).history

    def charts(self, layers: Sequence[str]) -> Mapping[str, Sequence[str]]:
        """Drift and life of all layers."""
        del layers
        return {"drift": [".*/drift"], "alive": [".*/alive"]}

    def analyse(self, frames: Sequence[DissectedFrame], layers: Sequence[str], outputs: Outputs) -> None:
        """Measure every layer of the first frame, and add a picture to its film."""
        dissected = frames[0]
        if dissected.psnr is not None:
            outputs.scalars("frame", {"psnr": dissected.psnr})
        for layer in layers:
            sample = canvas_sample(dissected.canvas[layer], dissected.statistics(layer), self.num_neurons, self.seed)
            outputs.scalars(layer, self._changes(layer, sample, dissected.statistics(layer).zero_map))
            self._add_to_film(layer, sample, dissected, outputs)

    def conclude(self, outputs: Outputs) -> None:
        """Draw all curves; show the films in TensorBoard."""
        from xinc_pl.plots.evolution import draw_evolution

        rows = self._history.rows()
        if not rows:
            return
        # PSNR first: everything else is looked at beside it.
        rows.sort(key=lambda row: (row[0] != self.name, row[2] != "psnr"))
        outputs.image("all_layers", "curves", draw_evolution(panels_of(rows), list(self._films)))
        for layer, film in self._films.items():
            outputs.animation(layer, "film", _gif(film, self.milliseconds))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to end with the same figure and films."""
        return {
            "films": self._films,
            "maps": self._maps,
            "zero_maps": self._zero_maps,
            "history": self._history.rows(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the interrupted run has stopped."""
        self._films = {layer: list(film) for layer, film in state_dict["films"].items()}
        self._maps = dict(state_dict["maps"])
        self._zero_maps = dict(state_dict["zero_maps"])
        self._history.add_rows(state_dict["history"])

    def _changes(self, layer: str, sample: CanvasSample, zero_map: Tensor) -> dict[str, float]:
        """Compare a layer with the dissection before, and remember it for the next."""
        # Half precision keeps checkpoints small; both sides are rounded, so that a resumed run sees the same.
        maps = torch.from_numpy(sample.maps).half()
        counts = population(zero_map, self._zero_maps.get(layer))
        values: dict[str, float] = {"alive": counts.alive, "births": counts.births, "deaths": counts.deaths}
        if layer in self._maps:
            turned = drift(maps, self._maps[layer])
            if not turned.isnan().all():
                values["drift"] = float(turned.nanmedian())
        self._maps[layer], self._zero_maps[layer] = maps, zero_map
        return values

    def _add_to_film(self, layer: str, sample: CanvasSample, dissected: DissectedFrame, outputs: Outputs) -> None:
        from xinc_pl.plots.film import draw_film_picture

        picture = draw_film_picture(
            sample,
            as_rgb(dissected.reconstruction),
            noted("reconstruction", len(dissected.reconstruction)),
            epoch=outputs.epoch,
            psnr=dissected.psnr,
        )
        film = self._films.setdefault(layer, [])
        film.append(torch.frombuffer(bytearray(png_bytes(picture)), dtype=torch.uint8))
        outputs.film(layer, "film", _gif(film, self.milliseconds))


def _gif(film: Sequence[Tensor], milliseconds: int) -> bytes:
    """An animation of pictures that were encoded as PNG; the last one stays longer."""
    pictures = [
        Image.open(io.BytesIO(picture.numpy().tobytes())).quantize(256, dither=Image.Dither.NONE) for picture in film
    ]
    buffer = io.BytesIO()
    durations = [milliseconds] * (len(pictures) - 1) + [3 * milliseconds]
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0, disposal=1
    )
    return buffer.getvalue()
