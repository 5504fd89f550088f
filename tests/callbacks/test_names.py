"""Names of callbacks and layers never lead out of the run's folder."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import Probe, tiny_image, tiny_photograph, trainer

import xinc_pl.callbacks
from xinc_pl.callbacks import CanvasEvolution, ContributionCanvas, XINCCallback

CALLBACKS = [
    each
    for name in xinc_pl.callbacks.__all__
    if isinstance(each := getattr(xinc_pl.callbacks, name), type)
    and issubclass(each, XINCCallback)
    and each is not XINCCallback
]


@pytest.mark.parametrize("callback", CALLBACKS)
def test_every_callback_refuses_a_name_that_is_a_path(callback: type[XINCCallback]) -> None:
    with pytest.raises(ValueError, match=rf"{callback.__name__}: name '../evil' has a /; .* path"):
        callback(name="../evil")


@pytest.mark.parametrize("name", ["/tmp/evil", "..", "a\\b", "a\nb", "a\0b", "x" * 101, " ", "C:evil"])
def test_what_is_wrong_is_one_line(name: str) -> None:
    with pytest.raises(ValueError, match="Probe: name") as error:
        Probe(name=name)
    assert str(error.value).isprintable()


def test_an_ordinary_name_is_taken_as_it_is() -> None:
    assert Probe(name="my canvas, 2nd").name == "my canvas, 2nd"


def test_hostile_layers_stay_in_the_folder(tmp_path: Path) -> None:
    module = tiny_image()
    names = ["../../evil", f"{tmp_path}/evil", "x\n" + "y" * 300]
    module.network.layer_names = {f"layers.{index}": name for index, name in enumerate(names)}
    folder = tmp_path / "a/b/c"
    run = trainer(folder, [ContributionCanvas(on_error="raise"), CanvasEvolution(on_error="raise")], max_epochs=1)
    run.fit(module, tiny_photograph())
    assert run.log_dir is not None
    assert {file.parent for file in tmp_path.iterdir()} == {tmp_path}
    assert [file.name for file in tmp_path.rglob("*") if "evil" in file.name and run.log_dir not in str(file)] == []
    for callback in ("contribution_canvas", "canvas_evolution"):
        layers = sorted(file.name for file in Path(run.log_dir, "xinc", callback).iterdir())
        assert len([layer for layer in layers if layer != "all_layers"]) == 3
        assert all(layer.isprintable() for layer in layers)
    tags = EventAccumulator(run.log_dir, size_guidance={"images": 0}).Reload().Tags()["images"]
    assert "xinc/contribution_canvas/%2E.%2F..%2Fevil/maps" in tags
