"""Optical flow from files: NumPy's .npy, Middlebury's .flo and KITTI's PNG."""

import struct
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

FlowDirection = Literal["to_next", "from_previous", "to_previous"]
FLOW_DIRECTIONS: tuple[FlowDirection, ...] = get_args(FlowDirection)
FLOW_SUFFIXES = (".npy", ".flo", ".png")

_Floats = npt.NDArray[np.float32]

_FLO = 202021.25
"""The number that a .flo starts with."""
_UNKNOWN = 1e9
"""Beyond it a .flo means that the flow is not known."""


def read_flow(file: Path) -> Tensor:
    """Read a flow: float32 (2, H, W), displacements (x, y) in pixels; 0 where it is not known.

    A ``.npy`` holds (2, H, W) or (H, W, 2); reading KITTI's PNG of 16 bits needs PyAV.

    Raises:
        ValueError: It cannot be read, or is of another kind or shape.
    """
    reader = {".npy": _read_npy, ".flo": _read_flo, ".png": _read_kitti}.get(file.suffix.lower())
    if reader is None:
        raise ValueError(f"{file} is no flow; it is read from {', '.join(FLOW_SUFFIXES)}")
    try:
        flow = reader(file)
    except (OSError, ValueError, EOFError, MemoryError, struct.error) as error:
        raise ValueError(f"{file} cannot be read as a flow: {' '.join(str(error).split())}") from error
    flow = np.where(np.isfinite(flow).all(0) & (np.abs(flow) < _UNKNOWN).all(0), flow, 0)
    return torch.from_numpy(np.ascontiguousarray(flow, dtype=np.float32))


def onto_next(flow: Tensor) -> Tensor:
    """Flow (2, H, W) from a frame to the next one, given at the next frame's pixels.

    Each pixel's displacement is written where the pixel goes; of several that meet, the longest counts, for what moves
    mostly hides what does not. Where none comes, the scene was hidden: there it keeps the displacement of that place.
    """
    height, width = flow.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    to_column = (columns + flow[0].round()).long()
    to_row = (rows + flow[1].round()).long()
    kept = (to_row >= 0) & (to_row < height) & (to_column >= 0) & (to_column < width)
    places = (to_row * width + to_column)[kept]
    vectors = flow[:, kept]
    order = vectors.square().sum(0).argsort(stable=True)
    moved = flow.clone().flatten(1)
    # One by one for equal places, the longest last: NumPy says so of repeated indices, torch does not.
    moved.numpy()[:, places[order].numpy()] = vectors[:, order].numpy()
    return moved.view_as(flow)


def _read_npy(file: Path) -> _Floats:
    flow = np.load(file, allow_pickle=False)
    if flow.dtype.kind not in "fiu" or flow.ndim != 3 or 2 not in (flow.shape[0], flow.shape[-1]):
        raise ValueError(f"it holds {flow.dtype} of shape {flow.shape}, not numbers of (2, H, W) or (H, W, 2)")
    return np.asarray(flow if flow.shape[0] == 2 else flow.transpose(2, 0, 1), dtype=np.float32)


def _read_flo(file: Path) -> _Floats:
    content = file.read_bytes()
    magic, width, height = struct.unpack("<fii", content[:12])
    if magic != np.float32(_FLO):
        raise ValueError("it does not start as a .flo does")
    if min(width, height) < 1 or len(content) != 12 + 8 * width * height:
        raise ValueError(f"it says {height}x{width}, and has {len(content)} bytes")
    return np.frombuffer(content, "<f4", offset=12).reshape(height, width, 2).transpose(2, 0, 1)


def _read_kitti(file: Path) -> _Floats:
    try:
        import av
    except ImportError as error:
        raise ValueError("a PNG of 16 bits per colour needs PyAV: pip install av") from error
    try:
        with av.open(str(file)) as container:
            frame = next(container.decode(video=0))
            if frame.format.name not in ("rgb48be", "rgb48le"):
                raise ValueError(f"its pixels are {frame.format.name}; KITTI's flow has three colours of 16 bits")
            pixels = frame.to_ndarray(format="rgb48le").astype(np.float32)
    except (av.FFmpegError, StopIteration) as error:
        raise ValueError(str(error) or "it holds no picture") from error
    flow = (pixels[..., :2] - 2**15) / 64
    return np.where(pixels[..., 2:] > 0, flow, 0).transpose(2, 0, 1)
