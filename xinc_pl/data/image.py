"""A single image to be fitted."""

from torch.utils.data import DataLoader

from xinc_pl.data.base import FrameDataset, FramesDataModule
from xinc_pl.data.fitting import Fit, Fitting
from xinc_pl.data.masks import Shown, masks_of
from xinc_pl.data.reading import read_image
from xinc_pl.frames import Frame, Instance, Size, pixel_coordinates


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
        masks: A picture of labels (PNG with a palette, grey of 8 or 16 bits, or COCO's colours), or labelme's JSON.
        categories: What labels mean: a file with lines such as ``1: car``, COCO's list of categories, or COCO's
            panoptic JSON. Without it, every label but 0 is an ``object``.
        label_divisor: If labels are category times this plus the object's number: 1000 for Cityscapes, 100 for VIPSeg.
            A smaller label is a category of stuff.
    """

    def __init__(
        self,
        image: str = "chelsea",
        size: Size | None = (128, 256),
        steps_per_epoch: int = 10,
        fit: Fit = "crop",
        multiple_of: int = 1,
        masks: str | None = None,
        categories: str | None = None,
        label_divisor: int | None = None,
    ) -> None:
        if steps_per_epoch < 1:
            raise ValueError(f"Image: steps_per_epoch is {steps_per_epoch}; it must be at least 1")
        super().__init__(size, num_frames=1, batch_size=1, repeats=steps_per_epoch, seed=0)
        self.image = image
        self.fitting = Fitting(size, fit, multiple_of, type(self).__name__)
        self.masks = masks_of(masks, categories, label_divisor, type(self).__name__)

    def load(self) -> tuple[Frame, ...]:
        """Read the image, and what is in it, and bring it to its size."""
        image = read_image(self.image)
        target = self.fitting.apply(image, self.image)
        size = (target.shape[-2], target.shape[-1])
        instances: tuple[Instance, ...] = ()
        if self.masks is not None:
            shown = Shown(self.image, (image.shape[-2], image.shape[-1]))
            instances = self.masks.read([self.masks.file()], {0: shown}, self.fitting)[0]
        return (Frame(0, pixel_coordinates(size), size, target, instances, name=self.image),)

    def train_dataloader(self) -> DataLoader[Frame]:
        """The image, ``steps_per_epoch`` times."""
        return self._loader(FrameDataset(self.frames, self.repeats))
