"""Every network under every callback."""

from pathlib import Path
from typing import Any

import pytest
import torch
from tiny import IMAGE_NETWORKS, SIZE, VIDEO_NETWORKS, tiny_clip, tiny_photograph, trainer

import xinc_pl.callbacks
from xinc_pl import ImageINR, VideoINR
from xinc_pl.callbacks import XINCCallback

LAYERS = {
    "HNeRV": ["block_2", "head"],
    "HiNeRV": ["block_1_grid_1", "block_2_layer_1_depthwise", "head"],
}
"""Some of every kind, for networks of many layers."""
FEWER: dict[str, dict[str, Any]] = {
    "GroupingVariance": {"partitions": ["rgb"]},
    "Faithfulness": {"num_neurons": 4, "conventions": ["effect"]},
}
TOO_SHORT = {"place_or_content"}
"""What needs a longer clip."""
NOT_FOR_IMAGES = {"motion_contributions", "object_contributions", "neuron_umap", *TOO_SHORT}
"""UMAP needs more neurons than the tiny ones have."""
KINDS = [
    kind
    for name in xinc_pl.callbacks.__all__
    if isinstance(kind := getattr(xinc_pl.callbacks, name), type)
    and issubclass(kind, XINCCallback)
    and kind is not XINCCallback
]


def options_of(kind: type[XINCCallback], layers: list[str] | None) -> dict[str, Any]:
    """Those of the convention that all networks have; a recording is for all conventions and of all layers."""
    if kind.__name__ == "CanvasRecorder":
        return {}
    return {"layers": layers} if kind.__name__ == "Faithfulness" else {"convention": "effect", "layers": layers}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted((IMAGE_NETWORKS | VIDEO_NETWORKS).keys() - {"FFN", "NeRV"}))
def test_every_callback_takes_it_apart(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    callbacks = [
        kind(at_epochs=(), on_error="raise", **options_of(kind, LAYERS.get(name)), **FEWER.get(kind.__name__, {}))
        for kind in KINDS
    ]
    run = trainer(tmp_path, callbacks, max_epochs=1)
    if name in IMAGE_NETWORKS:
        run.fit(ImageINR(IMAGE_NETWORKS[name](), SIZE), tiny_photograph())
    else:
        run.fit(VideoINR(VIDEO_NETWORKS[name](), 4, SIZE), tiny_clip())
    assert run.log_dir is not None
    left = {path.name for path in (Path(run.log_dir) / "xinc").iterdir()}
    assert {callback.name for callback in callbacks} - left <= (NOT_FOR_IMAGES if name in IMAGE_NETWORKS else TOO_SHORT)
