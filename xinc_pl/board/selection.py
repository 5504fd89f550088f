"""Pixels that were chosen, as masks; maps made small; numbers as they are sent."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.board.answers import Array
from xinc_pl.board.requests import Place, RequestError
from xinc_pl.canvas import LayerCanvas
from xinc_pl.canvas.layer_canvas import Order
from xinc_pl.canvas.maps.window import Ranking
from xinc_pl.frames import Instance


def mask_at(place: Place, size: tuple[int, int], instances: Sequence[Instance]) -> Tensor:
    """The chosen pixels: bool (H, W), not empty.

    Raises:
        RequestError: There are none.
    """
    height, width = size
    mask = torch.zeros(size, dtype=torch.bool)
    if place.kind == "instance":
        (position,) = place.numbers
        if position >= len(instances):
            raise RequestError(f"there is no instance {position}; the frame has {len(instances)}")
        mask |= instances[position].mask.bool().cpu()
        if not mask.any():
            raise RequestError(f"instance {position} has no visible pixel in this frame")
        return mask
    top, left, *end = place.numbers
    bottom, right = end or (top + 1, left + 1)
    if not (0 <= top < bottom <= height and 0 <= left < right <= width):
        raise RequestError(f"{place.kind} {','.join(map(str, place.numbers))} is not within {height}x{width} pixels")
    mask[top:bottom, left:right] = True
    return mask


def thinned(mask: Tensor, most: int) -> Tensor:
    """A mask with at most so many of its pixels, evenly spaced."""
    pixels = mask.flatten().nonzero().flatten()
    if len(pixels) <= most:
        return mask
    chosen = pixels[torch.linspace(0, len(pixels) - 1, most).round().long()]
    thin = torch.zeros_like(mask).flatten()
    thin[chosen] = True
    return thin.view_as(mask)


def top_by_pixel(canvas: LayerCanvas, mask: Tensor, k: int, by: Order | Tensor) -> Ranking:
    """As ``canvas.top``, one pixel after the other: quicker where each pixel is felt from far away, as by effects."""
    magnitudes, signed = torch.zeros(2, canvas.num_neurons, dtype=torch.float64)
    total, pixels = 0.0, mask.nonzero().tolist()
    for row, column in pixels:
        ranking = canvas.top((row, column), canvas.num_neurons)
        magnitudes[ranking.neurons] += ranking.values / len(pixels)
        signed[ranking.neurons] += ranking.signed / len(pixels)
        total += ranking.total / len(pixels)
    order = by if isinstance(by, Tensor) else {"magnitude": magnitudes, "positive": signed, "negative": -signed}[by]
    chosen = order.sort(descending=True, stable=True).indices[:k]
    values = magnitudes[chosen]
    shares = values / total if total else torch.zeros_like(values)
    return Ranking(chosen, values, signed[chosen], shares, total, len(pixels))


def small(maps: Tensor, side: int) -> Tensor:
    """Means over squares of pixels, as small as it takes for neither side to be longer than ``side``: (n, h, w)."""
    by = -(-max(maps.shape[-2:]) // side)
    if by == 1:
        return maps
    return F.avg_pool2d(maps[:, None], by, ceil_mode=True, count_include_pad=False)[:, 0]


def array(values: Tensor) -> Array:
    """As it is sent: float32, on the CPU; what is not finite is 0."""
    found: Array = torch.nan_to_num(values.detach().float().cpu(), 0, 0, 0).numpy()
    return found


def numbers(values: Tensor) -> tuple[float, ...]:
    """A tensor (n,) as plain numbers."""
    return tuple(float(each) for each in values)
