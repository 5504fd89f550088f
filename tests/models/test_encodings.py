"""Fourier features and the time encoding against formulas written in NumPy."""

import copy
import io
import math
import pickle
from typing import Any

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode

from xinc_pl.models.encodings import FourierFeatures, TimeEncoding


@pytest.fixture
def fourier() -> FourierFeatures:
    torch.manual_seed(0)
    return FourierFeatures(6)


@pytest.fixture
def coordinates() -> torch.Tensor:
    return torch.rand(20, 2, generator=torch.Generator().manual_seed(1)) * 2 - 1


def naive(fourier: FourierFeatures, coordinates: torch.Tensor) -> torch.Tensor:
    phases = 2 * np.pi * coordinates.double().numpy() @ fourier.frequencies.double().numpy().T
    return torch.from_numpy(np.concatenate([np.sin(phases), np.cos(phases)], axis=-1)).float()


def assert_encodes(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    torch.testing.assert_close(fourier(coordinates).float(), naive(fourier, coordinates), rtol=0, atol=1e-4)


def test_fourier_features_are_the_formula(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    assert_encodes(fourier, coordinates)
    assert_encodes(fourier, coordinates.reshape(4, 5, 2))


def test_remembered_features_are_the_fresh_ones(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    first = fourier(coordinates)
    assert fourier(coordinates.clone()) is first
    assert torch.equal(first, copy.deepcopy(fourier)(coordinates))


def test_who_writes_down_all_functions_sees_those_of_remembered_features(
    fourier: FourierFeatures, coordinates: torch.Tensor
) -> None:
    class Names(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
        ) -> Any:
            names.append(func.__name__)
            return func(*args, **(kwargs or {}))

    names: list[str] = []
    first = fourier(coordinates)
    with Names():
        assert torch.equal(fourier(coordinates), first)
    assert {"sin", "cos"} <= set(names)
    assert fourier(coordinates) is first


def test_other_coordinates_are_encoded_anew(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    fourier(coordinates)
    assert_encodes(fourier, coordinates[:7])
    assert_encodes(fourier, coordinates.flip(0))
    assert_encodes(fourier, coordinates.double())


def test_coordinates_changed_in_place_are_encoded_anew(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    fourier(coordinates)
    coordinates[3] += 0.1
    assert_encodes(fourier, coordinates)


def test_frequencies_changed_in_place_are_used(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    fourier(coordinates)
    fourier.frequencies[2] *= 2
    assert_encodes(fourier, coordinates)
    fourier.load_state_dict(FourierFeatures(6).state_dict())
    assert_encodes(fourier, coordinates)


def test_writing_into_the_features_does_not_spoil_the_next_ones(
    fourier: FourierFeatures, coordinates: torch.Tensor
) -> None:
    fourier(coordinates).zero_()
    assert_encodes(fourier, coordinates)


def test_features_from_inference_mode_do_not_stop_a_training(
    fourier: FourierFeatures, coordinates: torch.Tensor
) -> None:
    layer = torch.nn.Linear(12, 1)
    with torch.inference_mode():
        layer(fourier(coordinates))
        inference_coordinates = coordinates.clone()
    for points in (coordinates, inference_coordinates):
        layer.zero_grad()
        layer(fourier(points)).sum().backward()
        torch.testing.assert_close(layer.weight.grad, naive(fourier, coordinates).sum(0)[None], rtol=0, atol=1e-3)


def test_gradients_reach_the_coordinates_after_features_were_remembered(
    fourier: FourierFeatures, coordinates: torch.Tensor
) -> None:
    fourier(coordinates)
    points = coordinates.clone().requires_grad_()
    fourier(points).square().sum(1)[0].backward()  # sin^2 + cos^2 is constant
    torch.testing.assert_close(points.grad, torch.zeros_like(points), rtol=0, atol=1e-3)
    points.grad = None
    fourier(points)[:, 0].sum().backward()
    frequency = fourier.frequencies[0]
    phases = 2 * math.pi * (coordinates @ frequency)
    expected = phases.cos()[:, None] * 2 * math.pi * frequency
    torch.testing.assert_close(points.grad, expected, rtol=1e-3, atol=1e-2)


def test_forward_mode_gradients_pass_the_memory_by(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    fourier(coordinates)
    direction = torch.ones_like(coordinates)
    speed = 2 * math.pi * fourier.frequencies.sum(dim=1)
    sines, cosines = fourier(coordinates).chunk(2, dim=-1)
    expected = torch.cat([cosines * speed, -sines * speed], dim=-1)
    for _ in range(2):
        tangent = torch.func.jvp(fourier, (coordinates,), (direction,))[1]
        torch.testing.assert_close(tangent, expected, rtol=1e-3, atol=1e-2)
        with forward_ad.dual_level():
            dual = forward_ad.unpack_dual(fourier(forward_ad.make_dual(coordinates, direction)))
            assert dual.tangent is not None
            torch.testing.assert_close(dual.tangent, expected, rtol=1e-3, atol=1e-2)
    assert_encodes(fourier, coordinates)


def test_vmap_passes_the_memory_by(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    fourier(coordinates[0])
    for _ in range(2):
        torch.testing.assert_close(
            torch.func.vmap(fourier)(coordinates), naive(fourier, coordinates), rtol=0, atol=1e-4
        )
    assert_encodes(fourier, coordinates[1])


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16])
def test_autocast_does_not_touch_the_phases(
    fourier: FourierFeatures, coordinates: torch.Tensor, kind: torch.dtype
) -> None:
    with torch.autocast("cpu", dtype=kind):
        assert fourier(coordinates).dtype == torch.float32
        assert_encodes(fourier, coordinates)


def test_half_precision_rounds_only_the_result(fourier: FourierFeatures, coordinates: torch.Tensor) -> None:
    fourier(coordinates)
    fourier.to(torch.bfloat16)
    assert fourier(coordinates).dtype == torch.bfloat16
    torch.testing.assert_close(fourier(coordinates).float(), naive(fourier, coordinates), rtol=0, atol=4e-3)


def test_copies_and_pickles_encode_alike_and_carry_no_memory(
    fourier: FourierFeatures, coordinates: torch.Tensor
) -> None:
    empty = len(pickle.dumps(fourier))
    features = fourier(coordinates.repeat(100, 1))
    assert len(pickle.dumps(fourier)) == empty
    file = io.BytesIO()
    torch.save(fourier, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=False)
    for twin in (copy.deepcopy(fourier), pickle.loads(pickle.dumps(fourier)), loaded):
        assert torch.equal(twin(coordinates.repeat(100, 1)), features)


def times(count: int) -> torch.Tensor:
    return torch.arange(count, dtype=torch.float64) / count


def naive_time(time: torch.Tensor, levels: int = 80, base: float = 1.25) -> np.ndarray:
    bases = (base ** torch.arange(levels) * math.pi).numpy()
    assert bases.dtype == np.float32
    phases = time.numpy()[:, None] * bases.astype(np.float64)
    return np.concatenate([np.sin(phases), np.cos(phases)], axis=1)


@pytest.mark.parametrize(("levels", "base"), [(80, 1.25), (7, 2.0), (1, 1.5)])
def test_time_encoding_is_the_formula_in_float64(levels: int, base: float) -> None:
    encoded = TimeEncoding(levels, base)(times(30))
    assert encoded.dtype == torch.float64
    np.testing.assert_allclose(encoded.numpy(), naive_time(times(30), levels, base), rtol=0, atol=1e-12)


def test_time_encoding_by_hand() -> None:
    (encoded,) = TimeEncoding(2, 2.0)(torch.tensor([0.25], dtype=torch.float64)).tolist()
    assert encoded == pytest.approx([math.sqrt(0.5), 1, math.sqrt(0.5), 0], abs=1e-7)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_time_encoding_does_not_change_with_the_networks_precision(kind: torch.dtype) -> None:
    network = torch.nn.Sequential(TimeEncoding()).to(kind)
    np.testing.assert_allclose(network(times(7)).numpy(), naive_time(times(7)), rtol=0, atol=1e-12)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_allclose(network(times(7)).numpy(), naive_time(times(7)), rtol=0, atol=1e-12)


def test_time_encoding_does_not_change_with_the_default_type() -> None:
    expected = naive_time(times(7))
    torch.set_default_dtype(torch.float64)
    try:
        encoding = TimeEncoding()
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(encoding(times(7)).numpy(), expected, rtol=0, atol=1e-12)


def test_time_encoding_is_saved_with_the_weights() -> None:
    file = io.BytesIO()
    torch.save(TimeEncoding(5, 3.0).state_dict(), file)
    file.seek(0)
    encoding = TimeEncoding(5, 1.25).half()
    encoding.load_state_dict(torch.load(file, weights_only=True))
    np.testing.assert_allclose(encoding(times(4)).numpy(), naive_time(times(4), 5, 3.0), rtol=0, atol=1e-12)
