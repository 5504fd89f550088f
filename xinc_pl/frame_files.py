"""Frames on disk: what a network was asked for and what is known about it, without the data they came from."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from xinc_pl.canvas import Inputs, RecordingFileError
from xinc_pl.canvas.recording.container import Format, opened, write_whole
from xinc_pl.canvas.recording.encoding import NotWritableError, decoded, encoded
from xinc_pl.canvas.recording.nests import tensors_in
from xinc_pl.frames import Frame, Instance

FORMAT = Format("xinc_pl frame", "frame", version=1)


def save_frame(frame: Frame, path: str | os.PathLike[str]) -> None:
    """Write a frame into a file in the safetensors format, which is never seen half-written.

    Where a network is called with more than tensors, numbers and words, only the tensors of that are kept.

    Args:
        frame: The frame.
        path: The file; its folder is made.

    Raises:
        RecordingFileError: It has no tensor among its inputs.
    """
    write_whole(Path(path), serialized_frame(frame))


def serialized_frame(frame: Frame) -> bytes:
    """What ``save_frame`` writes."""
    tensors: dict[str, Tensor] = {}

    def kept(name: str, tensor: Tensor) -> None:
        tensors[name] = tensor.detach().to("cpu", copy=True).resolve_conj().contiguous()

    def number(tensor: Tensor) -> int:
        kept(f"input_{len(tensors)}", tensor)
        return len(tensors) - 1

    given = Inputs.of(frame.inputs)
    try:
        inputs = encoded([given.args, given.kwargs], number)
    except NotWritableError:
        tensors.clear()
        alone = tuple(tensors_in([given.args, given.kwargs]))
        if not alone:
            raise RecordingFileError(f"frame {frame.index} cannot be written: its inputs hold no tensor") from None
        inputs = encoded([alone, {}], number)
    for name, tensor in (("target", frame.target), ("flow", frame.flow)):
        if tensor is not None:
            kept(name, tensor)
    for position, instance in enumerate(frame.instances):
        kept(f"instance_{position}", instance.mask.bool())
    content = {
        "index": int(frame.index),
        "size": [int(side) for side in frame.size],
        "name": str(frame.name),
        "inputs": inputs,
        "instances": [[int(each.id), str(each.category), bool(each.is_thing)] for each in frame.instances],
    }
    return FORMAT.packed(tensors, content)


def load_frame(path: str | os.PathLike[str]) -> Frame:
    """Read a frame. A file from a stranger is safe to open: nothing in it is run.

    Raises:
        RecordingFileError: The file is damaged, or holds something else.
        OSError: It cannot be read at all.
    """
    with opened(FORMAT, Path(path)) as (content, tensors):
        instances = content.get("instances")
        if not isinstance(instances, list) or not all(map(_is_instance, instances)):
            raise ValueError("its instances are damaged")
        size, name = content.get("size"), content.get("name")
        if not isinstance(size, list) or not isinstance(name, str):
            raise ValueError("its size or its name is damaged")
        return Frame(
            index=content.get("index"),  # type: ignore[arg-type] # which a frame checks
            inputs=_inputs(content, tensors),
            size=tuple(size),
            target=tensors.get("target"),
            instances=tuple(
                Instance(id, category, is_thing, tensors[f"instance_{position}"])
                for position, (id, category, is_thing) in enumerate(instances)
            ),
            flow=tensors.get("flow"),
            name=name,
        )


def _inputs(content: Mapping[str, Any], tensors: Any) -> Any:  # noqa: ANN401 - what a network is called with
    args, kwargs = decoded(content.get("inputs"), lambda number: tensors[f"input_{number}"], torch.device("cpu"))
    if not isinstance(args, tuple) or not isinstance(kwargs, dict):
        raise ValueError("its inputs are damaged")
    if kwargs:
        return Inputs(*args, **kwargs)
    return args[0] if len(args) == 1 else args


def _is_instance(value: Any) -> bool:  # noqa: ANN401 - JSON
    return isinstance(value, list) and [type(each) for each in value] == [int, str, bool]
