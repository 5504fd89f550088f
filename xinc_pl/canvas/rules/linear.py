"""Contributions in a linear layer: its neurons are its inputs."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.errors import DissectionError
from xinc_pl.canvas.layers.layer import Layer
from xinc_pl.canvas.maps.group import MapGroup
from xinc_pl.canvas.rules.rule import ContributionRule, Convention, contribution_rule


@contribution_rule(F.linear)
class LinearRule(ContributionRule):
    """M_i(p) = o_i(p) * sum_j w_ij (Eq. 1).

    The released code adds each neuron's share of the bias, and applies the activation in hidden layers:
    f(o_i(p) * sum_j w_ij + (1/m) sum_j b_j), with m neurons.
    """

    takes_threads = True

    def __init__(self, layer: Layer, later: Sequence[Layer], size: tuple[int, int], convention: Convention) -> None:
        super().__init__(layer, later, size, convention)
        self.inputs = input_by_pixel(layer, size)
        self.neuron_shape = (self.inputs.shape[1],)
        self.weight_sums = layer.weight.double().sum(0).to(self.inputs.dtype)
        self.bias_sum = self.weight_sums.new_zeros(()) if layer.bias is None else layer.bias.double().sum()

    def groups(self, neurons: Tensor) -> Iterator[MapGroup]:
        """One group: maps are products, with no structure."""
        yield MapGroup(neurons, self.maps, len(self.inputs))

    def maps(self, neurons: Tensor) -> Tensor:
        """Maps of ``neurons``, one multiplication per value: (n, H, W)."""
        maps = self.inputs.T[neurons] * self.weight_sums[neurons, None]
        if self.convention == "released":
            maps = self._released(maps, self.bias_sum)
        return maps.view(len(neurons), *self.size).float()

    def per_output(self, neurons: Tensor) -> Tensor:
        """o_i(p) * w_ij, not summed over j: (n, outputs, H, W)."""
        products = self.layer.weight.T[neurons][:, :, None] * self.inputs.T[neurons][:, None, :]
        if self.convention == "released":
            bias = products.new_zeros(()) if self.layer.bias is None else self.layer.bias[:, None]
            products = self._released(products, bias, by_output=True)
        return products.reshape(len(neurons), -1, *self.size)

    def output_sum(self) -> Tensor:
        """sum_i o_i w_ij + b_j, in float64 before it is rounded."""
        bias = None if self.layer.bias is None else self.layer.bias.double()
        return F.linear(self.layer.input.double(), self.layer.weight.double(), bias).to(self.layer.input.dtype)

    def zero_inputs(self) -> Tensor:
        """Whether o_i is zero at every pixel."""
        return (self.inputs == 0).all(0)

    def _released(self, products: Tensor, bias: Tensor, by_output: bool = False) -> Tensor:
        """Each neuron's share of the bias added, and the activation of a hidden layer applied.

        Args:
            products: (n, P), or (n, outputs, P) by output.
            bias: Its sum (), or (outputs, 1) by output.
            by_output: Whether each output's own activation is to be applied, should they differ.
        """
        shared = products + (bias / self.neuron_shape[0]).to(products.dtype)
        activation = self.layer.activation
        if not self.later:
            return shared
        if not by_output or activation.num_channels == 1:
            return activation(shared)
        outputs = shared.unbind(1)
        return torch.stack([activation.of_channel(j, len(outputs))(each) for j, each in enumerate(outputs)], 1)


def input_by_pixel(layer: Layer, size: tuple[int, int]) -> Tensor:
    """What a linear layer received, pixel by pixel: (P, inputs).

    Raises:
        DissectionError: It did not receive the pixels of an image of this size, row by row.
    """
    inputs = layer.input.reshape(-1, layer.input.shape[-1])
    if len(inputs) != size[0] * size[1]:
        raise DissectionError(
            f"the layer {layer.name} received {len(inputs)} pixels, but the size {size[0]}x{size[1]} has "
            f"{size[0] * size[1]}; pass the coordinates of all pixels, row by row, and their size"
        )
    rows = [side for side in layer.input.shape[:-1] if side > 1]
    if size[0] != size[1] and rows == [size[1], size[0]]:
        raise DissectionError(
            f"the layer {layer.name} received {rows[0]} rows of {rows[1]} pixels, but the size is "
            f"{size[0]}x{size[1]}; size is height, width"
        )
    return inputs
