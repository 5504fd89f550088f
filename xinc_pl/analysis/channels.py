"""Images of any number of channels: how they are shown, and what grey and intensity mean for them."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

Picture = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


def as_rgb(image: Tensor) -> Picture:
    """How an image (C, H, W) of any number of channels is shown: float32 (H, W, 3).

    One channel is grey, three are red, green and blue. Two are magenta and green, so that grey is where they are equal.
    Of more, the first three are shown. ``channels_note`` says so.
    """
    values = image.detach().float().cpu()
    if len(values) == 1:
        values = values.expand(3, -1, -1)
    elif len(values) == 2:
        values = torch.stack([values[0], values[1], values[0]])
    return np.ascontiguousarray(values[:3].permute(1, 2, 0).numpy())


def channels_note(num_channels: int) -> str:
    """What a reader of a picture made by ``as_rgb`` has to know; empty for grey and RGB."""
    if num_channels in (1, 3):
        return ""
    if num_channels == 2:
        return "channel 1 magenta, 2 green"
    return f"channels 1 to 3 of {num_channels} as RGB"


def noted(title: str, num_channels: int) -> str:
    """A picture's title, followed by the note on its channels where there is one."""
    note = channels_note(num_channels)
    return f"{title} ({note})" if note else title


def grey(image: Tensor) -> Floats:
    """Brightness of an image (C, H, W): float64 (H, W). The luminance of RGB; of other channels their mean."""
    from skimage.color import rgb2gray

    values = image.detach().cpu().double().numpy()
    return np.asarray(rgb2gray(values, channel_axis=0) if len(values) == 3 else values.mean(axis=0))


def intensity(image: Tensor) -> Floats:
    """The sum over channels of an image (C, H, W), each scaled to [0, 1], scaled again: float64 (H, W)."""
    channels = image.detach().cpu().double().numpy()
    return scaled(np.sum([scaled(channel) for channel in channels], axis=0))


def scaled(values: Floats) -> Floats:
    """Values brought to [0, 1]; zeros where they are all the same."""
    low, high = float(values.min()), float(values.max())
    return (values - low) / (high - low) if high > low else np.zeros_like(values)
