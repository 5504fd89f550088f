"""One frame through network and loss before the training begins, so that what does not fit is told at once."""

import copy
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from xinc_pl.frames import Frame
from xinc_pl.memory import require_memory
from xinc_pl.random_state import preserved_random_state

if TYPE_CHECKING:
    from xinc_pl.training.base import INRModule


def try_module(module: "INRModule", stage: str) -> None:
    """Take one frame through a module, as it is asked for by its trainer.

    Args:
        module: Attached to a trainer, whose datamodule tells the frames if it has ``frames``.
        stage: The trainer's; the loss counts only for ``fit``.

    Raises:
        ValueError: Data, network and loss do not go together, or need more memory than there is.
    """
    name, data = type(module).__name__, getattr(module.trainer, "datamodule", None)
    frames = getattr(data, "frames", ())
    frame = frames[0] if isinstance(frames, Sequence) and frames and isinstance(frames[0], Frame) else None
    if frame is not None:
        module.check_frame(frame, len(frames))
    first = torch.zeros(1, dtype=torch.long, device=module.device)
    inputs = module.inputs_of(first)
    if stage == "fit" and module.trainer.strategy.root_device.type == "cpu":
        _require_training_memory(module, first.expand(getattr(data, "batch_size", 1) if frame is not None else 1))
    target = None if frame is None or frame.target is None else frame.target[None].to(module.device)
    shape = (1, -1, *module.size) if target is None else tuple(target.shape)
    asked = "frame 0" if inputs is None else f"{'coordinates' if inputs.dim() == 2 else 'times'} {_shape(inputs.shape)}"
    with torch.no_grad():
        prediction = try_reconstruction(name, module.network, lambda: module.reconstruct(first), shape, asked)
    if stage == "fit":
        try_loss(name, module.loss, prediction, torch.full_like(prediction, 0.5) if target is None else target)


def try_reconstruction(
    name: str, network: nn.Module, reconstruct: Callable[[], Tensor], shape: tuple[int, ...], asked: str
) -> Tensor:
    """Reconstruct one frame and insist on what comes out.

    Args:
        name: Of the LightningModule, for messages.
        network: Its network.
        reconstruct: Gives the frame.
        shape: What it should be: (1, C, H, W); a C of -1 is any.
        asked: What the network is called with, for messages.

    Raises:
        ValueError: The network cannot be called so, or gives another shape, integers, or numbers that are not finite.
    """
    kind = type(network).__name__
    with preserved_random_state(), _evaluated(network):
        try:
            frame = reconstruct()
        except Exception as error:
            if isinstance(error, MemoryError) or "allocate memory" in str(error):
                raise
            raise ValueError(
                f"{name}: {kind} cannot be called with {asked}: {_first_line(error)}; {_REMEDY}"
            ) from error
    if not isinstance(frame, Tensor):
        raise ValueError(f"{name}: {kind} returns a {type(frame).__name__}; it has to return a tensor")
    if len(frame.shape) != 4 or any(
        is_ != wanted for is_, wanted in zip(frame.shape, shape, strict=True) if wanted >= 0
    ):
        raise ValueError(
            f"{name}: called with {asked}, {kind} makes {_shape(frame.shape)}, and the frames are "
            f"{_shape(shape)}; {_REMEDY}"
        )
    if not frame.is_floating_point():
        raise ValueError(f"{name}: {kind} returns {_dtype(frame)}; it has to return floating-point colours")
    if not bool(torch.isfinite(frame).all()):
        raise ValueError(
            f"{name}: {kind} gives numbers that are not finite before the first step; its weights, or its encoding, "
            "overflow"
        )
    return frame


def try_loss(name: str, loss: nn.Module, prediction: Tensor, target: Tensor) -> None:
    """Take the loss of one frame and insist on a number that can be minimised.

    Raises:
        ValueError: The loss cannot be taken of frames, is no single finite number, or does not depend on them.
    """
    kind = type(loss).__name__
    try:
        loss = copy.deepcopy(loss)  # it may count its calls
    except Exception:  # what cannot be copied is not tried
        return
    with preserved_random_state(), _evaluated(loss), torch.enable_grad():
        prediction = prediction.detach().float().requires_grad_()
        try:
            value = loss(prediction, target.float())
        except Exception as error:
            raise ValueError(
                f"{name}: the loss {kind} cannot be taken of a frame and its target, both "
                f"{_shape(target.shape)}: {_first_line(error)}"
            ) from error
    if not isinstance(value, Tensor) or value.numel() != 1:
        got = _shape(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise ValueError(f"{name}: the loss {kind} gives {got}; it has to give one number (reduction: mean)")
    if not value.requires_grad:
        raise ValueError(f"{name}: the loss {kind} has no gradient; it has to depend on the prediction")
    if not bool(torch.isfinite(value)):
        raise ValueError(f"{name}: the loss {kind} is {value.item()} before the first step; use another, as MSELoss")


def _require_training_memory(module: "INRModule", indices: Tensor) -> None:
    """Insist that what a step on frames ``indices`` (B,) keeps for its gradients fits into memory.

    Nothing is computed: the network is followed on tensors without data. One that cannot be followed so is let pass.
    """
    inputs = module.step_inputs(indices)
    if inputs is None:
        return
    held: list[Tensor] = []

    def note(tensor: Tensor) -> Tensor:
        held.append(tensor)
        return tensor

    try:
        network = copy.deepcopy(module.network).to("meta")
        for part in network.modules():
            part._forward_hooks.clear()  # others look at data there
            part._forward_pre_hooks.clear()
        hooks = torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor)
        with preserved_random_state(), torch.enable_grad(), hooks:
            network(inputs.to("meta"))
    except Exception:  # not every network works without data
        return
    kept = {storage._cdata: storage.nbytes() for storage in (tensor.untyped_storage() for tensor in held)}
    frames = f"{len(indices)} frame{'s' * (len(indices) != 1)} of {module.size[0]}x{module.size[1]}"
    require_memory(
        sum(kept.values()),
        f"{type(module).__name__}: a training step of {frames}",
        "use a smaller size, network or batch",
    )


_REMEDY = "ImageINR fits networks of coordinates, such as FFN; VideoINR those of time, such as NeRV"


class _evaluated:  # noqa: N801 - used like a function
    """Evaluation mode, so that no statistics of the module's change; each part's mode comes back."""

    def __init__(self, module: nn.Module) -> None:
        self._modes = [(part, part.training) for part in module.modules()]
        self._module = module

    def __enter__(self) -> None:
        self._module.eval()

    def __exit__(self, *exception: object) -> None:
        for part, training in self._modes:
            part.training = training


def _shape(shape: tuple[int, ...]) -> str:
    return "(" + ", ".join("C" if side < 0 else str(side) for side in shape) + ")"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
