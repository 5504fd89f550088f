"""Which calls are layers, what their neurons are, and what stands between layers."""
