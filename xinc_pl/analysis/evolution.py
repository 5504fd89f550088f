"""How a layer's canvas moves between two dissections."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Population:
    """Which neurons contribute anything, now and at the dissection before.

    Attributes:
        alive: Neurons whose map is not zero everywhere.
        births: Of these, how many had a zero map before.
        deaths: Neurons whose map is zero now and was not before.
    """

    alive: int
    births: int
    deaths: int


def population(zero_map: Tensor, zero_map_before: Tensor | None) -> Population:
    """Count births and deaths.

    Args:
        zero_map: bool (N,), neurons whose map is zero everywhere.
        zero_map_before: The same at the dissection before; None at the first one, which has neither births nor deaths.
    """
    before = zero_map if zero_map_before is None else zero_map_before
    return Population(
        alive=int((~zero_map).sum()), births=int((before & ~zero_map).sum()), deaths=int((~before & zero_map).sum())
    )


def drift(maps: Tensor, maps_before: Tensor) -> Tensor:
    """How far each neuron's map has turned since the dissection before.

    This is 1 - cosine: 0 where only its strength has changed, 1 where nothing is in common, 2 for the opposite.

    Args:
        maps: Signed maps (n, H, W).
        maps_before: The same neurons' maps before.

    Returns:
        float64 (n,); NaN where one of the two maps is zero everywhere.
    """
    now, before = maps.flatten(1).double(), maps_before.flatten(1).double()
    norms = now.norm(dim=1) * before.norm(dim=1)
    return torch.where(norms > 0, 1 - (now * before).sum(1) / norms, torch.nan)


_BESIDE = ("_control", "_other_pair", "_null", "null_")
"""What tells the name of a number for comparison from that of the number itself."""

Row = tuple[str, str, str, int, int, float]
"""One number of a run: callback, layer, quantity, frame (-1: all), epoch, value."""


@dataclass(frozen=True)
class Curve:
    """One quantity of one layer over the epochs.

    Attributes:
        layer: The layer, or whatever stands in its place.
        epochs: Ascending.
        values: One per epoch.
        is_control: Whether this is what stands beside another curve for comparison.
    """

    layer: str
    epochs: tuple[int, ...]
    values: tuple[float, ...]
    is_control: bool


@dataclass(frozen=True)
class Panel:
    """Curves of one quantity, of all layers, with the control beside.

    Attributes:
        callback: Who logged it.
        quantity: What it is.
        curves: One per layer, and perhaps one more for the layer's control.
    """

    callback: str
    quantity: str
    curves: tuple[Curve, ...]

    @property
    def changes(self) -> bool:
        """Whether there is anything to see over the epochs: some curve does not keep one value."""
        return any(len(set(curve.values)) > 1 for curve in self.curves)


@dataclass(frozen=True)
class Course:
    """What one callback's numbers did over the training: one figure.

    Attributes:
        callback: Who logged them.
        panels: The quantities that change, PSNR first.
        unchanged: The others, with their value where all layers have the same.
    """

    callback: str
    panels: tuple[Panel, ...]
    unchanged: tuple[str, ...]


def courses_of(rows: Iterable[Row], psnr: str) -> tuple[Course, ...]:
    """Sort a run's numbers into one course per callback; none for a callback of which nothing has changed.

    Args:
        rows: The numbers.
        psnr: The callback whose quantity ``psnr`` is shown beside everything else.
    """
    panels = panels_of(rows)
    quality = tuple(panel for panel in panels if (panel.callback, panel.quantity) == (psnr, "psnr"))
    courses = []
    for callback in dict.fromkeys(panel.callback for panel in panels):
        own = [panel for panel in panels if panel.callback == callback and panel not in quality]
        changing = tuple(panel for panel in own if panel.changes)
        if changing:
            unchanged = tuple(_with_value(panel) for panel in own if not panel.changes)
            courses.append(Course(callback, (*(each for each in quality if each.changes), *changing), unchanged))
    return tuple(courses)


def _with_value(panel: Panel) -> str:
    values = {value for curve in panel.curves for value in curve.values}
    return f"{panel.quantity} {values.pop():.3g}" if len(values) == 1 else panel.quantity


def panels_of(rows: Iterable[Row]) -> tuple[Panel, ...]:
    """Sort a run's numbers into panels, in the order in which they first came.

    ``x_control``, ``x_null``, ``x_other_pair`` and ``x/null_y`` go with ``x`` and ``x/y``. Frames keep their own panels
    where a callback looks at several: a mean over frames that disagree would say nothing. ``x_z``
    is left out, for ``x_p`` tells the same.
    """
    rows = list(rows)
    frames: dict[str, set[int]] = {}
    for callback, _, _, frame, _, _ in rows:
        if frame >= 0:
            frames.setdefault(callback, set()).add(frame)
    panels: dict[tuple[str, str], dict[tuple[str, bool], dict[int, float]]] = {}
    for callback, layer, quantity, frame, epoch, value in rows:
        if quantity.endswith("_z"):
            continue
        base = quantity
        for word in _BESIDE:
            base = base.replace(word, "")
        name = f"{base}, frame {frame}" if frame >= 0 and len(frames[callback]) > 1 else base
        panels.setdefault((callback, name), {}).setdefault((layer, base != quantity), {})[epoch] = value
    return tuple(
        Panel(
            callback,
            quantity,
            tuple(
                Curve(
                    layer,
                    epochs := tuple(sorted(points)),
                    tuple(points[epoch] for epoch in epochs),
                    is_control,
                )
                for (layer, is_control), points in curves.items()
            ),
        )
        for (callback, quantity), curves in panels.items()
    )
