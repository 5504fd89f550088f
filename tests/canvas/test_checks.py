"""``check_kind``: shipped kinds pass it, broken ones are caught by name."""

import copy

import pytest
import torch
from breakages import NoBiasTerm, NoBorder, OneTerm, OtherChannelOfKernels, convolutional, linear, size_of
from case_oracle import SIZE as CASE_SIZE
from effect_oracle import SIZE
from test_cases import ALL
from torch import Tensor, nn

from xinc_pl.canvas import KINDS, LayerKind, Operands, check_kind, check_rule, record
from xinc_pl.canvas.layers.convolution import ConvolutionKind, output_channels
from xinc_pl.canvas.layers.lookup import GridKind
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.layers.reading import read
from xinc_pl.canvas.rules.linear import LinearRule

PRODUCT, CONVOLUTION, TABLE, GRID = KINDS


# What is shipped


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("name", ALL)
def test_shipped_kinds(name: str) -> None:
    case = ALL[name]
    network, inputs = case.network(), case.inputs if len(case.inputs) > 1 else case.inputs[0]
    layers = read(record(network, inputs, size=CASE_SIZE, **case.options)).layers
    for kind in {layer.kind for layer in layers}:
        check_kind(kind, network, inputs, size=CASE_SIZE, **case.options)


def test_every_shipped_kind_is_among_them() -> None:
    cases = [case for case in ALL.values() if len(case.inputs) == 1]
    recordings = [record(case.network(), case.inputs[0], size=CASE_SIZE, **case.options) for case in cases]
    assert {layer.kind for recording in recordings for layer in read(recording).layers} == set(KINDS)


# Broken kinds


class Larger(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return 7 * super().terms(operands, neurons)


class LargerEverywhere(Larger):
    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        return 7 * super().weighted(operands, weights)


class Mirrored(ConvolutionKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons).flip(-1)


class Transposed(ConvolutionKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        terms = super().terms(operands, neurons)
        return terms.transpose(-1, -2).reshape(terms.shape)


class SharedBias(ProductKind):
    """Each neuron has its share of the bias, as in the released code."""

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        terms = super().terms(operands, neurons)
        return terms if operands.bias is None else terms + operands.bias / self.neuron_shape(operands)[0]


class OtherWeights(ProductKind):
    def neuron_weights(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().neuron_weights(operands, self.neuron_shape(operands)[0] - 1 - neurons)


class OtherNeurons(ProductKind):
    """Consistently so: only the weights tell."""

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, self.neuron_shape(operands)[0] - 1 - neurons)

    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        return super().weighted(operands, weights.flip(0))


class Sorted(ProductKind):
    """Gives terms in the order of the neurons, not in the one that they were asked for."""

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons.sort().values)


class PartOfBatch(ProductKind):
    """Terms that depend on how many are asked for."""

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons) * (1 + 1e-3 * (len(neurons) > 3))


class SameLabels(ConvolutionKind):
    def label(self, operands: Operands, neuron: int) -> str:
        return str(int(output_channels(operands, torch.tensor(neuron))))


class RoundedTerms(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons).half().to(operands.input)


class NoDoubles(ProductKind):
    def in_double_precision(self, operands: Operands) -> Operands:
        return operands


class WrongPart(ProductKind):
    def part(self, operands: Operands, output: Tensor, num_values: int) -> tuple[Operands, Tensor]:
        own, values = super().part(operands, output, num_values)
        return own, values if values is output else values.flip(1)


class OtherPixels(ProductKind):
    def pixels(self, operands: Operands, output: Tensor) -> Tensor:
        return super().pixels(operands, output)[:-1]


class TurnedPixels(ConvolutionKind):
    """One of them twice, and another not at all."""

    def pixels(self, operands: Operands, output: Tensor) -> Tensor:
        pixels = super().pixels(operands, output)
        return torch.cat([pixels[:1], pixels[:-1]])


class Fails(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        if len(neurons) == 1:
            raise IndexError("no such neuron")
        return super().terms(operands, neurons)


class ManyZeros(ProductKind):
    def zero_inputs(self, operands: Operands) -> Tensor:
        return super().zero_inputs(operands)[:-1]


class AllZeros(ProductKind):
    def zero_inputs(self, operands: Operands) -> Tensor:
        return torch.ones_like(super().zero_inputs(operands))


class ShiftedChannels(ProductKind):
    """Each a pixel further than the one before."""

    def pixels(self, operands: Operands, output: Tensor) -> Tensor:
        columns = super().pixels(operands, output).unbind(1)
        return torch.stack([column.roll(place) for place, column in enumerate(columns)], 1)


class WrongShape(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return super().terms(operands, neurons)[..., 0]


class OtherChannelsOfGrid(GridKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        return 2 * super().terms(operands, neurons)


KINDS_AND_WHAT: dict[type[LayerKind], str] = {
    Larger: r"0: weights: .*neuron 0 at \(\d+, \d\): .* instead of .* \(relative error",
    LargerEverywhere: r"weights: .*neuron 0",
    OneTerm: "weights: .*neuron 1 at",
    Mirrored: r"weights: .*neuron 0 at \(0, 0, \d, \d\)",
    Transposed: "weights: .*neuron",
    NoBorder: r"weights: .*neuron \d+ at \(0, \d+, \d, 0\)",
    OtherChannelOfKernels: "weights: .*neuron",
    NoBiasTerm: "sum of terms: at",
    SharedBias: "weights: .*neuron",
    OtherWeights: "weights: .*neuron 0",
    OtherNeurons: "weights: .*neuron 0",
    Sorted: "order of terms: neuron",
    PartOfBatch: "chunks of terms: neuron",
    SameLabels: "label: neurons 0 and 8 are both '0'",
    RoundedTerms: "weights: .*neuron",
    NoDoubles: "in_double_precision: terms are torch.float32",
    WrongPart: "part",
    OtherPixels: "reading the network: RuntimeError",
    TurnedPixels: "pixels are not the output's values: at",
    Fails: "IndexError: no such neuron",
    AllZeros: "zero_inputs: neuron 0 adds something",
    ShiftedChannels: "pixels do not follow channel_axis",
    ManyZeros: "zero_inputs",
    WrongShape: "terms: the shape is",
    OtherChannelsOfGrid: "weights: .*neuron 0",
}
"""Kinds that break one promise each, and words of the one line that says so."""


@pytest.mark.parametrize("kind", KINDS_AND_WHAT, ids=lambda kind: kind.__name__)
def test_broken_kinds(kind: type[LayerKind]) -> None:
    own = type(kind()).__mro__
    if issubclass(kind, GridKind):
        case = ALL["sampled_grid"]
        network, inputs = case.network(), case.inputs[0]
    else:
        network, inputs = convolutional() if ConvolutionKind in own else linear()
    with pytest.raises(AssertionError, match=rf"^{kind.__name__}.*{KINDS_AND_WHAT[kind]}") as caught:
        check_kind(kind(), network, inputs, size=CASE_SIZE if issubclass(kind, GridKind) else size_of(inputs))
    assert "\n" not in str(caught.value)


class OneOfMany(ProductKind):
    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        terms = super().terms(operands, neurons)
        return torch.where((neurons == 777).view(-1, *[1] * (terms.ndim - 1)), 1.1 * terms, terms)


class OneOfManyEverywhere(OneOfMany):
    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        return LayerKind.weighted(self, operands, weights)


@pytest.mark.parametrize("kind", [OneOfMany, OneOfManyEverywhere])
def test_one_neuron_of_many_in_no_sample(kind: type[LayerKind]) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Linear(2, 1000), nn.Tanh(), nn.Linear(1000, 3))
    with pytest.raises(AssertionError, match=rf"^{kind.__name__} in 2: weights: .*neuron 777 at"):
        check_kind(kind(), network, torch.rand(20, 2), size=SIZE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_any_precision(dtype: torch.dtype) -> None:
    network, inputs = linear()
    check_kind(PRODUCT, network.to(dtype), inputs.to(dtype), size=SIZE)
    check_rule(LinearRule, PRODUCT, network, inputs.to(dtype), size=SIZE)


def test_nothing_is_left_behind() -> None:
    network, inputs = linear()
    network.train()
    before = copy.deepcopy(network.state_dict())
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    check_kind(PRODUCT, network, inputs, size=SIZE)
    check_rule(LinearRule, PRODUCT, network, inputs, size=SIZE)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())
    assert (network.training, torch.get_num_threads()) == (True, threads)
    assert all(parameter.grad is None for parameter in network.parameters())


def test_an_oracle_of_ones_own() -> None:
    network, inputs = linear()

    def by_hand(operands: Operands, neuron: int) -> Tensor:
        return operands.input[:, neuron, None] * operands.weight[:, neuron]

    check_kind(PRODUCT, network, inputs, size=SIZE, oracle=by_hand)
    with pytest.raises(AssertionError, match=r"ProductKind in .*0: oracle: neuron 0 at"):
        check_kind(PRODUCT, network, inputs, size=SIZE, oracle=lambda *given: -by_hand(*given))


def test_a_network_without_such_a_layer() -> None:
    network, inputs = linear()
    with pytest.raises(AssertionError, match="GridKind: no layer of this kind leads to the image"):
        check_kind(GRID, network, inputs, size=SIZE)
