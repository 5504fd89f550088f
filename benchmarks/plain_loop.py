"""The released training of the paper's video network, as a plain loop: nothing of this package but the network."""

import math
from collections.abc import Collection

import torch
from torch import Tensor

from xinc_pl import NeRV

_BATCH = 2
_LR = 1e-3
_WARMUP = 0.1
"""Share of the run."""


def plain_nerv(frames: Tensor, epochs: int, marks: Collection[int], seed: int = 0) -> dict[int, float]:
    """Mean squared error, Adam, two frames a step in a new order every epoch, a warm-up and half a cosine.

    Args:
        frames: (T, 3, H, W) in [0, 1].
        epochs: How long, which the learning rate depends on.
        marks: After which epochs to measure.
        seed: Of the first weights; the order of frames has one of its own.

    Returns:
        The mean of the frames' PSNRs, in dB, by epoch.
    """
    torch.manual_seed(seed)
    network = NeRV((frames.shape[2], frames.shape[3]))
    times = torch.arange(len(frames), dtype=torch.float64) / len(frames)
    optimiser = torch.optim.Adam(network.parameters(), lr=_LR, betas=(0.9, 0.999))
    order = torch.Generator().manual_seed(1000 + seed)
    num_steps = epochs * math.ceil(len(frames) / _BATCH)
    step, psnr = 0, {}
    for epoch in range(1, epochs + 1):
        for chosen in torch.randperm(len(frames), generator=order).split(_BATCH):
            for group in optimiser.param_groups:
                group["lr"] = _lr(step / num_steps)
            optimiser.zero_grad()
            (network(times[chosen]) - frames[chosen]).square().mean().backward()
            optimiser.step()
            step += 1
        if epoch in marks:
            psnr[epoch] = _psnr(network, times, frames)
    return psnr


def _lr(progress: float) -> float:
    if progress < _WARMUP:
        return _LR * (0.1 + 0.9 * progress / _WARMUP)
    return _LR * 0.5 * (1 + math.cos(math.pi * (progress - _WARMUP) / (1 - _WARMUP)))


@torch.no_grad()
def _psnr(network: NeRV, times: Tensor, frames: Tensor) -> float:
    each = [
        -10 * math.log10(float((network(time[None])[0].clamp(0, 1).double() - frame.double()).square().mean()))
        for time, frame in zip(times, frames, strict=True)
    ]
    return sum(each) / len(each)
