"""Recordings of images too large to be kept: of a sample of pixels, from which those of any others are computed.

What a network of coordinates computes at each pixel takes a hundred times as much memory as the image. But where the
pixels are apart, every value can be had again from the pixel's own inputs. So the calls are recorded on a sample, which
proves that it is so, and repeated on as many pixels at a time as are wanted.
"""

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from xinc_pl.canvas.maps.sample import sampled
from xinc_pl.canvas.maps.window import Window
from xinc_pl.canvas.recording.call import Call
from xinc_pl.canvas.recording.nests import mapped, tensors_in
from xinc_pl.canvas.recording.pixels import Pixels, SomePixels, are_close, are_of_pixels, part_of
from xinc_pl.canvas.recording.recording import Inputs, Recording
from xinc_pl.canvas.recording.replay import replayed

MOST_BYTES = 1 << 29
"""What all tensors of a recording may take; of larger ones, where pixels are apart, a sample is kept."""
TILE_BYTES = 1 << 26
"""What they may take of the pixels that are computed again at a time."""
FEWEST_PIXELS = 1 << 16
"""Smaller images are not tried: they would rarely take so much."""
_NUM_SAMPLED = 2039
"""A prime, for other sizes are rarely that."""
_FEWEST_SAMPLED = 4
_NUM_ALONE = 8
"""Pixels that are tried one by one."""
_MOST_PIXELS = 1 << 20
"""Of a tile, however little they take."""

Size = tuple[int, int]


def recorded_by_pixel(recorded: Callable[[Inputs, Size], Recording], inputs: Inputs, size: Size) -> Recording | None:
    """The recording of a large image by a sample of its pixels.

    Args:
        recorded: Calls the network on some pixels, an image of the given size, and records it.
        inputs: What it is called with to get the whole image.
        size: Height and width of the image.

    Returns:
        None if the image is not large, or its pixels not apart: then there is no other way than to keep all.
    """
    num_pixels = size[0] * size[1]
    given = tuple(tensors_in((inputs.args, inputs.kwargs)))
    if num_pixels < FEWEST_PIXELS or not any(num_pixels in tensor.shape for tensor in given):
        return None
    drawn = sampled(num_pixels, 2 * _NUM_SAMPLED)
    pixels, others = drawn[::2], drawn[1::4]  # not as many, for the number may matter

    def on(some: Tensor) -> Recording:
        def taken(tensor: Tensor) -> Tensor:
            return part_of(tensor, some, num_pixels) if num_pixels in tensor.shape else tensor

        own = Inputs(*mapped(inputs.args, taken), **mapped(inputs.kwargs, taken))
        return recorded(own, (1, len(some)))

    try:
        sample = on(pixels)
        if bytes_per_pixel(sample) * num_pixels <= MOST_BYTES:
            return None
        kept = tuple(tensor.clone() for tensor in given)
        check_large(sample, kept, size)
        apart = on(others)
        again = Recomputed(sample, apart.inputs, apart.size).taken(sample.output)
        if sample.numbers or apart.numbers or not are_close(again, apart.output):
            return None  # it looks at how many pixels there are
        recording = large_recording(sample, kept, size)
    except Exception:  # a network may refuse other pixels than its image's in any way
        return None
    return recording if are_close(part_of(recording.output, pixels, num_pixels), sample.output) else None


def large_recording(sample: Recording, inputs: tuple[Tensor, ...], size: Size) -> Recording:
    """The recording of a large image, from that of a sample of its pixels, and the inputs of all."""
    output = _output(sample, inputs, size[0] * size[1])
    return Recording((), inputs, sample.parameters, (output,), output, size, sample.names, (), sample)


def check_large(sample: Recording, inputs: Sequence[Tensor], size: Size) -> None:
    """Insist on a sample of pixels that are apart, and on inputs that are the same but for their pixels.

    Raises:
        ValueError: They are not.
    """
    number, num_pixels = sample.size[1], size[0] * size[1]
    if sample.size[0] > 1 or number < _FEWEST_SAMPLED:
        raise ValueError("it has no sample of pixels in a row")
    # Several lots, for a maximum over all pixels stays what it was in any that has the largest; a pixel alone has not.
    every = torch.arange(number)
    alone = every[:: -(-number // _NUM_ALONE)].split(1)
    if not all(SomePixels(sample, lot).are_apart for lot in (every[::2], every[1::2], *alone)):
        raise ValueError("its pixels are not apart")
    for own, given in zip(sample.inputs, inputs, strict=True):
        shape = list(own.shape)
        if are_of_pixels(own, sample):
            shape[shape.index(number)] = num_pixels
        if list(given.shape) != shape or given.dtype != own.dtype:
            raise ValueError(f"it has an input of {tuple(given.shape)} for one of {tuple(own.shape)} in its sample")


def _output(sample: Recording, inputs: Sequence[Tensor], num_pixels: int) -> Tensor:
    """The network's output at all pixels, some at a time."""
    axis = sample.output.shape.index(sample.size[1])
    shape = list(sample.output.shape)
    shape[axis] = num_pixels
    output = sample.output.new_empty(shape)
    number = _pixels_at_once(sample)
    for start in range(0, num_pixels, number):
        part = range(start, min(start + number, num_pixels))
        own = [part_of(each, part, num_pixels) if num_pixels in each.shape else each for each in inputs]
        output.narrow(axis, start, len(part)).copy_(Recomputed(sample, own, (1, len(part))).taken(sample.output))
    return output


def bytes_per_pixel(sample: Recording) -> float:
    """What all tensors of a recording take for each of its pixels."""
    memories = {
        tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes()
        for call in sample.calls
        for tensor in (*call.tensors(), *call.outputs)
        if are_of_pixels(tensor, sample)
    }
    return sum(memories.values()) / sample.size[1]


def _pixels_at_once(sample: Recording) -> int:
    return min(max(int(TILE_BYTES / max(bytes_per_pixel(sample), 1)), 1), _MOST_PIXELS)


def pixels_at_once(recording: Recording) -> int:
    """So many pixels of a large image may be computed at a time."""
    return _pixels_at_once(recording if recording.sample is None else recording.sample)


def tiles_of(size: Size, most: int) -> list[Window]:
    """An image of a size in windows of at most so many pixels: some rows, or parts of rows."""
    (height, width), parts = size, []
    for length, longest in ((height, max(most // width, 1)), (width, max(most, 1))):
        parts.append([(start, min(start + longest, length)) for start in range(0, length, longest)])
    rows, columns = parts
    return [Window(row, column) for row in rows for column in columns]


def recomputed(recording: Recording, window: Window, are_proven: bool = True) -> "Recomputed":
    """A large image's recording in a window.

    Args:
        recording: The recording.
        window: Which pixels.
        are_proven: Whether it is known that layers are the same on such pixels.
    """
    assert recording.sample is not None, "it is not large"
    number = recording.size[0] * recording.size[1]
    pixels: Tensor | range = window.pixels(recording.size[1])
    first = int(pixels[0])
    if int(pixels[-1]) - first == len(pixels) - 1:
        pixels = range(first, first + len(pixels))  # which takes no copy
    own = [part_of(each, pixels, number) if number in each.shape else each for each in recording.inputs]
    some = Recomputed(recording.sample, own, window.size)
    some.are_proven = are_proven
    return some


def in_full(recording: Recording) -> Recording:
    """The recording of all pixels, whatever memory that takes."""
    if recording.sample is None:
        return recording
    return Recomputed(recording.sample, recording.inputs, recording.size).recording


class Recomputed(Pixels):
    """What the recording of a sample would be, had it been of other pixels: computed when it is asked for.

    Args:
        sample: The recording. Its pixels are apart.
        inputs: What the network is called with to get the other pixels.
        size: Height and width of the image that they are to form.
    """

    def __init__(self, sample: Recording, inputs: Sequence[Tensor], size: Size) -> None:
        self._sample = sample
        self.size = size
        self._known = {
            id(old): new for old, new in zip(sample.inputs, inputs, strict=True) if are_of_pixels(old, sample)
        }
        self._dependent = set(self._known)
        for call in sample.calls:
            if any(id(tensor) in self._dependent for tensor in call.tensors()):
                self._dependent.update(map(id, call.outputs))

    def taken(self, tensor: Tensor) -> Tensor:
        """What a tensor of the sample's recording is for these pixels; as it is, if it is about none."""
        if id(tensor) not in self._dependent:
            return tensor
        if id(tensor) not in self._known:
            self._known[id(tensor)] = replayed(tensor, self._calls_before(tensor), dict(self._known))
        return self._known[id(tensor)]

    def _calls_before(self, tensor: Tensor) -> list[Call]:
        """What has to be called to get a tensor, from what is known."""
        wanted, calls = {id(tensor)}, []
        for call in reversed(self._sample.calls):
            if any(id(output) in wanted for output in call.outputs):
                calls.append(call)
                own = set(map(id, call.tensors()))
                wanted |= {each for each in own if each in self._dependent and each not in self._known}
        return calls[::-1]

    @cached_property
    def recording(self) -> Recording:
        """All of it."""
        sample = self._sample
        for call in sample.calls:
            if any(id(output) in self._dependent and id(output) not in self._known for output in call.outputs):
                self._known.update(zip(map(id, call.outputs), call.run(self.taken), strict=True))
        return sample.with_tensors(self.taken, self.size)
