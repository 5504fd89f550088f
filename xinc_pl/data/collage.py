"""A video made of photographs that come with scikit-image, whose masks and optical flow are known exactly.

Pictures lie on a stage that is 2 wide and 1 high, with the origin in its middle and y pointing down. A pose
on the stage is (x, y, height, angle): the middle and the height of a picture, and its clockwise rotation in
radians.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from xinc_pl.data._cutouts import PHOTOGRAPHS, astronaut, launch_pad, motorcycle, photograph, shadow, shuttle
from xinc_pl.data.base import FramesDataModule
from xinc_pl.frames import Frame, Instance, Size, frame_time

_Pose = tuple[float, float, float, float]

# Largest variation of a pose. Small enough that the background always fills the stage, and that the
# astronaut, who is cut off at the hips, always reaches below it.
_JITTER = (0.05, 0.015, 0.01, 0.02)
_WIDE_JITTER = (0.3, 0.015, 0.01, 0.02)
"""Of things, with another seed than the default."""


_CAMERA: tuple[_Pose, _Pose, _Pose] = ((0.13, 0.05, 1.56, 0.0), (0.0, 0.03, 1.58, 0.0), (-0.13, 0.0, 1.62, 0.0))


class _Region(NamedTuple):
    """What an instance is, without its mask."""

    id: int
    category: str
    is_thing: bool


_PLACES = (
    _Region(0, "sky", is_thing=False),
    _Region(1, "ground", is_thing=False),
    _Region(2, "launch tower", is_thing=False),
    _Region(3, "rocket", is_thing=True),
)


@dataclass(frozen=True, eq=False)
class _Motion:
    """A quadratic Bézier curve through the space of poses, with some bobbing up and down.

    Args:
        poses: float64 (3, 4). The curve starts at the first, bends towards the second and ends at the third.
        bob: Amplitude of the bobbing on the stage.
        beats: How often it bobs during the clip.
    """

    poses: Tensor
    bob: float = 0.0
    beats: float = 0.0

    def at(self, time: float) -> _Pose:
        """The pose at a time in [0, 1]."""
        weights = torch.tensor([(1 - time) ** 2, 2 * time * (1 - time), time**2], dtype=torch.float64)
        x, y, height, angle = (weights @ self.poses).tolist()
        return x, y + self.bob * math.sin(2 * math.pi * self.beats * time), height, angle

    def shifted(self, offset: _Pose) -> "_Motion":
        """The same motion somewhere else."""
        return replace(self, poses=self.poses + torch.tensor(offset, dtype=torch.float64))


@dataclass(frozen=True, eq=False)
class _Layer:
    """A flat picture that moves over the stage.

    Args:
        picture: (4 + R, h, w): colour times opacity, opacity, and how much of a pixel belongs to each region.
        regions: What the R regions are. A layer without them, such as a shadow, never owns a pixel.
        motion: Where the picture is.
        mirrored: Swaps left and right.
    """

    picture: Tensor
    regions: tuple[_Region, ...]
    motion: _Motion
    mirrored: bool = False

    def placement(self, time: float, size: Size) -> Tensor:
        """Homogeneous matrix, float64 (3, 3), from the picture to the pixels of a frame.

        x and y are in [-1, 1] in the picture; the middle of the top left pixel of a frame is at (0.5, 0.5).
        """
        x, y, height, angle = self.motion.at(time)
        unit = _pixels_per_unit(size)
        half_height = unit * height / 2
        aspect = self.picture.shape[-1] / self.picture.shape[-2]
        half_width = half_height * (-aspect if self.mirrored else aspect)
        cos, sin = math.cos(angle), math.sin(angle)
        return torch.tensor(
            [
                [cos * half_width, -sin * half_height, size[1] / 2 + unit * x],
                [sin * half_width, cos * half_height, size[0] / 2 + unit * y],
                [0.0, 0.0, 1.0],
            ],
            dtype=torch.float64,
        )

    def picture_for(self, size: Size) -> Tensor:
        """The picture, about as fine as it appears in frames of a size: then interpolation does not alias."""
        height = self.motion.at(0.5)[2] * _pixels_per_unit(size)
        shape = [max(2, round(height * side / self.picture.shape[-2])) for side in self.picture.shape[-2:]]
        return F.interpolate(self.picture[None], shape, mode="bicubic", antialias=True)[0].clamp(0, 1)


def render_collage(size: Size = (128, 256), num_frames: int = 30, seed: int = 0) -> tuple[Frame, ...]:
    """Render the clip: an astronaut, a motorcycle and two space shuttles at a launch pad.

    With another seed than the default, the things have other colours and paths, and move before another photograph.

    Args:
        size: Height and width of the frames. The scene is made for 1:2; another shape shows the middle of it.
        num_frames: Into how many frames the same scene is divided.
        seed: Varies paths, colours and the photograph behind.
    """
    scene = _scene(seed)
    layers = [(layer.picture_for(size), layer.regions) for layer in scene]
    times = [frame_time(torch.tensor([index]), num_frames) for index in range(num_frames)]
    placements = [[layer.placement(time.item(), size) for layer in scene] for time in times]
    frames = []
    for index, time in enumerate(times):
        target, instances, flow = _composite(layers, placements[index], placements[max(index - 1, 0)], size)
        known_flow = flow if index > 0 else None
        frames.append(Frame(index, time, size, target, instances, known_flow, name=f"collage {index}"))
    return tuple(frames)


def _pixels_per_unit(size: Size) -> float:
    """Scale from the stage to a frame that the stage covers completely."""
    return max(size[0], size[1] / 2)


def _composite(
    layers: Sequence[tuple[Tensor, tuple[_Region, ...]]],
    placements: Sequence[Tensor],
    placements_before: Sequence[Tensor],
    size: Size,
) -> tuple[Tensor, tuple[Instance, ...], Tensor]:
    """Look through all layers.

    Args:
        layers: Picture and regions of each layer, the front one first.
        placements: From the pictures to the pixels of this frame.
        placements_before: From the pictures to the pixels of the frame before.
        size: Height and width of the frame.

    Returns:
        Colours (3, H, W), the instances that are visible, and the optical flow (2, H, W).
    """
    pixels = _pixel_centres(size)
    colours, flow = torch.zeros(3, *size), torch.zeros(2, *size)
    transparency, free = torch.ones(size), torch.ones(size, dtype=torch.bool)
    instances: list[Instance] = []
    for (picture, regions), placement, before in zip(layers, placements, placements_before, strict=True):
        to_picture = torch.linalg.inv(placement)
        seen = _sample(picture, (to_picture @ pixels)[:2].T.reshape(*size, 2))
        colours += transparency * seen[:3]
        transparency *= 1 - seen[3]
        if not regions:
            continue
        owned = free & (seen[3] >= 0.5)
        free &= ~owned
        displacement = (pixels - before @ to_picture @ pixels)[:2].reshape(2, *size)
        flow = torch.where(owned, displacement.float(), flow)
        owner = seen[4:].argmax(dim=0)
        instances += [Instance(*region, owned & (owner == place)) for place, region in enumerate(regions)]
    visible = tuple(instance for instance in reversed(instances) if instance.mask.any())
    return colours.clamp(0, 1), visible, flow


def _pixel_centres(size: Size) -> Tensor:
    """Homogeneous positions (x, y, 1) of all pixels: float64 (3, H * W)."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) + 0.5 for side in size), indexing="ij")
    return torch.stack([columns, rows, torch.ones_like(rows)]).flatten(1)


def _sample(picture: Tensor, positions: Tensor) -> Tensor:
    """Values (C, H, W) of a picture (C, h, w) at positions (H, W, 2) in [-1, 1]; zero outside of it."""
    grid = positions.to(picture.dtype)[None]
    return F.grid_sample(picture[None], grid, mode="bicubic", align_corners=False)[0].clamp(0, 1)


def _scene(seed: int) -> list[_Layer]:
    """All layers at the resolution of their photographs, the front one first."""
    generator = torch.Generator().manual_seed(seed)

    def motion(start: _Pose, middle: _Pose, end: _Pose, bob: float = 0.0, beats: float = 0.0) -> _Motion:
        spread = _JITTER if seed == 0 or start == _CAMERA[0] else _WIDE_JITTER
        jitter = torch.rand(3, 4, generator=generator, dtype=torch.float64) * 2 - 1
        poses = torch.tensor([start, middle, end], dtype=torch.float64)
        return _Motion(poses + jitter * torch.tensor(spread, dtype=torch.float64), bob, beats)

    camera = motion(*_CAMERA)
    walk = motion((1.45, 0.16, 0.78, 0.03), (0.55, 0.15, 0.82, -0.03), (0.42, 0.16, 0.86, 0.0), 0.008, 3)
    ride = motion((-0.85, 0.29, 0.38, -0.1), (0.05, 0.29, 0.39, -0.1), (1.4, 0.3, 0.4, -0.1), 0.003, 6)
    launch = motion((-0.62, 0.12, 0.46, 0.05), (-0.55, -0.1, 0.5, 0.1), (-0.25, -1.0, 0.54, 0.3))
    cross = motion((-1.25, 0.08, 0.33, 1.1), (-0.3, -0.08, 0.34, 1.0), (0.5, -0.36, 0.36, 0.8))
    layers = [
        _Layer(astronaut(), (_Region(7, "astronaut", True),), walk),
        _Layer(motorcycle(), (_Region(6, "motorcycle", True),), ride),
        _Layer(shadow(), (), ride.shifted((0.0, 0.155, -0.29, 0.1))),
        _Layer(shuttle(), (_Region(5, "space shuttle", True),), launch),
        _Layer(shuttle(), (_Region(4, "space shuttle", True),), cross, mirrored=True),
        _Layer(launch_pad(), _PLACES, camera),
    ]
    return layers if seed == 0 else _varied(layers, seed)


def _varied(layers: Sequence[_Layer], seed: int) -> list[_Layer]:
    """The things of a scene in other colours, perhaps seen in a mirror or backwards, before another photograph."""
    generator = torch.Generator().manual_seed(seed)
    is_mirrored, is_reversed = (torch.rand(2, generator=generator) < 0.5).tolist()
    sides = torch.tensor([-1.0, 1, 1, -1] if is_mirrored else [1.0] * 4, dtype=torch.float64)
    found = []
    for layer in layers:
        poses = (layer.motion.poses.flip(0) if is_reversed else layer.motion.poses) * sides
        moved = replace(layer, motion=replace(layer.motion, poses=poses), mirrored=layer.mirrored != is_mirrored)
        colours = torch.cat([torch.randperm(3, generator=generator), torch.arange(3, len(layer.picture))])
        found.append(replace(moved, picture=layer.picture[colours]))
    name = PHOTOGRAPHS[seed % len(PHOTOGRAPHS)]
    found[-1] = replace(found[-1], picture=photograph(name), regions=(_Region(0, name.replace("_", " "), False),))
    return found


class Collage(FramesDataModule):
    """A short video that needs no download: an astronaut, a motorcycle and space shuttles at a launch pad.

    It is put together from photographs that come with scikit-image. It has the texture of a real video, and
    the visible pixels of every object and the optical flow are known exactly. Every seed but 0 is another clip:
    the things have other colours and paths, and move before another photograph.

    Args:
        size: Height and width of the frames in pixels. The scene is made for frames twice as wide as high;
            others show the middle of it.
        num_frames: Number of frames. The scene takes the whole clip: with more frames, things move slower.
        batch_size: Frames per training step.
        seed: Varies paths, colours and the photograph behind, and decides the order of the frames in training.
        num_held_out: How many frames, evenly spaced, are not trained on; ``val/psnr_seen`` and ``val/psnr_unseen`` tell
            them apart.
    """

    def __init__(
        self,
        size: Size = (128, 256),
        num_frames: int = 30,
        batch_size: int = 2,
        seed: int = 0,
        num_held_out: int = 0,
    ) -> None:
        super().__init__(size, num_frames, batch_size, repeats=1, seed=seed, num_held_out=num_held_out)

    def load(self) -> tuple[Frame, ...]:
        """Render the clip."""
        return render_collage(self.size, self.num_frames, self.seed)
