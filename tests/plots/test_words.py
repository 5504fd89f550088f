import numpy as np

from xinc_pl.analysis.nulls import Null
from xinc_pl.plots.words import count_words, number, p_words, part_words


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


def test_a_part_is_told_with_its_whole_and_a_whole_alone() -> None:
    assert [part_words(1000, each) for each in (18352, 1000, None)] == ["1,000 of 18,352", "1,000", "1,000"]
