import numpy as np
import pytest
import torch

from xinc_pl.analysis.map_spectrum import spectra

SIZE = (64, 96)


def wave(down: float, right: float, size: tuple[int, int] = SIZE) -> torch.Tensor:
    """A plane wave of so many cycles per pixel along each axis."""
    rows, columns = torch.meshgrid(*(torch.arange(side, dtype=torch.float64) for side in size), indexing="ij")
    return torch.cos(2 * torch.pi * (down * rows + right * columns) + 0.3)


@pytest.mark.parametrize(("down", "right"), [(0.1, 0.0), (0.0, 0.25), (0.12, 0.16), (0.3, 0.4)])
def test_a_waves_centroid_is_its_frequency_whatever_its_direction(down: float, right: float) -> None:
    found = spectra("head", wave(down, right)[None])
    assert found.centroid[0] == pytest.approx(np.hypot(down, right), abs=0.004)
    assert found.bandwidth[0] < 0.03
    assert found.frequencies[found.power[0].argmax()] == pytest.approx(np.hypot(down, right), rel=0.2)


def test_two_waves_have_their_mean_and_their_spread() -> None:
    found = spectra("head", (wave(0.1, 0) + wave(0.4, 0))[None])
    assert found.centroid[0] == pytest.approx(0.25, abs=0.005)
    assert found.bandwidth[0] == pytest.approx(0.15, abs=0.01)


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (9, 11)])
def test_moments_are_those_of_a_full_transform_in_plain_loops(size: tuple[int, int]) -> None:
    picture = torch.rand(size, generator=torch.Generator().manual_seed(0), dtype=torch.float64).numpy()
    window = np.array(
        [
            [
                np.sin(np.pi * (y + 0.5) / size[0]) ** 2 * np.sin(np.pi * (x + 0.5) / size[1]) ** 2
                for x in range(size[1])
            ]
            for y in range(size[0])
        ]
    )
    power = np.abs(np.fft.fft2((picture - (picture * window).sum() / window.sum()) * window)) ** 2
    total = moment = second = 0.0
    for y, down in enumerate(np.fft.fftfreq(size[0])):
        for x, right in enumerate(np.fft.fftfreq(size[1])):
            if (y, x) != (0, 0):
                total += power[y, x]
                moment += power[y, x] * np.hypot(down, right)
                second += power[y, x] * np.hypot(down, right) ** 2
    found = spectra("head", torch.from_numpy(picture)[None])
    assert found.centroid[0] == pytest.approx(moment / total)
    assert found.bandwidth[0] == pytest.approx(np.sqrt(second / total - (moment / total) ** 2))
    assert found.power[0].sum() == pytest.approx(1)


def test_strength_and_mean_do_not_matter_and_constants_have_no_spectrum() -> None:
    picture = torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0))
    plain, stronger = spectra("head", picture), spectra("head", 300 * picture + 40)
    np.testing.assert_allclose(plain.power, stronger.power, atol=1e-4)
    found = spectra("head", torch.stack([picture[0], torch.full(SIZE, 0.1), torch.zeros(SIZE)]))
    assert found.num_constant == 2
    assert np.isnan(found.centroid).tolist() == [False, True, True]


def test_what_is_blurred_is_coarser(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = torch.rand(4, *SIZE, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(noise, 5, 1, 2)
    whole = spectra("head", noise)
    assert (spectra("head", blurred).centroid < 0.5 * whole.centroid).all()
    monkeypatch.setattr("xinc_pl.analysis.map_spectrum._CHUNK_VALUES", 1)
    np.testing.assert_allclose(spectra("head", noise).power, whole.power)
