"""A single image to be fitted."""

from torch.utils.data import DataLoader

from xinc_pl.data.base import FrameDataset, FramesDataModule
from xinc_pl.data.reading import fit_to_size, read_image
from xinc_pl.frames import Frame, Size, pixel_coordinates


class Image(FramesDataModule):
    """One image; every training step sees all of its pixels.

    Args:
        image: A file (grey, alpha and 16 bits are converted), or the name of a photograph that comes with
            scikit-image, such as ``astronaut``, ``chelsea``, ``coffee`` or ``rocket``.
        size: Height and width to crop (around the centre) and resize the image to.
        steps_per_epoch: Training steps that make up one epoch.
    """

    def __init__(self, image: str = "chelsea", size: Size = (128, 256), steps_per_epoch: int = 10) -> None:
        if steps_per_epoch < 1:
            raise ValueError(f"Image: steps_per_epoch is {steps_per_epoch}; it must be at least 1")
        super().__init__(size, num_frames=1, batch_size=1, repeats=steps_per_epoch, seed=0)
        self.image = image

    def load(self) -> tuple[Frame, ...]:
        """Read, crop and resize the image."""
        target = fit_to_size(read_image(self.image), self.size)
        return (Frame(0, pixel_coordinates(self.size), self.size, target, name=self.image),)

    def train_dataloader(self) -> DataLoader[Frame]:
        """The image, ``steps_per_epoch`` times."""
        return self._loader(FrameDataset(self.frames, self.repeats))
