"""The worked example of a kind of layer and its rule, as the documentation has it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from xinc_pl.canvas import KINDS, RULES, DissectionError, Operands, check_kind, check_rule, dissect

TEXT = (Path(__file__).parents[1] / "docs" / "adding_a_layer.md").read_text(encoding="utf-8")

CODES = [code.split("```")[0] for code in TEXT.split("```python\n")[1:]]


@pytest.fixture(scope="module")
def names() -> dict[str, Any]:
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(CODES[0], names)
    names["effect"] = names["canvas"]
    exec(CODES[1], names)
    return names


def test_a_kind_alone_has_effect_and_removal(names: dict[str, Any]) -> None:
    canvas = names["effect"]
    assert list(canvas) == ["encode", "layer_2", "colour"]
    assert canvas["layer_2"].completeness_error < 1e-5
    removal = canvas.removal
    (without,) = [images for _, images in removal.each("layer_2", [3])]
    torch.testing.assert_close(removal.together({"layer_2": [3]}), without[0], rtol=1e-4, atol=1e-6)


def test_its_rule_gives_the_polynomials(names: dict[str, Any]) -> None:
    network = names["network"]
    inputs = torch.sin(network.encode(names["coordinates"])).detach().double()
    coefficients = network.coefficients.detach().double().sum(2)  # (inputs, degrees)
    expected = inputs * coefficients[:, 0] + inputs**2 * coefficients[:, 1]
    torch.testing.assert_close(
        names["canvas"]["layer_2"].maps().double(), expected.T.view(8, 6, 5), rtol=1e-4, atol=1e-6
    )


def test_it_passes_the_checks_of_the_page(names: dict[str, Any]) -> None:
    exec(CODES[2], names)


def test_the_checks_tell_what_is_wrong(names: dict[str, Any]) -> None:
    class Larger(names["PolynomialRule"]):  # type: ignore[misc]
        def per_output(self, neurons: torch.Tensor) -> torch.Tensor:
            return 7 * super().per_output(neurons)

    class Squared(names["PolynomialKind"]):  # type: ignore[misc]
        def terms(self, operands: Operands, neurons: torch.Tensor) -> torch.Tensor:
            terms = [operands.input[:, [i]] ** 2 * operands.weight[i].sum(0) for i in neurons.tolist()]
            return torch.stack(terms)

    network, coordinates, kind = (names[name] for name in ("network", "coordinates", "PolynomialKind"))
    with pytest.raises(
        AssertionError, match=r"^Larger in layer_2: maps: neuron \d at \(\d, \d\): .* \(relative error 6;"
    ):
        check_rule(Larger, kind(), network, coordinates, size=(6, 5))
    with pytest.raises(AssertionError, match=r"^Squared in layer_2: oracle: neuron 0 at"):
        check_kind(Squared(), network, coordinates, size=(6, 5), oracle=names["by_hand"])
    with pytest.raises(AssertionError, match=r"^Squared in layer_2: weights: .* neuron \d at"):
        check_kind(Squared(), network, coordinates, size=(6, 5))


@pytest.mark.parametrize("wrong", [lambda maps: 7 * maps, lambda maps: maps.flip(-1), lambda maps: 7 * maps.flip(-1)])
def test_a_wrong_rule_is_no_wrong_map(names: dict[str, Any], wrong: Any) -> None:
    class Wrong(names["PolynomialRule"]):  # type: ignore[misc]
        def per_output(self, neurons: torch.Tensor) -> torch.Tensor:
            return wrong(super().per_output(neurons))

    kind = names["PolynomialKind"]
    with pytest.raises(DissectionError, match="maps of layer_2 are not what their formula says"):
        dissect(
            names["network"], names["coordinates"], size=(6, 5), kinds=[kind(), *KINDS], rules={**RULES, kind: Wrong}
        )
