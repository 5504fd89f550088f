"""A recording of some of the image's pixels, of a network that treats them one by one."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.image import as_image
from xinc_pl.canvas.recording.recording import Recording

_PRECISION = 64
"""By how many units in the last place sums may differ that are added up in another order."""


class Pixels(ABC):
    """A recording of other pixels than those that were recorded.

    Attributes:
        size: Height and width of the image that they form.
        are_proven: Whether it is known that layers are the same on such pixels, so that none has to be tried.
    """

    size: tuple[int, int]
    are_proven = False

    @property
    @abstractmethod
    def recording(self) -> Recording:
        """All of it."""

    @abstractmethod
    def taken(self, tensor: Tensor) -> Tensor:
        """What a tensor of the recording is for these pixels; as it is, if it is about none."""


def are_of_pixels(tensor: Tensor, recording: Recording) -> bool:
    """Whether a tensor of a recording has as many places along an axis as the image has pixels."""
    return recording.size[0] * recording.size[1] in tensor.shape


def part_of(tensor: Tensor, pixels: Tensor | range, num_pixels: int) -> Tensor:
    """Some of the pixels of a tensor that has as many places along an axis as the image has pixels."""
    axis = tensor.shape.index(num_pixels)
    if isinstance(pixels, range):
        return tensor.narrow(axis, pixels.start, len(pixels))
    return tensor.index_select(axis, pixels.to(tensor.device))


class SomePixels(Pixels):
    """What a recording would be, had the network been called on some pixels alone.

    Every tensor that has as many places along an axis as the image has pixels is taken for theirs, but for parameters.
    Whether that is so, the calls tell, repeated.

    Args:
        recording: The recording of all pixels.
        pixels: Which of them, counted row by row: int64 (n,), or a range of neighbours, which takes no memory.
        size: Height and width of the image that they are to form; one row by default.
    """

    def __init__(self, recording: Recording, pixels: Tensor | range, size: tuple[int, int] | None = None) -> None:
        self._whole = recording
        self._pixels = pixels
        self._num_pixels = recording.size[0] * recording.size[1]
        self._weights = set(map(id, recording.parameters))
        self._taken: dict[int, tuple[Tensor, Tensor]] = {}  # with the original, so that its number stays its own
        self.size = (1, len(pixels)) if size is None else size
        self._recording = recording.with_tensors(self.taken, self.size)

    def taken(self, tensor: Tensor) -> Tensor:
        """Those pixels of a tensor of the recording; any that is about something else as it is."""
        if id(tensor) not in self._taken:
            is_theirs = are_of_pixels(tensor, self._whole) and id(tensor) not in self._weights
            own = part_of(tensor, self._pixels, self._num_pixels) if is_theirs else tensor
            self._taken[id(tensor)] = (tensor, own)
        return self._taken[id(tensor)][1]

    @property
    def recording(self) -> Recording:
        """All of it."""
        return self._recording

    @property
    def are_apart(self) -> bool:
        """Whether every call gives for these pixels what it gave, so that no other pixel has a part in it."""
        if self._num_pixels not in self._whole.output.shape:
            return False
        if not all(map(_gives_its_outputs, self._recording.calls)):
            return False
        image = as_image(self._recording.output, (1, len(self._pixels)))[:, 0]
        pixels = torch.as_tensor(self._pixels, device=image.device)
        return torch.equal(image, self._whole.image.flatten(1)[:, pixels])


def _gives_its_outputs(call: Call) -> bool:
    try:
        outputs = call.run(lambda tensor: tensor)
    except (RuntimeError, ValueError, IndexError, TypeError):  # it names the number of all pixels, say
        return False
    return len(outputs) == len(call.outputs) and all(map(are_close, outputs, call.outputs))


def are_close(values: Tensor, recorded: Tensor) -> bool:
    """Whether values are those that were recorded, up to what the order of additions changes."""
    if values.shape != recorded.shape or values.dtype != recorded.dtype:
        return False
    if not (values.is_floating_point() or values.is_complex()) or not values.numel():
        return torch.equal(values, recorded)
    largest = recorded.abs().nan_to_num().max()
    tolerance = _PRECISION * torch.finfo(values.dtype).eps * float(largest)
    return torch.allclose(values, recorded, rtol=0, atol=tolerance, equal_nan=True)
