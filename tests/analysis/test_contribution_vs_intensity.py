import numpy as np
import pytest
import torch

from xinc_pl.analysis.contribution_vs_intensity import compare_with_intensity, frame_features, scaled


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


def test_correlations_are_pearsons_and_there_is_none_with_a_constant() -> None:
    target = torch.rand(3, 6, 8, generator=torch.Generator().manual_seed(0))
    total = torch.rand(6, 8, generator=torch.Generator().manual_seed(1))
    features = frame_features(target)
    found = compare_with_intensity("head", total, features)
    for null, values in ((found.with_intensity, features.intensity), (found.with_edges, features.edges)):
        assert null.actual == pytest.approx(np.corrcoef(total.double().numpy().ravel(), values.ravel())[0, 1])
    assert not compare_with_intensity("head", torch.full((6, 8), 0.1), features).with_edges.exists
    assert not compare_with_intensity("head", total, frame_features(torch.full((3, 6, 8), 0.3))).with_intensity.exists


def test_a_total_that_is_the_intensity_beats_all_other_places() -> None:
    target = torch.rand(3, 16, 24, generator=torch.Generator().manual_seed(0))
    features = frame_features(target)
    result = compare_with_intensity("head", torch.from_numpy(3 * features.intensity + 2), features)
    assert result.with_intensity.actual == pytest.approx(1)
    assert result.with_intensity.p == result.with_intensity.floor == 1 / (16 * 24)
    assert result.with_intensity.z > 10
    assert np.abs(result.difference).max() < 1e-12


def test_scaled_spans_zero_to_one() -> None:
    assert scaled(np.array([2.0, 3.0, 6.0])).tolist() == [0, 0.25, 1]
    assert scaled(np.array([2.0, 2.0])).tolist() == [0, 0]
