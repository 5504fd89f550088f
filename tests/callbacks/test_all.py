"""What holds for every callback that dissects."""

import pickle
from collections.abc import Callable
from importlib import import_module
from inspect import isabstract, signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TinyChannels, tiny_channels, tiny_clip, tiny_image, tiny_photograph, tiny_video, trainer, weights_of

import xinc_pl.callbacks
from xinc_pl.callbacks import XINCCallback
from xinc_pl.callbacks.desk import BackgroundDesk, PlainDesk


def shipped(kind: type[XINCCallback] = XINCCallback) -> list[type[XINCCallback]]:
    """All analyses in the package, by name: found in its modules, so that a new one needs no mention here."""
    for module in iter_modules(xinc_pl.callbacks.__path__, "xinc_pl.callbacks."):
        import_module(module.name)
    below = [each for direct in kind.__subclasses__() for each in (direct, *shipped(direct))]
    own = {each for each in below if each.__module__.startswith("xinc_pl.callbacks.") and not isabstract(each)}
    return sorted(own, key=lambda each: each.__name__)


KINDS = shipped()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_each_is_public_and_in_the_readme(kind: type[XINCCallback]) -> None:
    assert kind.__name__ in xinc_pl.callbacks.__all__
    assert kind.__name__ in xinc_pl.__all__
    assert f"`{kind.__name__}`" in (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def as_sent(desk: BackgroundDesk, drawing: Callable[[], Any], *options: Any) -> Callable[[], Any]:
    """As if another process drew it: fails where it cannot be sent there."""
    return PlainDesk.printing(desk, pickle.loads(pickle.dumps(drawing)), *options)


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
    tmp_path: Path,
    module: Callable[[], LightningModule],
    data: Callable[[], LightningDataModule],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setattr(BackgroundDesk, "printing", as_sent)
    callbacks = [kind(at_epochs=(0, 1), on_error="raise") for kind in KINDS]
    _, without, state, threads = train(tmp_path, module(), data(), [])
    folder, with_all, state_after, threads_after = train(tmp_path, module(), data(), callbacks)
    assert all(torch.equal(a, b) for a, b in zip(without, with_all, strict=True))
    assert torch.equal(state, state_after)
    assert threads == threads_after
    events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0}).Reload()
    check_tags([tag for kind in ("images", "scalars") for tag in events.Tags()[kind]], callbacks, caplog.messages)


@pytest.mark.slow
@pytest.mark.parametrize("num_channels", [1, 2, 4])
def test_every_callback_takes_frames_of_any_number_of_channels(
    tmp_path: Path, num_channels: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    fewer_numbers: dict[str, Any] = {  # the figure of all numbers takes longer than everything else
        "GroupingVariance": {"partitions": ["rgb", "gabor", "superpixels"]},
        "Faithfulness": {"num_neurons": 4, "num_candidates": 6, "conventions": ["effect"]},
    }
    callbacks = [kind(at_epochs=(), on_error="raise", **fewer_numbers.get(kind.__name__, {})) for kind in KINDS]
    run = trainer(tmp_path, callbacks, max_epochs=1)
    run.fit(tiny_channels(num_channels), TinyChannels(num_channels))
    events = EventAccumulator(str(run.log_dir), size_guidance={"images": 0, "scalars": 0}).Reload()
    tags = [tag for kind in ("images", "scalars") for tag in events.Tags()[kind]]
    check_tags(tags, callbacks, caplog.messages)
    assert {"xinc/grouping_variance/head/rgb/median", "xinc/grouping_variance/head/superpixels/median"} <= set(tags)
    assert any(tag.startswith("xinc/motion_contributions/") for tag in tags)
    assert "val/ssim" in tags


def check_tags(tags: list[str], callbacks: list[XINCCallback], lines: list[str]) -> None:
    """Every callback has left tags, or a line that says why not; and the page says what each of them means."""
    tags = [tag for tag in tags if tag.startswith("xinc/")]
    logged = {tag.split("/")[1] for tag in tags}
    for callback in callbacks:
        told = any(line.startswith(f"{type(callback).__name__} is left out: ") for line in lines)
        assert (callback.name in logged) != told, callback.name
    meanings = {callback.name: callback.meanings for callback in callbacks}
    for tag in tags:
        _, name, _, *quantity = [part for part in tag.split("/") if not part.startswith("frame_")]
        known = "/".join(quantity)
        general = {"/".join([kind, *quantity[1:]]) for kind in ("<partition>", "<convention>", "<order>")}
        general.add("/".join([*quantity[:-1], "<callback>"]))
        assert {known, *general} & set(meanings[name]) or known.startswith("neurons_per_pixel_"), tag


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_the_help_explains_every_argument(kind: type[XINCCallback]) -> None:
    own = [name for name in signature(kind.__init__).parameters if name not in ("self", "kwargs")]
    assert kind.__doc__ is not None
    for name in own:
        assert f"        {name}: " in kind.__doc__ or f"    {name}: " in kind.__doc__, name
