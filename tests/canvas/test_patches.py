"""Outputs of single kernels as products, against the convolution that has a group for each."""

import pytest
import torch
from torch.nn import functional as F

from xinc_pl.canvas.layers.convolution import kernel_outputs
from xinc_pl.canvas.layers.kind import Operands
from xinc_pl.canvas.layers.patches import patches_of, products


def operands(channels: int = 3, **options: object) -> Operands:
    torch.manual_seed(0)
    own = torch.randn(1, channels, 7, 9), torch.nn.Parameter(torch.randn(5, channels, 3, 3))
    return Operands(F.conv2d, own[0], own[1], None, options)


@pytest.mark.parametrize(
    "options", [{}, {"padding": 1}, {"padding": (1, 0), "stride": (2, 1)}, {"padding": 2, "dilation": 2}]
)
@pytest.mark.parametrize("neurons", [list(range(15)), [14, 0, 1, 6, 5], [7]])
def test_they_are_what_a_convolution_for_each_gives(options: dict[str, object], neurons: list[int]) -> None:
    layer, chosen = operands(**options), torch.tensor(neurons)
    bias = torch.randn(len(neurons))
    for with_bias in (None, bias):
        expected = kernel_outputs(layer, chosen, with_bias)[0]
        patches = patches_of(layer, (expected.shape[-2], expected.shape[-1]))
        assert patches is not None
        made = products(layer, patches, chosen, with_bias)
        torch.testing.assert_close(made, expected.flatten(1), rtol=1e-5, atol=1e-5)
        assert not made.requires_grad


@pytest.mark.parametrize("options", [{"padding": "same"}, {"groups": 3}])
def test_what_they_do_not_know_is_left_to_the_convolution(options: dict[str, object]) -> None:
    assert patches_of(operands(**options), (7, 9)) is None


def test_a_large_input_is_left_to_the_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xinc_pl.canvas.layers.patches._MOST_VALUES", 3 * 9 * 35 - 1)
    assert patches_of(operands(), (5, 7)) is None
    monkeypatch.setattr("xinc_pl.canvas.layers.patches._MOST_VALUES", 3 * 9 * 35)
    assert patches_of(operands(), (5, 7)) is not None
