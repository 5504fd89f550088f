"""Drawings are made in a process of their own: the same bytes, and nothing is lost where it cannot be had."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from drawings import drawn, fail, who
from tiny import tiny_image, tiny_photograph, trainer

from xinc_pl import ContributionCanvas
from xinc_pl.callbacks.desk import BackgroundDesk, PlainDesk
from xinc_pl.callbacks.drawing_process import DrawingProcess, drawing_process


@pytest.fixture(scope="module")
def process() -> Iterator[DrawingProcess]:
    process = DrawingProcess()
    yield process
    process.close()


def test_another_process_draws_the_same_bytes(process: DrawingProcess) -> None:
    drawing = partial(drawn, "head")
    there = process.printing(drawing, ("png", "pdf", "svg"), "a note")()
    assert there == PlainDesk().printing(drawing, ("png", "pdf", "svg"), "a note")()
    assert set(there.vectors) == {"pdf", "svg"}
    assert (there.height, there.width) == (90, 200)
    assert process.printing(who, ("png",), "")().width != width_here()


def test_a_drawing_is_of_what_was_there_when_it_was_handed_over(process: DrawingProcess) -> None:
    pixels = np.zeros((4, 4, 3), np.uint8)
    later = process.printing(partial(np.asarray, pixels), ("png",), "")
    expected = PlainDesk().printing(partial(np.asarray, pixels.copy()), ("png",), "")()
    pixels[:] = 255
    assert later() == expected


def test_what_cannot_be_sent_is_drawn_at_once(process: DrawingProcess) -> None:
    calls: list[int] = []
    print_ = process.printing(lambda: calls.append(1) or drawn("mine"), ("png",), "")  # type: ignore[func-returns-value]
    assert calls == [1]
    assert print_() == PlainDesk().printing(partial(drawn, "mine"), ("png",), "")()


def test_what_only_this_process_knows_is_drawn_here(process: DrawingProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "only_here", (module := ModuleType("only_here")))
    exec("from drawings import drawn\ndef mine(): return drawn('mine')", vars(module))
    print_ = process.printing(module.mine, ("png",), "")
    assert print_() == PlainDesk().printing(partial(drawn, "mine"), ("png",), "")()
    assert process.printing(who, ("png",), "")().width != width_here()


@pytest.mark.parametrize(("error", "raised"), [(ZeroDivisionError("by 0"), ZeroDivisionError), (None, RuntimeError)])
def test_what_goes_wrong_there_is_raised_here_and_the_next_drawing_is_made(
    error: Exception | None, raised: type[Exception], process: DrawingProcess
) -> None:
    print_ = process.printing(partial(fail, error), ("png",), "")
    with pytest.raises(raised, match=r"by 0|CannotBeSent: 3") as told:
        print_()
    if error is not None:
        assert any("in fail" in note for note in told.value.__notes__)
    assert process.printing(who, ("png",), "")().width != width_here()


def width_here() -> int:
    return round(who().get_figwidth() * 100)


def test_a_killed_process_is_done_without() -> None:
    process = DrawingProcess()
    assert process.printing(who, ("png",), "")().width != width_here()
    assert process._process is not None
    process._process.kill()
    assert process.printing(who, ("png",), "")().width == width_here()
    process.close()


def test_one_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert DrawingProcess().printing(who, ("png",), "")().width == width_here()


def test_it_ends_with_the_process_that_has_started_it() -> None:
    code = (
        "import os\nfrom xinc_pl.callbacks.drawing_process import drawing_process\n"
        "from functools import partial\nfrom xinc_pl.plots.printing import side_by_side\nimport numpy as np\n"
        "pixels = np.zeros((4, 4, 3), np.uint8)\n"
        "drawing_process().printing(partial(side_by_side, (partial(np.asarray, pixels),)), ('png',), '')()\n"
        "print(drawing_process()._process.pid, flush=True)\nos._exit(0)"  # as kill -9: nothing is tidied up
    )
    number = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    for _ in range(100):
        try:
            os.kill(number, 0)
        except ProcessLookupError:
            return
        if "Z" in Path(f"/proc/{number}/stat").read_text().split()[2:3]:
            return
        time.sleep(0.1)
    raise AssertionError("it goes on alone")


def test_pictures_of_a_training_are_the_same_to_the_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def pictures(folder: str) -> dict[str, bytes]:
        callback = ContributionCanvas(at_epochs=(0, 1), formats=["png", "svg"])
        run = trainer(tmp_path / folder, [callback], max_epochs=1)
        run.fit(tiny_image(), tiny_photograph())
        files = [each for each in Path(str(run.log_dir)).rglob("*") if each.suffix in (".png", ".svg")]
        return {str(each.relative_to(str(run.log_dir))): each.read_bytes() for each in files}

    there = pictures("there")
    assert drawing_process()._process is not None
    monkeypatch.setattr(BackgroundDesk, "printing", PlainDesk.printing)
    assert pictures("here") == there
    assert len(there) > 4
