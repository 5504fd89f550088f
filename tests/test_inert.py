"""Reading weights beside things that are never made."""

import io
import os
import pickle
import zipfile
from collections import Counter, OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from xinc_pl.inert import Inert, read_inert

MARK = "was_here"


class Settings:
    """As OmegaConf's: an object with a state, made by its class."""

    def __init__(self) -> None:
        self.content = {"lr": 1e-3, "inner": [1, 2]}

    def __setstate__(self, state: object) -> None:
        Path(MARK).touch()


class Calls:
    """Makes a program run when it is read."""

    def __init__(self, function: Any, *arguments: object) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[object, ...]]:
        return self.function, self.arguments


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def saved(content: object) -> Path:
    torch.save(content, "file.ckpt")
    return Path("file.ckpt")


def test_weights_are_those_that_torch_reads() -> None:
    base = torch.arange(24.0)
    weights = OrderedDict(
        whole=base.view(4, 6),
        turned=base.view(4, 6).T,
        part=base[5:11],
        parameter=torch.nn.Parameter(torch.rand(3, 1, 2)),
        empty=torch.zeros(0, 3),
        scalar=torch.tensor(2.5),
        **{str(kind): torch.ones(2, 3).to(kind) for kind in (torch.float64, torch.bfloat16, torch.int64, torch.bool)},
    )
    file = saved({"state_dict": weights, "epoch": 7, "note": ["a", (1, None)]})
    expected, found = torch.load(file, weights_only=True), read_inert(file)
    assert isinstance(found, dict)
    assert found["epoch"] == 7
    assert found["note"] == ["a", [1, None]]
    assert list(found["state_dict"]) == list(weights)
    for name, value in expected["state_dict"].items():
        assert found["state_dict"][name].dtype == value.dtype
        assert torch.equal(found["state_dict"][name], value.detach())


def test_other_objects_are_read_as_nothing() -> None:
    filled = defaultdict(list, x=[1])
    content = {"w": torch.ones(2), "a": Settings(), "b": filled, "c": Counter("ab"), "d": Path("x"), "e": {1, 2}}
    found = read_inert(saved(content))
    assert isinstance(found, dict)
    assert found["w"].tolist() == [1, 1]
    assert all(isinstance(found[name], Inert) for name in "abcd")
    assert not Path(MARK).exists()


@pytest.mark.parametrize(
    "call",
    [
        Calls(os.system, f"touch {MARK}"),
        Calls(eval, f"open('{MARK}', 'w')"),
        Calls(open, MARK, "w"),
        Calls(getattr, Path(MARK), "touch"),
        Calls(torch.load, "other"),
        Calls(torch.hub.load, "owner/name", "model"),
        Calls(pickle.loads, pickle.dumps(1)),
    ],
    ids=["system", "eval", "open", "getattr", "load", "hub", "loads"],
)
def test_a_hostile_file_runs_nothing(call: Calls) -> None:
    found = read_inert(saved({"state_dict": {"w": torch.ones(2)}, "hyper_parameters": [call, {"x": call}]}))
    assert isinstance(found, dict)
    assert found["state_dict"]["w"].tolist() == [1, 1]
    assert isinstance(found["hyper_parameters"][0], Inert)
    assert not Path(MARK).exists()


def with_pickle(data: bytes) -> Path:
    """An archive of torch's whose pickle is another."""
    file = saved({"w": torch.ones(4)})
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in records.items():
            archive.writestr(name, data if name.endswith("data.pkl") else content)
    return file


TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x04tQ"


def test_a_tensor_larger_than_its_numbers_is_refused() -> None:
    huge = b"\x80\x02" + TENSOR + b"(" + STORAGE + b"K\x00J\xff\xff\xff\x7f\x85K\x00\x85tR."
    with pytest.raises(ValueError, match="more values than the file holds"):
        read_inert(with_pickle(huge))


def test_what_makes_tensors_cannot_be_changed() -> None:
    # The state of a function: its defaults, and its code's name.
    spoil = b"\x80\x02" + TENSOR + b"N}X\x0c\x00\x00\x00__defaults__K\x01s\x86b."
    assert isinstance(read_inert(with_pickle(spoil)), Inert)
    tensor = read_inert(saved(torch.ones(2)))
    assert isinstance(tensor, torch.Tensor)
    assert tensor.tolist() == [1, 1]


def test_a_nest_without_end_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(ValueError, match="without end"):
        read_inert(saved(endless))


def test_what_would_grow_is_refused() -> None:
    file = saved({"w": torch.ones(4)})
    with zipfile.ZipFile(file, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/9", bytes(10_000_000))
    with pytest.raises(ValueError, match="it would grow from"):
        read_inert(file)


@pytest.mark.parametrize("content", [b"", b"no archive", pickle.dumps({"a": 1})])
def test_other_files_are_refused(content: bytes) -> None:
    Path("file.ckpt").write_bytes(content)
    with pytest.raises(ValueError, match="no archive of torch's"):
        read_inert("file.ckpt")


@pytest.mark.parametrize("data", [b"", b"\x80\x02", b"\x80\x02}q\x00(X", b"\x80\x02K\x01R.", b"\x80\x02]K\x01b."])
def test_a_damaged_pickle_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="it is damaged"):
        read_inert(with_pickle(data))


def test_a_truncated_archive_is_refused() -> None:
    buffer = io.BytesIO()
    torch.save({"w": torch.ones(1000)}, buffer)
    Path("file.ckpt").write_bytes(buffer.getvalue()[:-500])
    with pytest.raises(ValueError, match="damaged"):
        read_inert("file.ckpt")
