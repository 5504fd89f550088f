"""What holds for every network: it learns, its derivative is right, it is taken apart."""

from collections.abc import Callable

import pytest
import torch
from tiny import IMAGE_NETWORKS, SIZE, VIDEO_NETWORKS, tiny_clip, tiny_photograph, trainer
from torch import nn

import xinc_pl.models
from xinc_pl import ImageINR, VideoINR, dissect
from xinc_pl.canvas import Convention
from xinc_pl.data import FramesDataModule
from xinc_pl.frames import batch_of, pixel_coordinates
from xinc_pl.training import INRModule

NETWORKS = IMAGE_NETWORKS | VIDEO_NETWORKS
CHAINS = NETWORKS.keys() - {"WIRE", "HNeRV", "HiNeRV"}
"""Those that have maps under every convention."""

INPUTS = {name: pixel_coordinates(SIZE) for name in IMAGE_NETWORKS} | {
    name: torch.tensor([0.25], dtype=torch.float64) for name in VIDEO_NETWORKS
}


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    network = NETWORKS[name]()
    if hasattr(network, "see"):
        network.see(batch_of(tiny_clip().frames).target)
    return network


def test_none_is_left_out() -> None:
    kinds = {
        name for name in xinc_pl.models.__all__ if isinstance(made := getattr(xinc_pl.models, name), type) and made
    }
    assert kinds == set(NETWORKS)
    assert kinds <= set(xinc_pl.__all__)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_the_derivative_is_that_of_the_output(name: str) -> None:
    network = made(name).to(torch.float64) if name != "WIRE" else made(name)
    inputs = INPUTS[name].to(next(network.parameters()).real.dtype)
    generator = torch.Generator().manual_seed(1)

    def total() -> torch.Tensor:
        return (network(inputs) ** 2).sum()

    gradients = torch.autograd.grad(total(), list(network.parameters()))
    directions = [
        torch.randn(p.shape, generator=generator, dtype=p.dtype) * p.abs().mean() for p in network.parameters()
    ]
    expected = sum((g.conj() * d).real.sum().item() for g, d in zip(gradients, directions, strict=True))
    step = 1e-6 if name != "WIRE" else 3e-4
    with torch.no_grad():
        ends = []
        for sign in (1, -2):
            for parameter, direction in zip(network.parameters(), directions, strict=True):
                parameter += sign * step * direction
            ends.append(total().double().item())
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(expected, rel=1e-4 if name != "WIRE" else 0.05)
    assert all(gradient.abs().max() > 0 for gradient in gradients)


def module_of(name: str) -> tuple[INRModule, FramesDataModule]:
    if name in IMAGE_NETWORKS:
        return ImageINR(made(name), SIZE, lr=2e-3), tiny_photograph()
    return VideoINR(made(name), 4, SIZE, lr=5e-3, schedule="constant"), tiny_clip()


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_it_learns(name: str, tmp_path: object) -> None:
    module, data = module_of(name)
    batch = batch_of(data.frames)

    def error() -> float:
        with torch.no_grad():
            return (module(batch.indices) - batch.target).square().mean().item()

    before = error()
    trainer(tmp_path, max_epochs=8, logger=False).fit(module, data)
    assert error() < 0.8 * before


@pytest.mark.parametrize("convention", ["effect", "paper", "released"])
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_it_is_taken_apart(name: str, convention: Convention) -> None:
    network = made(name)
    if name not in CHAINS and convention != "effect":
        with pytest.raises(ValueError, match="convention='effect'"):
            dissect(network, INPUTS[name], size=SIZE, convention=convention)
        return
    canvas = dissect(network, INPUTS[name], size=SIZE, convention=convention)
    names = set(network.layer_names.values())
    looked_up = {each for each in names if each.startswith(("level_", "grid_"))}
    wanted = names - (looked_up if convention != "effect" else set())
    assert wanted <= set(canvas)
    assert set(canvas.skipped) <= looked_up | ({"stem"} if name == "NeRV" else set())
    for each in canvas.values():
        assert each.completeness_error < 1e-4
        assert each.magnitudes().max() > 0


def test_the_decoder_of_hnerv_is_a_chain() -> None:
    network = made("HNeRV")
    embedding = network.embed(INPUTS["HNeRV"]).detach()
    canvas = dissect(network.decoder, embedding, convention="paper")
    assert list(canvas) == ["stem", "block_1", "block_2", "head"]
    assert max(each.completeness_error for each in canvas.values()) < 1e-4


@pytest.mark.parametrize("make", [*IMAGE_NETWORKS.values()], ids=[*IMAGE_NETWORKS])
def test_image_networks_take_coordinates_of_any_shape(make: Callable[[], nn.Module]) -> None:
    network = make()
    flat = network(pixel_coordinates(SIZE))
    assert flat.shape == (SIZE[0] * SIZE[1], 3)
    shaped = network(pixel_coordinates(SIZE).view(*SIZE, 2))
    torch.testing.assert_close(shaped.view(-1, 3), flat)
