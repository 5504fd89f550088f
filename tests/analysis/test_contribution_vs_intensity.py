import numpy as np
import pytest
import torch

from xinc_pl.analysis.contribution_vs_intensity import compare_with_intensity, correlation, frame_features, scaled


def test_intensity_is_the_scaled_sum_of_scaled_channels() -> None:
    target = torch.tensor([[[0.0, 0.5]], [[0.2, 0.2]], [[0.3, 0.1]]])
    features = frame_features(target)
    # Channels scaled: [0, 1], [0, 0] (constant), [1, 0]; their sum [1, 1] is constant.
    assert features.intensity.tolist() == [[0.0, 0.0]]
    assert not features.edges.any()


def test_edges_are_where_the_intensity_changes() -> None:
    target = torch.zeros(3, 8, 8)
    target[:, :, 4:] = 0.7
    edges = frame_features(target).edges
    assert edges[:, 3:5].min() > 0.5
    assert not edges[:, :2].any()
    assert not edges[:, 6:].any()


def test_correlation_is_pearsons_and_there_is_none_with_a_constant() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((5, 7)), generator.random((5, 7))
    assert correlation(first, second) == pytest.approx(np.corrcoef(first.ravel(), second.ravel())[0, 1])
    assert np.isnan(correlation(first, np.full((5, 7), 0.1)))
    assert np.isnan(correlation(np.zeros((5, 7)), first))


def test_a_total_that_is_the_intensity_and_its_control() -> None:
    target = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    features = frame_features(target)
    result = compare_with_intensity("head", torch.from_numpy(3 * features.intensity + 2), features)
    assert result.intensity_correlation == pytest.approx(1)
    assert abs(result.intensity_control) < 0.3
    assert np.abs(result.difference).max() < 1e-12


def test_scaled_spans_zero_to_one() -> None:
    assert scaled(np.array([2.0, 3.0, 6.0])).tolist() == [0, 0.25, 1]
    assert scaled(np.array([2.0, 2.0])).tolist() == [0, 0]
