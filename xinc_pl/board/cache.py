"""A small memory of what takes long to make."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from threading import Lock
from typing import Generic, TypeVar

Value = TypeVar("Value")


@dataclass
class _Slot:
    """A place for one value, held by whoever makes it."""

    lock: Lock = field(default_factory=Lock)
    value: object = None
    num_bytes: int = 0
    is_made: bool = False


class Cache(Generic[Value]):
    """Values by key; those used longest ago are let go of when all together become too large.

    Several threads may ask: what two of them want at the same time is made once. What fails is not kept.

    Args:
        max_bytes: What all values may take. The one asked for last is always kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._slots: OrderedDict[Hashable, _Slot] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], tuple[Value, int]]) -> Value:
        """The value of a key.

        Args:
            key: What it is known by.
            make: Makes the value, and says how many bytes it takes, where it is not known.
        """
        with self._lock:
            slot = self._slots.setdefault(key, _Slot())
            self._slots.move_to_end(key)
        with slot.lock:
            if not slot.is_made:
                try:
                    slot.value, slot.num_bytes = make()
                except BaseException:
                    with self._lock:
                        if self._slots.get(key) is slot:
                            del self._slots[key]
                    raise
                slot.is_made = True
                self._make_room(slot)
            return slot.value  # type: ignore[return-value] # it is what make has made

    def __len__(self) -> int:
        """How many values are known."""
        with self._lock:
            return sum(slot.is_made for slot in self._slots.values())

    def _make_room(self, newest: _Slot) -> None:
        with self._lock:
            total = sum(slot.num_bytes for slot in self._slots.values())
            for key, slot in list(self._slots.items()):
                if total <= self._max_bytes:
                    return
                if slot is not newest and slot.is_made:
                    del self._slots[key]
                    total -= slot.num_bytes
