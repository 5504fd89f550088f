"""Which file belongs to which frame."""

from collections.abc import Collection, Sequence
from pathlib import Path


def matched(
    frames: Sequence[str], files: Sequence[Path], what: str, source: Path, free: Collection[int] = (), remedy: str = ""
) -> list[Path | None]:
    """The file of each frame: that of the frame's name, or, where no file has any frame's name, the next in order.

    Args:
        frames: Names of all frames of the clip, without suffix.
        files: In order.
        what: What they are, such as ``masks``, for messages.
        source: Where the files lie.
        free: Numbers of the frames that need have none.
        remedy: What to do about frames that have none, for the message.

    Raises:
        ValueError: A frame has no file, or a file no frame.
    """
    if not files:
        raise ValueError(f"{source} has no {what}")
    by_name = {file.stem: file for file in files}
    if not set(frames) & set(by_name):
        return _in_order(frames, files, what, source, free)
    if without := [file for file in files if file.stem not in set(frames)]:
        raise ValueError(
            f"{len(without)} of the {len(files)} {what} in {source} belong to no frame, such as {without[0].name}; a "
            "file belongs to the frame of its name"
        )
    found = [by_name.get(name) for name in frames]
    if missing := [name for number, name in enumerate(frames) if found[number] is None and number not in free]:
        raise ValueError(
            f"{len(missing)} of the {len(frames)} frames have no {what} in {source}, such as "
            f"{missing[0]!r}{'; ' * bool(remedy)}{remedy}"
        )
    return found


def _in_order(
    frames: Sequence[str], files: Sequence[Path], what: str, source: Path, free: Collection[int]
) -> list[Path | None]:
    if len(files) == len(frames):
        return list(files)
    bound = [number for number in range(len(frames)) if number not in free]
    if len(files) != len(bound) or not bound:
        raise ValueError(
            f"there are {len(files)} {what} in {source} for {len(frames)} frames, and their names are not those of the "
            "frames; give as many, or the same names"
        )
    places = dict(zip(bound, files, strict=True))
    return [places.get(number) for number in range(len(frames))]
