"""Readers of annotations: pure functions from files to labels of pixels, what labels mean, and flow."""
