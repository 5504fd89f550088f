"""The formulas of the paper and of the released code: one rule per kind of layer."""

from collections.abc import Mapping

from xinc_pl.canvas.layers.convolution import ConvolutionKind
from xinc_pl.canvas.layers.kind import LayerKind
from xinc_pl.canvas.layers.product import ProductKind
from xinc_pl.canvas.rules.convolution import ConvolutionRule
from xinc_pl.canvas.rules.linear import LinearRule
from xinc_pl.canvas.rules.rule import ContributionRule

RULES: Mapping[type[LayerKind], type[ContributionRule]] = {ProductKind: LinearRule, ConvolutionKind: ConvolutionRule}
"""Which rule covers which kind of layer."""
