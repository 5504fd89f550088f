"""Global random state: read, written back, left alone."""

import io
import random
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from xinc_pl.random_state import get_random_state, preserved_random_state, set_random_state

Draws = tuple[float, float, float, float, float]


def draw() -> Draws:
    """From every generator; the Gaussian ones keep a second number back."""
    return random.random(), random.gauss(0, 1), np.random.random(), np.random.normal(), torch.rand(()).item()


@pytest.fixture(autouse=True)
def own_random_state() -> Iterator[None]:
    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    draw()  # leaves a kept-back Gaussian behind
    yield
    random.setstate(before[0])
    np.random.set_state(before[1])
    torch.set_rng_state(before[2])


def test_draws_repeat_after_the_state_is_written_back() -> None:
    state = get_random_state()
    first, second = draw(), draw()
    assert first != second
    set_random_state(state)
    assert (draw(), draw()) == (first, second)


def test_state_survives_a_weights_only_load() -> None:
    file = io.BytesIO()
    torch.save(get_random_state(), file)
    expected = draw()
    file.seek(0)
    set_random_state(torch.load(file, weights_only=True))
    assert draw() == expected


def test_reading_the_state_draws_nothing() -> None:
    state = get_random_state()
    expected = draw()
    set_random_state(state)
    get_random_state()
    assert draw() == expected


def test_gpus_get_their_state_only_if_there_are_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[list[torch.Tensor]] = []
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", written.append)
    gpus = [torch.full((16,), 7, dtype=torch.uint8)] * 2
    for count in (0, 1, 2):
        monkeypatch.setattr(torch.cuda, "device_count", lambda count=count: count)
        set_random_state({**get_random_state(), "cuda": gpus})
    assert [[state.tolist() for state in states] for states in written] == [[[7] * 16] * 2]


def test_preserved_random_state_hides_draws_and_seeds() -> None:
    state = get_random_state()
    expected = draw()
    set_random_state(state)
    with preserved_random_state():
        random.seed(1)
        np.random.seed(1)
        torch.manual_seed(1)
        draw()
    assert draw() == expected


def test_preserved_random_state_restores_after_an_exception() -> None:
    state = get_random_state()
    expected = draw()
    set_random_state(state)

    @preserved_random_state()
    def fail() -> None:
        draw()
        raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert draw() == expected
