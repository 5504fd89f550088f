"""Why a network could not be dissected."""


class DissectionError(ValueError):
    """The network is not a chain of layers that the contribution rules cover, or a self-check failed."""
