"""Files that hold more than weights, read without making anything of the rest."""

import math
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

_DTYPES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class Inert:
    """Stands for an object of a class that is not known here: takes whatever it is given, and keeps nothing."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __new__(cls, *args: object, **kwargs: object) -> "Inert":
        """Take whatever the class would have taken."""
        return object.__new__(cls)

    def __call__(self, *args: object, **kwargs: object) -> "Inert":
        """Be a function's result, where it was a function."""
        return self

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, value: object) -> None:
        """Be filled as a list."""

    def extend(self, values: object) -> None:
        """Be filled as a list."""

    def add(self, value: object) -> None:
        """Be filled as a set."""


def read_inert(file: str | Path) -> object:
    """What ``torch.save`` has written, with tensors and plain values as they are, and ``Inert`` for everything else.

    No class or function that the file names is imported, called or made: a file from anyone is safe to read.

    Args:
        file: A zip archive, as torch writes them since version 1.6.

    Raises:
        ValueError: It is none, or damaged, or would grow when it is read.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(record.file_size for record in archive.infolist())
            if size > Path(file).stat().st_size:  # torch does not compress
                raise ValueError(f"it would grow from {Path(file).stat().st_size:,} to {size:,} bytes")
            (content,) = (name for name in archive.namelist() if name.endswith("/data.pkl"))
            with archive.open(content) as pickled:
                return _Reader(pickled, archive, content.removesuffix("data.pkl")).load()
    except zipfile.BadZipFile as error:
        raise ValueError("it is no archive of torch's (version 1.6 or later), or damaged") from error
    except ValueError:
        raise
    except Exception as error:  # a damaged pickle raises almost anything
        raise ValueError(f"it is damaged ({type(error).__name__})") from error


class _Function(Inert):
    """One of the few functions that make tensors. Not a real one, whose code a file could exchange."""

    def __init__(self, name: str = "") -> None:
        self._is_tensor = name == "_rebuild_tensor_v2"

    def __call__(self, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - whatever the file gives
        """A tensor from its storage, offset, size and strides; of a parameter the tensor that it holds."""
        if not self._is_tensor:
            return args[0]
        storage, offset, size, strides = args[:4]
        assert isinstance(storage, Tensor), "a tensor's storage comes from the archive"
        if math.prod(size) > len(storage):
            raise ValueError("it is damaged: a tensor has more values than the file holds for it")
        return _Made(storage.as_strided(size, strides, offset))


class _Made(Inert):
    """A tensor, until everything is read: a file could set anything on a real one."""

    def __init__(self, tensor: Tensor | None = None) -> None:
        self.tensor = tensor


class _Reader(pickle.Unpickler):
    def __init__(self, pickled: Any, archive: zipfile.ZipFile, folder: str) -> None:  # noqa: ANN401 - a binary file
        super().__init__(pickled)
        self._archive, self._folder = archive, folder

    def load(self) -> object:
        """Everything, with tensors in their places."""
        return _finished(super().load(), 0)

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - a class, or what stands for one
        """What a name in the file stands for; nothing is looked up."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_parameter"):
            return _Function(name)
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]
        return type(name.rpartition(".")[2], (Inert,), {})

    def persistent_load(self, pid: Any) -> Tensor | Inert:  # noqa: ANN401 - whatever the file gives
        """A tensor's numbers (n,), from the record that holds them."""
        kind, dtype, key, _, count = pid
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            return Inert()
        data = self._archive.read(f"{self._folder}data/{key}")
        if len(data) != count * dtype.itemsize:
            raise ValueError(f"it is damaged: {key} has {len(data)} bytes, not {count * dtype.itemsize}")
        return torch.frombuffer(bytearray(data), dtype=dtype) if count else torch.empty(0, dtype=dtype)


_MAX_DEPTH = 50
"""Of nests; a checkpoint's are a handful deep, and one may hold itself."""


def _finished(value: object, depth: int) -> object:
    if depth > _MAX_DEPTH:
        raise ValueError("its values are nested without end")
    if isinstance(value, _Made):
        return value.tensor
    if isinstance(value, Mapping):
        return {key: _finished(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_finished(each, depth + 1) for each in value]
    return value
