"""Pictures for the collage, cut out of photographs that come with scikit-image.

A picture is float32 (4 + R, h, w): colour times opacity, opacity, and how much of each pixel belongs to each
of its R regions. Outlines were traced by hand; they are (x, y) in pixels of the photograph.
"""

# mypy: untyped-calls-exclude=skimage

from functools import cache

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from skimage import data
from skimage.draw import polygon2mask
from skimage.filters import gaussian
from skimage.measure import subdivide_polygon
from torch import Tensor

from xinc_pl.frames import Size

_Floats = npt.NDArray[np.float64]
_Outline = tuple[tuple[float, float], ...]

PHOTOGRAPHS = ("hubble_deep_field", "coffee", "chelsea", "immunohistochemistry", "grass", "brick", "retina")
"""That may stand behind."""

_DUSK = (0.80, 0.82, 0.92)  # cut-outs were lit for a portrait, the launch pad by the evening sky
_GROUND = (0.36, 0.33, 0.35)

# fmt: off
_ASTRONAUT: _Outline = (  # in skimage.data.astronaut; it goes on below, to be cut off straight
    (60, 540), (42, 512), (38, 505), (32, 492), (28, 480), (26, 465), (25, 445), (25, 430), (23, 417),
    (21, 405), (21, 395), (24, 380), (27, 360), (27, 345), (32, 330), (36, 315), (41, 300), (42, 290),
    (45, 280), (50, 270), (56, 260), (63, 250), (73, 240), (83, 234), (93, 227), (104, 216), (112, 208),
    (114, 198), (113, 190), (117, 188), (121, 190), (122, 182), (126, 173), (132, 166), (141, 158),
    (151, 153), (162, 150), (174, 149), (184, 150), (184, 140), (182, 131), (176, 129), (172, 121),
    (169, 119), (164, 110), (160, 104), (157, 95), (156, 85), (155, 72), (157, 62), (161, 55), (169, 48),
    (178, 42), (189, 37), (192, 32), (201, 27), (213, 22), (224, 18), (235, 17), (247, 19), (258, 23),
    (269, 28), (278, 34), (285, 41), (291, 51), (295, 61), (297, 73), (299, 84), (297, 98), (294, 107),
    (287, 116), (279, 125), (275, 133), (270, 136), (266, 136), (265, 142), (262, 150), (258, 157),
    (256, 163), (255, 174), (261, 178), (269, 184), (278, 192), (288, 204), (296, 216), (302, 228),
    (304, 235), (312, 239), (320, 243), (330, 251), (337, 260), (343, 270), (349, 283), (354, 300),
    (357, 315), (361, 330), (361, 339), (366, 347), (375, 346), (385, 345), (396, 345), (410, 345),
    (425, 348), (440, 355), (454, 363), (466, 372), (475, 382), (483, 394), (488, 406), (492, 418),
    (494, 430), (495, 443), (496, 453), (500, 456), (500, 463), (504, 469), (508, 480), (509, 492),
    (509, 512), (490, 540),
)
_SHUTTLE: _Outline = (  # the model behind the astronaut, without its stand
    (356, 219), (357, 211), (361, 203), (369, 194), (377, 187), (379, 180), (378, 165), (378, 140),
    (379, 115), (381, 100), (381, 80), (382, 62), (384, 50), (387, 42), (390, 48), (394, 60), (397, 55),
    (397, 40), (398, 28), (400, 17), (404, 8), (409, 3), (414, 1), (419, 3), (424, 8), (429, 17),
    (433, 27), (436, 38), (437, 48), (440, 45), (444, 41), (448, 45), (451, 56), (453, 70), (453, 100),
    (453, 150), (453, 200), (453, 233), (453, 241), (455, 252), (457, 261), (452, 264), (444, 264),
    (436, 262), (437, 252), (438, 240), (435, 235), (429, 235), (423, 238), (412, 242), (406, 249),
    (402, 247), (396, 243), (391, 243), (387, 248), (380, 258), (373, 269), (369, 270), (369, 260),
    (374, 247), (379, 235), (375, 231), (366, 230), (358, 228),
)
_MOTORCYCLE: _Outline = (  # in the left picture of stereo_motorcycle, without mirror and kickstand
    (92, 212), (93, 203), (104, 198), (120, 196), (130, 201), (141, 205), (145, 202), (141, 187),
    (140, 170), (140, 156), (147, 148), (159, 147), (165, 152), (168, 161), (180, 162), (195, 168),
    (215, 171), (233, 169), (249, 171), (262, 181), (275, 191), (290, 197), (305, 196), (320, 191),
    (340, 189), (357, 193), (370, 185), (381, 177), (391, 166), (387, 158), (373, 166), (362, 174),
    (357, 171), (361, 164), (375, 151), (387, 139), (400, 128), (412, 121), (425, 122), (437, 129),
    (450, 138), (461, 145), (468, 142), (470, 128), (481, 119), (494, 116), (499, 108), (496, 95),
    (495, 84), (503, 77), (515, 85), (527, 96), (535, 108), (536, 121), (545, 126), (556, 131),
    (562, 134), (566, 121), (574, 118), (581, 125), (581, 137), (575, 142), (563, 144), (560, 160),
    (553, 176), (549, 187), (549, 197), (551, 206), (561, 228), (569, 248), (576, 259), (586, 265),
    (605, 272), (624, 283), (637, 293), (642, 302), (641, 309), (650, 316), (660, 328), (671, 350),
    (679, 375), (682, 400), (680, 420), (671, 434), (652, 446), (632, 451), (615, 449), (593, 439),
    (576, 424), (553, 399), (538, 375), (526, 350), (518, 327), (511, 331), (507, 328), (508, 316),
    (512, 306), (517, 294), (525, 281), (526, 273), (517, 254), (508, 233), (500, 224), (490, 227),
    (476, 227), (468, 239), (466, 251), (471, 265), (477, 283), (478, 300), (475, 320), (467, 339),
    (454, 354), (439, 367), (420, 376), (400, 380), (370, 380), (340, 374), (325, 369), (300, 358),
    (280, 353), (274, 358), (267, 370), (254, 381), (239, 391), (221, 397), (200, 400), (180, 397),
    (161, 387), (146, 371), (133, 350), (126, 325), (123, 300), (126, 282), (135, 262), (146, 249),
    (150, 243), (146, 236), (138, 233), (127, 239), (116, 246), (111, 246), (110, 238), (113, 229),
    (108, 222), (96, 219),
)
_ROCKET: _Outline = (  # in skimage.data.rocket, like what follows
    (316, 129), (321, 126), (327, 130), (332, 140), (334, 152), (334, 178), (336, 182), (336, 250),
    (334, 260), (334, 406), (310, 406), (309, 260), (309, 182), (312, 178), (310, 152), (312, 140),
)
_STRUCTURES: tuple[_Outline, ...] = (  # four towers, from left to right, and the launch pad
    ((52, -1), (88, -1), (84, 130), (80, 280), (75, 428), (-1, 428), (-1, 345), (20, 230), (38, 120)),
    ((198, 123), (205, 123), (204, 190), (204, 428), (163, 428), (170, 350), (183, 260), (189, 190),
     (198, 190)),
    ((443, 122), (449, 122), (456, 190), (460, 270), (475, 400), (479, 428), (440, 428), (441, 190),
     (447, 190)),
    ((561, -1), (600, -1), (620, 150), (641, 290), (641, 428), (580, 428), (572, 300), (567, 150)),
    ((288, 364), (355, 364), (355, 406), (374, 406), (378, 428), (267, 428), (267, 406), (288, 406)),
)
# fmt: on


@cache
def astronaut() -> Tensor:
    """A woman in a space suit: (5, h, w)."""
    return _cutout(data.astronaut(), _ASTRONAUT)


@cache
def shuttle() -> Tensor:
    """A space shuttle with its boosters: (5, h, w)."""
    return _cutout(data.astronaut(), _SHUTTLE)


@cache
def motorcycle() -> Tensor:
    """A motorcycle without a driver: (5, h, w)."""
    return _cutout(data.stereo_motorcycle()[0], _MOTORCYCLE)


def _cutout(photograph: npt.NDArray[np.uint8], outline: _Outline) -> Tensor:
    """What is inside of an outline in a photograph uint8 (H, W, 3), as a picture (5, h, w)."""
    inside = _inside(outline, (photograph.shape[0], photograph.shape[1]), smooth=True)
    opacity = gaussian(inside, 0.8)
    colours = _without_fringe(photograph / 255 * _DUSK, inside) * opacity[..., None]
    rows, columns = (np.flatnonzero(opacity.max(axis=axis) > 0.01) for axis in (1, 0))
    picture = np.dstack([colours, opacity, opacity])[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))


def _inside(outline: _Outline, size: Size, smooth: bool = False) -> _Floats:
    """Which pixels, float64 (H, W), are inside of an outline."""
    points = np.asarray([*outline, outline[0]], dtype=np.float64)
    for _ in range(2 if smooth else 0):
        points = subdivide_polygon(points, degree=2)
    return np.asarray(polygon2mask(size, points[:, ::-1] - 0.5), dtype=np.float64)


def _without_fringe(colours: _Floats, inside: _Floats) -> _Floats:
    """Colours (H, W, 3) where those near the outline, mixed with what is behind, are replaced from within."""
    core = (gaussian(inside, 2) > 0.9)[..., None].astype(np.float64)
    weight = np.maximum(gaussian(core, 2, channel_axis=-1), 1e-6)
    spread = gaussian(colours * core, 2, channel_axis=-1) / weight
    return np.asarray(core * colours + (1 - core) * spread)


@cache
def shadow() -> Tensor:
    """A soft dark ellipse: (4, h, w)."""
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, 32), torch.linspace(-1, 1, 192), indexing="ij")
    opacity = 0.6 * (1 - rows**2 - columns**2).clamp(min=0) ** 0.7
    return torch.stack([*torch.zeros(3, 32, 192), opacity])


@cache
def launch_pad() -> Tensor:
    """A rocket at dusk by a field of gravel: (8, h, w), with regions sky, ground, launch towers, rocket."""
    photograph = data.rocket()
    size = (photograph.shape[0], photograph.shape[1])
    rocket = _inside(_ROCKET, size)
    structure = np.max([_inside(outline, size) for outline in _STRUCTURES], axis=0) * (1 - rocket)
    ground = np.zeros(size)
    parts = np.dstack([photograph / 255, np.ones(size), 1 - rocket - structure, ground, structure, rocket])
    wide = np.pad(parts, ((0, 0), (140, 140), (0, 0)), mode="reflect")[:424]
    picture = np.concatenate([wide, _field(150, wide.shape[1])])
    return torch.from_numpy(picture.transpose(2, 0, 1).astype(np.float32))


@cache
def photograph(name: str) -> Tensor:
    """One of ``PHOTOGRAPHS``, mirrored at its sides until it is as wide as the launch pad: (5, h, w)."""
    pixels = getattr(data, name)() / 255
    pixels = np.dstack([pixels] * 3) if pixels.ndim == 2 else pixels[..., :3]
    _, pad_height, pad_width = launch_pad().shape
    missing = max(int(np.ceil(pixels.shape[0] * pad_width / pad_height)) - pixels.shape[1], 0)
    wide = np.pad(pixels, ((0, 0), (missing // 2, missing - missing // 2), (0, 0)), mode="reflect")
    parts = np.dstack([wide, np.ones((*wide.shape[:2], 2))])
    return torch.from_numpy(parts.transpose(2, 0, 1).astype(np.float32))


def _field(height: int, width: int) -> _Floats:
    """Gravel in perspective, from 24 pixels below the horizon on: what the rocket stands on, (h, w, 8)."""
    fineness = 4  # samples per pixel along each axis, because far away many stones share a pixel
    rows, columns = torch.meshgrid(
        24 + torch.arange(height * fineness) / fineness,
        torch.arange(width * fineness) / fineness - width / 2,
        indexing="ij",
    )
    positions = torch.stack([columns, torch.full_like(rows, 200)], dim=-1) * 0.8 / rows[..., None]
    gravel = torch.from_numpy(data.gravel() / 255).float()
    seen = F.grid_sample(gravel[None, None], positions[None], padding_mode="reflection", align_corners=False)
    texture = F.avg_pool2d(seen, fineness)[0, 0, :, :, None].double().numpy()
    ownership = np.broadcast_to([1.0, 0, 1, 0, 0], (height, width, 5))
    return np.dstack([(0.2 + 1.2 * texture) * _GROUND, ownership])
