"""What a test of a kind of layer, or of a contribution rule, calls: everything that these promise."""

from xinc_pl.canvas.checks.kind import check_kind
from xinc_pl.canvas.checks.rule import check_rule

__all__ = ["check_kind", "check_rule"]
