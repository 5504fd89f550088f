"""What the arguments of training modules may be."""

from collections.abc import Sequence

from torch import nn

from xinc_pl.arguments import check_size, is_number
from xinc_pl.training.schedules import SCHEDULES


def check_training_arguments(
    name: str,
    network: object,
    size: Sequence[int],
    loss: object,
    lr: float,
    betas: Sequence[float],
    schedule: str,
) -> None:
    """Insist on arguments that can be trained with.

    Args:
        name: Of the LightningModule, for messages.
        network: As for ``INRModule``, and so are the others.
        size: Height and width.
        loss: A module, or None.
        lr: Learning rate.
        betas: Adam's decay rates.
        schedule: Name of a schedule.

    Raises:
        ValueError: Names the argument, the value and what is wanted.
    """
    if not isinstance(network, nn.Module):
        raise ValueError(f"{name}: network is of type {type(network).__name__}; give a torch.nn.Module")
    check_size(name, size)
    if loss is not None and not isinstance(loss, nn.Module):
        raise ValueError(f"{name}: loss is of type {type(loss).__name__}; give a torch.nn.Module, such as nn.L1Loss()")
    if not is_number(lr) or lr <= 0:
        raise ValueError(f"{name}: lr is {lr}; it must be positive")
    if not isinstance(betas, Sequence) or len(betas) != 2 or not all(is_number(b) and 0 <= b < 1 for b in betas):
        raise ValueError(f"{name}: betas are {betas!r}; give two numbers from 0 to below 1, such as (0.9, 0.999)")
    if schedule not in SCHEDULES:
        raise ValueError(f"{name}: schedule is {schedule!r}; choose from {', '.join(SCHEDULES)}")
