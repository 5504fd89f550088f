"""Settings of the trainer that Lightning takes, though nothing good can come of them."""

from collections.abc import Mapping, Sequence

from lightning.pytorch import Callback, LightningModule

from xinc_pl.arguments import MAX_SEED, is_number
from xinc_pl.suggestions import did_you_mean
from xinc_pl.training import INRModule

_LEAST = {
    "check_val_every_n_epoch": 1,
    "accumulate_grad_batches": 1,
    "log_every_n_steps": 0,
    "gradient_clip_val": 0,
    "num_sanity_val_steps": -1,
    "reload_dataloaders_every_n_epochs": 0,
    "min_epochs": 0,
    "min_steps": 0,
    "val_check_interval": 0,
}
"""The smallest value of each setting that means something."""

_NOTHING_TO_DO = ("max_epochs", "max_steps", "limit_train_batches")
"""Settings that leave nothing to train where they are 0."""


def check_seed(seed: object) -> None:
    """Insist on a seed that all random generators take.

    Raises:
        ValueError: It is none.
    """
    if isinstance(seed, int) and not isinstance(seed, bool) and not 0 <= seed <= MAX_SEED:
        raise ValueError(f"seed_everything is {seed}; it must be from 0 to {MAX_SEED}")


def check_trainer_settings(trainer: Mapping[str, object], subcommand: str | None) -> None:
    """Insist on schedules that can be followed.

    Args:
        trainer: Settings by name.
        subcommand: ``fit`` or another.

    Raises:
        ValueError: Names the setting, its value and what is wanted.
    """
    for name, least in _LEAST.items():
        value = trainer.get(name)
        if isinstance(value, (int, float)) and not (is_number(value) and value >= least):
            raise ValueError(f"trainer.{name} is {value}; it must be at least {least}")
    for name in _NOTHING_TO_DO if subcommand == "fit" else ():
        value = trainer.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and value == 0:
            raise ValueError(f"trainer.{name} is 0; nothing would be trained")


def check_monitors(module: LightningModule, callbacks: Sequence[Callback]) -> None:
    """Insist that what callbacks monitor is measured, which Lightning notices only when it is first looked for.

    Where somebody's own module or callback may log more, nothing is insisted on.

    Raises:
        ValueError: Names the callback, and what there is to monitor.
    """
    everyone = [module, *callbacks]
    if not isinstance(module, INRModule) or any(not _is_known(type(each)) for each in everyone):
        return
    measured = module.measured
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if isinstance(monitor, str) and monitor not in measured:
            raise ValueError(
                f"{type(callback).__name__}: monitor is {monitor!r}, which is not measured; there are "
                f"{', '.join(measured)}{did_you_mean(monitor.replace('_', '/'), measured)}"
            )


def _is_known(kind: type) -> bool:
    return kind.__module__.partition(".")[0] in ("xinc_pl", "lightning", "pytorch_lightning")
