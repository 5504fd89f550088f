"""Images and clips to be fitted, as datamodules that yield frames."""

from xinc_pl.data.base import FramesDataModule
from xinc_pl.data.collage import Collage
from xinc_pl.data.image import Image
from xinc_pl.data.video import Video

__all__ = ["Collage", "FramesDataModule", "Image", "Video"]
