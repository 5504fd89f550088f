"""Pure functions from canvases to small results."""
