"""What all datamodules share: order, batches, random state."""

import random

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from xinc_pl.data.base import EpochShuffle, FrameDataset, FramesDataModule
from xinc_pl.frames import Frame


class Numbers(FramesDataModule):
    """Frames whose pixels are a hundredth of their number."""

    def __init__(self, num_frames: int = 7, batch_size: int = 3, repeats: int = 1, seed: int = 0) -> None:
        super().__init__((2, 4), num_frames, batch_size, repeats, seed)
        self.loads = 0

    def load(self) -> tuple[Frame, ...]:
        self.loads += 1
        return tuple(
            Frame(index, torch.zeros(1), self.size, torch.full((3, 2, 4), index / 100))
            for index in range(self.num_frames)
        )


def order(loader: DataLoader[Frame], epoch: int = 0) -> list[int]:
    if isinstance(loader.sampler, EpochShuffle):
        loader.sampler.set_epoch(epoch)
    for batch in loader:
        assert batch.target.shape[1:] == (3, 2, 4)
        assert batch.target.dtype == torch.float32
        assert torch.equal(batch.target[:, 0, 0, 0], batch.indices / 100)
    return [index for batch in loader for index in batch.indices.tolist()]


def test_training_goes_through_all_frames_in_a_new_order_every_epoch() -> None:
    loader = Numbers(num_frames=20).train_dataloader()
    orders = [order(loader, epoch) for epoch in range(5)]
    assert all(sorted(one) == list(range(20)) for one in orders)
    assert len({tuple(one) for one in orders}) == 5


def test_order_depends_on_seed_and_epoch_only() -> None:
    fresh = Numbers(num_frames=20, seed=1).train_dataloader()
    used = Numbers(num_frames=20, seed=1).train_dataloader()
    for epoch in range(4):
        order(used, epoch)
    torch.manual_seed(3)
    assert order(used, 4) == order(fresh, 4)
    assert order(used, 4) != order(Numbers(num_frames=20, seed=2).train_dataloader(), 4)


def test_orders_of_neighbouring_seeds_and_epochs_differ() -> None:
    orders = set()
    for seed in range(4):
        sampler = EpochShuffle(20, seed)
        for epoch in range(4):
            sampler.set_epoch(epoch)
            orders.add(tuple(sampler))
    assert len(orders) == 16


def test_last_batch_is_smaller_and_repeats_lengthen_the_epoch() -> None:
    loader = Numbers(num_frames=7, batch_size=3, repeats=2).train_dataloader()
    assert [len(batch.indices) for batch in loader] == [3, 3, 3, 3, 2]
    assert len(loader) == 5
    assert sorted(order(loader)) == sorted([*range(7), *range(7)])


def test_other_loaders_go_through_the_frames_once_and_in_order() -> None:
    data = Numbers(repeats=4)
    for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
        assert order(loader) == list(range(7))


def test_loaders_leave_the_global_random_state_alone() -> None:
    data = Numbers()
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    order(data.train_dataloader())
    order(data.val_dataloader())
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.random.get_state()[1].tolist() == before[1]
    assert random.getstate() == before[2]


def test_frames_are_loaded_once_and_not_before_setup() -> None:
    data = Numbers()
    assert data.loads == 0
    data.setup("fit")
    data.setup("validate")
    order(data.train_dataloader())
    assert data.loads == 1


def test_xinc_frames_come_in_the_asked_for_order() -> None:
    data = Numbers()
    assert [frame.index for frame in data.xinc_frames([6, 0, 3, 3])] == [6, 0, 3, 3]
    assert data.xinc_frames([]) == ()


@pytest.mark.parametrize("index", [7, -1])
def test_xinc_frames_names_a_frame_that_is_not_there(index: int) -> None:
    with pytest.raises(ValueError, match=f"no frame {index}: Numbers has frames 0 to 6"):
        Numbers().xinc_frames([0, index])


def test_a_loop_over_the_dataset_ends() -> None:
    dataset = FrameDataset(Numbers(num_frames=2).frames, repeats=2)
    assert [frame.index for frame, _ in zip(dataset, range(9), strict=False)] == [0, 1, 0, 1]


@pytest.mark.parametrize("wrong", ["num_frames", "batch_size", "repeats"])
def test_counts_below_one_are_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=f"Numbers: {wrong} is 0"):
        Numbers(**{wrong: 0})
