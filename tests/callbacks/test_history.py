from xinc_pl.callbacks.history import History, Quantity

LOSS = Quantity("mine", "head", "loss", -1)


def test_a_curve_is_in_the_order_of_epochs_and_the_later_number_counts() -> None:
    history = History()
    for epoch, value in [(3, 1.0), (0, 2.0), (3, 4.0)]:
        history.add(LOSS, epoch, value)
    assert list(history.curve(LOSS).items()) == [(0, 2.0), (3, 4.0)]
    assert not history.curve(LOSS._replace(layer="stem"))


def test_the_state_of_an_earlier_part_comes_first_and_does_not_overwrite() -> None:
    earlier, later = History(), History()
    earlier.add(LOSS, 0, 1.0)
    earlier.add(LOSS, 3, 1.0)
    later.add(LOSS._replace(layer="stem"), 3, 5.0)
    later.state()  # what is kept of it must not hide what comes now
    later.add(LOSS, 3, 2.0)
    later.add_state(earlier.state())
    assert later.quantities() == [LOSS, LOSS._replace(layer="stem")]
    assert list(later.curve(LOSS).items()) == [(0, 1.0), (3, 2.0)]
