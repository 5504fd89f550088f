"""Maps against the oracle, against numbers worked out by hand, and against what must hold of any maps."""

from collections.abc import Callable
from typing import Literal

import pytest
import torch
from networks import ACTIVATIONS, Written, dense_network, kernel_network, three_linear
from oracle import assert_maps_close, dense_inputs, dense_maps, kernel_inputs, kernel_maps, kernel_output
from torch import Tensor, nn

import xinc_pl.canvas.maps.group
from xinc_pl.canvas import Canvas, dissect

Convention = Literal["paper", "released"]
CONVENTIONS: tuple[Convention, ...] = ("paper", "released")
SIZE = (5, 7)

GEOMETRIES = {  # channels, strides, kernels, height and width of the first input
    "strides_2_3": ((3, 2, 2, 3), (2, 3, 1), (3, 5, 1), (3, 5)),
    "strides_4_1": ((2, 3, 2, 3), (4, 1, 1), (5, 1, 3), (3, 2)),
    "stride_5": ((2, 2, 3), (5, 1), (1, 3), (1, 3)),
    "stride_1_first": ((2, 3, 2, 1), (1, 2, 1), (3, 3, 5), (5, 4)),
    "shuffle_at_the_end": ((2, 3, 3), (2, 3), (3, 3), (3, 4)),
    "all_of_one_pixel": ((2, 3, 2, 3), (3, 2, 1), (3, 3, 3), (1, 1)),
    "head_alone": ((4, 3), (1,), (3,), (5, 7)),
    "no_upsampling": ((3, 4, 3), (1, 1), (3, 3), (5, 3)),
    "boxes_larger_than_the_image": ((2, 2, 2, 2), (1, 1, 1), (5, 5, 5), (2, 1)),
    "four_layers": ((2, 2, 2, 2, 3), (2, 2, 2, 1), (3, 3, 3, 3), (2, 3)),
}


def encoded(channels: int = 4) -> Tensor:
    return torch.randn(SIZE[0] * SIZE[1], channels, generator=torch.Generator().manual_seed(5))


def features(channels: int, height: int, width: int) -> Tensor:
    return torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(5))


def small_video() -> Canvas:
    network, _ = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")
    return dissect(network, features(3, 3, 4))


def small_image(convention: Convention = "paper") -> Canvas:
    network, _ = dense_network((4, 9, 8, 3), "relu")
    return dissect(network, encoded(), size=SIZE, convention=convention)


# The oracle


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear_layers(activation: str, convention: Convention, bias: bool) -> None:
    network, description = dense_network((4, 9, 8, 3), activation, bias)
    canvas = dissect(network, encoded(), size=SIZE, convention=convention)
    assert list(canvas) == ["layers.0", "layers.1", "layers.2"]
    for index, layer in enumerate(canvas.values()):
        expected = dense_maps(description, index, encoded(), SIZE, convention, per_output=False)
        assert_maps_close(layer.maps(), expected)
        assert_maps_close(layer.magnitudes(), expected.abs())
        per_output = dense_maps(description, index, encoded(), SIZE, convention, per_output=True)
        assert_maps_close(layer.maps(per_output=True), per_output)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("activation", ["relu", "gelu", "cos"])
def test_convolutions_of_any_geometry(activation: str, geometry: str) -> None:
    channels, strides, kernels, grid = GEOMETRIES[geometry]
    network, description = kernel_network(channels, strides, kernels, activation)
    canvas = dissect(network, features(channels[0], *grid))
    assert len(canvas) == len(strides)
    for index, layer in enumerate(canvas.values()):
        outputs = channels[index + 1] * strides[index] ** 2
        assert layer.neuron_shape == (channels[index], outputs)
        assert_maps_close(layer.maps(), kernel_maps(description, index, features(channels[0], *grid)[0]))


@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("convention", CONVENTIONS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_convolutions_with_any_activation(activation: str, convention: Convention, bias: bool) -> None:
    network, description = kernel_network((2, 3, 2, 3), (3, 2, 1), (3, 1, 3), activation, bias)
    canvas = dissect(network, features(2, 2, 3), convention=convention)
    for index, layer in enumerate(canvas.values()):
        assert_maps_close(layer.maps(), kernel_maps(description, index, features(2, 2, 3)[0]))


def test_colours_of_the_last_convolution() -> None:
    network, description = kernel_network((3, 2, 4), (2, 1), (3, 3), "gelu")
    head = dissect(network, features(3, 3, 2))["layers.1"]
    inputs = kernel_inputs(description, features(3, 3, 2)[0])[1]
    expected = torch.zeros(8, 4, 6, 4, dtype=torch.float64)
    for neuron in range(8):
        expected[neuron, neuron % 4] = kernel_output(description[1], inputs, neuron // 4, neuron % 4)
    assert_maps_close(head.maps(per_output=True), expected)
    assert_maps_close(head.maps([6, 1], per_output=True), expected[[6, 1]])


def test_colours_before_the_last_convolution_are_refused() -> None:
    with pytest.raises(ValueError, match=r"layers\.0.*last layer"):
        small_video()["layers.0"].maps(per_output=True)


def test_double_precision_networks_give_float32_maps() -> None:
    network, description = kernel_network((2, 3, 3), (2, 1), (3, 3), "cos")
    canvas = dissect(network.double(), features(2, 2, 3).double())
    for index, layer in enumerate(canvas.values()):
        assert layer.maps().dtype == torch.float32
        assert next(layer.stream())[1].dtype == torch.float32
        assert_maps_close(layer.maps(), kernel_maps(description, index, features(2, 2, 3)[0]))
    assert canvas["layers.1"].maps(per_output=True).dtype == torch.float32


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.bfloat16, 0.05), (torch.float16, 0.01)])
def test_half_precision_networks_are_dissected_in_full_precision(dtype: torch.dtype, tolerance: float) -> None:
    exact = small_image()
    network, _ = dense_network((4, 9, 8, 3), "relu")
    canvas = dissect(network.to(dtype), encoded().to(dtype), size=SIZE)
    for name, layer in canvas.items():
        expected = exact[name].maps()
        assert layer.maps().dtype == torch.float32
        assert layer.completeness_error < 1e-5
        assert (layer.maps() - expected).abs().mean() < tolerance * expected.abs().mean()


# By hand


def test_a_linear_layer_by_hand() -> None:
    layer = nn.Linear(2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, -2.0], [3.0, 4.0]]))
        layer.bias.copy_(torch.tensor([2.0, -4.0]))
    inputs = torch.tensor([[1.0, 2.0], [3.0, -1.0]])  # two pixels
    last = nn.Linear(2, 1, bias=False)
    nn.init.constant_(last.weight, 0.5)
    network = nn.Sequential(layer, nn.ReLU(), last)

    # Sums over outputs: 1 + 3 = 4 and -2 + 4 = 2; share of the bias: (2 - 4) / 2 = -1.
    paper = dissect(network, inputs, size=(1, 2))
    assert paper["0"].maps().tolist() == [[[4.0, 12.0]], [[4.0, -2.0]]]
    released = dissect(network, inputs, size=(1, 2), convention="released")
    assert released["0"].maps().tolist() == [[[3.0, 11.0]], [[3.0, 0.0]]]  # -3 after the ReLU
    assert dissect(layer, inputs, size=(1, 2), convention="released")["layer_1"].maps().tolist() == [
        [[3.0, 11.0]],
        [[3.0, -3.0]],  # a last layer has no activation
    ]
    assert paper["0"].maps(per_output=True).tolist() == [
        [[[1.0, 3.0]], [[3.0, 9.0]]],
        [[[-4.0, 2.0]], [[8.0, -4.0]]],
    ]
    # Pre-activations: (1 - 4 + 2, 3 + 8 - 4) = (-1, 7) and (3 + 2 + 2, 9 - 4 - 4) = (7, 1), so inputs (0, 7), (7, 1).
    assert paper["2"].maps().tolist() == [[[0.0, 3.5]], [[3.5, 0.5]]]


def test_a_convolution_by_hand() -> None:
    head = nn.Conv2d(1, 1, 3, padding=1)
    nn.init.ones_(head.weight)
    nn.init.constant_(head.bias, 4.0)
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    canvas = dissect(head, image)
    # Every pixel sees all four: 10, and the whole bias.
    assert canvas["layer_1"].maps().tolist() == [[[14.0, 14.0], [14.0, 14.0]]]


@pytest.mark.parametrize(
    ("activation", "masked", "fed"),
    [(nn.ReLU(), 0.0, 3.0), (nn.Softplus(), 0.6931472, 3.0485873), (nn.Threshold(1.0, 2.0), 2.0, 3.0)],
)
def test_a_block_by_hand(activation: nn.Module, masked: float, fed: float) -> None:
    block, head = nn.Conv2d(1, 4, 1, bias=False), nn.Conv2d(1, 1, 3, padding=1)
    with torch.no_grad():
        block.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1))
    network = nn.Sequential(block, nn.PixelShuffle(2), activation, head)
    maps = dissect(network, torch.ones(1, 1, 1, 1))["0"].maps([2])
    # Kernel 2 feeds the lower left pixel with 3, the others hold f(0), and each of the head's boxes covers all four.
    expected = (fed + 3 * masked) / 9
    torch.testing.assert_close(maps, torch.full((1, 2, 2), expected))


def test_the_kernel_of_each_phase_by_hand() -> None:
    block, head = nn.Conv2d(1, 4, 1, bias=False), nn.Conv2d(1, 1, 1)
    with torch.no_grad():
        block.weight.copy_(torch.tensor([1.0, 2.0, 3.0, 4.0]).view(4, 1, 1, 1))
    network = nn.Sequential(block, nn.PixelShuffle(2), nn.ReLU(), head)
    maps = dissect(network, torch.tensor([[[[1.0, 10.0]]]]))["0"].maps()
    assert maps.tolist() == [
        [[1.0, 0.0, 10.0, 0.0], [0.0, 0.0, 0.0, 0.0]],
        [[0.0, 2.0, 0.0, 20.0], [0.0, 0.0, 0.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [3.0, 0.0, 30.0, 0.0]],
        [[0.0, 0.0, 0.0, 0.0], [0.0, 4.0, 0.0, 40.0]],
    ]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_what_follows_the_last_linear_layer_is_in_no_map(convention: Convention) -> None:
    network, description = dense_network((4, 9, 3), "relu")
    squashed = nn.Sequential(network, nn.Sigmoid())
    canvas = dissect(squashed, encoded(), size=SIZE, convention=convention)
    for index, layer in enumerate(canvas.values()):
        assert_maps_close(layer.maps(), dense_maps(description, index, encoded(), SIZE, convention, per_output=False))


# What must hold


def test_maps_of_a_linear_layer_add_up_to_its_pre_activations() -> None:
    network, description = dense_network((4, 9, 8, 3), "gelu")
    canvas = dissect(network, encoded(), size=SIZE)
    for index, layer in enumerate(canvas.values()):
        inputs = dense_inputs(description, encoded())[index]
        without_bias = inputs @ description[index].weight.double().T
        assert_maps_close(layer.maps().sum(0), without_bias.sum(1).view(SIZE))
        assert_maps_close(layer.maps(per_output=True).sum(0), without_bias.T.reshape(-1, *SIZE))


def test_maps_of_a_head_add_up_to_its_pre_activation() -> None:
    network, description = kernel_network((3, 2, 4), (2, 1), (3, 3), "gelu")
    head = dissect(network, features(3, 3, 2))["layers.1"]
    inputs = kernel_inputs(description, features(3, 3, 2)[0])[1]
    weight, bias = description[1].weight.double(), description[1].bias
    assert bias is not None
    expected = nn.functional.conv2d(inputs[None], weight, bias.double(), padding=1)[0]
    assert_maps_close(head.maps().view(2, 4, 6, 4).sum(0), expected)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_permuting_hidden_neurons_permutes_maps(convention: Convention) -> None:
    network, _ = dense_network((4, 9, 8, 3), "sin")
    before = dissect(network, encoded(), size=SIZE, convention=convention)
    order = torch.randperm(9, generator=torch.Generator().manual_seed(1))
    first, second, _ = network.layers
    with torch.no_grad():
        first.weight.copy_(first.weight[order])
        first.bias.copy_(first.bias[order])
        second.weight.copy_(second.weight[:, order])
    after = dissect(network, encoded(), size=SIZE, convention=convention)
    assert_maps_close(after["layers.1"].maps(), before["layers.1"].maps()[order])
    assert_maps_close(after["layers.2"].maps(), before["layers.2"].maps())


def test_permuting_channels_permutes_maps() -> None:
    network, _ = kernel_network((3, 4, 2, 3), (2, 3, 1), (3, 3, 3), "gelu")
    before = dissect(network, features(3, 3, 4))
    order = torch.tensor([2, 0, 3, 1])
    first, second, _ = network.layers
    outputs = (4 * order[:, None] + torch.arange(4)).flatten()  # a channel has four phases
    with torch.no_grad():
        first.weight.copy_(first.weight[outputs])
        first.bias.copy_(first.bias[outputs])
        second.weight.copy_(second.weight[:, order])
    after = dissect(network, features(3, 3, 4))
    maps = before["layers.0"].maps().view(3, 16, 18, 24)
    assert_maps_close(after["layers.0"].maps().view_as(maps), maps[:, outputs])
    maps = before["layers.1"].maps().view(4, 18, 18, 24)
    assert_maps_close(after["layers.1"].maps().view_as(maps), maps[order])
    assert_maps_close(after["layers.2"].maps(), before["layers.2"].maps())


@pytest.mark.parametrize("canvas", [small_image, small_video])
@pytest.mark.parametrize("chunk_values", [1, 1000])
def test_the_size_of_chunks_changes_nothing(
    monkeypatch: pytest.MonkeyPatch, canvas: Callable[[], Canvas], chunk_values: int
) -> None:
    whole = {name: (layer.maps(), layer.statistics()) for name, layer in canvas().items()}
    monkeypatch.setattr(xinc_pl.canvas.maps.group, "CHUNK_VALUES", chunk_values)
    for name, layer in canvas().items():
        maps, statistics = whole[name]
        if chunk_values == 1:
            assert sum(1 for _ in layer.stream()) == layer.num_neurons
        torch.testing.assert_close(layer.maps(), maps, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.statistics().total, statistics.total, rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.statistics().sum, statistics.sum, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("canvas", [small_image, small_video])
def test_the_number_of_threads_changes_nothing(canvas: Callable[[], Canvas]) -> None:
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append([layer.maps() for layer in canvas().values()])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("canvas", [small_image, small_video])
def test_neurons_come_in_the_order_asked_for(canvas: Callable[[], Canvas]) -> None:
    for layer in canvas().values():
        maps = layer.maps()
        neurons = torch.randperm(layer.num_neurons, generator=torch.Generator().manual_seed(2))[:7]
        torch.testing.assert_close(layer.maps(neurons), maps[neurons], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.maps(neurons.tolist()), maps[neurons], rtol=1e-6, atol=1e-7)
        torch.testing.assert_close(layer.magnitudes(neurons), maps[neurons].abs(), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("neurons", [[], [-1], [0, 9], [3, 3]])
def test_neurons_that_are_not_there_are_refused(neurons: list[int]) -> None:
    with pytest.raises(ValueError, match=r"layers\.1"):
        small_image()["layers.1"].maps(neurons)


@pytest.mark.parametrize("canvas", [small_image, small_video])
def test_the_stream_has_every_neuron_once(monkeypatch: pytest.MonkeyPatch, canvas: Callable[[], Canvas]) -> None:
    monkeypatch.setattr(xinc_pl.canvas.maps.group, "CHUNK_VALUES", 1000)
    for layer in canvas().values():
        chunks = list(layer.stream())
        neurons = torch.cat([neurons for neurons, _ in chunks])
        assert neurons.sort().values.tolist() == list(range(layer.num_neurons))
        for neurons, magnitudes in chunks:
            assert torch.equal(magnitudes, layer.magnitudes()[neurons])
        some = torch.cat([neurons for neurons, _ in layer.stream([3, 1])])
        assert sorted(some.tolist()) == [1, 3]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_statistics_of_linear_layers(convention: Convention) -> None:
    check_statistics(small_image(convention))


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_statistics_of_convolutions(geometry: str) -> None:
    channels, strides, kernels, grid = GEOMETRIES[geometry]
    network, _ = kernel_network(channels, strides, kernels, "relu")
    check_statistics(dissect(network, features(channels[0], *grid)))


def check_statistics(canvas: Canvas) -> None:
    for layer in canvas.values():
        magnitudes = layer.maps().double().abs()
        statistics = layer.statistics()
        assert (statistics.num_neurons, statistics.size) == (len(magnitudes), tuple(magnitudes.shape[1:]))
        for name, expected in {
            "total": magnitudes.sum(0),
            "sum": magnitudes.sum((1, 2)),
            "minimum": magnitudes.amin((1, 2)),
            "maximum": magnitudes.amax((1, 2)),
        }.items():
            actual = getattr(statistics, name)
            assert actual.dtype == torch.float64
            torch.testing.assert_close(actual, expected, rtol=1e-6, atol=1e-7 * float(expected.mean()))
        assert torch.equal(statistics.zero_map, magnitudes.amax((1, 2)) == 0)


def test_dead_neurons_and_neurons_that_cancel() -> None:
    network, _ = dense_network((4, 5, 3), "relu")
    first, last = network.layers
    with torch.no_grad():
        first.bias[1] = -1000.0  # dead: the ReLU gives zero at every pixel
        last.weight[:, 3] = torch.tensor([1.0, -3.0, 2.0])  # alive, but its weights add up to zero
        last.bias.copy_(torch.tensor([1.0, 2.0, 3.0]))
    dead, cancels = [False, True, False, False, False], [False, True, False, True, False]
    paper = dissect(network, encoded(), size=SIZE)["layers.1"].statistics()
    assert paper.zero_input.tolist() == dead
    assert paper.zero_map.tolist() == cancels
    released = dissect(network, encoded(), size=SIZE, convention="released")["layers.1"]
    assert released.statistics().zero_input.tolist() == dead
    assert not released.statistics().zero_map.any()
    torch.testing.assert_close(released.maps([1]), torch.full((1, *SIZE), 6.0 / 5))  # its share of the bias


def test_dead_channels() -> None:
    network, _ = kernel_network((2, 3, 2), (2, 1), (3, 3), "relu")
    with torch.no_grad():
        network.layers[0].bias[4:8] = -1000.0  # channel 1, all its phases
        network.layers[1].bias.copy_(torch.tensor([0.0, 3.0]))
    statistics = dissect(network, features(2, 3, 3))["layers.1"].statistics()
    assert statistics.zero_input.tolist() == [False, False, True, True, False, False]
    assert statistics.zero_map.tolist() == [False, False, True, False, False, False]  # the other has a bias
    assert statistics.minimum[3] == statistics.maximum[3] == 1.0


def test_a_canvas_keeps_the_weights_it_was_made_with() -> None:
    network = Written(
        lambda self, values: self.b(torch.nn.functional.prelu(self.a(values), self.slope)),
        a=nn.Linear(4, 5), b=nn.Linear(5, 3), slope=nn.Parameter(torch.tensor([0.25])),
    )  # fmt: skip
    canvas = dissect(network, encoded(), size=SIZE, convention="released")
    before = [layer.maps() for layer in canvas.values()]
    optimiser = torch.optim.SGD(network.parameters(), lr=1.0)
    network(encoded()).square().sum().backward()
    optimiser.step()
    for layer, maps in zip(canvas.values(), before, strict=True):
        assert torch.equal(layer.maps(), maps)


@pytest.mark.parametrize("shape", [(35, 2), (1, 35, 2), (5, 7, 2), (1, 5, 7, 2), (5, 1, 7, 2)])
def test_coordinates_of_any_shape(shape: tuple[int, ...]) -> None:
    network, coordinates = three_linear(torch.relu), torch.rand(35, 2)
    expected = dissect(network, coordinates, size=SIZE)
    canvas = dissect(network, coordinates.view(shape), size=SIZE)
    assert list(canvas) == ["a", "b", "c"]
    assert not canvas.skipped
    for name in canvas:
        torch.testing.assert_close(canvas[name].maps(), expected[name].maps())


def test_reshapes_between_linear_layers() -> None:
    plain = three_linear(torch.relu)
    network = Written(
        lambda self, x: self.c(self.b(self.a(x.view(5, 7, 2)).relu().flatten(0, 1)).relu().unsqueeze(0))
        .view(1, 5, 7, 3)
        .permute(0, 3, 1, 2),
        a=plain.a, b=plain.b, c=plain.c,
    )  # fmt: skip
    coordinates = torch.rand(35, 2)
    canvas, expected = dissect(network, coordinates), dissect(plain, coordinates, size=SIZE)
    assert list(canvas) == ["a", "b", "c"]
    for name in canvas:
        torch.testing.assert_close(canvas[name].maps(), expected[name].maps())


@pytest.mark.parametrize(("size", "message"), [((7, 5), "height, width"), ((6, 7), "6x7"), ((35, 2), "35x2")])
def test_a_size_that_does_not_fit(size: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=rf"output has shape \(5, 7, 3\).*{message}"):
        dissect(three_linear(torch.relu), torch.rand(5, 7, 2), size=size)


@pytest.mark.parametrize("convention", ["paper", "effect"])
def test_weights_and_labels_of_neurons(convention: Literal["paper", "effect"]) -> None:
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 3))
    layer = dissect(linear, encoded(), size=SIZE, convention=convention)["2"]
    assert torch.equal(layer.weights([5, 1]), linear[2].weight.detach()[:, [5, 1]].T)
    assert layer.label(5) == "5"
    convolutions = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), nn.GELU(), nn.Conv2d(4, 3, 5, padding=2))
    layer = dissect(convolutions, features(2, *SIZE), convention=convention)["2"]
    kernels = convolutions[2].weight.detach()  # output channel first
    assert torch.equal(layer.weights([7, 0]), torch.stack([kernels[1, 2], kernels[0, 0]]))
    assert layer.weights().shape == (12, 5, 5)
    assert layer.label(7) == "2 → 1"
    with pytest.raises(ValueError, match="has neurons 0 to 11; got \\[12\\]"):
        layer.label(12)
