"""The memory of loaded canvases."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from xinc_pl.board.cache import Cache


def test_what_was_used_longest_ago_goes_first() -> None:
    cache: Cache[str] = Cache(max_bytes=10)
    made: list[str] = []

    def get(key: str, num_bytes: int = 4) -> str:
        def make() -> tuple[str, int]:
            made.append(key)
            return key.upper(), num_bytes

        return cache.get(key, make)

    assert [get("a"), get("b"), get("a")] == ["A", "B", "A"]
    get("c")  # 12 bytes: b goes
    assert len(cache) == 2
    get("a")
    assert made == ["a", "b", "c"]
    get("b")
    assert made == ["a", "b", "c", "b"]
    get("huge", 100)
    assert len(cache) == 1
    assert get("huge") == "HUGE"
    assert made[-1] == "huge"
    assert made.count("huge") == 1


def test_what_fails_is_tried_again() -> None:
    cache: Cache[int] = Cache(max_bytes=10)

    def fail() -> tuple[int, int]:
        raise ValueError("no")

    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            cache.get("a", fail)
    assert cache.get("a", lambda: (1, 1)) == 1


def test_what_several_threads_want_is_made_once() -> None:
    cache: Cache[object] = Cache(max_bytes=10)
    barrier = Barrier(8)
    made: list[object] = []

    def make() -> tuple[object, int]:
        made.append(object())
        return made[-1], 1

    def get(_: int) -> object:
        barrier.wait()
        return cache.get("a", make)

    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(get, range(8)))
    assert len(made) == 1
    assert all(each is made[0] for each in found)
