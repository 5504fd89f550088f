"""The curves of a run: what TensorBoard's event files, or a table of Lightning's CSVLogger, hold."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False)
class Curve:
    """One quantity over the training.

    Attributes:
        steps: int64 (n,), in their order.
        values: float64 (n,).
    """

    steps: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]


def read_scalars(folder: Path) -> Mapping[str, Curve]:
    """All curves of a run, by tag; empty where it has none.

    Args:
        folder: The run's, with event files or a ``metrics.csv`` in it.

    Raises:
        ValueError: A file is damaged.
    """
    if any(folder.glob("events.out.tfevents.*")):
        return _of_events(folder)
    table = folder / "metrics.csv"
    return _of_table(table) if table.is_file() else {}


def _of_events(folder: Path) -> Mapping[str, Curve]:
    # Imported when it is needed: TensorBoard takes a second.
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    kinds = ("scalars", "images", "audio", "histograms", "compressedHistograms", "tensors")
    sizes = {kind: 0 if kind == "scalars" else 1 for kind in kinds}  # 0: all of them
    try:
        events = EventAccumulator(str(folder), size_guidance=sizes).Reload()
        points = {tag: events.Scalars(tag) for tag in events.Tags()["scalars"]}
    except Exception as error:  # whatever a damaged file makes TensorBoard raise
        raise ValueError(f"{folder}: the event files cannot be read ({type(error).__name__}: {error})") from error
    return {
        tag: Curve(np.array([each.step for each in own], np.int64), np.array([each.value for each in own], np.float64))
        for tag, own in points.items()
    }


def _of_table(table: Path) -> Mapping[str, Curve]:
    points: dict[str, list[tuple[int, float]]] = {}
    try:
        with table.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                step = int(row["step"] or 0)
                for tag, value in row.items():
                    if tag != "step" and value not in (None, ""):
                        points.setdefault(tag, []).append((step, float(value)))
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{table} is no table of Lightning's CSVLogger ({error})") from error
    return {
        tag: Curve(np.array([step for step, _ in own], np.int64), np.array([value for _, value in own], np.float64))
        for tag, own in points.items()
    }
