import numpy as np

from xinc_pl.analysis.nulls import Null
from xinc_pl.plots.words import count_words, number, p_words


def test_numbers_have_two_digits() -> None:
    assert [number(value) for value in (5.63, 0.0421, 170.4, float("nan"))] == ["5.6", "0.042", "170", "none"]


def test_the_smallest_p_is_told_as_a_bound() -> None:
    draws = np.arange(24.0)
    assert p_words(Null(100.0, draws)) == "p ≤ 0.04"
    assert p_words(Null(21.0, draws)) == "p 0.16"
    assert p_words(Null(float("nan"), draws)) == ""


def test_the_number_of_tests_is_told() -> None:
    draws = np.arange(24.0)
    words = count_words([Null(100.0, draws), Null(0.0, draws), Null(float("nan"), draws)])
    assert words == "2 tests, 1 with p ≤ 0.05 (0.1 expected by chance alone); smallest p there can be: 0.04"
