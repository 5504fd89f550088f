"""What TensorBoard makes of a run that the command line has left, asked as its page in the browser asks."""

import io
import json
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from PIL import Image
from tensorboard import default, program

from xinc_pl.cli import main

FIT = [
    *("fit", "--config", "nerv", "--data.size", "[16, 32]", "--data.num_frames", "4", "--trainer.max_epochs", "2"),
    *("--model.network.strides", "[2, 2]", "--model.network.width", "7", "--model.network.levels", "6"),
    *("--trainer.enable_progress_bar", "false", "--trainer.check_val_every_n_epoch", "1"),
    *("--trainer.accelerator", "cpu", "--trainer.callbacks", "ContributionCanvas"),
    *("--trainer.callbacks+", "GroupingVariance", "--trainer.callbacks.num_clusters", "4"),
    *("--trainer.callbacks+", "NeuronUMAP", "--trainer.callbacks.at_epochs", "[]"),
    *("--trainer.callbacks.max_neurons", "20", "--trainer.callbacks.num_clusters", "4"),
    *("--trainer.callbacks+", "CanvasEvolution", "--trainer.callbacks.num_neurons", "4"),
]
RUN = "version_0"
LAST = "xinc/canvas_evolution/head/film"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a TensorBoard that was started as the README says."""
    folder = tmp_path_factory.mktemp("board")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr("sys.argv", ["xinc"])
        main(FIT)
        server = program.TensorBoard(default.get_plugins())
        logdir = str(folder / "lightning_logs")
        options = ("--samples_per_plugin", "images=500", "--port", "0", "--load_fast", "false")
        server.configure(("tensorboard", "--logdir", logdir, *options))
        address = server.launch()
        deadline = time.monotonic() + 60  # it reads the logs beside answering; what is asked for below comes last
        while LAST not in told(address, "plugin/images/tags").get(RUN, {}) and time.monotonic() < deadline:
            time.sleep(0.2)
        yield address


def asked(board: str, path: str, **query: str) -> bytes:
    address = f"{board.rstrip('/')}/data/{path}" + (f"?{urllib.parse.urlencode(query)}" if query else "")
    with urllib.request.urlopen(address, timeout=60) as answer:
        found: bytes = answer.read()
        return found


def told(board: str, path: str, **query: str) -> Any:
    return json.loads(asked(board, path, **query))


def test_every_step_of_a_picture_is_served(board: str) -> None:
    tags = told(board, "plugin/images/tags")[RUN]
    assert {tag.split("/")[1] for tag in tags} == {
        "canvas_evolution",
        "contribution_canvas",
        "grouping_variance",
        "neuron_umap",
    }
    tag = "xinc/contribution_canvas/block_1/maps"
    pictures = told(board, "plugin/images/images", run=RUN, tag=tag, sample="0")
    assert [each["step"] for each in pictures] == [0, 2, 4]
    for each in pictures:
        picture = Image.open(io.BytesIO(asked(board, f"plugin/images/individualImage?{each['query']}")))
        assert picture.format == "PNG"
        assert picture.size[0] == 1280


def test_films_move(board: str) -> None:
    (film,) = told(board, "plugin/images/images", run=RUN, tag="xinc/canvas_evolution/head/film", sample="0")
    picture = Image.open(io.BytesIO(asked(board, f"plugin/images/individualImage?{film['query']}")))
    assert picture.format == "GIF"
    assert getattr(picture, "n_frames", 1) == 3


def test_charts_of_the_layout_find_their_curves(board: str) -> None:
    layout = told(board, "plugin/custom_scalars/layout")
    tags = told(board, "plugin/scalars/tags")[RUN]
    charts = [chart for category in layout["category"] for chart in category["chart"]]
    assert {category["title"] for category in layout["category"]} >= {"contribution_canvas", "grouping_variance"}
    for chart in charts:
        for pattern in chart["multiline"]["tag"]:
            if "movement" in pattern:  # of one dissection there is none
                continue
            found = told(board, "plugin/custom_scalars/scalars", run=RUN, tag=pattern)
            assert found["regex_valid"]
            assert set(found["tag_to_events"]) <= set(tags)
            assert found["tag_to_events"] or "instances" in pattern, pattern


def test_the_page_and_the_table_of_runs_are_there(board: str) -> None:
    tag = "xinc/guide/text_summary"
    assert tag in told(board, "plugin/text/tags")[RUN]
    page = told(board, "plugin/text/text", run=RUN, tag=tag)[0]["text"]
    assert "<td><code>maps</code></td>" in page
    request = urllib.request.Request(
        f"{board.rstrip('/')}/data/plugin/hparams/experiment", data=b"{}", headers={"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        experiment = json.load(answer)
    assert {each["name"]["tag"] for each in experiment["metricInfos"]} >= {"val/psnr", "train/loss"}


def test_the_projector_has_vectors_metadata_and_sprites(board: str) -> None:
    assert told(board, "plugin/projector/runs") == [RUN]
    (entry,) = told(board, "plugin/projector/info", run=RUN)["embeddings"]
    name = entry["tensorName"]
    assert name == "xinc/neuron_umap/all_layers/neurons:00004"
    metadata = asked(board, "plugin/projector/metadata", run=RUN, name=name).decode().splitlines()
    assert metadata[0] == "layer\tneuron\tgroup\ttotal\tzero_map"
    tensor = asked(board, "plugin/projector/tensor", run=RUN, name=name)
    assert len(tensor) == 4 * 4 * (len(metadata) - 1), "four clusters, in float32"
    assert Image.open(io.BytesIO(asked(board, "plugin/projector/sprite_image", run=RUN, name=name))).format == "PNG"
