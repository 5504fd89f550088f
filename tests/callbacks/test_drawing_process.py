"""Drawings are made in a process of their own: the same bytes, and nothing is lost where it cannot be had."""

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from types import ModuleType

import numpy as np
import pytest
from drawings import drawn, fail, who
from tiny import tiny_image, tiny_photograph, trainer

from xinc_pl import CanvasRecorder, ContributionCanvas
from xinc_pl.callbacks.desk import BackgroundDesk, PlainDesk
from xinc_pl.callbacks.drawing_process import DrawingProcess, drawing_process
from xinc_pl.plots import printing


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


@pytest.mark.parametrize("name", ["only_here", "__main__"])
def test_what_only_this_process_knows_is_drawn_here(
    name: str, process: DrawingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, (module := ModuleType(name)))
    exec("from drawings import drawn\ndef serve(): return drawn('mine')", vars(module))
    print_ = process.printing(module.serve, ("png",), "")
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


def test_one_that_is_expected_to_draw_starts_at_once_and_draws() -> None:
    process = DrawingProcess()
    process.expect()
    started = process._process
    assert started is not None
    process.expect()
    assert process.printing(who, ("png",), "")().width != width_here()
    assert process._process is started
    process.close()
    assert process._process is None


def test_to_be_expected_does_not_wait_for_a_drawing(process: DrawingProcess) -> None:
    with process._lock:  # as while another thread has it draw
        expecting = Thread(target=process.expect, daemon=True)
        expecting.start()
        expecting.join(10)
        assert not expecting.is_alive()


def test_who_draws_nothing_starts_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected: list[DrawingProcess] = []
    monkeypatch.setattr(DrawingProcess, "expect", lambda process: expected.append(process))
    for callback, number in ((CanvasRecorder(at_epochs=()), 0), (ContributionCanvas(at_epochs=()), 1)):
        trainer(tmp_path, [callback], max_epochs=1).fit(tiny_image(), tiny_photograph())
        assert len(expected) == number


def test_a_killed_process_is_done_without() -> None:
    process = DrawingProcess()
    assert process.printing(who, ("png",), "")().width != width_here()
    assert process._process is not None
    process._process.kill()
    assert process.printing(who, ("png",), "")().width == width_here()
    process.close()


def test_one_that_cannot_be_started_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    for is_expected in (False, True):
        process = DrawingProcess()
        if is_expected:
            process.expect()
        assert process.printing(who, ("png",), "")().width == width_here()


def test_a_program_that_is_no_interpreter_is_not_started_once_more(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(*_: object, **__: object) -> None:
        raise AssertionError("it would train once more")

    monkeypatch.setattr(subprocess, "Popen", start)
    for name, value in (("frozen", True), ("executable", "/opt/editor/editor"), ("executable", "")):
        with monkeypatch.context() as patch:
            patch.setattr(sys, name, value, raising=False)
            assert DrawingProcess().printing(who, ("png",), "")().width == width_here()


def test_what_is_printed_while_it_starts_is_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys\nprint('hello' * 9, end='')\nsys.stdout.flush()")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    process = DrawingProcess()
    assert process.printing(who, ("png",), "")().width != width_here()
    process.close()


def test_what_is_on_the_path_without_being_a_folder_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/nowhere")])
    process = DrawingProcess()
    assert process.printing(who, ("png",), "")().width != width_here()
    process.close()


def test_the_answer_to_an_interrupted_drawing_is_not_taken_for_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(stream: object) -> bytes:
        raise KeyboardInterrupt

    process = DrawingProcess()
    with monkeypatch.context() as patch:
        patch.setattr(printing, "read_message", interrupted)
        with pytest.raises(KeyboardInterrupt):
            process.printing(partial(drawn, "one"), ("png",), "")()
    assert process.printing(partial(drawn, "two"), ("png",), "")() == printing.printed(drawn("two"), ("png",))
    assert process.printing(who, ("png",), "")().width != width_here()
    process.close()


def test_an_error_that_only_the_process_knows_does_no_harm(
    process: DrawingProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    print_ = process.printing(partial(fail, ZeroDivisionError("by 0")), ("png",), "")
    loads, calls = pickle.loads, []

    def unknown(message: bytes) -> object:
        calls.append(message)
        if len(calls) == 1:
            raise ModuleNotFoundError("only there")
        return loads(message)

    with monkeypatch.context() as patch:
        patch.setattr(pickle, "loads", unknown)
        with pytest.raises(ZeroDivisionError):
            print_()
    assert process.printing(who, ("png",), "")().width != width_here()


def test_drawings_that_wait_take_bounded_memory() -> None:
    process = DrawingProcess(max_waiting=100_000)
    pixels = np.zeros((100, 300, 3), np.uint8)
    printings = [process.printing(partial(np.asarray, pixels), ("png",), "")]
    assert process._process is None  # it waits
    printings.append(process.printing(partial(np.asarray, pixels + 1), ("png",), ""))
    assert process._process is not None  # there was no room
    for number, print_ in enumerate(printings):
        assert print_() == printing.printed(pixels + number, ("png",))
    process.close()
    printings = [process.printing(partial(np.asarray, pixels), ("png",), "")]
    assert process._process is None  # there is room again


def test_forks_neither_use_it_nor_keep_its_owner_from_ending() -> None:
    code = (
        "import os, sys, time\nfrom functools import partial\nimport numpy as np\n"
        "from xinc_pl.callbacks.drawing_process import drawing_process\n"
        "def draw(): drawing_process().printing(partial(np.asarray, np.zeros((4, 4, 3), np.uint8)), ('png',), '')()\n"
        "draw()\nown = drawing_process()._process\n"
        "if os.fork() == 0:\n    draw()\n    sys.exit(drawing_process()._process.pid == own.pid)\n"
        "assert os.wait()[1] == 0\n"
        "draw()\nassert drawing_process()._process is own and own.poll() is None\n"
        "reads, writes = os.pipe()\n"
        "number = os.fork()\n"  # as a worker that outlives the training
        "if number == 0:\n    os.close(writes)\n    os.closerange(1, 3)\n    os.read(reads, 1)\n    os._exit(0)\n"
        "print('ends')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (ended.stdout, ended.returncode) == ("ends\n", 0), ended.stderr


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
