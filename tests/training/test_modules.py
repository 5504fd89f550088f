"""Short runs of both modules."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from xinc_pl.data import Collage, FramesDataModule, Image
from xinc_pl.frames import Frame, batch_of
from xinc_pl.models import FFN, NeRV
from xinc_pl.models.encodings import TimeEncoding
from xinc_pl.training import ImageINR, INRModule, L1SSIMLoss, NonFiniteLossError, VideoINR
from xinc_pl.training.base import Prediction

SIZE = (16, 32)


def trainer(max_epochs: int = 2, callbacks: tuple[Callback, ...] = (), **options: Any) -> Trainer:
    settings = {
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        "num_sanity_val_steps": 0,
    }
    return Trainer(max_epochs=max_epochs, callbacks=list(callbacks), **(settings | options))


def tiny_nerv() -> NeRV:
    torch.manual_seed(0)
    return NeRV(SIZE, strides=(2, 2), width=6, levels=8)


def tiny_ffn() -> FFN:
    torch.manual_seed(0)
    return FFN(num_frequencies=16, widths=(16,), scale=2.0)


def video(**options: Any) -> tuple[VideoINR, Collage]:
    return VideoINR(tiny_nerv(), num_frames=4, size=SIZE, **options), Collage(SIZE, num_frames=4)


def image(**options: Any) -> tuple[ImageINR, Image]:
    return ImageINR(tiny_ffn(), size=SIZE, **options), Image("chelsea", SIZE, steps_per_epoch=5)


class Album(nn.Module):
    """A video network that knows every frame by heart, one parameter per value."""

    def __init__(self, frames: torch.Tensor) -> None:
        super().__init__()
        self.frames = nn.Parameter(frames)

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        return self.frames[(time * len(self.frames)).round().long()]


class Grey(FramesDataModule):
    """Three grey frames, in batches of two and one."""

    def __init__(self) -> None:
        super().__init__((4, 6), num_frames=3, batch_size=2, repeats=1, seed=0)

    def load(self) -> tuple[Frame, ...]:
        return tuple(Frame(i, torch.zeros(1), self.size, torch.full((3, 4, 6), 0.5)) for i in range(3))


def mean_squared_error(module: INRModule, data: FramesDataModule) -> float:
    batch = batch_of(data.frames)
    with torch.no_grad():
        return (module(batch.indices) - batch.target).square().mean().item()


@pytest.mark.parametrize("loss", [None, nn.L1Loss(), L1SSIMLoss()])
def test_a_video_is_learnt(loss: nn.Module | None) -> None:
    module, data = video(lr=0.01, loss=loss)
    before = mean_squared_error(module, data)
    trainer(3).fit(module, data)
    assert mean_squared_error(module, data) < 0.85 * before


@pytest.mark.parametrize("loss", [None, nn.L1Loss(), L1SSIMLoss()])
def test_an_image_is_learnt(loss: nn.Module | None) -> None:
    module, data = image(lr=0.01, loss=loss)
    before = mean_squared_error(module, data)
    trainer(3).fit(module, data)
    assert mean_squared_error(module, data) < 0.5 * before


def test_mean_squared_error_is_the_default_loss() -> None:
    prediction, target = torch.rand(2, 1, 3, 4, 6).unbind()
    for module in (video()[0], image()[0]):
        assert module.loss(prediction, target).item() == pytest.approx(((prediction - target) ** 2).mean().item())


def test_image_pixels_are_where_their_coordinates_say() -> None:
    class Position(nn.Module):
        def forward(self, coordinates: torch.Tensor) -> torch.Tensor:
            row, column = coordinates.unbind(-1)
            return torch.stack([row, column, row - column], dim=-1)

    output = ImageINR(Position(), size=(3, 5)).reconstruct(torch.tensor([0, 0]))
    assert output.shape == (2, 3, 3, 5)
    assert output[1, :, 0, 0].tolist() == [-1, -1, 0]
    assert output[0, :, 2, 4].tolist() == [0, 1, -1]


def test_reconstructions_are_clamped_only_for_show() -> None:
    module = VideoINR(Album(torch.tensor([-0.5, 1.5])[:, None, None, None].repeat(1, 3, 4, 6)), 2, (4, 6))
    assert module.reconstruct(torch.tensor([1, 0]))[:, 0, 0, 0].tolist() == [1.5, -0.5]
    assert module(torch.tensor([1, 0]))[:, 0, 0, 0].tolist() == [1, 0]


def test_reported_psnr_is_the_mean_over_frames() -> None:
    errors = torch.tensor([0.1, 0.01, 0.001])[:, None, None, None]
    module = VideoINR(Album(0.5 + errors.repeat(1, 3, 4, 6)), 3, (4, 6), lr=1e-12, schedule="constant")
    run = trainer(1)
    run.fit(module, Grey())
    assert run.callback_metrics["train/psnr"].item() == pytest.approx(40, abs=1e-2)
    assert run.callback_metrics["val/psnr"].item() == pytest.approx(40, abs=1e-2)
    assert run.callback_metrics["train/loss"].item() == pytest.approx((1e-2 + 1e-4 + 1e-6) / 3, rel=1e-3)
    (tested,) = run.test(module, Grey(), verbose=False)
    assert tested == {"test/psnr": pytest.approx(40, abs=1e-2)}


def test_prediction_gives_all_frames_in_order() -> None:
    module, data = video()
    predictions = cast(list[Prediction], trainer().predict(module, data))
    assert torch.cat([indices for indices, *_ in predictions]).tolist() == [0, 1, 2, 3]
    torch.testing.assert_close(torch.cat([frames for _, frames, _ in predictions]), module(torch.arange(4)))


class Rates(Callback):
    """Notes the learning rate of every step."""

    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        del trainer, pl_module
        self.rates.append(optimizer.param_groups[0]["lr"])


@pytest.mark.parametrize("length", [{"max_epochs": 5}, {"max_epochs": -1, "max_steps": 10}])
def test_every_step_has_the_learning_rate_of_the_schedule(length: dict[str, int]) -> None:
    rates = Rates()
    trainer(callbacks=(rates,), limit_val_batches=0, **length).fit(*video(lr=0.02))
    # Ten steps: 0.1, then (1 + cos(pi * k / 9)) / 2 for k = 0 to 8.
    factors = [0.1, 1, 0.969846, 0.883022, 0.75, 0.586824, 0.413176, 0.25, 0.116978, 0.030154]
    assert rates.rates == pytest.approx([0.02 * factor for factor in factors], rel=1e-4)


def test_accumulated_gradients_do_not_shorten_the_schedule() -> None:
    rates = Rates()
    trainer(4, (rates,), limit_val_batches=0, accumulate_grad_batches=2).fit(*video(lr=1.0))
    # Four steps, at 0, 1/4, 2/4 and 3/4 of the run.
    assert rates.rates == pytest.approx([0.1, 0.933013, 0.586824, 0.178606], rel=1e-4)


def test_the_image_networks_rate_is_constant() -> None:
    rates = Rates()
    trainer(2, (rates,), limit_val_batches=0).fit(*image())
    assert rates.rates == [9e-4] * 10


def test_a_schedule_without_an_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'warmup_cosine' needs .* trainer.max_epochs or trainer.max_steps"):
        trainer(-1).fit(*video())


@pytest.mark.parametrize("length", [{"max_epochs": 0}, {"max_steps": 0}])
def test_a_run_of_no_steps_changes_nothing(length: dict[str, int]) -> None:
    module, data = video()
    trainer(**length).fit(module, data)
    for before, after in zip(tiny_nerv().parameters(), module.network.parameters(), strict=True):
        assert torch.equal(before, after)


class FailsInStep(nn.Module):
    """A loss that is not finite from its nth call on."""

    def __init__(self, first: int, value: float) -> None:
        super().__init__()
        self.left, self.value = first, value

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.left -= 1
        loss = (prediction - target).square().mean()
        return loss if self.left else loss * self.value


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_ends_the_run(value: float) -> None:
    module, data = video(lr=0.00123, loss=FailsInStep(4, value))
    with pytest.raises(NonFiniteLossError, match=rf"{value} in epoch 1 \(step 3\).*it is 0\.00123"):
        trainer(3).fit(module, data)


@pytest.mark.parametrize("precision", ["32-true", "bf16-true", "64-true", "bf16-mixed"])
def test_every_precision_keeps_the_exact_time_encoding(precision: str) -> None:
    num_frames = 7  # whose times no float32 number equals
    module = VideoINR(NeRV(SIZE, strides=(2, 2), width=6), num_frames, SIZE)
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    encoding = cast(nn.Module, module.network.encoding)
    encoding.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    trainer(1, precision=precision).fit(module, Collage(SIZE, num_frames))
    times = {index / num_frames for index in range(num_frames)}
    assert {time for inputs, _ in seen for time in inputs.tolist()} == times
    for inputs, output in seen:
        assert output.dtype == torch.float64
        assert torch.equal(output, TimeEncoding()(inputs))


@pytest.mark.parametrize("precision", ["bf16-true", "64-true", "bf16-mixed"])
def test_every_precision_learns_and_reports(precision: str) -> None:
    for module, data in (video(lr=0.01), image(lr=0.01)):
        before = mean_squared_error(module, data)
        run = trainer(3, precision=precision)
        run.fit(module, data)
        assert mean_squared_error(module.float(), data) < 0.9 * before
        assert all(value.isfinite() for value in run.callback_metrics.values())


class Noisy(nn.Module):
    """Draws random numbers in every step of the training."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, time: torch.Tensor) -> torch.Tensor:
        frames = cast(torch.Tensor, self.network(time))
        return frames + 0.1 * torch.randn_like(frames) if self.training else frames


def test_a_resumed_run_ends_in_the_same_bits(tmp_path: Path) -> None:
    whole = VideoINR(Noisy(tiny_nerv()), 4, SIZE)
    checkpoints = ModelCheckpoint(tmp_path, "{epoch}", save_top_k=-1, save_on_train_epoch_end=True)
    trainer(4, (checkpoints,)).fit(whole, Collage(SIZE, num_frames=4))

    torch.manual_seed(99)
    resumed = VideoINR(Noisy(NeRV(SIZE, strides=(2, 2), width=6, levels=8)), 4, SIZE)
    again = trainer(4)
    again.fit(resumed, Collage(SIZE, num_frames=4), ckpt_path=tmp_path / "epoch=1.ckpt")
    assert again.global_step == 8
    for expected, value in zip(whole.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(expected, value)


def test_looking_at_a_checkpoint_leaves_the_random_state_alone(tmp_path: Path) -> None:
    module, data = video()
    run = trainer(1)
    run.fit(module, data)
    run.save_checkpoint(tmp_path / "x.ckpt")
    torch.manual_seed(99)
    before = torch.get_rng_state()
    other = VideoINR(NeRV(SIZE, strides=(2, 2), width=6, levels=8), 4, SIZE)
    torch.set_rng_state(before)
    trainer().validate(other, data, ckpt_path=tmp_path / "x.ckpt", verbose=False)
    VideoINR.load_from_checkpoint(tmp_path / "x.ckpt", network=other.network, num_frames=4, size=SIZE)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(cast(NeRV, other.network).head.weight, cast(NeRV, module.network).head.weight)


def test_validating_more_often_does_not_change_the_training() -> None:
    results = []
    for options in ({"check_val_every_n_epoch": 1, "num_sanity_val_steps": 2}, {"limit_val_batches": 0}):
        module = VideoINR(Noisy(tiny_nerv()), 4, SIZE)
        trainer(3, **options).fit(module, Collage(SIZE, num_frames=4))
        results.append(list(module.parameters()))
    assert all(torch.equal(*pair) for pair in zip(*results, strict=True))


def test_channels_last_changes_only_the_memory_layout() -> None:
    plain, fast = (video(channels_last=channels_last)[0] for channels_last in (False, True))
    assert cast(NeRV, fast.network).head.weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(plain(torch.arange(4)), fast(torch.arange(4)))


def test_the_network_to_dissect_is_the_one_that_learns() -> None:
    network = tiny_ffn()
    assert ImageINR(network, SIZE).xinc_network() is network


@pytest.mark.parametrize("wrong", [{"lr": 0.0}, {"lr": -1.0}, {"schedule": "cosine"}])
def test_bad_arguments_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"VideoINR: {next(iter(wrong))} is"):
        video(**wrong)
