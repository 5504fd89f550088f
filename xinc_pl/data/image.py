"""A single image to be fitted."""

from torch.utils.data import DataLoader

from xinc_pl.data.base import FrameDataset, FramesDataModule
from xinc_pl.data.fitting import Fit, Fitting
from xinc_pl.data.reading import read_image
from xinc_pl.frames import Frame, Size, pixel_coordinates


class Image(FramesDataModule):
    """One image; every training step sees all of its pixels.

    Args:
        image: A file (turned upright, in sRGB; grey, alpha and more bits are converted), or the name of a photograph
            that comes with scikit-image, such as ``astronaut``, ``chelsea``, ``coffee`` or ``rocket``.
        size: Height and width to bring the image to; null for its own.
        steps_per_epoch: Training steps that make up one epoch.
        fit: An image of another shape is cropped around the centre (``crop``), padded with black (``pad``), or
            stretched (``stretch``).
        multiple_of: Where size is null, both sides are rounded down to multiples of this.
    """

    def __init__(
        self,
        image: str = "chelsea",
        size: Size | None = (128, 256),
        steps_per_epoch: int = 10,
        fit: Fit = "crop",
        multiple_of: int = 1,
    ) -> None:
        if steps_per_epoch < 1:
            raise ValueError(f"Image: steps_per_epoch is {steps_per_epoch}; it must be at least 1")
        super().__init__(size, num_frames=1, batch_size=1, repeats=steps_per_epoch, seed=0)
        self.image = image
        self.fitting = Fitting(size, fit, multiple_of, type(self).__name__)

    def load(self) -> tuple[Frame, ...]:
        """Read the image and bring it to its size."""
        target = self.fitting.apply(read_image(self.image), self.image)
        size = (target.shape[-2], target.shape[-1])
        return (Frame(0, pixel_coordinates(size), size, target, name=self.image),)

    def train_dataloader(self) -> DataLoader[Frame]:
        """The image, ``steps_per_epoch`` times."""
        return self._loader(FrameDataset(self.frames, self.repeats))
