"""What all datamodules of frames share: memory, batches, order, and answering for XINC's callbacks."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, Sampler

from xinc_pl.arguments import MAX_SEED, check_size, check_whole
from xinc_pl.frames import Batch, Frame, Size, batch_of, held_out_frames
from xinc_pl.memory import require_memory

_BYTES_PER_PIXEL = 3 * 4
"""Three colours in float32."""


class FrameDataset(Dataset[Frame]):
    """Frames in memory, optionally gone through several times per epoch."""

    def __init__(self, frames: Sequence[Frame], repeats: int = 1) -> None:
        self.frames = tuple(frames)
        self.repeats = repeats

    def __len__(self) -> int:
        return len(self.frames) * self.repeats

    def __getitem__(self, index: int) -> Frame:
        if not 0 <= index < len(self):
            raise IndexError(f"index {index} of {len(self)}")  # which is how Python ends a loop over the frames
        return self.frames[index % len(self.frames)]


class EpochShuffle(Sampler[int]):
    """A new order every epoch that depends on nothing but the seed and the epoch.

    Lightning calls ``set_epoch``; a run resumed at the end of an epoch therefore sees the frames in the order in
    which the uninterrupted one would have. (Resumed within an epoch, Lightning starts the epoch's order again.)
    """

    def __init__(self, length: int, seed: int) -> None:
        self.length = length
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of epoch ``epoch``, from 0."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        yield from torch.randperm(self.length, generator=generator).tolist()

    def __len__(self) -> int:
        return self.length


class FramesDataModule(LightningDataModule, ABC):
    """Frames that fit into memory, in batches of whole frames.

    A subclass loads its frames in ``load``. Nothing is read before ``setup``.

    Args:
        size: Height and width that every frame is brought to; None if only the frames tell.
        num_frames: How many frames there are; None if only the frames tell.
        batch_size: Frames per training step.
        repeats: How often an epoch goes through all frames.
        seed: Decides, together with the epoch, the order of the frames.
        num_held_out: How many frames, evenly spaced, are not trained on: see ``held_out_frames``.
    """

    def __init__(
        self,
        size: Size | None,
        num_frames: int | None,
        batch_size: int,
        repeats: int,
        seed: int,
        num_held_out: int = 0,
    ) -> None:
        super().__init__()
        for name, value in {"num_frames": num_frames, "batch_size": batch_size, "repeats": repeats}.items():
            if value is not None:
                check_whole(type(self).__name__, name, value, 1)
        if size is not None:
            check_size(type(self).__name__, size)
        check_whole(type(self).__name__, "seed", seed, 0, MAX_SEED)
        check_whole(type(self).__name__, "num_held_out", num_held_out, 0)
        if num_frames is not None:
            _check_held_out(type(self).__name__, num_frames, num_held_out)
        self._size: Size | None = None if size is None else (size[0], size[1])
        self._num_frames = num_frames
        self.batch_size = batch_size
        self.repeats = repeats
        self.seed = seed
        self.num_held_out = num_held_out
        self._frames: tuple[Frame, ...] | None = None

    @abstractmethod
    def load(self) -> tuple[Frame, ...]:
        """Read or make all frames, each with inputs and target.

        Raises:
            ValueError: Says what cannot be read and what to do.
        """

    @property
    def size(self) -> Size:
        """Height and width of the frames. Loads them where only they tell."""
        return self.frames[0].size if self._size is None else self._size

    @property
    def num_frames(self) -> int:
        """How many frames there are. Loads them where only they tell."""
        return len(self.frames) if self._num_frames is None else self._num_frames

    @property
    def frames(self) -> tuple[Frame, ...]:
        """All frames, loaded at the first use."""
        if self._frames is None:
            self._check_memory()
            self._frames = self.load()
            _check_held_out(type(self).__name__, len(self._frames), self.num_held_out)
        return self._frames

    def _check_memory(self) -> None:
        if self._size is None or self._num_frames is None:
            return  # as many and as large as they come
        count = f"{self._num_frames} frame{'s' * (self._num_frames != 1)} of {self._size[0]}x{self._size[1]}"
        require_memory(
            self._num_frames * math.prod(self._size) * _BYTES_PER_PIXEL,
            f"{type(self).__name__} with {count}",
            "set size or num_frames to less",
        )

    def setup(self, stage: str) -> None:
        """Load the frames, so that bad input is found before the first step."""
        del stage
        _ = self.frames

    def xinc_frames(self, indices: Sequence[int]) -> tuple[Frame, ...]:
        """The frames that XINC's callbacks ask for.

        Raises:
            ValueError: An index is out of range.
        """
        wrong = [index for index in indices if not 0 <= index < len(self.frames)]
        if wrong:
            raise ValueError(
                f"there is no frame {wrong[0]}: {type(self).__name__} has frames 0 to {len(self.frames) - 1}"
            )
        return tuple(self.frames[index] for index in indices)

    def train_dataloader(self) -> DataLoader[Frame]:
        """Shuffled batches of frames, without those that are held out."""
        held_out = held_out_frames(len(self.frames), self.num_held_out)
        seen = [frame for number, frame in enumerate(self.frames) if number not in held_out]
        dataset = FrameDataset(seen, self.repeats)
        return self._loader(dataset, sampler=EpochShuffle(len(dataset), self.seed))

    def val_dataloader(self) -> DataLoader[Frame]:
        """All frames in order."""
        return self._loader(FrameDataset(self.frames))

    def test_dataloader(self) -> DataLoader[Frame]:
        """All frames in order."""
        return self.val_dataloader()

    def predict_dataloader(self) -> DataLoader[Frame]:
        """All frames in order."""
        return self.val_dataloader()

    def _loader(self, dataset: FrameDataset, **kwargs: Any) -> DataLoader[Frame]:  # noqa: ANN401 - passed on
        # A loader without a generator draws a seed from the global random state each time it is iterated over,
        # so that validating more or less often would change the training.
        generator = torch.Generator().manual_seed(self.seed)
        return DataLoader(
            dataset, batch_size=self.batch_size, collate_fn=_collate, generator=generator, num_workers=0, **kwargs
        )


def _check_held_out(name: str, num_frames: int, num_held_out: int) -> None:
    try:
        held_out_frames(num_frames, num_held_out)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _collate(frames: Sequence[Frame]) -> Batch:
    return batch_of(frames)
