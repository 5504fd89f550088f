import pytest
import torch
from tiny import tiny_clip, tiny_video

from xinc_pl import dissect
from xinc_pl.canvas import stream_change, stream_statistics

NETWORK = tiny_video().network
FRAMES = tiny_clip().frames


@pytest.mark.parametrize("backend", ["torch", "numba"])
@pytest.mark.parametrize("layer", ["block_1", "block_2", "head"])
def test_change_is_that_of_the_maps_and_of_the_statistics(backend: str, layer: str) -> None:
    canvases = [dissect(NETWORK, frame.inputs, backend=backend)[layer] for frame in FRAMES[:3]]  # type: ignore[arg-type]
    changes = list(stream_change(canvases))
    statistics = list(stream_statistics(canvases))
    maps = [canvas.magnitudes().double() for canvas in canvases]
    assert len(changes) == 2
    for index, change in enumerate(changes):
        assert change.dtype == torch.float64
        torch.testing.assert_close(change, (maps[index + 1] - maps[index]).abs().sum(0), rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(change, statistics[index + 1].change, rtol=1e-12, atol=0)


def test_one_frame_has_no_change_and_different_layers_are_refused() -> None:
    canvas = dissect(NETWORK, FRAMES[0].inputs)
    assert list(stream_change([canvas["head"]])) == []
    with pytest.raises(ValueError, match="different layers"):
        list(stream_change([canvas["head"], canvas["block_1"]]))
