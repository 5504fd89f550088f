"""What a network's first layers receive, before anything trained has a part in it."""

from collections.abc import Mapping

from torch import Tensor

from xinc_pl.canvas import Canvas
from xinc_pl.canvas.recording.recording import Recording


def encodings(canvas: Canvas) -> Mapping[str, Tensor]:
    """The fixed features that a canvas's first layers receive, where these are the layers' neurons.

    Two networks with the same encoding (of FFNs: of the same seed) share those neurons, however different their
    weights are. An encoding of the time alone is none here: it is the same at all pixels, and neurons differ by what
    their weights make of it.

    Returns:
        By the layer's name, what it receives; of a large image, at a sample of its pixels.
    """
    found = _received_untrained(canvas.recording.sample or canvas.recording)
    return {
        name: found[name]
        for name, layer in canvas.items()
        if name in found
        and layer.neuron_shape[0] in (found[name].shape[-1], found[name].shape[1])
        and found[name].numel() > layer.neuron_shape[0]
    }


def _received_untrained(recording: Recording) -> Mapping[str, Tensor]:
    """By layer, what it receives that depends on the network's inputs and on nothing trained."""
    trained, data = set(map(id, recording.parameters)), set(map(id, recording.inputs))
    found: dict[str, Tensor] = {}
    for call in recording.calls:
        tensors = list(call.tensors())
        received = [each for each in tensors if id(each) in data]
        is_first = received and not any(id(each) in trained for each in received)
        if any(id(each) in trained for each in tensors):
            trained.update(map(id, call.outputs))
            if is_first and received[0].is_floating_point() and received[0].ndim > 1:
                found.setdefault(recording.names.get(call.module, call.module), received[0])
        if received:
            data.update(map(id, call.outputs))
    return found
