"""The formulas of the paper and of the released code: one rule per kind of layer."""
