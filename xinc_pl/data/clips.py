"""Clips from folders of images, from animated images and from video files, frame by frame."""

import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

import PIL.ImageSequence

from xinc_pl.data._clips import Picture, count_frames, read_video_file
from xinc_pl.data._pillow import image_suffixes, num_pictures, opened, pixels_of
from xinc_pl.data.reading import guarded, read_image, rgb_from_pixels


def read_clip(path: Path, wanted: slice) -> Iterator[Picture]:
    """Frames of a folder of images, an animated image (GIF, WebP, APNG, AVIF, or a TIFF of pages), or a video file.

    Args:
        path: The folder or the file.
        wanted: Which frames, by number from 0.

    Raises:
        ValueError: It cannot be read.
    """
    if path.is_dir():
        yield from _read_folder(path, wanted)
    elif not path.is_file():
        raise ValueError(f"video {str(path)!r} is neither a folder of images nor a file")
    elif path.suffix.lower() in image_suffixes():
        yield from _read_animation(path, wanted)
    else:
        yield from read_video_file(path, wanted)


def natural_order(files: Iterable[Path]) -> list[Path]:
    """Files in the order of the numbers in their names, whatever their number of digits and their case.

    A dash before a number separates, unless other files have the same name without a dash: then it is a minus sign.
    """
    files = list(files)
    before_numbers = {file.name[: match.start()] for file in files for match in re.finditer(r"\d+", file.name)}

    def key(file: Path) -> tuple[list[int | str], str]:
        # Splitting at the numbers alternates text and number, so that only like is compared with like.
        parts: list[int | str] = []
        start = 0
        for match in re.finditer(r"\d+", file.name):
            before = file.name[: match.start()]
            is_negative = before.endswith("-") and before[:-1] in before_numbers
            text, number = file.name[start : match.start()], int(match.group())
            parts += [(text[:-1] if is_negative else text).casefold(), -number if is_negative else number]
            start = match.end()
        return [*parts, file.name[start:].casefold()], file.name

    return sorted(files, key=key)


def frame_names(path: Path) -> list[str]:
    """Names of all frames of a clip, without suffix: those of a folder's images, or else the frames' numbers.

    Raises:
        ValueError: It cannot be read.
    """
    if path.is_dir():
        return [file.stem for file in _images_in(path)]
    if path.suffix.lower() in image_suffixes():
        return [str(number) for number in range(guarded(path, lambda: _count(path)))]
    return [str(number) for number in range(count_frames(path))]


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """A folder's files of some kinds, without hidden ones, in the order of the numbers in their names."""
    return natural_order(
        file
        for file in folder.iterdir()
        if file.suffix.lower() in suffixes and not file.name.startswith(".") and file.is_file()
    )


def _images_in(folder: Path) -> list[Path]:
    files = files_in(folder, image_suffixes())
    if not files:
        raise ValueError(f"{folder} has no images ({', '.join(image_suffixes()[:10])} and others)")
    return files


def _read_folder(folder: Path, wanted: slice) -> Iterator[Picture]:
    for file in _images_in(folder)[wanted]:
        yield Picture(str(file), read_image(file))


def _read_animation(file: Path, wanted: slice) -> Iterator[Picture]:
    numbers = range(guarded(file, lambda: _count(file)))[wanted]
    if not numbers:
        return
    with opened(file) as animation:
        for number, picture in enumerate(PIL.ImageSequence.Iterator(animation)):
            if number in numbers:
                name = f"{file}, frame {number}"
                pixels = guarded(file, lambda shown=picture, title=name: pixels_of(shown, title))  # type: ignore[misc]
                yield Picture(name, rgb_from_pixels(pixels, name))
            if number >= numbers[-1]:
                return


def _count(file: Path) -> int:
    with opened(file) as picture:
        return num_pictures(picture)
