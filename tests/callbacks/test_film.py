import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from xinc_pl.callbacks import film as module
from xinc_pl.callbacks.film import Film


def picture(shade: int, size: tuple[int, int] = (20, 31)) -> npt.NDArray[np.uint8]:
    """Smooth, in colours, and of its own shade."""
    ramp = np.linspace(0, 100, size[1])[None, :, None] + np.array([0, 40, 80]) + shade
    return np.broadcast_to(ramp, (*size, 3)).astype(np.uint8)


def pictures_of(film: Path | bytes) -> list[npt.NDArray[np.uint8]]:
    """As Pillow reads them, which knows nothing of how they were written."""
    with Image.open(io.BytesIO(film) if isinstance(film, bytes) else film) as file:
        found = []
        for index in range(getattr(file, "n_frames", 1)):
            file.seek(index)
            found.append(np.asarray(file.convert("RGB")))
    return found


def shot(path: Path, count: int) -> Film:
    film = Film(path, 300)
    for number in range(count):
        film.append(picture(10 * number))
    return film


def test_every_picture_is_there_at_any_time_and_true_to_its_colours(tmp_path: Path) -> None:
    film = Film(tmp_path / "a/film.webp", 300)
    for number in range(5):
        film.append(picture(10 * number))
        found = pictures_of(film.path)
        assert len(found) == number + 1
        for index, each in enumerate(found):
            assert np.abs(each.astype(int) - picture(10 * index)).max() <= 6, "no palette, no blotches"
    assert film.num_bytes == film.path.stat().st_size
    with Image.open(film.path) as file:
        file.seek(1)
        file.load()
        assert (file.format, file.info["duration"], file.info["loop"]) == ("WEBP", 300, 0)


def test_an_append_writes_the_picture_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = shot(tmp_path / "film.webp", 3)
    before = film.path.read_bytes()
    monkeypatch.setattr(module, "write_aside", None)  # what writes whole files
    film.append(picture(30))
    after = film.path.read_bytes()
    assert after[8 : len(before)] == before[8:]


def test_an_interrupted_append_leaves_a_whole_film_and_is_written_over(tmp_path: Path) -> None:
    film = shot(tmp_path / "film.webp", 2)
    with film.path.open("ab") as file:
        file.write(b"ANMF" + b"half of a picture, for the process was killed")
    assert len(pictures_of(film.path)) == 2
    film.append(picture(20))
    found = pictures_of(film.path)
    assert len(found) == 3
    assert np.abs(found[2].astype(int) - picture(20)).max() <= 6


def test_a_full_disk_leaves_the_film_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = shot(tmp_path / "film.webp", 2)
    before = film.path.read_bytes()

    class Full:
        def __init__(self, file: io.BufferedRandom) -> None:
            self.file = file

        def __enter__(self) -> "Full":
            return self

        def __exit__(self, *_: object) -> None:
            self.file.close()

        def __getattr__(self, name: str) -> object:
            return getattr(self.file, name)

        def write(self, data: bytes) -> int:
            self.file.write(data[: len(data) // 2])
            raise OSError(28, "No space left on device")

    original = Path.open
    monkeypatch.setattr(Path, "open", lambda self, mode="r": Full(original(self, mode)))
    with pytest.raises(OSError, match="No space"):
        film.append(picture(20))
    monkeypatch.undo()
    assert film.path.read_bytes() == before


def test_a_film_goes_on_in_another_file_from_where_it_once_was(tmp_path: Path) -> None:
    first = shot(tmp_path / "first.webp", 2)
    there = first.num_bytes
    first.append(picture(90))
    second = Film(tmp_path / "second.webp", 300)
    second.continue_from(first.path, there, (20, 31))
    second.append(picture(20))
    assert second.path.read_bytes() == shot(tmp_path / "whole.webp", 3).path.read_bytes()


@pytest.mark.parametrize("spoil", ["missing", "short", "another file", "another size", "folder"])
def test_what_is_no_such_film_is_refused(tmp_path: Path, spoil: str) -> None:
    first = shot(tmp_path / "first.webp", 2)
    size, path = (20, 31), first.path
    if spoil == "missing":
        path.unlink()
    elif spoil == "short":
        path.write_bytes(path.read_bytes()[:-1])
    elif spoil == "another file":
        path.write_bytes(b"x" * first.num_bytes)
    elif spoil == "another size":
        size = (20, 32)
    else:
        path = tmp_path
    second = Film(tmp_path / "second.webp", 300)
    with pytest.raises((OSError, ValueError)):
        second.continue_from(path, first.num_bytes, size)
    assert not second.path.exists()


def test_an_excerpt_has_the_first_and_the_last_picture(tmp_path: Path) -> None:
    film = shot(tmp_path / "film.webp", 11)
    found = pictures_of(film.excerpt(3))
    assert [round(float(each[..., 0].mean()) / 10) * 10 for each in found] == [50, 100, 150]
    assert len(pictures_of(film.excerpt(30))) == 11
    assert len(pictures_of(shot(tmp_path / "one.webp", 1).excerpt(30))) == 1
