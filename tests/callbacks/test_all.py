"""What holds for every callback that dissects."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TinyChannels, tiny_channels, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of

import xinc_pl.callbacks
from xinc_pl.callbacks import XINCCallback

KINDS: list[type[XINCCallback]] = [
    kind
    for name in xinc_pl.callbacks.__all__
    if isinstance(kind := getattr(xinc_pl.callbacks, name), type)
    and issubclass(kind, XINCCallback)
    and kind is not XINCCallback
]


def train(
    folder: Path, module: LightningModule, data: LightningDataModule, callbacks: list[XINCCallback]
) -> tuple[Path, list[torch.Tensor], torch.Tensor, int]:
    """Returns the log folder, the weights, and what of the process's state callbacks must not touch."""
    run = trainer(folder, callbacks, max_epochs=2)
    run.fit(module, data)
    return Path(run.log_dir), weights_of(module), torch.get_rng_state(), torch.get_num_threads()


@pytest.mark.slow
@pytest.mark.parametrize(("module", "data"), [(tiny_video, tiny_clip), (tiny_image, tiny_photograph)])
def test_all_of_them_leave_the_weights_as_they_are_and_every_tag_is_explained(
    tmp_path: Path, module: Callable[[], LightningModule], data: Callable[[], LightningDataModule]
) -> None:
    callbacks = [kind(at_epochs=(0, 1), on_error="raise") for kind in KINDS]
    _, without, state, threads = train(tmp_path, module(), data(), [])
    folder, with_all, state_after, threads_after = train(tmp_path, module(), data(), callbacks)
    assert all(torch.equal(a, b) for a, b in zip(without, with_all, strict=True))
    assert torch.equal(state, state_after)
    assert threads == threads_after
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()
    check_tags([tag for kind in ("images", "scalars") for tag in events.Tags()[kind]], callbacks)


@pytest.mark.slow
@pytest.mark.parametrize("num_channels", [1, 2, 4])
def test_every_callback_takes_frames_of_any_number_of_channels(tmp_path: Path, num_channels: int) -> None:
    fewer_numbers: dict[str, Any] = {  # the figure of all numbers takes longer than everything else
        "GroupingVariance": {"partitions": ["rgb", "gabor", "superpixels"]},
        "Faithfulness": {"num_neurons": 4, "conventions": ["effect"]},
    }
    callbacks = [kind(at_epochs=(), on_error="raise", **fewer_numbers.get(kind.__name__, {})) for kind in KINDS]
    run = trainer(tmp_path, callbacks, max_epochs=1)
    run.fit(tiny_channels(num_channels), TinyChannels(num_channels))
    events = EventAccumulator(str(run.log_dir), size_guidance={"images": 0, "scalars": 0}).Reload()
    tags = [tag for kind in ("images", "scalars") for tag in events.Tags()[kind]]
    check_tags(tags, callbacks)
    assert {"xinc/grouping_variance/head/rgb/median", "xinc/grouping_variance/head/superpixels/median"} <= set(tags)
    assert any(tag.startswith("xinc/motion_contributions/") for tag in tags)
    assert "val/ssim" in tags


def check_tags(tags: list[str], callbacks: list[XINCCallback]) -> None:
    """Every callback has left tags, and the page says what each of them means."""
    tags = [tag for tag in tags if tag.startswith("xinc/")]
    videos_only = {"motion_contributions", "object_contributions", "place_or_content"}
    assert {callback.name for callback in callbacks} - {tag.split("/")[1] for tag in tags} <= videos_only
    meanings = {callback.name: callback.meanings for callback in callbacks}
    for tag in tags:
        _, name, _, *quantity = [part for part in tag.split("/") if not part.startswith("frame_")]
        known = "/".join(quantity)
        general = {"/".join([kind, *quantity[1:]]) for kind in ("<partition>", "<convention>", "<order>")}
        general.add("/".join([*quantity[:-1], "<callback>"]))
        assert {known, *general} & set(meanings[name]) or known.startswith("neurons_per_pixel_"), tag


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_help_explains_every_argument(kind: type[XINCCallback]) -> None:
    import inspect

    own = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "kwargs")]
    assert kind.__doc__ is not None
    for name in own:
        assert f"        {name}: " in kind.__doc__ or f"    {name}: " in kind.__doc__, name
