"""Command-line tools that work on finished runs."""
