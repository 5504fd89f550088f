"""Hash grids against the formulas of their paper, written out."""

import math

import numpy as np
import pytest
import torch

from xinc_pl.models import HashGrid
from xinc_pl.models.hash_grid import HashEncoding, level_resolutions


def naive(encoding: HashEncoding, row: float, column: float) -> list[float]:
    """Features of one place in [0, 1]^2, by uint32 arithmetic as in the paper."""
    features = []
    for table, cells in zip(encoding.tables, encoding.resolutions, strict=True):
        weights = table.weight.detach().double().numpy()
        y, x = row * cells, column * cells
        top, left = min(math.floor(y), cells - 1), min(math.floor(x), cells - 1)
        total = np.zeros(weights.shape[1])
        for down in (0, 1):
            for right in (0, 1):
                corner = (top + down, left + right)
                if (cells + 1) ** 2 <= encoding.table_size:
                    number = corner[0] * (cells + 1) + corner[1]
                else:
                    product = (corner[0] * 2654435761) % 2**32
                    number = (product ^ corner[1]) % len(weights)
                part = (1 - abs(y - corner[0])) * (1 - abs(x - corner[1]))
                total += part * weights[number]
        features += list(total)
    return features


def test_features_are_those_of_the_paper() -> None:
    torch.manual_seed(0)
    encoding = HashEncoding(5, 3, 6, 4, 40).double()
    for table in encoding.tables:
        torch.nn.init.normal_(table.weight)
    assert [len(table.weight) for table in encoding.tables] == [25, 64, 64, 64, 64]
    places = torch.rand(40, 2, dtype=torch.float64)
    places[:4] = torch.tensor([[0, 0], [1, 1], [0, 1], [0.5, 1]])
    expected = np.array([naive(encoding, *place) for place in places.tolist()])
    np.testing.assert_allclose(encoding(places * 2 - 1).detach().numpy(), expected, atol=1e-12)


def test_places_beyond_the_image_are_its_border() -> None:
    encoding = HashEncoding(2, 1, 8, 4, 8)
    outside, border = torch.tensor([[-3.0, 0.2], [1.5, 9.0]]), torch.tensor([[-1.0, 0.2], [1.0, 1.0]])
    assert torch.equal(encoding(outside), encoding(border))


def test_resolutions_grow_geometrically_to_the_finest() -> None:
    assert level_resolutions(16, 16, 512)[:4] == [16, 20, 25, 32]  # b = 1.26, as printed for 512 in the paper's Eq. 3
    assert level_resolutions(16, 16, 512)[-1] == 512
    assert level_resolutions(6, 16, 512) == [16, 32, 64, 128, 256, 512]
    assert level_resolutions(1, 7, 9) == [7]


def test_size_is_that_of_the_tables_and_the_mlp() -> None:
    network = HashGrid(log2_table_size=14, finest=512)
    tables = sum(min((cells + 1) ** 2, 2**14) * 2 for cells in level_resolutions(16, 16, 512))
    mlp = (32 * 64 + 64) + (64 * 64 + 64) + (64 * 3 + 3)
    assert sum(parameter.numel() for parameter in network.parameters()) == tables + mlp


def test_tables_and_weights_start_as_the_paper_says() -> None:
    torch.manual_seed(0)
    network = HashGrid()
    values = torch.cat([table.weight.detach().flatten() for table in network.encoding.tables]) / 1e-4
    assert values.abs().max() <= 1
    assert values.std().item() == pytest.approx(1 / math.sqrt(3), rel=0.02)
    bound = math.sqrt(6 / (64 + 64))
    assert 0.9 * bound < network.layers[1].weight.abs().max().item() <= bound
    assert not network.layers[1].bias.any()


def test_tables_are_layers_with_names() -> None:
    assert list(HashGrid(levels=2).layer_names.values()) == ["level_1", "level_2", "layer_1", "layer_2", "layer_3"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"levels": 0}, "levels is 0"),
        ({"finest": 8}, "coarsest 16 and finest 8"),
        ({"log2_table_size": 0}, "log2_table_size is 0; give 1 to 30"),
        ({"log2_table_size": 30, "levels": 100, "finest": 200_000}, "HashGrid with .* rows in its tables needs"),
    ],
)
def test_bad_arguments_are_refused_with_the_reason(wrong: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HashGrid(**wrong)
