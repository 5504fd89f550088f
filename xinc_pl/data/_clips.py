"""Frames of video files, as players show them: upright, with the right colours, from any frame on."""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from xinc_pl.data.reading import rgb_from_pixels

_MATRICES = {1: "ITU709", 4: "FCC", 5: "ITU601", 6: "ITU601", 7: "SMPTE240M", 9: "BT2020"}
"""FFmpeg's number of a colour matrix, and what its scaler calls it."""
_UNSPECIFIED = (2, 3)
_FULL_RANGE = 2
_HDR = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True, eq=False)
class Picture:
    """One frame of a clip.

    Attributes:
        name: For messages.
        image: Float32 (3, H, W) in [0, 1].
        pixel_aspect: How many times as wide as high a pixel is to be shown.
    """

    name: str
    image: Tensor
    pixel_aspect: float = 1.0


def read_video_file(file: Path, wanted: slice) -> Iterator[Picture]:
    """Frames of a video file; those before the first that is wanted are passed over where the file allows it.

    Args:
        file: What FFmpeg reads.
        wanted: Which frames, by number.

    Raises:
        ValueError: PyAV is not installed, or the file cannot be read, is damaged, or ends before the frames that are
            wanted and before the time that it says it lasts.
    """
    try:
        import av
    except ImportError as error:
        raise ValueError(
            f"reading the video file {file} needs PyAV: pip install av, or give a folder of images"
        ) from error
    try:
        with av.open(str(file)) as container:
            if not container.streams.video:
                raise ValueError(f"{file} cannot be read as a video: it has no video stream")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            _tell_of_hdr(file, stream)
            start: int = wanted.start or 0
            frames = _frames_from(container, stream, start)
            first = next(frames, None)
            if first is None:
                return
            if first.interlaced_frame:
                rank_zero_info(
                    f"{file} is interlaced: its frames are taken as they are, each of two moments; deinterlace it "
                    "first (ffmpeg -i IN -vf bwdif OUT)"
                )
            stop = None if wanted.stop is None else wanted.stop - start
            every = _chained(first, frames)
            number = start - 1
            for number, frame in zip(_numbers(wanted), islice(every, 0, stop, wanted.step), strict=False):
                name = f"{file}, frame {number}"
                if frame.is_corrupt:
                    raise ValueError(f"{name} is damaged, and only a part of it can be decoded; {_REMEDY}")
                turn = _turn_of(frame, file if number == start else None)
                pixels = np.ascontiguousarray(_turned(_rgb_pixels(frame, name), turn))
                yield Picture(name, rgb_from_pixels(pixels, name), _pixel_aspect(stream, turn))
            if wanted.stop is None or number + (wanted.step or 1) < wanted.stop:
                _check_end(file)
    except av.FFmpegError as error:
        raise ValueError(
            f"{file} cannot be read as a video: {error.strerror or error}; it is none, or damaged or cut off"
        ) from error


def _check_end(file: Path) -> None:
    """Insist that a file that has come to its end is whole. Reads its packets, without decoding them.

    Raises:
        ValueError: A packet is not whole, or they end before the time that the file says it lasts.
    """
    import av

    with av.open(str(file)) as container:
        rate = container.streams.video[0].average_rate
        begin, end, damaged = None, 0.0, False
        for packet in container.demux():
            if packet.size == 0 or packet.pts is None:
                continue
            time = float(packet.pts * packet.time_base)
            begin = time if begin is None else min(begin, time)
            end = max(end, time + float((packet.duration or 0) * packet.time_base))
            damaged = damaged or packet.is_corrupt
        if begin is None:
            return
        lasts = 0.0 if container.duration is None else container.duration / av.time_base
        missing = lasts - (end - begin)
        allowed = max(_SLACK_FRAMES / float(rate) if rate else 0.0, _SLACK * lasts)
        if damaged or missing > allowed:
            raise ValueError(
                f"{file} is damaged or cut off: it says that it lasts {lasts:.2f} s, and what can be read ends after "
                f"{end - begin:.2f} s; {_REMEDY}"
            )


_REMEDY = "get the whole file, or take other frames (first_frame, num_frames)"
_SLACK_FRAMES, _SLACK = 1.5, 0.02
"""How much shorter than it says a file may be: frames, and a share of the whole."""


def count_frames(file: Path) -> int:
    """How many frames a video file has. They are decoded: what a file says of itself is not always so.

    Raises:
        ValueError: PyAV is not installed, or the file cannot be read.
    """
    return sum(1 for _ in read_video_file(file, slice(None)))


def _numbers(wanted: slice) -> Iterator[int]:
    number: int = wanted.start or 0
    while wanted.stop is None or number < wanted.stop:
        yield number
        number += wanted.step or 1


def _chained(first: Any, others: Iterator[Any]) -> Iterator[Any]:  # noqa: ANN401 - av has no types here
    yield first
    yield from others


def _frames_from(container: Any, stream: Any, start: int) -> Iterator[Any]:  # noqa: ANN401
    """Decoded frames from number ``start`` on. Seeks if the file has keyframes and its frames' times are known."""
    times = _seek(container, stream, start) if start else None
    if times is not None:
        decoded = (frame for frame in container.decode(stream) if frame.pts is None or frame.pts >= times[0])
        first = next(decoded, None)
        second = next(decoded, None)
        # What comes is what was counted; else a seek has gone past it, or packets are not frames.
        found = [each for each in (first, second) if each is not None]
        if [each.pts for each in found] == times[:2] and not any(each.is_corrupt for each in found):
            yield from found
            yield from decoded
            return
    if start:
        container.seek(_beginning(stream), stream=stream)
    yield from islice(container.decode(stream), start, None)


def _beginning(stream: Any) -> int:  # noqa: ANN401
    return min(stream.start_time or 0, 0)


def _seek(container: Any, stream: Any, start: int) -> list[int] | None:  # noqa: ANN401
    """Go to the last keyframe from which frame ``start`` can be decoded.

    The packets before it are counted, not decoded: that is exact where the rate of frames varies, too.

    Returns:
        The times of frame ``start`` and the one after it; None if the packets do not tell, or where there is nothing to
        be gained.
    """
    times: list[int] = []
    keyframes: list[tuple[int, int]] = []
    passed = 0
    for packet in container.demux(stream):
        if packet.size == 0:
            continue
        if packet.pts is None or packet.dts is None or packet.is_corrupt or not (times or packet.is_keyframe):
            return None
        if packet.is_keyframe:
            keyframes.append((packet.pts, min(packet.pts, packet.dts)))
            # A group of pictures may begin with frames that are shown before its keyframe, but no earlier ones.
            passed += len(times) > start + 1
            if passed > 2:
                break
        if not packet.is_discard:
            times.append(packet.pts)
    times.sort()
    place = bisect_right(keyframes, (times[start], times[start])) - 1 if start < len(times) else 0
    if place < 1 or len(set(times)) < len(times):
        return None
    container.seek(keyframes[place][1], stream=stream)
    return times[start : start + 2]


def _rgb_pixels(frame: Any, name: str) -> npt.NDArray[np.generic]:  # noqa: ANN401
    """Pixels (H, W, 3) by the frame's own colour matrix and range, in 16 bits where it has more than 8."""
    bits = max(component.bits for component in frame.format.components)
    wanted = "rgb48le" if bits > 8 else "rgb24"
    if frame.format.is_rgb or frame.format.has_palette:
        return np.asarray(frame.to_ndarray(format=wanted))
    # The destination is named as well, and differs: before version 17 PyAV ignores the source where it does not.
    matrix = _matrix_of(frame, name)
    is_full = frame.color_range == _FULL_RANGE or frame.format.name.startswith(("yuvj", "gray"))
    return np.asarray(
        frame.to_ndarray(
            format=wanted,
            src_colorspace=matrix,
            dst_colorspace="ITU601" if matrix == "ITU709" else "ITU709",
            src_color_range="JPEG" if is_full else "MPEG",
            dst_color_range="JPEG",
        )
    )


def _matrix_of(frame: Any, name: str) -> str:  # noqa: ANN401
    number = int(frame.colorspace)
    if number in _MATRICES:
        return _MATRICES[number]
    if number in _UNSPECIFIED:  # as players do
        return "ITU709" if frame.width >= 1280 or frame.height > 576 else "ITU601"
    raise ValueError(
        f"{name}: its colours are coded by matrix {number} of H.273, which FFmpeg's scaler does not know; convert it "
        "first (ffmpeg -i IN -vf colorspace=bt709 OUT)"
    )


def _turn_of(frame: Any, told: Path | None) -> npt.NDArray[np.int64]:  # noqa: ANN401
    """How the frame is to be shown: where its x and y axes point, int64 (2, 2), each along one axis."""
    upright = np.eye(2, dtype=np.int64)
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return upright
    matrix = np.frombuffer(bytes(data), np.int32).reshape(3, 3)[:2, :2].astype(np.float64)
    signs = np.sign(matrix * (np.abs(matrix) >= np.abs(matrix).max() * 0.9)).astype(np.int64)
    if np.array_equal(np.abs(signs).sum(0), (1, 1)) and np.array_equal(np.abs(signs).sum(1), (1, 1)):
        return np.asarray(signs)
    if told is not None:
        rank_zero_info(f"{told} is to be shown turned by {frame.rotation} degrees; it is taken as it is")
    return upright


def _turned(pixels: npt.NDArray[np.generic], turn: npt.NDArray[np.int64]) -> npt.NDArray[np.generic]:
    if turn[0, 0] == 0:
        pixels, turn = pixels.swapaxes(0, 1), turn[::-1]
    return pixels[:: turn[1, 1], :: turn[0, 0]]


def _pixel_aspect(stream: Any, turn: npt.NDArray[np.int64]) -> float:  # noqa: ANN401
    ratio = stream.sample_aspect_ratio
    if not ratio:
        return 1.0
    return float(ratio if turn[0, 0] else 1 / ratio)


def _tell_of_hdr(file: Path, stream: Any) -> None:  # noqa: ANN401
    kind = _HDR.get(int(stream.codec_context.color_trc or 0))
    if kind is not None:
        rank_zero_info(f"{file} is HDR ({kind}): its values are taken as they are, and look paler than in a player")
