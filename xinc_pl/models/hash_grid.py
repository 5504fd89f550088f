"""An image network of feature tables at many resolutions, in plain PyTorch."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from xinc_pl.memory import require_memory
from xinc_pl.models.coordinate_mlp import CoordinateMLP

_PRIME = 2_654_435_761
"""What rows are multiplied by in the hash; columns by 1."""


class HashEncoding(nn.Module):
    """Features of coordinates (..., 2) in [-1, 1], interpolated from tables at several resolutions.

    Müller et al. 2022, section 3: level l has floor(coarsest * b^l) cells along an axis, b such that the last has
    ``finest``. Each corner of a cell has a row in the level's table: its own, where the table is large enough for all
    of them, and else that of its hash, row XOR column of the corner times a prime each, modulo the table's size.
    Features are interpolated bilinearly, and those of all levels concatenated: (..., levels * features_per_level).

    Args:
        levels: Number of resolutions.
        features_per_level: Columns of each table.
        log2_table_size: Logarithm to base 2 of the most rows that a table may have.
        coarsest: Cells along an axis at the first level.
        finest: Cells along an axis at the last level.
    """

    def __init__(self, levels: int, features_per_level: int, log2_table_size: int, coarsest: int, finest: int) -> None:
        super().__init__()
        self.table_size = 1 << log2_table_size
        self.resolutions = level_resolutions(levels, coarsest, finest)
        rows = [min((cells + 1) ** 2, self.table_size) for cells in self.resolutions]
        require_memory(
            4 * sum(rows) * features_per_level,
            f"HashGrid with {sum(rows):.3g} rows in its tables",
            "set log2_table_size, levels or finest to less",
        )
        tables = [nn.Embedding(each, features_per_level) for each in rows]
        for table in tables:
            nn.init.uniform_(table.weight, -1e-4, 1e-4)
        self.tables = nn.ModuleList(tables)

    def forward(self, coordinates: Tensor) -> Tensor:
        """Encode coordinates (..., 2); those beyond [-1, 1] as the border's."""
        places = ((coordinates + 1) / 2).clamp(0, 1)
        return torch.cat(
            [
                self._interpolated(table, places * cells, cells)
                for table, cells in zip(self.tables, self.resolutions, strict=True)
            ],
            dim=-1,
        )

    def _interpolated(self, table: nn.Module, places: Tensor, cells: int) -> Tensor:
        """Features (..., F) at places (..., 2), in cells of one level."""
        first = places.floor().clamp(max=cells - 1)
        part, corner = places - first, first.long()
        shares = torch.stack([1 - part, part])  # of the near and of the far corner, along both axes
        features = []
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            number = self._number(corner[..., 0] + down, corner[..., 1] + right, cells)
            features.append(table(number) * (shares[down, ..., :1] * shares[right, ..., 1:]))
        total: Tensor = torch.stack(features).sum(0)
        return total

    def _number(self, row: Tensor, column: Tensor, cells: int) -> Tensor:
        """Which row of the table a corner has."""
        if (cells + 1) ** 2 <= self.table_size:
            return row * (cells + 1) + column
        return (column ^ (row * _PRIME)) % self.table_size


def level_resolutions(levels: int, coarsest: int, finest: int) -> list[int]:
    """Cells along an axis at every level: floor(coarsest * b^l), b = (finest / coarsest)^(1 / (levels - 1)) (Eq. 2, 3).

    Args:
        levels: How many.
        coarsest: At level 0.
        finest: At the last level.
    """
    growth = (math.log(finest) - math.log(coarsest)) / max(levels - 1, 1)
    # What should be a whole number may lie a rounding below it.
    return [math.floor(coarsest * math.exp(growth * level) + 1e-9 * finest) for level in range(levels)]


class HashGrid(CoordinateMLP):
    """Pixel coordinates to colours: tables of features at many resolutions, then a small MLP (Müller et al. 2022).

    Tables are drawn from U(-1e-4, 1e-4), the MLP's weights by Glorot and Bengio's rule, its biases are 0. Each column
    of a table is a neuron (``level_1`` is the coarsest), as is each input of the MLP. As in the paper there are 16
    levels, two features in each and two hidden layers of 64; the tables are smaller, for images of some 128x256.

    Args:
        levels: Number of resolutions.
        features_per_level: Columns of each table.
        log2_table_size: Logarithm to base 2 of the most rows that a table may have (14 to 24 in the paper).
        coarsest: Cells along an axis at the first level.
        finest: Cells along an axis at the last level; half the image's longer side in the paper.
        widths: Outputs of the hidden layers.
        out_channels: Colours per pixel.
    """

    def __init__(
        self,
        levels: int = 16,
        features_per_level: int = 2,
        log2_table_size: int = 11,
        coarsest: int = 16,
        finest: int = 128,
        widths: Sequence[int] = (64, 64),
        out_channels: int = 3,
    ) -> None:
        if min(levels, features_per_level, coarsest) < 1 or finest < coarsest:
            raise ValueError(
                f"HashGrid: levels is {levels}, features_per_level {features_per_level}, coarsest {coarsest} and "
                f"finest {finest}; all must be at least 1, and finest at least as much as coarsest"
            )
        if not 1 <= log2_table_size <= _MAX_LOG2:
            raise ValueError(f"HashGrid: log2_table_size is {log2_table_size}; give 1 to {_MAX_LOG2}")
        encoding = HashEncoding(levels, features_per_level, log2_table_size, coarsest, finest)
        super().__init__(encoding, levels * features_per_level, widths, out_channels)
        self.layer_names = {
            f"encoding.tables.{level}": f"level_{level + 1}" for level in range(levels)
        } | self.layer_names
        for layer in self.linear_layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def activate(self, values: Tensor, index: int) -> Tensor:
        """ReLU."""
        del index
        return values.relu()


_MAX_LOG2 = 30
