"""Recordings on disk: what is read is what was written, to the bit; and files from strangers do no harm."""

import json
import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from case_oracle import COORDINATES, SIZE, Case
from cases import CASES
from convolution_cases import CONVOLUTIONS
from networks import Written, three_linear
from not_chains import NOT_CHAINS
from safetensors import safe_open
from safetensors.torch import save_file
from siren_pytorch import SirenNet
from torch import Tensor, nn
from variations import VARIATIONS
from written_cases import WRITTEN

from xinc_pl.canvas import (
    DissectionError,
    Moment,
    Recording,
    RecordingFile,
    RecordingFileError,
    record,
    save_recordings,
)
from xinc_pl.canvas.recording.allowed import FUNCTIONS, NAMES
from xinc_pl.models import FFN, NeRV

ALL = CASES | VARIATIONS | CONVOLUTIONS | WRITTEN


def recorded(case: Case) -> Recording:
    inputs = case.inputs if len(case.inputs) > 1 else case.inputs[0]
    return record(case.network(), inputs, size=SIZE, **case.options)


def assert_the_same(one: Recording, other: Recording) -> None:
    """Everything that can be asked of two recordings has the same bits."""
    assert torch.equal(one.output, other.output)
    for convention in ("paper", "effect"):
        try:
            live = one.dissect(convention=convention)
        except DissectionError as error:
            with pytest.raises(DissectionError, match=re.escape(str(error))):
                other.dissect(convention=convention)
            continue
        again = other.dissect(convention=convention)
        assert list(live) == list(again)
        assert live.skipped == again.skipped
        assert live.main_layers == again.main_layers
        for name, layer in live.items():
            some = sorted({0, layer.num_neurons // 2, layer.num_neurons - 1})
            assert torch.equal(layer.maps(some), again[name].maps(some))
            ours, theirs = layer.statistics(), again[name].statistics()
            for quantity in ("sum", "minimum", "maximum", "pixels_per_neuron", "zero_map", "zero_input", "total"):
                assert torch.equal(getattr(ours, quantity), getattr(theirs, quantity)), quantity


@pytest.mark.parametrize("name", ALL)
def test_what_is_read_is_what_was_written(name: str, tmp_path: Path) -> None:
    live = recorded(ALL[name])
    live.save(tmp_path / "a.safetensors")
    again = Recording.load(tmp_path / "a.safetensors")
    assert [call.name for call in live.calls] == [call.name for call in again.calls]
    assert_the_same(live, again)


@pytest.mark.parametrize("name", NOT_CHAINS)
def test_networks_that_are_no_chains(name: str, tmp_path: Path) -> None:
    network, inputs, _ = NOT_CHAINS[name]
    live = record(network(), inputs, size=(4, 5) if inputs.ndim == 2 else None)
    live.save(tmp_path / "a.safetensors")
    assert_the_same(live, Recording.load(tmp_path / "a.safetensors"))


@pytest.mark.parametrize(
    ("network", "inputs"),
    [
        (lambda: FFN(num_frequencies=4, widths=(6,)), COORDINATES),
        (lambda: SirenNet(dim_in=2, dim_hidden=6, dim_out=3, num_layers=2), COORDINATES),
    ],
)
def test_ours_and_a_stranger_s_network(network: Callable[[], nn.Module], inputs: Tensor, tmp_path: Path) -> None:
    torch.manual_seed(0)
    live = record(network(), inputs, size=SIZE)
    live.save(tmp_path / "a.safetensors")
    assert_the_same(live, Recording.load(tmp_path / "a.safetensors"))


@pytest.mark.slow
def test_the_default_nerv_takes_four_megabytes_for_any_number_of_frames(tmp_path: Path) -> None:
    network = NeRV()
    path = tmp_path / "epoch.safetensors"
    frames = {f"frame_{index:04d}": record(network, torch.tensor([index / 8])) for index in range(8)}
    save_recordings(path, frames, check=False)
    assert path.stat().st_size < 4.1e6
    again = Recording.load(path, "frame_0003")
    assert torch.equal(again.output, frames["frame_0003"].output)
    live = frames["frame_0003"].dissect()
    for name, layer in again.dissect().items():
        assert torch.equal(layer.statistics().sum, live[name].statistics().sum)


def small() -> Recording:
    return record(three_linear(torch.sin), torch.rand(12, 2, generator=torch.Generator().manual_seed(0)), size=(4, 3))


def test_moments_and_several_recordings_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "a.safetensors"
    save_recordings(path, {"one": small(), "two": small()}, {"two": Moment(3, 40, 21.5)})
    file = RecordingFile(path)
    assert file.names == ("one", "two")
    assert file.moment("one") == Moment()
    assert file.moment("two") == Moment(3, 40, 21.5)
    with pytest.raises(RecordingFileError, match="it holds 2 recordings; give a name: one, two"):
        file.load()
    with pytest.raises(RecordingFileError, match="there is no recording 'three'"):
        file.load("three")
    assert not list(path.parent.glob(".*"))


def test_what_is_equal_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    recording = small()
    recording.save(path)
    alone = path.stat().st_size
    save_recordings(path, {str(index): small() for index in range(5)})
    with safe_open(path, framework="pt") as file:
        assert len(file.keys()) == 7  # three weights, three biases, the coordinates
    assert path.stat().st_size < 5 * alone


def test_how_weights_lie_in_memory_is_kept(tmp_path: Path) -> None:
    weight = nn.Parameter(torch.rand(3, 2).T)
    live = record(Written(lambda s, x: x @ s.w, w=weight), COORDINATES, size=SIZE)
    live.save(tmp_path / "a.safetensors")
    (again,) = Recording.load(tmp_path / "a.safetensors").parameters
    assert again.stride() == (1, 2)
    assert torch.equal(again, weight)


@pytest.mark.parametrize(
    ("forward", "reason"),
    [
        (lambda s, x: s.a(x) + torch.randn_like(s.a(x)), r"'randn_like' in the network: .*no function of torch"),
        (lambda s, x: torch.linalg.svd(s.a(x), full_matrices=False)[0], r"'linalg_svd'.*no function of torch"),
        (lambda s, x: torch.nn.functional.dropout(s.a(x), 0.5), "computed again, its calls give another image"),
    ],
)
def test_what_cannot_be_written_is_named_and_leaves_no_file(
    forward: Callable[..., Tensor], reason: str, tmp_path: Path
) -> None:
    recording = record(Written(forward, a=nn.Linear(2, 3)), COORDINATES, size=SIZE)
    with pytest.raises(RecordingFileError, match=rf"^the recording cannot be written: {reason}"):
        recording.save(tmp_path / "a.safetensors")
    assert not list(tmp_path.iterdir())


def test_an_encoding_of_other_functions_is_kept_as_what_it_gave(tmp_path: Path) -> None:
    network = Written(
        lambda s, x: s.b(s.a(torch.fft.fft(x).real.sort()[0] + torch.rand(2)).sin()),
        a=nn.Linear(2, 5),
        b=nn.Linear(5, 3),
    )
    live = record(network, COORDINATES, size=SIZE)
    live.save(tmp_path / "a.safetensors")
    again = Recording.load(tmp_path / "a.safetensors")
    assert torch.equal(live.output, again.output)
    assert_the_same(live, again)


def test_functions_have_one_name_and_one_meaning() -> None:
    assert all(NAMES[function] in FUNCTIONS for function in FUNCTIONS.values())
    assert all(FUNCTIONS[NAMES[function]] == function for function in FUNCTIONS.values())
    harmful = {
        *("load", "save", "from_file", "compile", "vmap", "numpy", "apply_", "map_", "set_", "resize_", "tolist"),
        *("storage", "untyped_storage", "data_ptr", "register_hook", "backward", "item", "from_numpy", "eval"),
        *("manual_seed", "rand", "randn", "type", "cuda", "__reduce_ex__", "__setstate__", "share_memory_"),
    }
    assert not harmful & {name.rpartition(".")[2] for name in FUNCTIONS}


GOLDEN = Path(__file__).parents[1] / "golden/recording_version_1.safetensors"


def test_a_file_of_version_1_stays_readable() -> None:
    """Written once: two layers, the second within ``vmap``, with writes in place. Its weights, its network in NumPy."""
    with safe_open(GOLDEN, framework="np") as file:
        coordinates, *weights = (file.get_tensor(f"memory_{number}").astype(np.float64) for number in range(5))
    first, first_bias, second, second_bias = weights
    hidden = np.sin(2 * (coordinates @ first.T + first_bias))
    blue = hidden[:, :1] * np.cos(hidden[:, 1:2])
    expected = np.concatenate([hidden @ second.T + second_bias, blue], axis=1)
    recording = Recording.load(GOLDEN)
    np.testing.assert_allclose(recording.output.numpy(), expected, atol=1e-6)
    assert recording.size == (4, 3)
    assert RecordingFile(GOLDEN).moment("recording") == Moment(7, 140, 20.25)
    assert recording.layer_names() == ("a", "b")
    canvas = recording.dissect(convention="effect")
    # The effect of b's neurons on red and green is linear: what they add.
    terms = np.stack([hidden[:, [neuron]] * second[:, neuron] for neuron in range(4)])
    found = canvas["b"].maps(per_output=True)[:, :2].flatten(2).transpose(1, 2)
    np.testing.assert_allclose(found.numpy(), terms, atol=1e-6)


# Files from strangers: a sound one, with something put into it.

Change = Callable[[dict[str, Any]], None]


def spoiled(path: Path, change: Change) -> Path:
    """A sound file whose JSON was changed."""
    small().save(path)
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
        names = file.keys()
        tensors = {key: file.get_tensor(key).clone() for key in names}
    header = json.loads(metadata["xinc_pl"])
    change(header)
    save_file(tensors, path, {"xinc_pl": json.dumps(header)})
    return path


def calls(header: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = header["recordings"]["recording"]["calls"]
    return found


def entry(name: str, value: Any) -> Change:
    return lambda header: header["recordings"]["recording"].update({name: value})


def first_call(function: Any, *args: Any, **kwargs: Any) -> Change:
    return lambda header: calls(header)[0].update(function=function, args=list(args), kwargs=kwargs)


def called(function: str, *args: Any, result: int) -> dict[str, Any]:
    return {"function": function, "args": list(args), "kwargs": {}, "module": "", "outputs": [result]}


HARMFUL = ["os.system", "torch.load", "torch.ops.aten.add", "builtins.eval", "torch.Tensor.numpy", "torch.hub.load", ""]
CHANGES: dict[str, tuple[Change, str]] = {
    **{f"names {name}": (first_call(name, "x"), "no function of torch that a file may name") for name in HARMFUL},
    "a function in a function": (
        first_call({"in_place": "torch.load", "place": 0, "target": 0, "views": [None]}), "no function of torch"
    ),
    "a batched function": (first_call({"batched": "os.system", "in": [], "out": []}), "no function of torch"),
    "an unknown form": (first_call({"lambda": "x"}), "a function of an unknown form"),
    "no function": (first_call(None), "a function of an unknown form"),
    "huge": (first_call("torch.zeros", {"tuple": [10**6, 10**6]}), r"'zeros': it makes a tensor of 1000000x1000000"),
    "huge by a device": (
        first_call("torch.zeros", 10**13, device={"device": 0}), "it makes a tensor of 10000000000000"
    ),
    "larger than any number": (first_call("torch.zeros", {"tuple": [2**40, 2**40]}), "'zeros', cannot be repeated"),
    "no number of torch": (first_call("torch.zeros", 10**30), "'zeros', cannot be repeated"),
    "expanded": (first_call("torch.Tensor.expand", {"tensor": 1}, 10**7, 10**5, 2), "'expand'"),
    "huge inside": (
        lambda header: calls(header).__setitem__(
            slice(0, 1),
            [
                called("torch.zeros", {"tuple": [10000, 1, 1, 10000]}, result=90),
                called("torch.zeros", {"tuple": [1, 10000, 10000, 1]}, result=91),
                called("torch.matmul", {"tensor": 90}, {"tensor": 91}, result=92),
            ],
        ),
        "'matmul': it makes a tensor of",
    ),
    "a size to divide by": (
        lambda header: calls(header).__setitem__(
            slice(0, 1),
            [
                called("torch.zeros", {"tuple": [0, 3]}, result=90),
                called("torch._weight_norm", {"tensor": 90}, {"tensor": 90}, result=91),
            ],
        ),
        "'_weight_norm': it is called on a tensor without values",
    ),
    "too many results": (first_call("torch.Tensor.tensor_split", {"tensor": 1}, 10**8), "it makes 100000000 tensors"),
    "too many results of nothing": (
        lambda header: calls(header).__setitem__(
            slice(0, 1),
            [
                called("torch.zeros", {"tuple": [0, 3]}, result=90),
                called("torch.chunk", {"tensor": 90}, 2**31, result=91),
            ],
        ),
        "'chunk': it makes 2147483648 tensors",
    ),
    "too many results of a kind": (
        lambda header: calls(header).__setitem__(
            slice(0, 1),
            [
                called("torch.zeros", {"tuple": [1]}, result=90),
                called("torch.Tensor.expand", {"tensor": 90}, 10**7, result=91),
                called("torch.unbind", {"tensor": 91}, result=92),
            ],
        ),
        "'unbind': it makes 10000000 tensors",
    ),
    "another device": (first_call("torch.Tensor.to", {"tensor": 1}, "meta"), "it names the device 'meta'"),
    "beyond its memory": (
        first_call("torch.Tensor.as_strided", {"tensor": 1}, [5], [1000], 0), "'as_strided', cannot be repeated"
    ),
    "before its memory": (
        first_call("torch.Tensor.as_strided", {"tensor": 1}, [5], [1], -4), "'as_strided', cannot be repeated"
    ),
    "a view beyond its memory": (
        first_call(
            {"in_place": "torch.Tensor.sin_", "place": 0, "target": 0, "views": [[[9], [99], 0]]}, {"tensor": 1}, None
        ),
        "'sin_', cannot be repeated",
    ),
    "a start beyond its memory": (
        lambda header: header["recordings"]["recording"]["starts"]["0"].update(view=[[9, 9], [9, 1], 99]),
        "reaches beyond its memory",
    ),
    "another type": (
        lambda header: header["recordings"]["recording"]["starts"]["0"].update(dtype="int64"), "a tensor of torch.int64"
    ),
    "no memory": (
        lambda header: header["recordings"]["recording"]["starts"]["0"].update(memory="../../x"), "it has no tensor"
    ),
    "what comes later": (first_call("torch.sin", {"tensor": 99}), "refers to tensor 99 before anything has computed"),
    "a circle": (
        lambda header: calls(header)[0].update(args=[{"tensor": calls(header)[0]["outputs"][0]}]), "before anything has"
    ),
    "no results": (lambda header: calls(header)[0].update(outputs=[]), "call 0 has no results"),
    "more results": (lambda header: calls(header)[0].update(outputs=[50, 51]), "has 1 results instead of 2"),
    "bad arguments": (first_call("torch.sin", "x"), "'sin', cannot be repeated"),
    "an unknown argument": (first_call("torch.sin", {"object": "x"}), "an argument of an unknown form"),
    "output": (entry("output", 10**6), "refers to tensor 1000000"),
    "size": (entry("size", [4, -3]), "size is"),
    "another size": (entry("size", [40, 30]), "no image of 40x30"),
    "names": (entry("names", {"a": 3}), "a layer whose name is none"),
    "numbers": (entry("numbers", [[0, "eval"]]), "taken out of nothing"),
    "inputs": (entry("inputs", "x"), "'inputs' is damaged"),
    "parameters": (entry("parameters", [None]), "its parameters are damaged"),
    "no calls": (lambda header: header["recordings"]["recording"].pop("calls"), "it has no entry 'calls'"),
    "NaN": (first_call("torch.mul", {"tensor": 0}, {"float": "nan"}), "NaN|cannot be repeated"),
    "a newer version": (lambda header: header.update(version=2), "has version 2 of the format.*use a newer one"),
    "another format": (lambda header: header.update(format="x"), "holds no recordings of xinc_pl"),
    "nothing": (lambda header: header.pop("recordings"), "does not say what was recorded"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_a_file_from_a_stranger_is_one_line(name: str, tmp_path: Path) -> None:
    change, reason = CHANGES[name]
    path = spoiled(tmp_path / "a.safetensors", change)
    with pytest.raises(RecordingFileError, match=reason) as raised:
        Recording.load(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_what_is_nan_is_told(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    small().save(path)
    with safe_open(path, framework="pt") as file:
        metadata, names = file.metadata(), file.keys()
        tensors = {key: torch.full_like(file.get_tensor(key), torch.nan) for key in names}
    save_file(tensors, path, metadata)
    with pytest.raises(RecordingFileError, match="its output is NaN or infinite"):
        Recording.load(path)


def test_it_takes_no_more_memory_than_it_may(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    small().save(path)
    Recording.load(path, max_bytes=10_000)
    with pytest.raises(RecordingFileError, match="GB"):
        Recording.load(path, max_bytes=1000)


def raw(header: bytes, body: bytes = b"") -> bytes:
    return struct.pack("<Q", len(header)) + header + body


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"abc",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 100) + b"{}",
        raw(b"nonsense"),
        raw(b"[]"),
        raw(b"\xff\xfe"),
        raw(b"[" * 100_000),
        raw(b'{"a":' * 100_000),
        raw(b"{}"),
        raw(b'{"__metadata__":{"xinc_pl":"[]"}}'),
        raw(b'{"__metadata__":{"xinc_pl":"{' + rb"\"a\":1,\"a\":2" + b'}"}}'),
        raw(b'{"__metadata__":{"xinc_pl":1}}'),
        raw(b"{" + b",".join([b'"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'] * 2) + b"}", b"1234"),
        raw(b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4]}}', b"1234"),
        raw(b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4000000000]}}', b"1234"),
        raw(b'{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
        b"\x80\x04\x95" + b"c__builtin__\neval\n" * 4,
    ],
)  # fmt: skip
def test_what_is_no_file_of_ours_is_one_line(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(data)
    with pytest.raises(RecordingFileError) as raised:
        RecordingFile(path)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_cut_off_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    small().save(path)
    whole = path.read_bytes()
    for length in (len(whole) - 1, len(whole) // 2, 100, 9):
        path.write_bytes(whole[:length])
        with pytest.raises(RecordingFileError):
            RecordingFile(path)
