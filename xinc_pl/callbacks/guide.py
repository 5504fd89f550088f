"""What helps to find one's way in TensorBoard: a page on every tag, charts that belong together, hyperparameters."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lightning.pytorch import Trainer
from torch.utils.tensorboard.summary import hparams

from xinc_pl.callbacks.loggers import tensorboard_writers


@dataclass(frozen=True)
class Chapter:
    """What one callback has to say about itself.

    Args:
        name: The first part of its tags.
        summary: What it shows, in one line.
        layers: The layers that it looks at.
        meanings: What each quantity means.
        charts: Curves to show in one chart: title, and patterns of ``<layer>/<quantity>``.
    """

    name: str
    summary: str
    layers: Sequence[str]
    meanings: Mapping[str, str]
    charts: Mapping[str, Sequence[str]]


def guide_text(chapters: Sequence[Chapter]) -> str:
    """The page, in Markdown."""
    lines = ["Steps are optimiser steps. Pictures: move the slider above a card to go through the training.", ""]
    for chapter in chapters:
        lines += [f"## xinc/{_words(chapter.name)}", "", _words(chapter.summary), ""]
        lines += [f"Layers, input side first: {', '.join(f'`{layer}`' for layer in chapter.layers)}", ""]
        lines += ["| quantity | meaning |", "|---|---|"]
        lines += [f"| `{quantity}` | {_words(meaning)} |" for quantity, meaning in chapter.meanings.items()]
        lines += [""]
    return "\n".join(lines)


def _words(text: str) -> str:
    """Text that Markdown shows as it stands, but for code in backticks: a bare ``|`` would end a table's cell."""
    return re.sub(r"(`[^`]*`)|([&|<*_\[\]#])", lambda found: found[1] or f"&#{ord(found[2])};", " ".join(text.split()))


def layout(chapters: Sequence[Chapter]) -> dict[str, dict[str, list[str | list[str]]]]:
    """The custom-scalars layout: categories, charts and the patterns of their tags."""
    return {
        chapter.name: {
            title: ["Multiline", [f"xinc/{re.escape(chapter.name)}/{pattern}(/.*)?$" for pattern in patterns]]
            for title, patterns in chapter.charts.items()
        }
        for chapter in chapters
        if chapter.charts
    }


def write_guide(loggers: Iterable[object], chapters: Sequence[Chapter], step: int) -> None:
    """Log page and layout. TensorBoard takes the first layout of a run, so that it is written once, for all."""
    for writer in tensorboard_writers(loggers):
        writer.add_text("xinc/guide", guide_text(chapters), step)
        if charts := layout(chapters):
            writer.add_custom_scalars(charts)


FINAL_METRICS = ("val/psnr", "val/ssim", "train/psnr", "train/loss")
"""What the table of runs shows: TensorBoard takes the last value of each."""


def write_hyperparameters(trainer: Trainer, settings: Mapping[str, object]) -> None:
    """Log what a run was set to, for TensorBoard's table of runs.

    Args:
        trainer: Knows the loggers.
        settings: By name. What is neither a number nor a word is written out.
    """
    plain = {name: value if isinstance(value, (bool, int, float)) else str(value) for name, value in settings.items()}
    # Not log_hyperparams, which would begin every metric's curve with a made-up value.
    summaries = hparams(plain, dict.fromkeys(FINAL_METRICS, 0.0))
    for writer in tensorboard_writers(trainer.loggers):
        for summary in summaries:
            writer._get_file_writer().add_summary(summary)
