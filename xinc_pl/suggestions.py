"""What a misspelt name may have been meant to be."""

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing where no candidate is like the name."""
    known = {each.lower(): each for each in candidates}
    close = difflib.get_close_matches(name.lower(), known, n=1, cutoff=0.6)
    return f"; did you mean {known[close[0]]!r}?" if close else ""
