"""Functions that hide layers, opened: the same computed by functions that can be recorded."""

import types
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xinc_pl.canvas.recording.call import Function


def _body_of(function: Function) -> Callable[..., Any]:
    """A Python function of torch that does not hand itself over as a whole to whoever records."""
    closed = {name: _never for name in function.__globals__ if name.startswith("has_torch_function")}
    body = types.FunctionType(
        function.__code__, {**function.__globals__, **closed}, function.__name__, function.__defaults__
    )
    body.__kwdefaults__ = function.__kwdefaults__
    return body


def _never(*_: object) -> bool:
    return False


def _multi_dot(tensors: Sequence[Tensor], *, out: Tensor | None = None) -> Tensor:
    product = reduce(torch.matmul, tensors)
    return product if out is None else out.copy_(product)


def _chain_matmul(*matrices: Tensor, out: Tensor | None = None) -> Tensor:
    return _multi_dot(matrices, out=out)


def _gru_cell(
    values: Tensor,
    hidden: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> Tensor:
    reset, update, new = F.linear(values, w_ih, b_ih).chunk(3, -1)
    own_reset, own_update, own_new = F.linear(hidden, w_hh, b_hh).chunk(3, -1)
    update = torch.sigmoid(update + own_update)
    new = torch.tanh(new + torch.sigmoid(reset + own_reset) * own_new)
    return new + update * (hidden - new)


def _lstm_cell(
    values: Tensor,
    state: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    hidden, cell = state
    gates = F.linear(values, w_ih, b_ih) + F.linear(hidden, w_hh, b_hh)
    enter, forget, new, leave = gates.chunk(4, -1)
    cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


def _rnn_cell(activation: Callable[[Tensor], Tensor]) -> Callable[..., Tensor]:
    def cell(
        values: Tensor,
        hidden: Tensor,
        w_ih: Tensor,
        w_hh: Tensor,
        b_ih: Tensor | None = None,
        b_hh: Tensor | None = None,
    ) -> Tensor:
        return activation(F.linear(values, w_ih, b_ih) + F.linear(hidden, w_hh, b_hh))

    return cell


OPENED: Mapping[Function, Callable[..., Any]] = {
    F.multi_head_attention_forward: _body_of(F.multi_head_attention_forward),
    torch.chain_matmul: _chain_matmul,
    torch.gru_cell: _gru_cell,
    torch.linalg.multi_dot: _multi_dot,
    torch.lstm_cell: _lstm_cell,
    torch.rnn_relu_cell: _rnn_cell(torch.relu),
    torch.rnn_tanh_cell: _rnn_cell(torch.tanh),
}
"""What is recorded as what it consists of."""
