"""Requests that are not answered: one line each, whatever is asked."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from asking import Board

MOMENT: dict[str, Any] = {"run": "version_0", "epoch": 3, "frame": 2}
TOP = MOMENT | {"layer": "head", "pixel": "1,2"}

HOSTILE = ["-1", "NaN", "inf", "1e3", "1.5", "", " ", "٣", "0x10", "9" * 40, "..", "None", "1;2", "'", "\x00", "1\n2"]


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", ["epoch", "frame", "k", "neuron", "neurons", "side", "pixel", "rectangle", "instance"])
def test_what_is_no_number_in_range_is_refused(board: Board, name: str, value: str) -> None:
    question = {"neuron": "neuron", "neurons": "maps", "side": "maps"}.get(name, "top")
    asked = {**MOMENT, "layer": "head", "pixel": "1,2", "neuron": "0", "neurons": "0", "side": "64"}
    if name in ("rectangle", "instance"):
        del asked["pixel"]
    status, reason = board.refused(question, **(asked | {name: value}))
    assert status in (400, 404)
    assert name in reason


@pytest.mark.parametrize(
    "run", ["..", ".", "/", "/etc", "../logs/version_0", "version_0/..", "version_0/../version_0", "version_1x", "\x00"]
)
def test_only_runs_that_are_listed(board: Board, run: str) -> None:
    for question, asked in (("run", {}), ("pictures", MOMENT), ("top", TOP)):
        status, reason = board.refused(question, **(asked | {"run": run}))
        assert status in (400, 404)
        assert "run" in reason


def test_the_path_of_a_run_that_is_there_is_no_name(board: Board, logdir: Path) -> None:
    assert board.refused("run", run=str(logdir / "version_0"))[0] == 404


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"epoch": 2}, "has no recording after epoch 2; it has 0, 1, 3, 4"),
        ({"frame": 1}, "has no recording of frame 1; it has 0, 2"),
        ({"layer": "nonsense"}, "run version_0 has no layer 'nonsense' here; it has block_1, block_2, head"),
        ({"pixel": "16,0"}, "pixel 16,0 is not within 16x32 pixels"),
        ({"pixel": "1"}, "pixel has 1 numbers; it has to have 2"),
        ({"convention": "other"}, "convention is 'other'; it has to be one of paper, released, effect"),
        ({"by": "other"}, "by is 'other'"),
        ({"k": 0}, "k is '0'; it has to be a whole number from 1 to 64"),
        ({"rectangle": "0,0,1,1"}, "give one of"),
        ({"layer": ["head", "head"]}, "layer is given 2 times"),
        ({"layer": "x" * 10**4}, "layer has to be a printable text"),
    ],
)
def test_what_there_is_not_is_told(board: Board, values: dict[str, Any], reason: str) -> None:
    status, told = board.refused("top", **(TOP | values))
    assert status in (400, 404)
    assert reason in told


@pytest.mark.parametrize("rectangle", ["0,0,0,5", "5,5,3,9", "0,0,17,5", "0,0,5,33", "1,2,3"])
def test_rectangles_within_the_image(board: Board, rectangle: str) -> None:
    assert board.refused("top", **MOMENT, layer="head", rectangle=rectangle)[0] == 400


def test_instances_that_are_there(board: Board) -> None:
    assert "there is no instance 99" in board.refused("top", **MOMENT, layer="head", instance=99)[1]


@pytest.mark.parametrize(
    "neurons", ["0,0", "0,00", "1000000", ",".join(map(str, range(65))), "0,", "head:0"], ids=lambda text: text[:8]
)
def test_neurons_that_are_there(board: Board, neurons: str) -> None:
    assert board.refused("maps", **MOMENT, layer="head", neurons=neurons)[0] == 400


@pytest.mark.parametrize(
    "neuron", [[], ["head"], ["head:"], [":3"], ["head:x"], ["head:1", "head:01"], ["head:99999"], ["nonsense:1"]]
)
def test_neurons_to_take_away(board: Board, neuron: list[str]) -> None:
    assert board.refused("without", **MOMENT, neuron=neuron)[0] in (400, 404)


def test_nothing_is_written(board: Board) -> None:
    for method in ("post", "put", "delete"):
        assert getattr(board.client, method)("/data/plugin/canvas/runs").status_code == 405


def test_files_beside_the_page_are_not_served(board: Board) -> None:
    for path in ("../plugin.py", "%2e%2e/plugin.py", "page/main.js", "..%2fplugin.py", "plugin.py"):
        assert board.client.get(f"/data/plugin/canvas/{path}").status_code == 404
    for name, kind in (("main.js", "text/javascript"), ("style.css", "text/css"), ("index.html", "text/html")):
        page = board.client.get(f"/data/plugin/canvas/{name}")
        assert (page.status_code, page.mimetype) == (200, kind)


def test_a_run_without_recordings(board: Board) -> None:
    assert board.refused("run", run="version_1") == (
        404,
        "run version_1 has no recordings; train with the callback CanvasRecorder",
    )


def test_damaged_recordings_are_one_line_that_names_the_run(logdir: Path, tmp_path: Path) -> None:
    shutil.copytree(logdir / "version_0", tmp_path / "mine")
    (tmp_path / "mine/xinc/recordings/epoch_0003.safetensors").write_bytes(b"nonsense")
    (tmp_path / "mine/xinc/recordings/frames/frame_0000.safetensors").unlink()
    board = Board(tmp_path)
    asked = {"run": "mine", "frame": 2, "layer": "head", "pixel": "1,2"}
    status, reason = board.refused("top", **asked, epoch=3)
    assert status in (404, 422)
    assert reason.startswith("run mine: ")
    assert board.ask("top", **asked, epoch=1)["layer"] == "head"
    assert "frame_0000" in board.refused("pictures", run="mine", epoch=1, frame=0)[1]


def test_a_recording_that_is_written_anew_is_read_anew(logdir: Path, tmp_path: Path) -> None:
    shutil.copytree(logdir / "version_0", tmp_path / "mine")
    board, folder = Board(tmp_path), tmp_path / "mine/xinc/recordings"
    asked = {"run": "mine", "epoch": 3, "frame": 2, "layer": "head", "neurons": "0"}
    before = board.ask("maps", **asked)["maps"]
    shutil.copyfile(folder / "epoch_0000.safetensors", folder / "epoch_0003.safetensors")
    after = board.ask("maps", **asked)["maps"]
    assert (before != after).any()
    assert (after == board.ask("maps", **(asked | {"epoch": 0}))["maps"]).all()
