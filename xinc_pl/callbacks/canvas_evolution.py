"""The canvas over the whole training: drift, births and deaths, all numbers as curves, and films."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from xinc_pl.analysis.canvas_sample import CanvasSample, canvas_sample
from xinc_pl.analysis.channels import as_rgb, noted
from xinc_pl.analysis.dissected import DissectedFrame
from xinc_pl.analysis.evolution import courses_of, drift, population
from xinc_pl.arguments import check_number, check_whole
from xinc_pl.callbacks.base import XINCCallback
from xinc_pl.callbacks.board import Board
from xinc_pl.callbacks.film import Film
from xinc_pl.callbacks.history import History
from xinc_pl.callbacks.outputs import Outputs
from xinc_pl.frames import Frame

_PICTURES_IN_TENSORBOARD = 30
"""Of a film at most: it goes there in one piece."""


class CanvasEvolution(XINCCallback):
    """Follows the canvas through the training: how far maps turn, which neurons come alive or die, and films of it.

    Logs, of the first frame: ``xinc/canvas_evolution/<layer>/drift`` and the other quantities in the table below; a
    film of each layer, ``film.webp``, which is complete up to the last dissection at any time, and of which TensorBoard
    shows up to 30 pictures when the training ends; and at the end, for every XINC callback, the figure
    ``xinc/canvas_evolution/all_layers/curves/<callback>``: the numbers that it has logged, over the epochs and beside
    PSNR. Those that never changed are named below it.

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
        "curves/<callback>": "every number of this callback that has changed, over the epochs, beside PSNR; dashed: "
        "what it is compared with (at the end of the training)",
    }

    def __init__(self, num_neurons: int = 16, milliseconds: int = 700, **kwargs: Any) -> None:  # noqa: ANN401 - the command line looks them up
        super().__init__(**kwargs)
        check_whole("CanvasEvolution", "num_neurons", num_neurons, 1, 64)
        check_number("CanvasEvolution", "milliseconds", milliseconds, "no viewer shows less than 20")
        if milliseconds < 20:
            raise ValueError(f"CanvasEvolution: milliseconds is {milliseconds}; no viewer shows less than 20")
        self.num_neurons = num_neurons
        self.milliseconds = milliseconds
        self._films: dict[str, Film] = {}
        self._earlier_films: dict[str, tuple[Path, int]] = {}
        self._maps: dict[str, Tensor] = {}
        self._zero_maps: dict[str, Tensor] = {}
        self._history = History()

    @property
    def follows(self) -> bool:
        """Its pictures go on from those of the moment before."""
        return True

    def take_up(self, frames: Sequence[Frame], board: Board) -> None:
        """Get to know the frames, and the numbers that all analyses log."""
        super().take_up(frames, board)
        self._history = board.history

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
            sample = canvas_sample(dissected.canvas[layer], dissected.totals(layer), self.num_neurons, self.seed)
            outputs.scalars(layer, self._changes(layer, sample, dissected.totals(layer).zero_map))
            self._add_to_film(layer, sample, dissected, outputs)

    def conclude(self, outputs: Outputs) -> None:
        """Draw all curves; show the films in TensorBoard."""
        from xinc_pl.plots.evolution import draw_evolution

        for course in courses_of(self._history.rows(), psnr=self.name):
            outputs.image("all_layers", f"curves/{course.callback}", partial(draw_evolution, course, self._all_layers))
        for layer, film in self._films.items():
            outputs.animation(layer, "film", film.excerpt(_PICTURES_IN_TENSORBOARD))

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to end with the same figure and films: of these, where they are."""
        begun = {layer: (film.path.absolute(), film.num_bytes) for layer, film in self._films.items()}
        films = self._earlier_films | begun
        return {
            "films": {layer: (str(path), num_bytes) for layer, (path, num_bytes) in films.items()},
            "maps": self._maps,
            "zero_maps": self._zero_maps,
            "history": self._history.state(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the interrupted run has stopped."""
        self._earlier_films = {layer: (Path(path), size) for layer, (path, size) in state_dict["films"].items()}
        self._maps = dict(state_dict["maps"])
        self._zero_maps = dict(state_dict["zero_maps"])
        self._history.add_state(state_dict["history"])

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
        from xinc_pl.plots.figures import pixels_of
        from xinc_pl.plots.film import draw_film_picture

        drawn = draw_film_picture(
            sample,
            as_rgb(dissected.reconstruction),
            noted("reconstruction", len(dissected.reconstruction)),
            epoch=outputs.epoch,
            quality=dissected.quality,
            note=outputs.note,
        )
        picture = pixels_of(drawn)
        if layer not in self._films:
            self._films[layer] = self._begin_film(layer, (picture.shape[0], picture.shape[1]), outputs)
        self._films[layer].append(picture)

    def _begin_film(self, layer: str, size: tuple[int, int], outputs: Outputs) -> Film:
        """A film, with what a resumed run has shot before it was interrupted."""
        film = Film(outputs.film(layer, "film"), self.milliseconds)
        if layer in self._earlier_films:
            path, num_bytes = self._earlier_films[layer]
            try:
                film.continue_from(path, num_bytes, size)
            except (OSError, ValueError) as error:
                rank_zero_info(f"CanvasEvolution: the film of {layer} starts anew, for its beginning is gone: {error}")
        return film
