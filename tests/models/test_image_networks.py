"""Image networks against their published formulas, written in NumPy, and against another library."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from siren_pytorch import SirenNet
from torch import nn

from xinc_pl.models import FINER, SIREN, WIRE, Gauss, PositionalMLP
from xinc_pl.models.coordinate_mlp import CoordinateMLP

Array = np.ndarray
WIDTHS = (7, 6, 5)


def coordinates() -> torch.Tensor:
    return torch.rand(11, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 2 - 1


def weights_of(network: CoordinateMLP) -> list[tuple[Array, Array]]:
    return [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in network.layers]


def by_hand(network: CoordinateMLP, values: Array, activation: Callable[[complex, int], complex]) -> Array:
    """Every layer, pixel by pixel and unit by unit."""
    *hidden, (last, last_bias) = weights_of(network)
    rows = []
    for pixel in values:
        inputs = list(pixel)
        for index, (weight, bias) in enumerate(hidden):
            inputs = [
                activation(sum(w * x for w, x in zip(row, inputs, strict=True)) + b, index)
                for row, b in zip(weight, bias, strict=True)
            ]
        rows.append(
            [sum(w * x for w, x in zip(row, inputs, strict=True)) + b for row, b in zip(last, last_bias, strict=True)]
        )
    return np.array(rows)


def sine(z: complex, index: int) -> complex:
    return math.sin((20 if index == 0 else 25) * z.real)


def faster_sine(z: complex, index: int) -> complex:
    return math.sin((20 if index == 0 else 25) * (abs(z.real) + 1) * z.real)


def gaussian(z: complex, index: int) -> complex:
    del index
    return math.exp(-(z.real**2) / (2 * 0.3**2))


def wavelet(z: complex, index: int) -> complex:
    del index
    return complex(np.exp(1j * 9 * z) * np.exp(-(abs(4 * z) ** 2)))


@pytest.mark.parametrize(
    ("network", "activation"),
    [
        (lambda: SIREN(WIDTHS, 20, 25, out_channels=2), sine),
        (lambda: FINER(WIDTHS, 20, 25, 0.5, out_channels=2), faster_sine),
        (lambda: Gauss(WIDTHS, 0.3, out_channels=2), gaussian),
        (lambda: WIRE(WIDTHS, 9, 4, out_channels=2), wavelet),
    ],
    ids=["SIREN", "FINER", "Gauss", "WIRE"],
)
def test_output_is_that_of_the_formula(
    network: Callable[[], CoordinateMLP], activation: Callable[[complex, int], complex]
) -> None:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    try:
        made = network()
    finally:
        torch.set_default_dtype(torch.float32)
    expected = by_hand(made, coordinates().numpy(), activation).real
    assert expected.shape == (11, 2)
    np.testing.assert_allclose(made(coordinates()).detach().numpy(), expected, atol=1e-11)


def test_siren_is_that_of_another_library() -> None:
    torch.manual_seed(0)
    theirs = SirenNet(2, 16, 3, num_layers=4, w0=30.0, w0_initial=30.0)
    ours = SIREN((16,) * 4)
    layers = [*theirs.layers, theirs.last_layer]
    ours.load_state_dict(
        {f"layers.{i}.{kind}": getattr(layer, kind) for i, layer in enumerate(layers) for kind in ("weight", "bias")}
    )
    xy = coordinates().float()
    torch.testing.assert_close(ours(xy), theirs(xy), rtol=1e-4, atol=1e-6)


def test_positional_encoding_is_nerfs() -> None:
    network = PositionalMLP(3, (6,), out_channels=2).double()
    rows = []
    for pixel in coordinates().tolist():
        row = []
        for coordinate in pixel:
            for level in range(3):
                row += [math.sin(2**level * math.pi * coordinate), math.cos(2**level * math.pi * coordinate)]
        rows.append(row)
    expected = by_hand(network, np.array(rows), lambda z, _: max(z.real, 0.0))
    np.testing.assert_allclose(network(coordinates()).detach().numpy(), expected, atol=1e-12)


@pytest.mark.parametrize(
    ("network", "count"),
    [
        (SIREN, 2 * 256 + 256 + 3 * (256 * 256 + 256) + 256 * 3 + 3),
        (FINER, 198_915),
        (Gauss, 198_915),
        (PositionalMLP, 32 * 256 + 256 + 3 * (256 * 256 + 256) + 256 * 3 + 3),
        (WIRE, 2 * 181 + 181 + 2 * (2 * (181 * 181 + 181) + 181 * 3 + 3)),
    ],
)
def test_published_sizes(network: type[CoordinateMLP], count: int) -> None:
    numbers = sum(p.numel() * (1 + p.is_complex()) for p in network().parameters())
    assert numbers == count
    assert f"{network().layers[0].out_features}" in {"256", "181"}


def spread(values: torch.Tensor) -> tuple[float, float, float]:
    """Mean, standard deviation and largest magnitude, in multiples of a uniform distribution's bound."""
    return values.mean().item(), values.std().item(), values.abs().max().item()


@pytest.mark.parametrize("kind", [SIREN, FINER])
def test_weights_of_sines_start_as_the_paper_says(kind: type[SIREN]) -> None:
    torch.manual_seed(0)
    network = kind((400, 300), 30, 15)
    for index, bound in enumerate([1 / 2, math.sqrt(6 / 400) / 15, math.sqrt(6 / 300) / 15]):
        mean, deviation, largest = spread(network.layers[index].weight.detach() / bound)
        assert abs(mean) < 0.06
        assert deviation == pytest.approx(1 / math.sqrt(3), rel=0.05)
        assert 0.95 < largest <= 1


def test_sines_keep_their_distribution_from_layer_to_layer() -> None:
    torch.manual_seed(0)
    network = SIREN((512,) * 4)
    values = torch.rand(1000, 2) * 2 - 1
    with torch.no_grad():
        for index, layer in enumerate(network.layers[:-1]):
            layer.bias.mul_(index == 0)
            inner = layer(values) * 30
            values = network.activate(layer(values), index)
            if index:  # the paper's Theorem 1.8: normal before the sine, arcsine-distributed after it
                assert inner.std().item() == pytest.approx(1, rel=0.1)
                assert values.std().item() == pytest.approx(math.sqrt((1 - math.exp(-2)) / 2), rel=0.05)


def test_finer_sets_its_range_of_frequencies_by_the_first_bias() -> None:
    torch.manual_seed(0)
    mean, deviation, largest = spread(FINER((2000, 4), first_bias=5).layers[0].bias.detach() / 5)
    assert abs(mean) < 0.05
    assert deviation == pytest.approx(1 / math.sqrt(3), rel=0.05)
    assert 0.99 < largest <= 1


def test_wire_is_real_outside_and_complex_inside() -> None:
    network = WIRE((5, 4))
    assert [layer.weight.dtype for layer in network.layers] == [torch.float32, torch.complex64, torch.complex64]
    assert network(torch.zeros(3, 2)).dtype == torch.float32


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SIREN(first_omega=0), "SIREN: first_omega is 0; it must be positive"),
        (lambda: FINER(omega=-1), "FINER: omega is -1"),
        (lambda: FINER(first_bias=math.nan), "FINER: first_bias is nan"),
        (lambda: Gauss(sigma=0), "Gauss: sigma is 0"),
        (lambda: WIRE(scale=math.inf), "WIRE: scale is inf"),
        (lambda: SIREN((8, 0)), r"SIREN: .* at least 1, got \[2, 8, 0, 3\]"),
        (lambda: PositionalMLP(0), "levels is 0; give 1 to 16"),
        (lambda: Gauss((9_000_000, 9_000_000)), "Gauss with .* weights needs"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(make: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
