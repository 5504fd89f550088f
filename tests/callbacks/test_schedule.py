import pytest

from xinc_pl.callbacks.schedule import Schedule


def test_single_epochs_and_multiples_are_due() -> None:
    schedule = Schedule.of((3, 0, 3), every_n_epochs=4)
    assert [epoch for epoch in range(13) if schedule.is_due(epoch)] == [0, 3, 4, 8, 12]


def test_without_interval_only_the_listed_epochs_are_due() -> None:
    schedule = Schedule.of((2,), every_n_epochs=None)
    assert [epoch for epoch in range(6) if schedule.is_due(epoch)] == [2]


@pytest.mark.parametrize(
    ("at_epochs", "every_n_epochs", "word"), [((1, -2), None, "-2"), ((), 0, "every_n_epochs is 0")]
)
def test_nonsense_is_refused(at_epochs: tuple[int, ...], every_n_epochs: int | None, word: str) -> None:
    with pytest.raises(ValueError, match=word):
        Schedule.of(at_epochs, every_n_epochs)
