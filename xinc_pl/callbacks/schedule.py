"""At which epochs to dissect."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral


@dataclass(frozen=True)
class Schedule:
    """Completed epochs after which something is due; epoch 0 is before the first step.

    Args:
        at_epochs: Single epochs.
        every_n_epochs: Every multiple of this, if given.

    Raises:
        ValueError: An epoch is negative, or the interval is less than one.
    """

    at_epochs: tuple[int, ...]
    every_n_epochs: int | None = None

    def __post_init__(self) -> None:
        negative = [epoch for epoch in self.at_epochs if epoch < 0]
        if negative:
            raise ValueError(f"at_epochs has {negative[0]}; epochs count from 0, which is before the first step")
        if self.every_n_epochs is not None and self.every_n_epochs < 1:
            raise ValueError(f"every_n_epochs is {self.every_n_epochs}; give 1 or more, or null for at_epochs alone")

    @classmethod
    def of(cls, at_epochs: Sequence[int], every_n_epochs: int | None) -> "Schedule":
        """A schedule from arguments of a callback."""
        if isinstance(at_epochs, str) or not isinstance(at_epochs, Sequence):
            raise ValueError(f"at_epochs is {at_epochs!r}; give a list of epochs, such as [0, 10, 100], or []")
        odd = [epoch for epoch in at_epochs if isinstance(epoch, bool) or not isinstance(epoch, Integral)]
        if odd:
            raise ValueError(f"at_epochs has {odd[0]!r}; epochs are whole numbers from 0")
        if every_n_epochs is not None and (
            isinstance(every_n_epochs, bool) or not isinstance(every_n_epochs, Integral)
        ):
            raise ValueError(f"every_n_epochs is {every_n_epochs!r}; give a whole number, or null for at_epochs alone")
        return cls(tuple(sorted({int(epoch) for epoch in at_epochs})), every_n_epochs)

    def epochs(self, first: int, last: int | None) -> tuple[int, ...] | None:
        """The epochs from ``first`` to ``last`` after which something is due, the last one always.

        Args:
            first: The first epoch that counts.
            last: The last one of the training; None or -1 where it has no end.

        Returns:
            The epochs in their order; None where there is no end of them.
        """
        if last is None or last < 0:
            return None if self.every_n_epochs else tuple(each for each in self.at_epochs if each >= first)
        step = self.every_n_epochs or last + 1
        repeated = range(-(-first // step) * step, last + 1, step) if self.every_n_epochs else ()
        single = [each for each in self.at_epochs if first <= each <= last]
        return tuple(sorted({*single, *repeated, last}))

    def is_due(self, epoch: int) -> bool:
        """Whether something is due after ``epoch`` epochs."""
        return epoch in self.at_epochs or (self.every_n_epochs is not None and epoch % self.every_n_epochs == 0)


def evenly(epochs: Sequence[int], most: int) -> tuple[int, ...]:
    """At most so many of some epochs, evenly spaced among them, the last one before all others and then the first."""
    if most >= len(epochs):
        return tuple(epochs)
    if most <= 1:
        return tuple(epochs[len(epochs) - max(most, 0) :])
    return tuple(epochs[round(index * (len(epochs) - 1) / (most - 1))] for index in range(most))
