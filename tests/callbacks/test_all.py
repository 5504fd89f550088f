"""What holds for every callback that dissects."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of

import xinc_pl.callbacks
from xinc_pl.callbacks import XINCCallback

KINDS: list[type[XINCCallback]] = [
    kind
    for name in xinc_pl.callbacks.__all__
    if isinstance(kind := getattr(xinc_pl.callbacks, name), type)
    and issubclass(kind, XINCCallback)
    and kind is not XINCCallback
]


def all_of_them() -> list[XINCCallback]:
    return [kind(at_epochs=(0, 1, 2), on_error="raise") for kind in KINDS]


@pytest.mark.parametrize(("module", "data"), [(tiny_video, tiny_clip), (tiny_image, tiny_photograph)])
def test_the_weights_are_bit_identical_with_all_of_them(
    tmp_path: Path, module: Callable[[], LightningModule], data: Callable[[], LightningDataModule]
) -> None:
    def train(callbacks: list[XINCCallback]) -> tuple[list[torch.Tensor], torch.Tensor, int]:
        trained = module()
        trainer(tmp_path, callbacks, max_epochs=3).fit(trained, data())
        return weights_of(trained), torch.get_rng_state(), torch.get_num_threads()

    without, state, threads = train([])
    with_all, state_after, threads_after = train(all_of_them())
    assert all(torch.equal(a, b) for a, b in zip(without, with_all, strict=True))
    assert torch.equal(state, state_after)
    assert threads == threads_after


def test_every_tag_has_its_meaning_on_the_page(tmp_path: Path) -> None:
    callbacks = all_of_them()
    run = trainer(tmp_path, callbacks, max_epochs=1)
    run.fit(tiny_video(), tiny_clip())
    events = EventAccumulator(run.log_dir, size_guidance={"images": 0, "scalars": 0}).Reload()
    tags = [tag for kind in ("images", "scalars") for tag in events.Tags()[kind] if tag.startswith("xinc/")]
    assert {tag.split("/")[1] for tag in tags} == {callback.name for callback in callbacks}
    meanings = {callback.name: callback.meanings for callback in callbacks}
    for tag in tags:
        _, name, _, *quantity = [part for part in tag.split("/") if not part.startswith("frame_")]
        known = "/".join(quantity)
        general = {"/".join([kind, *quantity[1:]]) for kind in ("<partition>", "<convention>", "<order>")}
        assert {known, *general} & set(meanings[name]) or known.startswith("neurons_per_pixel_"), tag


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_help_explains_every_argument(kind: type[XINCCallback]) -> None:
    import inspect

    own = [name for name in inspect.signature(kind.__init__).parameters if name not in ("self", "kwargs")]
    assert kind.__doc__ is not None
    for name in own:
        assert f"        {name}: " in kind.__doc__ or f"    {name}: " in kind.__doc__, name
