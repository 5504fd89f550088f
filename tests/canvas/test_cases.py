"""Networks as public code writes them: right maps, or a refusal that names what is in the way."""

import copy
from typing import Any

import pytest
import torch
from cases import NETWORKS, H, Net, P, W, cols, mlp, xy
from effect_oracle import term
from torch import Tensor, nn

from xinc_pl.canvas import DissectionError, dissect
from xinc_pl.canvas.recording.nests import mapped

EFFECT = {
    "number from a tensor": (["b"], ["a"]),
    "hard gate": (["a", "b"], ["g"]),
    "sampled parameter grid": (["layer_1", "m.0", "m.2"], []),
    "embedding table": (["e", "m.0", "m.2"], []),
    "hypernetwork": (["h", "layer_2", "b"], []),
    "low rank": (["a", "layer_2", "layer_3", "b"], []),
    "attention": (["a", "b", "t.layer_3", "t.layer_4", "t.layer_5", "t.layer_6"], []),
    "a stem before the image": (["a", "b", "c", "o"], []),
    "chunks of pixels": (["m.0", "m.2"], []),
    "vmap": (["m.0", "m.2"], []),
}
"""Layers that are dissected and left out, of the cases where that is of interest."""

REFUSED = {
    "bmm, a weight per block": "between layer_1 and layer_2",
    "low rank": "'add' joins",
    "written in place": "'add' joins",
    "output written in place": "'__setitem__' joins",
    "number from a tensor": "a number is taken out",
    "divided by its maximum": "between a and b",
    "complex": "weight of o is complex",
    "grid_sample behind a layer": "'grid_sample' mixes",
    "depthwise in a chain": "'groups': 8",
    "reflected border": "padding",
    "chunks of pixels": "'cat' joins",
    "hard gate": "'mul' joins",
    "a factor per pixel": "'mul' mixes",
    "attention": "'add' joins",
}
"""What the paper's formulas do not cover, and what is said of it."""


NO_DOUBLE = {
    "complex", "embedding table", "grid_sample behind a layer", "output written in place", "sampled parameter grid",
    "vmap", "written in place",
}  # fmt: skip
"""Cases whose network has constants in single precision, or layers that a hook does not see. What is written in place
has its own tests."""


def image_of(network: nn.Module, inputs: Any) -> Tensor:
    """(C, H, W), found out without the package."""
    result = network(*inputs) if isinstance(inputs, tuple) else network(inputs)
    result = result["rgb"] if isinstance(result, dict) else result
    if result.shape == (H, W, 3):
        return result.permute(2, 0, 1)
    if result.shape[-2:] == (H, W):
        return result.reshape(-1, H, W)
    return result.reshape(P, -1).T.reshape(-1, H, W)


def dissected(name: str, convention: Any) -> Any:
    network, inputs = NETWORKS[name]
    output = "rgb" if isinstance(inputs, dict) else None
    return dissect(network.eval(), inputs, size=(H, W), convention=convention, output=output)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_effect_is_what_the_network_does(name: str) -> None:
    canvas = dissected(name, "effect")
    if name in EFFECT:
        assert (list(canvas), list(canvas.skipped)) == EFFECT[name]
    assert all(layer.completeness_error < 1e-4 for layer in canvas.values())
    network, inputs = NETWORKS[name]
    exact = copy.deepcopy(network).double()
    doubled = mapped(inputs, lambda tensor: tensor.double())
    if name in NO_DOUBLE:
        return
    for path, layer in canvas.items():
        module = dict(exact.named_modules()).get(path)
        if not isinstance(module, nn.Linear | nn.Conv2d) or layer.num_neurons < 2 or module.weight.is_complex():
            continue
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            continue
        maps = layer.maps([0, 1], per_output=True).double()
        for neuron in (0, 1):
            expected = difference(exact, module, neuron, doubled)
            atol = 1e-4 * float(expected.abs().mean()) + 1e-6
            torch.testing.assert_close(maps[neuron], expected, rtol=1e-3, atol=atol)


def difference(network: nn.Module, module: Any, neuron: int, inputs: Any, step: float = 1e-7) -> Tensor:
    """How the image changes with the neuron's term, by central differences of the network itself."""
    images = []
    for amount in (step, -step):
        hook = module.register_forward_hook(
            lambda module, args, result, amount=amount: result + amount * term(module, args[0], neuron)
        )
        with torch.no_grad():
            images.append(image_of(network, inputs))
        hook.remove()
    return (images[0] - images[1]) / (2 * step)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_papers_maps_are_right_or_refused(name: str) -> None:
    if name in REFUSED:
        with pytest.raises(DissectionError) as error:
            dissected(name, "paper")
        assert REFUSED[name] in str(error.value)
        return
    canvas = dissected(name, "paper")
    assert all(layer.completeness_error < 1e-4 for layer in canvas.values())
    *_, last = canvas.values()
    if name not in ("channels last", "a stem before the image"):
        # The last layer's maps, all outputs apart, add up to the image but for the bias, pixel by pixel.
        with torch.no_grad():
            image = image_of(*NETWORKS[name])
        total = last.maps(per_output=True).sum(0)
        total = total[: len(image)]
        spread = (image - total).flatten(1)
        assert float((spread.amax(1) - spread.amin(1)).max()) < 1e-4 * float(image.abs().max()) + 1e-5


def test_the_order_of_pixels_is_the_images() -> None:
    rows = dissect(Net(lambda s, x: s.m(x).view(H, W, 3), m=mlp), xy, size=(H, W))
    columns = dissect(NETWORKS["columns first"][0], cols, size=(H, W))
    for name in ("m.0", "m.2"):
        torch.testing.assert_close(rows[name].maps(), columns[name].maps())
        torch.testing.assert_close(rows[name].statistics().total, columns[name].statistics().total)


@pytest.mark.parametrize("convention", ["paper", "released"])
def test_a_scale_is_treated_alike_however_it_is_written(convention: Any) -> None:
    layer, tensor = nn.Linear(2, 16), torch.full((16,), 30.0)
    scaled = nn.Linear(2, 16)
    with torch.no_grad():
        scaled.weight.copy_(30 * layer.weight)
        scaled.bias.copy_(30 * layer.bias)
    last = nn.Linear(16, 3)
    written = [
        Net(lambda s, x: s.o(torch.sin(30.0 * s.a(x))), a=layer, o=last),
        Net(lambda s, x: s.o(torch.sin(tensor * s.a(x))), a=layer, o=last),
        Net(lambda s, x: s.o(torch.sin(tensor[:1] * s.a(x))), a=layer, o=last),
        Net(lambda s, x: s.o(torch.sin(s.a(x))), a=scaled, o=last),
    ]
    first, *others = (dissect(net, xy, size=(H, W), convention=convention)["a"].maps() for net in written)
    for other in others:
        torch.testing.assert_close(other, first, rtol=1e-4, atol=1e-5)
