"""Optical flow beside frames."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from xinc_pl.data.annotations.flow import FLOW_DIRECTIONS, FLOW_SUFFIXES, FlowDirection, onto_next, read_flow
from xinc_pl.data.clips import files_in
from xinc_pl.data.fitting import Fitting
from xinc_pl.data.masks import Shown


@dataclass(frozen=True)
class Flows:
    """Where the flow between frames is, and which way it goes.

    Args:
        path: A folder with a file for each frame, but for the last one (``to_next``) or the first one.
        direction: ``to_next``: from the frame to the next, as most files have it; ``from_previous``: from the frame
            before to this one; ``to_previous``: from this one back to the frame before. Each at the pixels of the
            frame whose file it is.
        owner: Whose arguments these are, for messages.
    """

    path: Path
    direction: FlowDirection
    owner: str

    def __post_init__(self) -> None:
        if self.direction not in FLOW_DIRECTIONS:
            raise ValueError(
                f"{self.owner}: flow_direction is {self.direction!r}; choose from {', '.join(FLOW_DIRECTIONS)}"
            )

    def files(self) -> list[Path]:
        """The folder's files, in order.

        Raises:
            ValueError: There is no such folder.
        """
        if not self.path.is_dir():
            raise ValueError(f"{self.owner}: there is no folder of flow {str(self.path)!r}")
        return files_in(self.path, FLOW_SUFFIXES)

    def without(self, num_frames: int) -> set[int]:
        """Numbers of the frames that need have no file."""
        return {num_frames - 1} if self.direction == "to_next" else {0}

    def read(self, clip: Sequence[Path | None], shown: Mapping[int, Shown], fitting: Fitting) -> dict[int, Tensor]:
        """The flow to some frames of a clip from the ones before them, as ``Frame`` has it: float32 (2, H, W) each.

        Args:
            clip: The file of each of its frames; None where there is none.
            shown: The frames that are wanted, by their number in the clip.
            fitting: How they are brought to their size.

        Raises:
            ValueError: A file cannot be read, or is of another size than its frame.
        """
        found = {}
        for number, frame in shown.items():
            file = clip[number - 1 if self.direction == "to_next" else number] if number else None
            if file is None:
                continue
            flow = read_flow(file)
            frame.check(flow.shape, file)
            flow = onto_next(flow) if self.direction == "to_next" else flow
            flow = -flow if self.direction == "to_previous" else flow
            down, right = fitting.scale(*frame.size, frame.pixel_aspect)
            scale = torch.tensor([right, down])[:, None, None]
            found[number] = fitting.apply_to_labels(flow, frame.pixel_aspect) * scale
        return found
