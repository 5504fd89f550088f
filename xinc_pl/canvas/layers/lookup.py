"""Tables whose rows are looked up, and grids that are sampled: what they give is a layer's output as it is."""

from abc import abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.layers.kind import LayerKind, Operands, Origins
from xinc_pl.canvas.recording.call import Call, Function
from xinc_pl.canvas.recording.nests import tensors_in


class _LookupKind(LayerKind):
    """A neuron is one channel of what is looked up, and its term that channel alone."""

    is_looked_up = True

    @abstractmethod
    def channel_axis(self, operands: Operands, output: Tensor) -> int:
        """Which axis of the output counts the channels."""

    def neuron_shape(self, operands: Operands) -> tuple[int, ...]:
        """One neuron for each channel."""
        output = self._output(operands)
        return (output.shape[self.channel_axis(operands, output)],)

    def terms(self, operands: Operands, neurons: Tensor) -> Tensor:
        """All other channels set to zero."""
        output = self._output(operands)
        axis = self.channel_axis(operands, output)
        chosen = torch.nn.functional.one_hot(neurons, output.shape[axis]).to(output.dtype)
        shape = [len(neurons), *[1] * output.ndim]
        shape[axis + 1] = output.shape[axis]
        return output * chosen.view(shape)

    def weighted(self, operands: Operands, weights: Tensor) -> Tensor:
        """Each channel times its weight."""
        output = self._output(operands)
        shape = [1] * output.ndim
        shape[self.channel_axis(operands, output)] = -1
        return output * weights.to(output.dtype).view(shape)

    def zero_inputs(self, operands: Operands) -> Tensor:
        """Whether a channel holds nothing but zeros where it was looked up."""
        output = self._output(operands)
        return (output == 0).movedim(self.channel_axis(operands, output), 0).flatten(1).all(1)

    @staticmethod
    def _output(operands: Operands) -> Tensor:
        result: Tensor = operands.options["look_up"](operands.weight)
        return result


class TableKind(_LookupKind):
    """Rows of a table by their numbers, as in ``nn.Embedding`` or a hash grid: neurons are the table's columns."""

    functions: Mapping[Function, tuple[str, ...]] = {
        F.embedding: ("input", "weight"),
        torch.embedding: ("weight", "input"),
        torch.Tensor.__getitem__: ("weight",),
        torch.index_select: ("weight", "dim", "index"),
        torch.Tensor.index_select: ("weight", "dim", "index"),
    }

    def operands(self, call: Call, origins: Origins) -> Operands | None:
        """A table is a weight of at least two axes, whose rows are chosen by tensors."""
        if call.function not in self.functions:
            return None
        tensors = list(tensors_in((call.args, call.kwargs)))
        tables = [each for each in tensors if origins.is_weight(each) and each.is_floating_point() and each.ndim > 1]
        index = next((each for each in tensors if not each.is_floating_point() and not each.is_complex()), None)
        if len(tables) != 1 or index is None or call.outputs[0].ndim < 1:
            return None
        (table,) = tables
        if call.outputs[0].shape[-1] != table.shape[-1]:
            return None
        return Operands(call.function, index, table, None, {"look_up": _LookUp(call, table)})

    def channel_axis(self, operands: Operands, output: Tensor) -> int:
        """The last: columns."""
        del operands
        return output.ndim - 1

    def neuron_weights(self, operands: Operands, neurons: Tensor) -> Tensor:
        """The table's columns."""
        return operands.weight.flatten(0, -2)[:, neurons].T


class GridKind(_LookupKind):
    """A grid of parameters that is sampled, as a tri-plane's or a latent grid: neurons are its channels."""

    functions: Mapping[Function, tuple[str, ...]] = {
        F.grid_sample: ("weight", "input"),
        F.interpolate: ("weight",),
    }

    def operands(self, call: Call, origins: Origins) -> Operands | None:
        """A grid is a weight (N, C, ...)."""
        if call.function not in self.functions:
            return None
        grid = next(call.tensors())
        if not origins.is_weight(grid) or grid.ndim < 3:
            return None
        places = next((each for each in call.tensors() if each is not grid), grid)
        return Operands(call.function, places, grid, None, {"look_up": _LookUp(call, grid)})

    def channel_axis(self, operands: Operands, output: Tensor) -> int:
        """The second."""
        del operands, output
        return 1

    def neuron_weights(self, operands: Operands, neurons: Tensor) -> Tensor:
        """The grid's channels."""
        return operands.weight.movedim(1, 0)[neurons].flatten(1)


class _LookUp:
    """The same call on another table."""

    def __init__(self, call: Call, table: Tensor) -> None:
        self._call = call
        self._table = table

    def with_tensors(self, change: Callable[[Tensor], Tensor]) -> "_LookUp":
        """The same call of other tensors."""
        return _LookUp(self._call.with_tensors(change), change(self._table))

    def __call__(self, table: Tensor) -> Tensor:
        def other(tensor: Tensor) -> Tensor:
            if tensor is self._table:
                return table
            # Places have the table's precision.
            return tensor.to(table.dtype) if tensor.is_floating_point() else tensor

        (output,) = self._call.run(other)
        return output
