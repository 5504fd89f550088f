"""HNeRV against the formulas of its paper and its code."""

import math

import pytest
import torch
import torch.nn.functional as F

from xinc_pl.models import HNeRV
from xinc_pl.models.hnerv import ConvNeXtBlock, decoder_size

SIZE = (8, 16)


def tiny() -> HNeRV:
    torch.manual_seed(0)
    network = HNeRV(SIZE, num_frames=3, strides=(2, 2), width=4, encoder_width=5, embedding_channels=6).double()
    network.see(torch.rand(3, 3, *SIZE))
    return network


def time(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def numbers(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def norm(values: torch.Tensor) -> torch.Tensor:
    """Over the channels (axis 1), with weight 1 and bias 0, as at the beginning."""
    mean = values.mean(1, keepdim=True)
    return (values - mean) / ((values - mean).square().mean(1, keepdim=True) + 1e-6).sqrt()


def block(values: torch.Tensor, weights: dict[str, torch.Tensor], path: str) -> torch.Tensor:
    """A ConvNeXt block, the MLP as 1x1 convolutions."""
    branch = F.conv2d(
        values,
        weights[f"{path}.depthwise.weight"],
        weights[f"{path}.depthwise.bias"],
        padding=3,
        groups=values.shape[1],
    )
    branch = norm(branch)
    branch = F.gelu(F.conv2d(branch, weights[f"{path}.widen.weight"][..., None, None], weights[f"{path}.widen.bias"]))
    branch = F.conv2d(branch, weights[f"{path}.narrow.weight"][..., None, None], weights[f"{path}.narrow.bias"])
    return values + weights[f"{path}.scale"][:, None, None] * branch


def test_output_is_that_of_the_formula() -> None:
    network = tiny()
    for name, parameter in network.named_parameters():
        if name.endswith("scale"):
            torch.nn.init.normal_(parameter)
    weights = dict(network.named_parameters())
    frames = network.clip[[2, 0]]
    embedding = norm(F.conv2d(frames, weights["encoder.0.weight"], weights["encoder.0.bias"], stride=2))
    embedding = norm(block(embedding, weights, "encoder.2"))
    embedding = F.conv2d(embedding, weights["encoder.4.weight"], weights["encoder.4.bias"], stride=2)
    embedding = block(embedding, weights, "encoder.5")
    assert embedding.shape == (2, 6, 2, 4)
    values = F.gelu(F.conv2d(embedding, weights["decoder.stem.weight"], weights["decoder.stem.bias"]))
    for index, padding in enumerate((0, 1)):
        path = f"decoder.blocks.{index}.conv"
        values = F.conv2d(values, weights[f"{path}.weight"], weights[f"{path}.bias"], padding=padding)
        values = F.gelu(F.pixel_shuffle(values, 2))
    values = F.conv2d(values, weights["decoder.head.weight"], weights["decoder.head.bias"], padding=1)
    torch.testing.assert_close(network(time(2 / 3, 0)), (torch.tanh(values) + 1) / 2, rtol=1e-10, atol=1e-10)


def test_between_frames_embeddings_are_interpolated() -> None:
    network = tiny()
    first, second = network.embed(time(1 / 3, 2 / 3))
    torch.testing.assert_close(network.embed(time(1.25 / 3))[0], 0.75 * first + 0.25 * second)
    torch.testing.assert_close(network.embed(time(0.99))[0], second)  # there is nothing after the last


@pytest.mark.parametrize("num_frames", [30, 132, 7])
def test_a_frame_sees_itself_and_no_other(num_frames: int) -> None:
    network = HNeRV(SIZE, num_frames, strides=(2,), width=3, encoder_width=4)
    network.see(torch.rand(num_frames, 3, *SIZE))
    times = torch.arange(num_frames, dtype=torch.float64) / num_frames
    with torch.no_grad():
        torch.testing.assert_close(network.embed(times), network.encoder(network.clip))


def test_default_sizes_are_the_published_ones() -> None:
    network = HNeRV(num_frames=30)
    embeddings = 30 * 16 * 2 * 4
    assert network.grid == (2, 4)
    assert [each.conv.kernel_size[0] for each in network.decoder.blocks] == [1, 3, 5, 5]
    assert [len(each.conv.weight) for each in network.decoder.blocks] == [64 * 16, 53 * 16, 44 * 4, 37 * 4]
    wider = decoder_size(78, 16, (4, 4, 2, 2), (1, 3, 5, 5), 3) + embeddings
    assert numbers(network.decoder) + embeddings <= 1e6 < wider
    assert network.decoder.stem.out_channels == 77
    assert numbers(network.decoder) == decoder_size(77, 16, (4, 4, 2, 2), (1, 3, 5, 5), 3)


def test_the_encoder_is_a_convnext() -> None:
    channels = 64
    blocks = [part for part in HNeRV().encoder if isinstance(part, ConvNeXtBlock)]
    assert len(blocks) == 4
    # Depthwise 7x7, norm, two layers of the MLP, scale.
    expected = 49 * channels + channels + 2 * channels + 8 * channels**2 + 5 * channels + channels
    assert numbers(blocks[0]) == expected
    assert blocks[0].scale.detach().unique().tolist() == pytest.approx([1e-6])
    weights = torch.cat([part.weight.detach().flatten() for part in (blocks[0].widen, blocks[1].narrow)])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


def test_the_clip_is_kept_with_the_weights() -> None:
    network = tiny()
    copy = HNeRV(SIZE, num_frames=3, strides=(2, 2), width=4, encoder_width=5, embedding_channels=6).double()
    copy.load_state_dict(network.state_dict())
    assert torch.equal(copy(time(1 / 3)), network(time(1 / 3)))
    assert "clip" not in dict(network.named_parameters())


def test_layers_have_names() -> None:
    network = tiny()
    assert list(network.layer_names.values()) == ["stem", "block_1", "block_2", "head"]
    modules = dict(network.named_modules())
    assert all(isinstance(modules[path], torch.nn.Conv2d) for path in network.layer_names)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"size": (100, 256)}, "HNeRV: the strides .* use 128x256"),
        ({"strides": (6, 2)}, "from 1 to 5"),
        ({"num_frames": 0}, "num_frames is 0"),
        ({"width": 0}, "width is 0"),
        ({"model_size": 5000}, "model_size is too small; .* need .* more"),
        ({"model_size": float("inf")}, "HNeRV: model_size is inf; give a number"),
        ({"num_frames": 10**9}, "frames needs"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HNeRV(**wrong)


def test_another_clip_is_refused() -> None:
    with pytest.raises(ValueError, match=r"of \(3, 3, 8, 16\), and gets \(2, 3, 8, 16\)"):
        tiny().see(torch.zeros(2, 3, *SIZE))


def test_a_width_follows_from_any_size() -> None:
    for model_size in (2e5, 1e6, 3e6):
        network = HNeRV((64, 128), 4, model_size, strides=(4, 2))
        used = numbers(network.decoder) + 4 * 16 * math.prod(network.grid)
        assert used <= model_size < 1.3 * used
