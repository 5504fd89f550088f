"""What the tab asks, answered from recordings. Importing this imports torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from xinc_pl.board.answers import (
    CanvasFacts,
    Changes,
    EpochFacts,
    InstanceFacts,
    LayerFacts,
    Maps,
    NeuronFacts,
    Pictures,
    RunFacts,
    TopNeurons,
    Without,
)
from xinc_pl.board.cache import Cache
from xinc_pl.board.orders import Orders, Whole, alike, unit_vectors
from xinc_pl.board.requests import Place, RequestError
from xinc_pl.board.selection import array, mask_at, numbers, small, thinned, top_by_pixel
from xinc_pl.canvas import Canvas, Convention, LayerCanvas
from xinc_pl.canvas.layer_canvas import Order
from xinc_pl.canvas.maps.window import Ranking
from xinc_pl.frames import Frame, psnr_from_mse
from xinc_pl.recorded import RecordedRun, recorded_run

MAX_BYTES = 2 << 30
"""That all loaded canvases may take."""
MOST_PIXELS_OF_EFFECT = 64
"""That are looked at under ``effect``, where each costs a pass back through the network."""
MAX_BYTES_OF_ORDERS = 1 << 29
"""That all may take by which neurons are ordered."""
_SMALL = 128
_TIMES = {"paper": 1, "released": 1, "effect": 3}
"""What a canvas keeps, in tensors of its recording: under ``effect`` it remembers how the image answers as well."""
_MOST_WEIGHTS = 4096


class Questions:
    """Answers about runs. What takes long to load is kept, within ``max_bytes``; several threads may ask."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._canvases: Cache[Canvas] = Cache(max_bytes)
        self._orders = Orders(MAX_BYTES_OF_ORDERS)

    def run(self, name: str, path: Path) -> RunFacts:
        """What a run has recorded."""
        run = _loaded(name, path)
        epochs = []
        for epoch in run.epochs:
            moments = [run.moment(epoch, frame) for frame in run.frames]
            epochs.append(EpochFacts(epoch, moments[0].step, tuple(moment.psnr for moment in moments)))
        return RunFacts(name, tuple(epochs), run.frames, tuple(run.frame(index).name for index in run.frames))

    def canvas(self, run: RecordedRun, epoch: int, frame: int, convention: str) -> CanvasFacts:
        """The layers of a canvas."""
        canvas = self._canvas(run, epoch, frame, convention)
        layers = tuple(
            LayerFacts(name, layer.num_neurons, tuple(layer.neuron_shape), float(layer.completeness_error))
            for name, layer in canvas.items()
        )
        unit = "brightness" if convention == "effect" else "layer units"
        return CanvasFacts(layers, dict(canvas.skipped), unit)

    def pictures(self, run: RecordedRun, epoch: int, frame: int) -> Pictures:
        """Target and reconstruction."""
        dissected = run.dissected(frame, epoch=epoch)
        known = dissected.frame
        positions = torch.full(known.size, -1, dtype=torch.int32)
        areas = {position: int(each.mask.sum()) for position, each in enumerate(known.instances)}
        for position in sorted(areas, key=lambda each: -areas[each]):
            positions[known.instances[position].mask.bool()] = position
        instances = tuple(
            InstanceFacts(position, _instance_name(known, position), areas[position]) for position in areas
        )
        target = None if known.target is None else array(known.target)
        psnr = None if known.target is None else dissected.psnr
        return Pictures(target, array(dissected.reconstruction), psnr, instances, positions.numpy())

    def top(
        self, run: RecordedRun, epoch: int, frame: int, convention: str, layer: str, place: Place, k: int, by: str
    ) -> TopNeurons:
        """The neurons that come first at a place by some order of all of them, with their maps."""
        canvas = self._layer(run, epoch, frame, convention, layer)
        mask = self._mask(run, frame, canvas, place)
        ranking, by, sizes = self._ranked(run, epoch, frame, convention, layer, _looked_at(mask, convention), k, by)
        maps, magnitudes = _maps_and_magnitudes(canvas, ranking.neurons, convention)
        sums = magnitudes.double().sum((1, 2)).clamp(min=1e-300)
        within = magnitudes.double()[:, mask.to(maps.device)].sum(1) / sums
        shown = small(maps, _SMALL)
        return TopNeurons(
            layer=layer,
            by=by,
            num_neurons=canvas.num_neurons,
            neurons=tuple(ranking.neurons.tolist()),
            labels=tuple(canvas.label(neuron) for neuron in ranking.neurons.tolist()),
            values=numbers(ranking.values),
            signed=numbers(ranking.signed),
            shares=numbers(ranking.shares),
            means=numbers(sums / mask.numel()),
            within=numbers(within),
            total=ranking.total,
            num_selected=int(mask.sum()),
            num_pixels=ranking.num_pixels,
            maps=array(shown),
            largest=float(shown.abs().max()),
            group_sizes=sizes,
        )

    def _ranked(
        self, run: RecordedRun, epoch: int, frame: int, convention: str, layer: str, mask: Tensor, k: int, by: str
    ) -> tuple[Ranking, str, tuple[int, ...] | None]:
        """All neurons of a layer, ordered: the first k; by what; the sizes of their groups."""
        canvas = self._layer(run, epoch, frame, convention, layer)
        whole = Whole(canvas, (*self._key(run, epoch, frame, convention), layer))

        def top(k: int, by: Order | Tensor) -> Ranking:
            return top_by_pixel(canvas, mask, k, by) if convention == "effect" else canvas.top(mask, k, by)

        if by == "total":
            return top(k, self._orders.totals(whole)), by, None
        if by == "focus":
            return self._orders.focused(whole, top, k), by, None
        if by == "group":
            ranking, sizes = self._orders.grouped(whole, top, k)
            return ranking, by, sizes
        if by == "change":
            earlier = _before(run, epoch)
            if earlier is None:
                return top(k, "magnitude"), "magnitude", None
            before = self._layer(run, earlier, frame, convention, layer)
            return top(k, self._orders.changes(canvas, before, mask, convention == "effect")), by, None
        return top(k, cast(Order, by)), by, None

    def changes(
        self,
        run: RecordedRun,
        epoch: int,
        frame: int,
        convention: str,
        layer: str,
        place: Place,
        neurons: tuple[int, ...],
    ) -> Changes:
        """What became of neurons at a place since the recorded epoch before."""
        now = self._layer(run, epoch, frame, convention, layer)
        mask = _looked_at(self._mask(run, frame, now, place), convention)
        maps = self._maps(now, neurons)
        groups, earlier = alike(unit_vectors(maps, now.num_neurons)), _before(run, epoch)
        if earlier is None:
            return Changes(None, None, groups)
        before = self._maps(self._layer(run, earlier, frame, convention, layer), neurons)
        moved = (maps - before).abs().double()[:, mask.to(maps.device)].mean(1)
        return Changes(earlier, numbers(moved), groups)

    def maps(
        self,
        run: RecordedRun,
        epoch: int,
        frame: int,
        convention: str,
        layer: str,
        neurons: tuple[int, ...],
        side: int,
    ) -> Maps:
        """Signed maps of neurons."""
        maps = self._maps(self._layer(run, epoch, frame, convention, layer), neurons)
        shown = small(maps, side)
        return Maps(array(shown), numbers(maps.abs().double().mean((1, 2))), numbers(shown.abs().amax((1, 2))))

    def neuron(self, run: RecordedRun, epoch: int, frame: int, layer: str, neuron: int) -> NeuronFacts:
        """A neuron's weights, and what it adds to each output."""
        canvas = self._layer(run, epoch, frame, "effect", layer)
        _check_neurons(canvas, (neuron,))
        (weights,) = canvas.weights([neuron])
        rows = weights[None] if weights.ndim < 2 else weights.flatten(0, -2)
        outputs = canvas.maps([neuron], per_output=True)[0]
        return NeuronFacts(canvas.label(neuron), array(rows[:, :_MOST_WEIGHTS]), weights.numel(), array(outputs))

    def without(self, run: RecordedRun, epoch: int, frame: int, neurons: Mapping[str, tuple[int, ...]]) -> Without:
        """The image without some neurons, as it is, and what that costs. Always under ``effect``."""
        canvas = self._canvas(run, epoch, frame, "effect")
        for layer, some in neurons.items():
            _check_neurons(_layer_of(canvas, run, layer), some)
        intact = canvas.image.float().cpu().clamp(0, 1)
        image = canvas.removal.together(neurons).float().cpu().clamp(0, 1)
        target = run.frame(frame).target
        if target is None:
            return Without(array(image), _psnr(image, intact), None, False)
        return Without(array(image), _psnr(image, target), _psnr(intact, target), True)

    def _mask(self, run: RecordedRun, frame: int, canvas: LayerCanvas, place: Place) -> Tensor:
        return mask_at(place, canvas.size, run.frame(frame).instances if place.kind == "instance" else ())

    def _maps(self, canvas: LayerCanvas, neurons: tuple[int, ...]) -> Tensor:
        _check_neurons(canvas, neurons)
        return canvas.maps(neurons)

    def _layer(self, run: RecordedRun, epoch: int, frame: int, convention: str, layer: str) -> LayerCanvas:
        return _layer_of(self._canvas(run, epoch, frame, convention), run, layer)

    def _canvas(self, run: RecordedRun, epoch: int, frame: int, convention: str) -> Canvas:
        """The canvas, from the cache if it is there."""

        def make() -> tuple[Canvas, int]:
            canvas = run.canvas(epoch, frame, cast(Convention, convention))
            recording = canvas.recording
            tensors = {id(tensor): tensor for call in recording.calls for tensor in call.tensors()}
            tensors |= {id(tensor): tensor for tensor in (*recording.inputs, recording.output)}
            num_bytes = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
            return canvas, num_bytes * _TIMES[convention]

        return self._canvases.get(self._key(run, epoch, frame, convention), make)

    def _key(self, run: RecordedRun, epoch: int, frame: int, convention: str) -> tuple[Path, int, int, str]:
        """The same for the same canvas, as long as its file is not written anew."""
        if epoch not in run.files or frame not in run.frames:
            run.moment(epoch, frame)  # which says what there is
        return run.files[epoch], run.files[epoch].stat().st_mtime_ns, frame, convention


def loaded(name: str, path: Path) -> RecordedRun:
    """The run of a name.

    Raises:
        RequestError: It has no recordings (any more).
    """
    return _loaded(name, path)


def _loaded(name: str, path: Path) -> RecordedRun:
    run = recorded_run(path)
    if run is None:
        raise RequestError(f"run {name} has no recordings; train with the callback CanvasRecorder", 404)
    return RecordedRun(run.path, name, run.files)


def _looked_at(mask: Tensor, convention: str) -> Tensor:
    """Those of the chosen pixels that are looked at."""
    return thinned(mask, MOST_PIXELS_OF_EFFECT) if convention == "effect" else mask


def _before(run: RecordedRun, epoch: int) -> int | None:
    """The recorded epoch before one."""
    return max((each for each in run.epochs if each < epoch), default=None)


def _layer_of(canvas: Canvas, run: RecordedRun, layer: str) -> LayerCanvas:
    if layer not in canvas:
        raise RequestError(f"run {run.name} has no layer {layer[:80]!r} here; it has {', '.join(canvas)}", 404)
    return canvas[layer]


def _maps_and_magnitudes(canvas: LayerCanvas, neurons: Tensor, convention: str) -> tuple[Tensor, Tensor]:
    """Both (n, H, W). Under ``effect`` they are made of the same outputs, in half the time."""
    if convention != "effect":
        maps = canvas.maps(neurons)
        return maps, maps.abs()
    outputs = canvas.maps(neurons, per_output=True)
    return outputs.sum(1), outputs.abs().sum(1)


def _check_neurons(canvas: LayerCanvas, neurons: tuple[int, ...]) -> None:
    beyond = [neuron for neuron in neurons if neuron >= canvas.num_neurons]
    if beyond:
        raise RequestError(f"{canvas.name} has neurons 0 to {canvas.num_neurons - 1}, and no {beyond[0]}")


def _psnr(image: Tensor, target: Tensor) -> float:
    return float(psnr_from_mse((image - target.float().cpu()).double().square().mean()))


def _instance_name(frame: Frame, position: int) -> str:
    own = frame.instances[position]
    same = [each for each in frame.instances if each.category == own.category]
    return own.category if len(same) == 1 else f"{own.category} {own.id}"
