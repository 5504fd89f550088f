"""Numbers and their nulls in words."""

import math
from collections.abc import Sequence

from xinc_pl.analysis.nulls import Null


def number(value: float) -> str:
    """Two significant digits: ``5.6``, ``0.042``, ``170``; ``none`` where there is no number."""
    if not math.isfinite(value):
        return "none"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2g}"


def part_words(count: int, whole: int | None) -> str:
    """How many, and of how many where that is more: ``1,000 of 18,352``."""
    return f"{count:,}" if whole is None or whole == count else f"{count:,} of {whole:,}"


def p_words(null: Null) -> str:
    """``p 0.12``; ``p ≤ 0.04`` where it is the smallest that there can be."""
    if not null.exists:
        return ""
    return f"p ≤ {number(null.floor)}" if null.p <= null.floor * (1 + 1e-9) else f"p {number(null.p)}"


def count_words(nulls: Sequence[Null]) -> str:
    """How many tests there are, and what that means."""
    known = [each for each in nulls if each.exists]
    floor = max((each.floor for each in known), default=float("nan"))
    below = sum(each.p <= 0.05 for each in known)
    return (
        f"{len(known)} tests, {below} with p ≤ 0.05 ({number(0.05 * len(known))} expected by chance alone); "
        f"smallest p there can be: {number(floor)}"
    )
