"""Neurons of two runs that `compare` has matched; and files of pairs from strangers."""

import json
import os
import re
import shutil
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from asking import Board

import xinc_pl.board.pairs
from xinc_pl.board.pairs import FORMAT, DamagedPairsError, pairings_of
from xinc_pl.cli import main
from xinc_pl.tools import pairs as written

ABOUT: dict[str, Any] = {"run": "version_0", "other": "version_1", "epoch": 2, "other_epoch": 2, "frame": 0}


@pytest.fixture(scope="module")
def board(compared: Path) -> Board:
    return Board(compared)


@pytest.fixture
def copy(compared: Path, tmp_path: Path) -> Path:
    """The runs and their comparison somewhere else, to be damaged."""
    return Path(shutil.copytree(compared, tmp_path / "elsewhere"))


def pairs_of(folder: Path, layer: str) -> dict[str, Any]:
    """The match of the two runs as the file has it."""
    facts = json.loads((folder / "compare_0/pairs.json").read_text())
    (match,) = (each for each in facts["matches"] if each["layer"] == layer and each["kind"] == "other_seed")
    found: dict[str, Any] = match
    return found


@pytest.mark.parametrize("layer", ["block_1", "head"])
def test_neurons_and_those_matched_to_them(board: Board, compared: Path, layer: str) -> None:
    match = pairs_of(compared, layer)
    for turned in (False, True):
        own, other = match["neurons"][::-1] if turned else match["neurons"]
        asked = ABOUT | ({"run": "version_1", "other": "version_0"} if turned else {})
        facts = board.ask("match", **asked, layer=layer, neurons=",".join(map(str, own[:5])))
        assert [each["neuron"] for each in facts["neurons"]] == own[:5]
        assert [each["match"] for each in facts["neurons"]] == other[:5]
        assert [each["similarity"] for each in facts["neurons"]] == match["similarity"][:5]
        first = facts["neurons"][0]
        assert (first["source"], first["epochs"], first["frame"]) == ("compare_0", [2, 2], 0)
        assert (first["convention"], first["vectors"], first["kind"]) == ("paper", "gabor", "other_seed")
        assert first["is_trivial"] is match["is_trivial"]
        assert (facts["why"], facts["remarks"]) == (None, [])


def test_the_format_is_that_of_compare() -> None:
    assert written.FORMAT == FORMAT


def test_runs_that_have_moved_together_stay_matched(copy: Path) -> None:
    match = pairs_of(copy, "head")
    facts = Board(copy).ask("match", **ABOUT, layer="head", neurons=match["neurons"][0][0])
    assert facts["neurons"][0]["match"] == match["neurons"][1][0]


def test_runs_that_are_not_compared_say_how(
    compared: Path, copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ABOUT | {"other": "version_2", "layer": "head", "neurons": "0,3"}
    board = Board(copy)
    facts = board.ask("match", **asked)
    assert [each["match"] for each in facts["neurons"]] == [None, None]
    assert facts["remarks"] == []
    why, command = facts["why"].split(": ", 1)
    assert why == "head of these runs has not been compared, so nothing is matched yet"
    words = command.split()
    assert words[:4] == ["python", "-m", "xinc_pl", "compare"]
    # what is said to be typed is typed
    monkeypatch.setattr("sys.argv", ["xinc"])
    monkeypatch.setattr(xinc_pl.tools.compare, "joint_layout", lambda *_: None)
    main(words[3:])
    capsys.readouterr()
    facts = Board(copy).ask("match", **asked)
    assert facts["neurons"][0]["source"] == "compare_1"
    assert facts["why"] is None or "not among them" in facts["why"]
    assert not (compared / "compare_1").exists()


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """The file of pairs, with something else in it."""
    file = folder / "compare_0/pairs.json"
    facts = json.loads(file.read_text())
    change(facts)
    file.write_text(json.dumps(facts))


def test_a_neuron_without_a_match(copy: Path) -> None:
    def shorten(facts: dict[str, Any]) -> None:
        for match in facts["matches"]:
            match["neurons"] = [column[:4] for column in match["neurons"]]
            match["similarity"] = match["similarity"][:4]

    match = pairs_of(copy, "block_2")
    rewritten(copy, shorten)
    neurons = match["neurons"][0][3:6]
    facts = Board(copy).ask("match", **ABOUT, layer="block_2", neurons=",".join(map(str, neurons)))
    assert [each["match"] for each in facts["neurons"]] == [match["neurons"][1][3], None, None]
    assert f"matched 4 neurons of block_2, and neurons {neurons[1]}, {neurons[2]} are not among them" in facts["why"]
    assert facts["why"].endswith("--seed 1")
    assert "compare_1" in facts["why"]


def test_the_comparison_nearest_to_what_is_shown(copy: Path) -> None:
    match = pairs_of(copy, "head")

    def add(facts: dict[str, Any]) -> None:
        facts["matches"].append(match | {"epochs": [1, 0], "neurons": [match["neurons"][0][::-1], match["neurons"][1]]})

    rewritten(copy, add)
    board, first = Board(copy), match["neurons"][0][0]
    asked = ABOUT | {"layer": "head", "neurons": first}
    assert board.ask("match", **asked)["neurons"][0]["match"] == match["neurons"][1][0]
    early = board.ask("match", **(asked | {"epoch": 0, "other_epoch": 1}))["neurons"][0]
    assert (early["match"], early["epochs"]) == (match["neurons"][1][-1], [1, 0])


def set_in(*path: Any, to: Any) -> Callable[[dict[str, Any]], None]:
    def change(facts: Any) -> None:
        for each in path[:-1]:
            facts = facts[each]
        facts[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (set_in("runs", to={}), "runs"),
        (set_in("runs", to=[{"path": "x"}] * 1001), "runs"),
        (set_in("runs", 0, to=None), "path"),
        (set_in("runs", 0, "path", to="a\x00b"), "path"),
        (set_in("runs", 0, "path", to="x" * 5000), "path"),
        (set_in("frame", to="0"), "frame"),
        (set_in("frame", to=True), "frame"),
        (set_in("convention", to="a\nb"), "convention"),
        (set_in("matches", to="all"), "matches"),
        (set_in("matches", 0, to=3), "runs"),
        (set_in("matches", 0, "kind", to="own"), "kind"),
        (set_in("matches", 0, "layer", to=["head"]), "layer"),
        (set_in("matches", 0, "runs", to=[0, 2]), "runs"),
        (set_in("matches", 0, "runs", to=[-1, 1]), "runs"),
        (set_in("matches", 0, "runs", to=[0, 1, 1]), "runs"),
        (set_in("matches", 0, "epochs", to=[1.5, 2]), "epochs"),
        (set_in("matches", 0, "is_trivial", to=0), "is_trivial"),
        (set_in("matches", 0, "neurons", to=[[0], [1], [2]]), "neurons"),
        (set_in("matches", 0, "neurons", 0, 0, to=-1), "neurons"),
        (set_in("matches", 0, "neurons", 0, 0, to=10**30), "neurons"),
        (set_in("matches", 0, "neurons", 0, 0, to=[[]]), "neurons"),
        (set_in("matches", 0, "neurons", 0, to=[]), "neurons"),
        (set_in("matches", 0, "similarity", 0, to=2), "similarity"),
        (set_in("matches", 0, "similarity", 0, to=float("nan")), "similarity"),
        (set_in("matches", 0, "similarity", 0, to="1"), "similarity"),
    ],
)
def test_what_cannot_be_in_a_file_is_one_line(copy: Path, change: Any, name: str) -> None:
    rewritten(copy, change)
    facts = Board(copy).ask("match", **ABOUT, layer="head", neurons="0")
    (remark,) = facts["remarks"]
    assert remark == (
        f"compare_0: pairs.json is damaged: what stands there as {name} cannot be; compare the runs again"
    )
    assert facts["neurons"][0]["match"] is None


def test_a_neuron_that_is_matched_twice_is_damage(copy: Path) -> None:
    rewritten(
        copy, lambda facts: facts["matches"][0]["neurons"][1].__setitem__(0, facts["matches"][0]["neurons"][1][1])
    )
    with pytest.raises(DamagedPairsError, match="neurons"):
        pairings_of(copy / "compare_0/pairs.json", "x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is not JSON"),
        (b"{", "it is not JSON"),
        (b"\xff\xfe\x00", "it is not JSON"),
        (b"[" * 10**6, "it is not JSON"),
        (b"1" * 10**5, "it is not JSON"),
        (b"[]", "is not of the format xinc_pl.pairs/1"),
        (b'{"format": "xinc_pl.pairs/2"}', "is not of the format xinc_pl.pairs/1"),
        (b" " * ((16 << 20) + 1), "is larger than 16 MB"),
    ],
    ids=["empty", "cut", "bytes", "deep", "number", "list", "newer", "large"],
)
def test_files_of_strangers(copy: Path, data: bytes, reason: str) -> None:
    (copy / "compare_0/pairs.json").write_bytes(data)
    (remark,) = Board(copy).ask("match", **ABOUT, layer="head", neurons="0")["remarks"]
    assert reason in remark
    assert "\n" not in remark


def test_what_is_no_file_is_not_opened(copy: Path) -> None:
    file = copy / "compare_0/pairs.json"
    aside = copy / "aside.json"
    file.rename(aside)
    for make in (lambda: os.mkfifo(file), lambda: file.symlink_to(aside), lambda: file.mkdir()):
        make()
        facts = Board(copy).ask("match", **ABOUT, layer="head", neurons="0")
        assert (facts["neurons"][0]["match"], facts["remarks"]) == (None, [])
        file.rmdir() if file.is_dir() else file.unlink()


def test_paths_in_a_file_lead_nowhere(copy: Path) -> None:
    neuron = pairs_of(copy, "head")["neurons"][0][0]
    for path in ("/etc", "../../../../etc", "~", "//host/share", "../version_2/../nothing", "../version_2"):
        rewritten(copy, set_in("runs", 1, "path", to=path))
        facts = Board(copy).ask("match", **ABOUT, layer="head", neurons=neuron)
        assert facts["neurons"][0]["match"] is None
        assert facts["remarks"] == []  # it concerns other runs


def test_a_file_that_is_written_anew_is_read_anew(copy: Path) -> None:
    board, match = Board(copy), pairs_of(copy, "head")
    own, others = match["neurons"]
    asked = ABOUT | {"layer": "head", "neurons": own[0]}
    assert board.ask("match", **asked)["neurons"][0]["match"] == others[0]
    rewritten(copy, lambda facts: [each["neurons"][1].reverse() for each in facts["matches"]])
    os.utime(copy / "compare_0/pairs.json", ns=(1, 1))
    assert board.ask("match", **asked)["neurons"][0]["match"] == others[-1]
    (copy / "compare_0/pairs.json").unlink()
    assert board.ask("match", **asked)["neurons"][0]["match"] is None


def test_a_file_of_many_matches_is_not_read(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    number = len(json.loads((copy / "compare_0/pairs.json").read_text())["matches"])
    monkeypatch.setattr(xinc_pl.board.pairs, "MAX_MATCHES", number)
    assert pairings_of(copy / "compare_0/pairs.json", "compare_0")
    monkeypatch.setattr(xinc_pl.board.pairs, "MAX_MATCHES", number - 1)
    with pytest.raises(DamagedPairsError, match="as matches cannot be"):
        pairings_of(copy / "compare_0/pairs.json", "compare_0")


def test_matches_without_a_pair_count_as_what_they_take(copy: Path) -> None:
    def repeat(facts: dict[str, Any]) -> None:
        match = next(each for each in facts["matches"] if each["kind"] == "other_seed")
        facts["matches"] = [match | {"neurons": [[], []], "similarity": []}] * 1000

    rewritten(copy, repeat)
    tracemalloc.start()
    try:
        pairings, counted = xinc_pl.board.pairs._read(copy / "compare_0/pairs.json", "compare_0")
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(pairings) == 1000
    assert counted >= taken


def test_a_neuron_is_looked_for_in_the_nearest_comparisons(copy: Path) -> None:
    def far(facts: dict[str, Any]) -> None:
        match = next(each for each in facts["matches"] if (each["kind"], each["layer"]) == ("other_seed", "head"))
        empty = match | {"neurons": [[], []], "similarity": []}
        facts["matches"] = [match | {"epochs": [9, 9]}, *[empty] * 63]

    neuron = pairs_of(copy, "head")["neurons"][0][0]
    rewritten(copy, far)
    assert Board(copy).ask("match", **ABOUT, layer="head", neurons=neuron)["neurons"][0]["match"] is not None
    rewritten(copy, lambda facts: facts["matches"].append(facts["matches"][-1]))
    assert Board(copy).ask("match", **ABOUT, layer="head", neurons=neuron)["neurons"][0]["match"] is None


def test_only_so_many_files_are_looked_at(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(copy / "compare_0", copy / "compare_1")
    (copy / "compare_1/pairs.json").write_text("nonsense")
    os.utime(copy / "compare_0/pairs.json", ns=(1, 1))
    board, neuron = Board(copy), pairs_of(copy, "head")["neurons"][0][0]
    facts = board.ask("match", **ABOUT, layer="head", neurons=neuron)
    assert (facts["neurons"][0]["source"], len(facts["remarks"])) == ("compare_0", 1)
    monkeypatch.setattr(xinc_pl.board.pairs, "MAX_FILES", 1)
    facts = board.ask("match", **ABOUT, layer="head", neurons=neuron)
    assert (facts["neurons"][0]["source"], len(facts["remarks"])) == (None, 1)


@pytest.mark.parametrize(
    ("values", "status", "reason"),
    [
        ({"other": "version_0"}, 400, "run and other are both version_0"),
        ({"other": "../version_1"}, 404, "TensorBoard lists no run"),
        ({"run": "/etc"}, 404, "TensorBoard lists no run '/etc'"),
        ({"other": []}, 400, "other is given 0 times"),
        ({"other": ["version_1", "version_1"]}, 400, "other is given 2 times"),
        ({"other": "\x00"}, 400, "other has to be a printable text"),
        ({"neurons": "1,1"}, 400, "neurons lists 2 neurons"),
        ({"neurons": "-1"}, 400, "neurons is '-1'"),
        ({"neurons": ",".join(map(str, range(65)))}, 400, "at most 64"),
        ({"epoch": "NaN"}, 400, "epoch is 'NaN'"),
        ({"other_epoch": "1e3"}, 400, "other_epoch is '1e3'"),
        ({"frame": ""}, 400, "frame has to be"),
        ({"layer": "x" * 401}, 400, "layer has to be"),
    ],
)
def test_requests_that_are_not_answered(board: Board, values: dict[str, Any], status: int, reason: str) -> None:
    told = board.refused("match", **(ABOUT | {"layer": "head", "neurons": "0"} | values))
    assert told[0] == status
    assert re.search(re.escape(reason), told[1])


def test_a_layer_that_there_is_not(board: Board) -> None:
    facts = board.ask("match", **ABOUT, layer="<script>", neurons="0")
    assert facts["neurons"][0]["match"] is None
    assert facts["why"].startswith("<script> of these runs has not been compared")


def test_pairs_are_each_once(compared: Path) -> None:
    pairings = pairings_of(compared / "compare_0/pairs.json", "compare_0")
    assert {each.layer for each in pairings} == {"block_1", "block_2", "head"}
    for each in pairings:
        assert each.turned().turned().folders == each.folders
        np.testing.assert_array_equal(each.turned().neurons[0], each.neurons[1])
