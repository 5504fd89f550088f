"""Frames that are not trained on."""

from pathlib import Path

import pytest
import torch
from tiny import SIZE, tiny_clip, trainer
from torch import nn

from xinc_pl import Collage, NeRV, VideoINR
from xinc_pl.frames import batch_of


class Notes(nn.Module):
    """A video network that notes at which times it is asked, and errs by a tenth more at every frame."""

    def __init__(self, targets: torch.Tensor) -> None:
        super().__init__()
        self.targets = targets
        self.offset = nn.Parameter(torch.zeros(1))
        self.asked: list[int] = []

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        index = (time * len(self.targets)).round().long()
        if self.training:
            self.asked += index.tolist()
        return self.targets[index] + self.offset + 0.01 * (index + 1).view(-1, 1, 1, 1)


class Dim(Collage):
    """A clip of which no frame is bright, so that nothing is clamped."""

    def load(self):  # type: ignore[no-untyped-def]  # noqa: ANN201 - as its base
        from dataclasses import replace

        return tuple(replace(frame, target=frame.target / 2) for frame in super().load() if frame.target is not None)


def held_out(num_held_out: int) -> tuple[VideoINR, Collage, Notes]:
    data = Dim(SIZE, num_frames=5, num_held_out=num_held_out)
    network = Notes(batch_of(data.frames).target)
    return VideoINR(network, 5, SIZE, lr=1e-12, schedule="constant", num_held_out=num_held_out), data, network


def test_they_are_not_trained_on(tmp_path: Path) -> None:
    module, data, network = held_out(2)
    trainer(tmp_path, max_epochs=3).fit(module, data)
    assert sorted(set(network.asked)) == [0, 2, 4]  # 1.33 and 2.67 of 4 are frames 1 and 3
    assert len(network.asked) == 3 * 3


def test_their_psnr_is_told_apart(tmp_path: Path) -> None:
    module, data, _ = held_out(2)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module, data)
    decibels = [-20 * torch.log10(torch.tensor(0.01 * (index + 1))).item() for index in range(5)]
    metrics = {name: value.item() for name, value in run.callback_metrics.items()}
    assert metrics["val/psnr_seen"] == pytest.approx((decibels[0] + decibels[2] + decibels[4]) / 3, abs=1e-3)
    assert metrics["val/psnr_unseen"] == pytest.approx((decibels[1] + decibels[3]) / 2, abs=1e-3)
    assert metrics["val/psnr"] == pytest.approx(sum(decibels) / 5, abs=1e-3)
    run.test(module, data)
    assert run.callback_metrics["test/psnr_unseen"].item() == pytest.approx(metrics["val/psnr_unseen"])
    assert set(metrics) <= set(module.measured)


def test_without_them_nothing_is_told_apart(tmp_path: Path) -> None:
    module, data, _ = held_out(0)
    run = trainer(tmp_path, max_epochs=1)
    run.fit(module, data)
    assert not [name for name in run.callback_metrics if "seen" in name]
    assert not [name for name in module.measured if "seen" in name]


def test_too_many_are_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Collage: num_held_out is 4; of 5 frames 0 to 3"):
        Collage(SIZE, num_frames=5, num_held_out=4)
    with pytest.raises(ValueError, match="VideoINR: num_held_out is 3; of 4 frames 0 to 2"):
        VideoINR(NeRV(SIZE, strides=(4,), width=3), 4, SIZE, num_held_out=3)


def test_frames_between_are_at_the_times_between(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = NeRV(SIZE, strides=(4,), width=3)
    run = trainer(tmp_path)
    batches = run.predict(VideoINR(network, 4, SIZE, predict_between=2), tiny_clip())
    assert batches is not None
    numbers, frames, targets = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert sorted(numbers.tolist()) == list(range(10))  # 0, 3, 6 and 9 are the clip's own
    for number, frame, target in zip(numbers.tolist(), frames, targets, strict=True):
        torch.testing.assert_close(frame, network(torch.tensor([number / 12], dtype=torch.float64))[0])
        assert target.isnan().all() == (number % 3 > 0)
        if number % 3 == 0:
            assert torch.equal(target, batch_of(tiny_clip().frames).target[number // 3])


def test_senseless_numbers_of_frames_between_are_refused() -> None:
    with pytest.raises(ValueError, match="predict_between is -1"):
        VideoINR(NeRV(SIZE, strides=(4,), width=3), 4, SIZE, predict_between=-1)
