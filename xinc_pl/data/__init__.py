"""Images and clips to be fitted, as datamodules that yield frames."""

from xinc_pl.data.base import FramesDataModule
from xinc_pl.data.cityscapes_vps import CityscapesVPS
from xinc_pl.data.collage import Collage
from xinc_pl.data.image import Image
from xinc_pl.data.sample_clips import Clips
from xinc_pl.data.video import Video
from xinc_pl.data.vipseg import VIPSeg

__all__ = ["CityscapesVPS", "Clips", "Collage", "FramesDataModule", "Image", "VIPSeg", "Video"]
