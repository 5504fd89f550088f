"""Tensors as they lie in memory, to be written and read: what shares memory, or is equal, is one piece."""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from xinc_pl.canvas.recording.encoding import NotWritableError, decoded_view, dtype_named

_PLAIN = (Tensor, nn.Parameter, nn.Buffer)


class Memories:
    """Pieces of memory to be written, by name.

    Attributes:
        pieces: Tensors on the CPU that share nothing.
    """

    def __init__(self) -> None:
        self.pieces: dict[str, Tensor] = {}
        self._names: dict[bytes, str] = {}

    def add(self, tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
        """Keep what some tensors hold, and return where each of them lies: JSON.

        Raises:
            NotWritableError: One is no plain, dense tensor.
        """
        dense = [_dense(tensor) for tensor in tensors]
        groups: dict[tuple[int, torch.dtype], list[int]] = {}
        for index, tensor in enumerate(dense):
            groups.setdefault((tensor.untyped_storage().data_ptr(), tensor.dtype), []).append(index)
        places: list[dict[str, Any]] = [{} for _ in dense]
        for indices in groups.values():
            for own in _together([dense[index] for index in indices]):
                for position, place in zip(own, self._added([dense[indices[at]] for at in own]), strict=True):
                    places[indices[position]] = place
        return places

    def _added(self, tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
        first, start, stop = tensors[0], *_extent(tensors)
        whole = len(tensors) == 1 and first.is_contiguous() and first.numel() == stop - start
        flat = first.detach().as_strided((stop - start,), (1,), start).to("cpu", copy=True)
        dtype = str(first.dtype).removeprefix("torch.")
        dtype_named(dtype)
        piece = torch.view_as_real(flat) if flat.is_complex() else flat
        data = piece.reshape(-1).view(torch.uint8).numpy().data
        key = hashlib.blake2b(data, digest_size=16, key=dtype.encode()).digest()
        name = self._names.get(key)
        if name is None:
            name = self._names[key] = f"memory_{len(self._names)}"
            self.pieces[name] = piece.reshape((*first.shape, *piece.shape[1:])) if whole else piece
        shape = first.shape + (2,) * flat.is_complex()
        if whole and self.pieces[name].shape == shape:
            return [{"memory": name, "dtype": dtype}]
        return [
            {
                "memory": name,
                "dtype": dtype,
                "view": [list(each.shape), list(each.stride()), each.storage_offset() - start if each.numel() else 0],
            }
            for each in tensors
        ]


def _dense(tensor: Tensor) -> Tensor:
    """A tensor that lies in memory as it says."""
    if type(tensor) not in _PLAIN or tensor.layout is not torch.strided or tensor.is_quantized:
        raise NotWritableError(f"a {type(tensor).__name__} of {tensor.layout} has no form in a file")
    if tensor.device.type == "meta":
        raise NotWritableError("a tensor without values has no form in a file")
    return tensor.detach().resolve_conj().resolve_neg()


def _extent(tensors: Sequence[Tensor]) -> tuple[int, int]:
    """Where in their memory tensors begin and end."""
    filled = [each for each in tensors if each.numel()]
    reach = [int(sum((s - 1) * step for s, step in zip(each.shape, each.stride(), strict=True))) for each in filled]
    start = min((int(each.storage_offset()) for each in filled), default=0)
    stop = max((int(each.storage_offset()) + far + 1 for each, far in zip(filled, reach, strict=True)), default=start)
    return start, stop


def _together(tensors: Sequence[Tensor]) -> list[list[int]]:
    """Which tensors of one memory are written as one piece: all, unless most of the memory is nobody's."""
    start, stop = _extent(tensors)
    if stop - start <= 2 * sum(each.numel() for each in tensors):
        return [list(range(len(tensors)))]
    return [[index] for index in range(len(tensors))]


def located(place: Any, piece: Callable[[str], Tensor], device: torch.device) -> Tensor:  # noqa: ANN401 - JSON
    """The tensor that lies at a place.

    Args:
        place: JSON, as ``Memories.add`` returns it.
        piece: Gives a piece of memory by name, on ``device``.
        device: Where it is to lie.

    Raises:
        ValueError: There is no such place.
    """
    if not isinstance(place, dict) or not {"memory", "dtype"} <= place.keys() <= {"memory", "dtype", "view"}:
        raise ValueError("it has a tensor whose place is not described")
    dtype = dtype_named(place["dtype"])
    memory = piece(str(place["memory"])).to(device)
    if dtype.is_complex:
        if memory.ndim < 1 or memory.shape[-1] != 2 or memory.dtype not in (torch.float32, torch.float64):
            raise ValueError("it has complex numbers without their two parts")
        memory = torch.view_as_complex(memory)
    if memory.dtype != dtype:
        raise ValueError(f"it has a tensor of {dtype} in a memory of {memory.dtype}")
    if "view" not in place:
        return memory.detach()  # an object of its own
    size, stride, offset = decoded_view(place["view"])
    reach = sum((side - 1) * step for side, step in zip(size, stride, strict=True))
    if 0 not in size and offset + reach >= memory.numel():
        raise ValueError("it has a tensor that reaches beyond its memory")
    return memory.reshape(-1).as_strided(size, stride, offset if 0 not in size else 0)
