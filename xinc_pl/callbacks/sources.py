"""Where a callback finds the network and the frames, in any Lightning project."""

from collections.abc import Callable, Sequence
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.exceptions import MisconfigurationException
from torch import nn

from xinc_pl.callbacks.board import board_of
from xinc_pl.frames import Frame

_THREE_WAYS = """{name} does not know the {what} to dissect. Tell it in one of three ways:
  1. its argument:                   {name}({argument})
  2. a method of the LightningModule: def {method} -> {type}
  3. a method of the datamodule:      def {method} -> {type}"""


def find_network(
    name: str, network: Callable[..., Any] | str | None, trainer: Trainer, module: LightningModule
) -> nn.Module:
    """The network: the callback's argument, else ``module.xinc_network()``, else ``datamodule.xinc_network()``.

    Args:
        name: The callback's, for messages.
        network: A module, or the path of a submodule of the LightningModule, such as ``"net.decoder"``.
        trainer: Knows the datamodule.
        module: The LightningModule that is trained.

    Raises:
        MisconfigurationException: None of them answers; shows the three ways.
    """
    if isinstance(network, str):
        try:
            return module.get_submodule(network)
        except AttributeError:
            children = ", ".join(path for path, _ in module.named_children())
            raise MisconfigurationException(
                f"{name}: {type(module).__name__} has no submodule {network!r}; it has {children}"
            ) from None
    if isinstance(network, nn.Module):
        return network
    if network is not None:
        raise MisconfigurationException(
            f"{name}: network is of type {type(network).__name__}; give a torch.nn.Module, or the path of one"
        )
    found = _ask((module, _datamodule(trainer)), "xinc_network")
    if not isinstance(found, nn.Module):
        raise MisconfigurationException(
            _THREE_WAYS.format(
                name=name,
                what="network",
                argument='network=model.net), or network: "net" in YAML (a path within the LightningModule',
                method="xinc_network(self)",
                type="torch.nn.Module",
            )
        )
    return found


def find_frames(
    name: str,
    frames: Sequence[int] | Sequence[Frame] | None,
    choose: Callable[[Sequence[int] | None, int | None], Sequence[int]],
    trainer: Trainer,
    module: LightningModule,
) -> tuple[Frame, ...]:
    """The frames: the callback's argument, else ``xinc_frames(indices)`` of the LightningModule or the datamodule.

    Args:
        name: The callback's, for messages.
        frames: Frames, or indices of frames to ask for.
        choose: Turns these indices (or None), and the number of frames where it is known (the attribute
            ``num_frames`` of the LightningModule or the datamodule), into the indices to ask for.
        trainer: Knows the datamodule.
        module: The LightningModule that is trained.

    Raises:
        MisconfigurationException: None of them answers, or there is no such frame.
    """
    given = tuple(frame for frame in frames or () if isinstance(frame, Frame))
    if given:
        return given
    wanted = None if frames is None else [int(index) for index in frames if not isinstance(index, Frame)]
    sources = (module, _datamodule(trainer))
    counts = [count for source in sources if isinstance(count := getattr(source, "num_frames", None), int)]
    try:
        found = _ask(sources, "xinc_frames", list(choose(wanted, counts[0] if counts else None)))
    except (ValueError, IndexError) as error:
        raise MisconfigurationException(f"{name}: {error}") from error
    if not found:
        raise MisconfigurationException(
            _THREE_WAYS.format(
                name=name,
                what="frames",
                argument="frames=[xinc_pl.Frame(index=0, inputs=..., size=(height, width), target=...)]",
                method="xinc_frames(self, indices: list[int])",
                type="list[xinc_pl.Frame]",
            )
        )
    return board_of(trainer).shared_frames(found)


def _datamodule(trainer: Trainer) -> object:
    return getattr(trainer, "datamodule", None)


def _ask(sources: Sequence[object], method: str, *args: Any) -> Any:  # noqa: ANN401 - the caller checks
    for source in sources:
        answer = getattr(source, method, None)
        if callable(answer):
            return answer(*args)
    return None
