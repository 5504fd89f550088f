"""Networks that are no chain, or whose layers no formula covers: never a silently wrong map."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from networks import Written, three_linear
from torch import Tensor, nn
from torch.nn import functional as F

from xinc_pl.canvas import DissectionError, dissect

SIZE = (4, 5)
COORDINATES = torch.rand(20, 2, generator=torch.Generator().manual_seed(3))


def written(forward: Callable[[Any, Tensor], Any], hidden: int = 6, **parts: nn.Module | nn.Parameter) -> Written:
    """Layers a (2 to hidden), b (hidden to hidden), c (hidden to 3) for a forward pass to use."""
    torch.manual_seed(0)
    layers = {"a": nn.Linear(2, hidden), "b": nn.Linear(hidden, hidden), "c": nn.Linear(hidden, 3)}
    return Written(forward, **(layers | parts))


def doubled_in_place(self: Any, values: Tensor) -> Tensor:
    """Layer b's input is changed after b has read it."""
    hidden = self.a(values).relu()
    result = self.b(hidden)
    hidden.mul_(2)
    return self.c(result)


def changed_through_a_view(self: Any, values: Tensor) -> Tensor:
    hidden = self.a(values)
    hidden.view(-1).sub_(0.5)
    return self.c(hidden)


def partly_overwritten(self: Any, values: Tensor) -> Tensor:
    hidden = self.a(values)
    hidden[:, 0] = 3.0
    return self.c(hidden)


BROKEN: dict[str, tuple[Callable[[Any, Tensor], Tensor], str]] = {
    "skip_connection": (lambda s, x: s.c((h := s.a(x).relu()) + s.b(h)), "between b and c: 'add' joins"),
    "gate": (lambda s, x: s.c((h := s.a(x)) * torch.sigmoid(s.b(h))), "between b and c: 'mul' joins"),
    "concatenation": (
        lambda s, x: s.wide(torch.cat([h := s.a(x), s.b(h)], -1)),
        "between b and wide: 'cat' joins",
    ),
    "inputs_concatenated": (lambda s, x: s.seven(torch.cat([s.a(x), x[:, :1]], -1)), "between a and seven: 'cat'"),
    "inputs_added": (lambda s, x: s.c(s.a(x) + x[:, :1]), "between a and c: 'add'"),
    "per_pixel_scale": (lambda s, x: s.c(s.a(x) * s.scales[:, None].repeat(4, 1)[:20]), "between a and c: 'mul'"),
    "softmax": (lambda s, x: s.c(s.b(s.a(x)).softmax(-1)), "between b and c: 'softmax' mixes"),
    "softmax_of_an_image": (
        lambda s, x: s.c(s.b(s.a(x.view(1, 4, 5, 2))).softmax(-1).view(20, 6).relu()),
        "between b and c: 'softmax' mixes",
    ),
    "softmax_over_pixels": (lambda s, x: s.c(s.b(s.a(x)).softmax(0)), "between b and c: 'softmax' mixes"),
    "layer_norm": (lambda s, x: s.c(s.norm(s.b(s.a(x)))), "between b and c: 'layer_norm' mixes"),
    "layer_norm_of_all": (lambda s, x: s.c(F.layer_norm(h := s.b(s.a(x)), h.shape)), "between b and c: 'layer_norm'"),
    "normalize": (lambda s, x: s.c(F.normalize(s.b(s.a(x)))), "between b and c: 'normalize' mixes"),
    "cumulative_sum": (lambda s, x: s.c(s.b(s.a(x)).cumsum(-1)), "between b and c: 'cumsum' mixes"),
    "triangle": (lambda s, x: s.c(s.b(s.a(x)).tril()), "between b and c: 'tril' mixes"),
    "always_dropout": (lambda s, x: s.c(F.dropout(s.b(s.a(x)), 0.5, training=True)), "between b and c: 'dropout'"),
    "stacked_branches": (lambda s, x: s.c(torch.stack([h := s.a(x), h.sin()]).sum(0)), "between a and c: 'sum'"),
    "branches_side_by_side": (lambda s, x: s.wide(torch.cat([h := s.a(x), h.sin()], -1)), "and wide: 'cat' joins"),
    "own_statistics": (lambda s, x: s.c(F.batch_norm(s.a(x), None, None, training=True)), "a and c: 'batch_norm' tak"),
    "interpolated_neurons": (
        lambda s, x: s.c(F.interpolate(s.a(x.view(1, 4, 5, 2)), scale_factor=1.0, mode="bilinear")),
        "between a and c: 'interpolate' mixes",
    ),
    "per_row_scale": (
        lambda s, x: s.c(s.a(x.view(1, 4, 5, 2)) * s.scales[:4, None, None]),
        "between a and c: 'mul' mixes",
    ),
    "used_twice": (lambda s, x: s.c(s.b(s.b(s.a(x)).relu()).relu()), "the layer b is used more than once"),
    "used_three_times": (lambda s, x: s.c(s.b(s.b(s.b(s.a(x))))), "the layer b is used more than once"),
    "changed_through_a_view": (changed_through_a_view, "between a and c: 'sub_' mixes"),
    "partly_overwritten": (partly_overwritten, "between a and c: '__setitem__' mixes"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_no_chain_names_its_layers(case: str) -> None:
    forward, message = BROKEN[case]
    network = written(
        forward,
        wide=nn.Linear(12, 3),
        seven=nn.Linear(7, 3),
        norm=nn.LayerNorm(6),
        scales=nn.Parameter(torch.rand(6)),
    )
    with pytest.raises(DissectionError, match=message):
        dissect(network, COORDINATES, size=SIZE)


ENDED: dict[str, tuple[Callable[[Any, Tensor], Tensor], list[str], dict[str, str]]] = {
    "flip": (lambda s, x: s.c(s.b(s.a(x)).flip(0)), ["c"], {"a": "before the chain", "b": "rearranged"}),
    "crop": (lambda s, x: s.five(s.b(s.a(x))[:, :5]), ["five"], {"a": "before the chain", "b": "rearranged"}),
    "numpy": (
        lambda s, x: s.c(torch.from_numpy(s.b(s.a(x)).numpy())),
        ["c"],
        {"a": "a number is taken out .*numpy", "b": "a number is taken out .*numpy"},
    ),
}
"""Networks of which the last layers form a chain, and why the others are not among them."""


@pytest.mark.parametrize("case", ENDED)
def test_what_ends_a_chain_is_told(case: str) -> None:
    forward, names, reasons = ENDED[case]
    network = written(forward, five=nn.Linear(5, 3))
    canvas = dissect(network, COORDINATES, size=SIZE)
    assert list(canvas) == names
    assert canvas.skipped.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert re.search(reason, canvas.skipped[name])


def test_a_layer_is_what_it_received_when_it_was_called() -> None:
    plain = written(lambda s, x: s.c(s.b(s.a(x).relu())))
    changed = written(doubled_in_place)
    expected = dissect(plain, COORDINATES, size=SIZE)
    for name, layer in dissect(changed, COORDINATES, size=SIZE).items():
        assert torch.equal(layer.maps(), expected[name].maps())


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore:.*torch.jit.*:FutureWarning")
@pytest.mark.parametrize(
    ("position", "message"),
    [
        ("first", None),
        ("middle", "leads from a to c.*before it is scripted"),
        ("last", "the output received comes from"),
    ],
)
def test_a_scripted_part(position: str, message: str | None) -> None:
    first, last = nn.Linear(2, 6), nn.Linear(6, 3)
    hidden = torch.jit.script(nn.Sequential(nn.Linear(2 if position == "first" else 6, 6), nn.ReLU()))
    if position == "first":  # an encoding may be opaque
        network = Written(lambda self, x: self.c(self.b(x)), b=hidden, c=last)
        assert list(dissect(network, COORDINATES, size=SIZE)) == ["c"]
        return
    network = Written(lambda self, x: self.c(self.b(self.a(x).relu())), a=first, b=hidden, c=last)
    if position == "last":
        network = Written(lambda self, x: self.b(self.a(x)), a=first, b=hidden)
    with pytest.raises(DissectionError, match=message):
        dissect(network, COORDINATES, size=SIZE)


def test_layers_of_another_output_are_left_out() -> None:
    network = written(
        lambda s, x: {
            "depth": (s.depth(x), [s.more(x)]),
            "image": s.c(s.a(x).relu()),
            "uncertainty": s.b(s.a.weight.T),
        },
        depth=nn.Linear(2, 1),
        more=nn.Linear(2, 1),
    )
    assert list(dissect(network, COORDINATES, size=SIZE, output="image")) == ["a", "c"]


def test_a_bias_from_elsewhere_is_a_bias() -> None:
    network = written(
        lambda s, x: s.c(F.linear(s.a(x), s.b.weight, s.shift(s.latent)).relu()),
        shift=nn.Linear(2, 6),
        latent=nn.Parameter(torch.randn(2)),
    )
    canvas = dissect(network, COORDINATES, size=SIZE)
    assert list(canvas)[-1] == "c"
    assert max(layer.completeness_error for layer in canvas.values()) < 1e-4


# Outputs


@pytest.mark.parametrize(
    ("wrap", "output"),
    [
        (lambda image: {"rgb": image, "time": 3}, "rgb"),
        (lambda image: (image, None), 0),
        (lambda image: [None, image], 1),
        (lambda image: (None, image), -1),
    ],
)
def test_outputs_in_containers(wrap: Callable[[Tensor], Any], output: str | int) -> None:
    network = written(lambda s, x: wrap(s.c(s.a(x).relu())))
    canvas = dissect(network, COORDINATES, size=SIZE, output=output)
    assert list(canvas) == ["a", "c"]
    assert canvas.output.shape == (20, 3)
    with pytest.raises(ValueError, match="say with output="):
        dissect(network, COORDINATES, size=SIZE)
    with pytest.raises(ValueError, match="no entry 'nothing'"):
        dissect(network, COORDINATES, size=SIZE, output="nothing")


def test_keys_are_told() -> None:
    with pytest.raises(ValueError, match="a dict with 'rgb', 'depth'"):
        dissect(written(lambda s, x: {"rgb": s.a(x), "depth": x}), COORDINATES, size=SIZE)


@pytest.mark.parametrize("output", [0, "rgb"])
def test_an_entry_of_what_is_one_tensor(output: str | int) -> None:
    with pytest.raises(ValueError, match=r"one tensor.*leave output out"):
        dissect(three_linear(torch.relu), COORDINATES, size=SIZE, output=output)


def test_no_layers_at_all() -> None:
    with pytest.raises(DissectionError, match="output"):
        dissect(nn.ReLU(), COORDINATES, size=SIZE)
    with pytest.raises(DissectionError, match="output"):
        dissect(nn.Identity(), COORDINATES, size=SIZE)


def test_arguments() -> None:
    network = three_linear(torch.relu)
    with pytest.raises(ValueError, match="'other'; choose from paper, released"):
        dissect(network, COORDINATES, size=SIZE, convention="other")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="give size="):
        dissect(network, COORDINATES)


# Numbers


@pytest.mark.parametrize(("layer", "value"), [("a", torch.nan), ("b", torch.nan), ("c", torch.nan), ("c", torch.inf)])
def test_weights_that_are_no_numbers(layer: str, value: float) -> None:
    network = three_linear(torch.tanh)
    with torch.no_grad():
        getattr(network, layer).weight[0, 0] = value
    with pytest.raises(DissectionError, match="NaN or infinite"):
        dissect(network, COORDINATES, size=SIZE)


def test_complex_weights() -> None:
    parts = {"a": nn.Linear(2, 6, dtype=torch.complex64), "c": nn.Linear(6, 3, dtype=torch.complex64)}
    network = Written(lambda s, x: s.c(torch.exp(s.a(x.to(torch.complex64)))).real, **parts)
    with pytest.raises(DissectionError, match="weight of c is complex"):
        dissect(network, COORDINATES, size=SIZE)


# Convolutions


def refused_convolutions() -> Iterator[Any]:
    for name, layer, message in (
        ("stride", nn.Conv2d(4, 4, 3, stride=2, padding=1), "stride"),
        ("dilation", nn.Conv2d(4, 4, 3, dilation=2, padding=2), "dilation"),
        ("groups", nn.Conv2d(4, 4, 3, groups=2, padding=1), "groups"),
        ("even_kernel", nn.Conv2d(4, 4, 2, padding=1), "odd kernels"),
        ("oblong_kernel", nn.Conv2d(4, 4, (3, 1), padding="same"), "square"),
        ("no_padding", nn.Conv2d(4, 4, 3), "padding"),
        ("too_much_padding", nn.Conv2d(4, 4, 1, padding=1), "padding"),
        ("groups_of_transposed", nn.ConvTranspose2d(4, 4, 2, stride=2, groups=2), "groups"),
        ("mirrored", nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"), "'pad'"),
    ):
        yield pytest.param(layer, message, id=name)


@pytest.mark.parametrize(("layer", "message"), list(refused_convolutions()))
@pytest.mark.parametrize("position", [0, 1, 2])
def test_convolutions_that_no_formula_covers(layer: nn.Module, message: str, position: int) -> None:
    layers: list[nn.Module] = [nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)]
    layers.insert(position, layer)
    network = nn.Sequential(layers[0], nn.GELU(), layers[1], nn.GELU(), layers[2])
    if position == 0 and message == "'pad'":
        message = "padding"  # what precedes the first layer is the encoding
    with pytest.raises(DissectionError, match=message) as error:
        dissect(network, torch.rand(1, 4, 6, 6))
    assert str(2 * position) in str(error.value)


@pytest.mark.parametrize(("kernel", "padding"), [(1, "valid"), (1, "same"), (3, "same"), (3, (1, 1))])
def test_paddings_that_keep_the_size(kernel: int, padding: Any) -> None:
    layer = nn.Conv2d(2, 3, kernel, padding=padding)
    maps = dissect(layer, inputs := torch.rand(1, 2, 4, 5))["layer_1"].maps()
    torch.testing.assert_close(maps.view(2, 3, 4, 5).sum(0), layer(inputs)[0].detach())


def test_a_batch_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Conv2d(3, 3, 3, padding=1))
    with pytest.raises(DissectionError, match=r"returns 2 images.*batch of one"):
        dissect(network, torch.rand(2, 2, 4, 5))
    with pytest.raises(DissectionError, match=r"shape \(2, 20, 3\)"):
        dissect(three_linear(torch.relu), COORDINATES.repeat(2, 1, 1), size=SIZE)


def test_two_pixel_shuffles_are_refused() -> None:
    network = nn.Sequential(
        nn.Conv2d(2, 32, 1), nn.PixelShuffle(2), nn.GELU(), nn.PixelShuffle(2), nn.Conv2d(2, 3, 3, padding=1)
    )
    with pytest.raises(DissectionError, match="two pixel shuffles follow the layer 0"):
        dissect(network, torch.rand(1, 2, 3, 3))


@pytest.mark.parametrize(
    "between",
    [nn.AvgPool2d(3, 1, 1), nn.BatchNorm2d(4, track_running_stats=False), nn.InstanceNorm2d(4), nn.GroupNorm(2, 4)],
    ids=["pool", "batch_norm", "instance_norm", "group_norm"],
)
def test_what_mixes_pixels_between_convolutions_is_refused(between: nn.Module) -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1), between, nn.Conv2d(4, 3, 3, padding=1))
    with pytest.raises(DissectionError, match="between 0 and 2"):
        dissect(network, torch.rand(1, 2, 4, 5))


def test_a_size_that_the_convolutions_do_not_reach() -> None:
    with pytest.raises(DissectionError, match=r"shape \(1, 3, 4, 5\), but the size is 5x4"):
        dissect(nn.Conv2d(2, 3, 1), torch.rand(1, 2, 4, 5), size=(5, 4))


@pytest.mark.parametrize("kind", ["linear", "convolution", "shuffle_by_hand"])
def test_a_layer_that_spans_the_image_ends_the_chain(kind: str) -> None:
    head = nn.Conv2d(3, 3, 3, padding=1)
    if kind == "linear":
        network = Written(lambda s, x: s.head(s.stem(x).relu().view(1, 3, 4, 5)), stem=nn.Linear(2, 60), head=head)
        inputs = torch.rand(1, 2)
    elif kind == "convolution":
        network = Written(lambda s, x: s.head(s.stem(x).relu().view(1, 3, 4, 5)), stem=nn.Conv2d(2, 60, 1), head=head)
        inputs = torch.rand(1, 2, 1, 1)
    else:
        network = Written(
            lambda s, x: s.head(
                s.stem(x).view(1, 3, 2, 2, 2, 2).permute(0, 1, 4, 2, 5, 3).reshape(1, 3, 4, 4).relu()
            ),
            stem=nn.Conv2d(2, 12, 1), head=head,
        )  # fmt: skip
        inputs = torch.rand(1, 2, 2, 2)
    canvas = dissect(network, inputs)
    assert list(canvas) == ["head"]
    assert list(canvas.skipped) == ["stem"]
    assert "into space" in canvas.skipped["stem"]


def test_rows_and_neurons_that_change_places_end_the_chain() -> None:
    network = written(lambda s, x: s.c(s.b(s.a(x).T.contiguous().view(20, 6).relu())))
    canvas = dissect(network, COORDINATES, size=SIZE)
    assert list(canvas) == ["b", "c"]
    assert canvas.skipped == {"a": "its outputs are rearranged between neurons and pixels"}
