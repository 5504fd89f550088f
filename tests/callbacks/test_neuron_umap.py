import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tiny import tiny_clip, tiny_video, trainer, whole_half_and_resumed

from xinc_pl import NeuronUMAP

LAYERS = ("block_1", "block_2", "head")
SMALL = {"num_clusters": 6, "max_neurons": 30, "on_error": "raise"}


@pytest.mark.slow
def test_pictures_numbers_and_what_the_projector_reads(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # More neighbours than neurons.
    callback = NeuronUMAP(at_epochs=(0, 1), num_groups=3, n_neighbors=50, **SMALL)
    run = trainer(tmp_path, [callback], max_epochs=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", module="umap|sklearn|torch.utils.tensorboard")
        run.fit(tiny_video(), tiny_clip())
    assert capsys.readouterr().out == ""
    events = EventAccumulator(run.log_dir, size_guidance={"images": 0, "scalars": 0}).Reload()
    for layer in LAYERS:
        assert [each.step for each in events.Images(f"xinc/neuron_umap/{layer}/layout")] == [0, 2, 4]
        movements = events.Scalars(f"xinc/neuron_umap/{layer}/movement")
        assert [each.step for each in movements] == [2, 4]
        assert all(0 <= each.value < 1 for each in movements)
    assert run.log_dir is not None
    stored = [np.load(Path(run.log_dir) / f"xinc/neuron_umap/block_2/layout_epoch_000{epoch}.npz") for epoch in (0, 2)]
    assert stored[0]["vectors"].shape == (30, 6)
    assert np.array_equal(stored[0]["neurons"], stored[1]["neurons"]), "the same ones are followed"
    assert set(stored[1]["groups"]) <= {0, 1, 2}

    config = text_format.Parse((Path(run.log_dir) / "projector_config.pbtxt").read_text(), ProjectorConfig())
    assert [each.tensor_name for each in config.embeddings] == [
        f"xinc/neuron_umap/all_layers/neurons:{step:05}" for step in (0, 2, 4)
    ]
    last = config.embeddings[-1]
    vectors = np.loadtxt(Path(run.log_dir) / last.tensor_path, delimiter="\t")
    assert vectors.shape[1] == 6
    lines = (Path(run.log_dir) / last.metadata_path).read_text().splitlines()
    assert lines[0].split("\t") == ["layer", "neuron", "group", "total", "zero_map"]
    assert len(lines) - 1 == len(vectors)
    assert {line.split("\t")[0] for line in lines[1:]} == set(LAYERS)
    for vector, line in zip(vectors, lines[1:], strict=True):
        if line.endswith("yes"):
            assert not vector.any()
            assert line.split("\t")[2] == "-"
    sheet = Image.open(Path(run.log_dir) / last.sprite.image_path)
    assert list(last.sprite.single_image_dim) == [32, 32]
    assert (sheet.size[0] // 32) ** 2 >= len(vectors)
    assert max(sheet.size) <= 8192


@pytest.mark.slow
def test_a_resumed_run_goes_on_with_the_same_layout(tmp_path: Path) -> None:
    whole, half, resumed = whole_half_and_resumed(
        tmp_path,
        lambda: [NeuronUMAP(at_epochs=(1,), projector=False, aligned=True, layers=["layer_2"], **SMALL)],
    )
    torch.load(half / "checkpoints/last.ckpt", weights_only=True)
    for name in ("layout_epoch_0002.png", "aligned_epoch_0002.png"):
        picture = f"xinc/neuron_umap/layer_2/{name}"
        assert (resumed / picture).read_bytes() == (whole / picture).read_bytes(), name
    assert not list(half.rglob("aligned_*")), "one moment is nothing to align"


def test_a_layer_with_one_live_neuron_is_left_out_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module = tiny_video()
    with torch.no_grad():
        module.network.head.weight[:, 1:] = 0
        module.network.head.weight[1:] = 0
        module.network.head.bias.zero_()
    callback = NeuronUMAP(layers=["head"], **SMALL)
    with caplog.at_level("INFO"):
        run = trainer(tmp_path, [callback])
        run.validate(module, tiny_clip(), verbose=False)
    lines = [record.message for record in caplog.records if "is left out" in record.message]
    assert lines == [
        "NeuronUMAP: head is left out: 1 of its neurons have a map that is not constant, and a layout takes 8"
    ]
    events = EventAccumulator(run.log_dir).Reload()
    assert events.Scalars("xinc/neuron_umap/head/neurons")[0].value == 1
    assert not list(tmp_path.rglob("layout_*.png"))


@pytest.mark.parametrize(
    "arguments",
    [{"num_groups": 7}, {"max_neurons": 3}, {"num_clusters": 1}, {"n_neighbors": 1}, {"n_neighbors": 0}],
)
def test_wrong_arguments_are_named(arguments: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"NeuronUMAP: {next(iter(arguments))} is"):
        NeuronUMAP(**arguments)  # type: ignore[arg-type]
