import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from xinc_pl.canvas import Inputs, RecordingFileError
from xinc_pl.frame_files import load_frame, save_frame
from xinc_pl.frames import Frame, Instance

MASK = torch.tensor([[True, False, False], [True, True, False]])


def frame(inputs: Any = None, **others: Any) -> Frame:
    given = {
        "index": 7,
        "inputs": torch.tensor([0.25], dtype=torch.float64) if inputs is None else inputs,
        "size": (2, 3),
        "target": torch.linspace(0, 1, 18).view(3, 2, 3),
        "instances": (Instance(3, "car", True, MASK), Instance(9, "ciel étoilé", False, ~MASK)),
        "flow": torch.linspace(-2, 5, 12).view(2, 2, 3),
        "name": "clip 7",
    }
    return Frame(**{**given, **others})


def assert_equal(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, Tensor):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert list(one) == list(other)
        for key, value in one.items():
            assert_equal(value, other[key])
    elif isinstance(one, tuple | list):
        for mine, theirs in zip(one, other, strict=True):
            assert_equal(mine, theirs)
    elif isinstance(one, Frame | Instance | Inputs):
        assert_equal(vars(one), vars(other))
    else:
        assert one == other


XY = torch.rand(6, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    "given",
    [
        frame(),
        frame(target=None, flow=None, instances=(), name=""),
        frame({"coords": XY, "scale": 2.5, "how": "fast", "more": (None, True, XY[:1])}),
        frame((XY, torch.tensor(3))),
        frame(Inputs(XY, t=torch.tensor(1 + 2j))),
        frame([XY.half(), {"deep": XY.T}]),
    ],
)
def test_a_frame_comes_back_as_it_was(given: Frame, tmp_path: Path) -> None:
    save_frame(given, tmp_path / "deep" / "frame.safetensors")
    assert_equal(given, load_frame(tmp_path / "deep" / "frame.safetensors"))
    assert len(list((tmp_path / "deep").iterdir())) == 1


def test_of_inputs_that_are_more_than_data_the_tensors_are_kept(tmp_path: Path) -> None:
    save_frame(frame({"coords": XY, "camera": object()}), tmp_path / "frame.safetensors")
    assert_equal(load_frame(tmp_path / "frame.safetensors").inputs, XY)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"index": -1}, "index is -1"),
        ({"index": "x"}, "index is 'x'"),
        ({"size": [2]}, "size is"),
        ({"size": None}, "its size or its name is damaged"),
        ({"size": [20, 30]}, "target has the shape"),
        ({"name": 3}, "its size or its name is damaged"),
        ({"inputs": "x"}, "."),
        ({"inputs": [{"tuple": [{"tensor": 5}]}, {"dict": []}]}, "it has no tensor 'input_5'"),
        ({"inputs": [{"tuple": []}, {"eval": "x"}]}, "an argument of an unknown form"),
        ({"instances": [[1, "car", True]] * 5}, "it has no tensor 'instance_2'"),
        ({"instances": [["x"]]}, "its instances are damaged"),
        ({"version": 9}, "has version 9 of the format"),
        ({"format": "xinc_pl recordings"}, "it holds no frame of xinc_pl"),
    ],
)
def test_a_damaged_frame_is_one_line(change: dict[str, Any], reason: str, tmp_path: Path) -> None:
    path = tmp_path / "frame.safetensors"
    save_frame(frame(), path)
    with safe_open(path, framework="pt") as file:
        header, names = json.loads(file.metadata()["xinc_pl"]), file.keys()
        tensors = {name: file.get_tensor(name).clone() for name in names}
    save_file(tensors, path, {"xinc_pl": json.dumps(header | change)})
    with pytest.raises(RecordingFileError, match=reason) as raised:
        load_frame(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)
