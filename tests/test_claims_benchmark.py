"""The benchmark of the claims goes on where it was killed, and its table is what one works out by hand."""

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

FOLDER = Path(__file__).parent.parent / "benchmarks"


@pytest.fixture
def claims(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    for name in ("claims", "claim_numbers", "claim_courses"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import claims

    return claims


def options(folder: Path, *words: str) -> list[str]:
    tiny = ["--size", "32", "64", "--num-frames", "4", "--model-size", "2e4", "--epochs", "1", "--image-epochs", "1"]
    return [*tiny, "--num-back", "2", "--out", str(folder), *words]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_row_is_the_mean_over_signals_of_means_over_seeds(claims: ModuleType) -> None:
    one = claims.Measured("it holds", "paper", "head", 2.0, 1.0, 0.01, 30)
    none = replace(one, value=math.nan, null=math.nan, p=math.nan)
    begun = replace(one, value=1.0, p=0.5, epoch=0)
    found = {"a": [one, replace(one, value=4.0, p=0.2), begun], "b": [replace(one, value=7.0), begun], "c": [none]}
    head, _, line = claims.table(found).splitlines()
    row = dict(zip(cells(head), cells(line), strict=True))
    assert [row[name] for name in ("claim", "layer", "maps", "signals")] == ["it holds", "head", "paper", "2"]
    assert row["number"].startswith("5 [3")  # (mean(2, 4) + 7) / 2
    assert row["null"] == "1"
    assert row["number - null"].startswith("4 [2")
    assert row["before training"] == "1"
    assert row["number - before"].startswith("4 [2")
    assert row["p <= .05"] == "2 of 3"
    assert row["p <= .05 before"] == "0 of 2"


def test_a_lone_signal_has_no_interval(claims: ModuleType) -> None:
    lone = claims.Measured("it holds", "paper", "head", 2.0, 1.0, math.nan, 30)
    assert cells(claims.table({"a": [lone]}).splitlines()[-1])[5:8] == ["2", "1", "1"]


def test_numbers_survive_their_file(claims: ModuleType, tmp_path: Path) -> None:
    one = claims.Measured("it holds", "paper", "head", 0.1 + 0.2, math.nan, 0.01, 30)
    claims.write(tmp_path / "a.json", [one])
    (read,) = (claims.Measured.read(each) for each in json.loads((tmp_path / "a.json").read_text()))
    assert read.value == one.value
    assert math.isnan(read.null)
    assert replace(read, null=0.0) == replace(one, null=0.0)


def test_what_is_not_known_is_refused(claims: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="signals: collage_99; there are collage_0, collage_1"):
        claims.main(options(tmp_path, "--signals", "collage_99"))
    with pytest.raises(SystemExit, match="two have the same name"):
        claims.main(options(tmp_path, "--images", "elsewhere/astronaut.png"))
    claims.check_settings(claims.Settings((32, 64), 4, 2, 1, 1, 2e4), tmp_path)
    with pytest.raises(SystemExit, match="holds runs of other settings"):
        claims.check_settings(claims.Settings((32, 64), 4, 2, 2, 1, 2e4), tmp_path)


def test_frames_of_short_clips_exist(claims: ModuleType) -> None:
    settings = claims.Settings((32, 64), 4, 8, 1, 1, 2e4)
    clip, image = (claims.Signal("it", is_clip, lambda: None) for is_clip in (True, False))
    assert [settings.frames(clip, length) for length in (2, 3, 9, 30)] == [(0, 1), (0, 1, 2), (0, 7, 8), (12, 19, 20)]
    assert settings.frames(image, 1) == (0,)


def test_a_course_is_the_mean_over_clips_of_means_over_seeds_at_common_epochs(claims: ModuleType) -> None:
    from claim_courses import course

    def run(*values: float) -> list[object]:
        at = zip((0, 3, 30), values, strict=False)
        return [claims.Measured("it", "paper", "head", value, value / 2, math.nan, epoch) for epoch, value in at]

    stranger = replace(run(9.0)[0], layer="block_1")
    found = course({"a": [run(1.0, 2.0, 3.0), run(3.0, 4.0)], "b": [[*run(0.0, 1.0, 2.0), stranger]]}, "head", "it")
    assert found.epochs == [0, 3]
    assert found.values.tolist() == [[2.0, 3.0], [0.0, 1.0]]
    assert found.null.tolist() == [0.5, 1.0]


@pytest.mark.slow
def test_a_killed_benchmark_goes_on(
    claims: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import claim_numbers

    fewer = {"NUM_SHIFTS": 9, "NUM_COMPARED": 6, "NUM_PLACED": 6, "NUM_REMOVED": 4, "MAX_NEURONS": 40}
    for name, number in fewer.items():
        monkeypatch.setattr(claim_numbers, name, number)
    figure = tmp_path / "courses.png"
    words = options(tmp_path, "--signals", "collage_0", "collage_1", "chelsea", "--seeds", "2", "--figure", str(figure))
    claims.main(words)
    said = capsys.readouterr().out
    table = [cells(line) for line in said.splitlines() if line.startswith("|")][2:]
    assert {row[2] for row in table} == {"", "paper", "effect", "released"}
    names = {row[0] for row in table}
    assert {"PSNR, dB", "rgb: variance over shifts'", "change, moving over still"} <= names
    assert "seeds: like another seed's, against another signal's" in names
    assert {"removal: how much, rank correlation", "objects of other categories over those of one"} <= names
    assert Image.open(figure).size[0] > 1000
    assert {row[1] for row in table} >= {"block_1", "head", "layer_1", "layer_3"}
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json") if path.name != "settings.json"}
    assert len(kept) == 6 + 4 + 2  # runs, their courses where they are of clips, pairs of seeds
    lost = tmp_path / "collage_1-seed1.json"
    before = lost.read_text()
    lost.unlink()
    monkeypatch.setattr(claims, "Trainer", None)  # the run itself is there
    claims.main(words)
    assert lost.read_text() == before
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items() if path != lost)
    assert [line for line in capsys.readouterr().out.splitlines() if line.startswith("|")] == [
        line for line in said.splitlines() if line.startswith("|")
    ]
    (tmp_path / "runs/chelsea-seed0/xinc/recordings/epoch_0001.safetensors").unlink()
    (tmp_path / "chelsea-seed0.json").unlink()
    with pytest.raises(TypeError, match="NoneType"):  # a training that was killed is begun anew
        claims.main(words)
